//! Toxics through the API: what is said, what is kept, and what it does to live connections.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use jostle_common::clock::Clock;
use jostle_common::time::Instant;
use serde_json::json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;
use support::{PATIENCE, Running, echo_server};

const TOXICS: &str = "/proxies/p/toxics";

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn echo(client: &mut TcpStream, text: &[u8]) -> std::io::Result<()> {
    client.write_all(text)?;
    let mut answer = vec![0; text.len()];
    client.read_exact(&mut answer)?;
    assert_eq!(answer, text);
    Ok(())
}

#[test]
fn toxics_are_printed_as_they_were_written() {
    let running = Running::start();
    running.create("p", echo_server());
    assert_eq!(running.ask("GET", TOXICS, "").body, "[]");
    let latency = running.ask(
        "POST",
        TOXICS,
        r#"{"type":"latency","attributes":{"latency":1000,"unknown":1},"toxicity":0.333333333333}"#,
    );
    let printed = r#"{"attributes":{"latency":1000,"jitter":0},"name":"latency_downstream","type":"latency","stream":"downstream","toxicity":0.33333334}"#;
    assert_eq!((latency.status, latency.body.as_str()), (200, printed));
    let up = r#"{"name":"slow","type":"bandwidth","stream":"UpStream","attributes":{"rate":10}}"#;
    let up = running.ask("POST", TOXICS, up);
    let printed_up = r#"{"attributes":{"rate":10},"name":"slow","type":"bandwidth","stream":"UpStream","toxicity":1}"#;
    assert_eq!(up.body, printed_up);
    // Upstream first, whatever came first.
    let list = format!("[{printed_up},{printed}]");
    assert_eq!(running.ask("GET", TOXICS, "").body, list);
    let proxy = running.ask("GET", "/proxies/p", "").body;
    assert!(proxy.ends_with(&format!(r#""enabled":true,"toxics":{list}}}"#)), "{proxy}");
    assert_eq!(running.ask("GET", "/proxies/p/toxics/slow", "").body, printed_up);

    let update = r#"{"name":"other","stream":"downstream","attributes":{"rate":20}}"#;
    let updated = running.ask("PATCH", "/proxies/p/toxics/slow", update);
    assert_eq!((updated.status, updated.body), (200, printed_up.replace("10", "20")));
    let wrong = running.ask(
        "POST",
        "/proxies/p/toxics/slow",
        r#"{"toxicity":0.5,"attributes":{"rate":"1"}}"#,
    );
    assert_eq!(wrong.status, 400);
    let kept = running.ask("GET", "/proxies/p/toxics/slow", "").json();
    assert_eq!((&kept["attributes"]["rate"], &kept["toxicity"]), (&json!(20), &json!(1)));

    assert_eq!(running.ask("DELETE", "/proxies/p/toxics/slow", "").status, 204);
    assert_eq!(running.ask("POST", "/reset", "").status, 204);
    assert_eq!(running.ask("GET", TOXICS, "").body, "[]");
}

#[test]
fn what_is_wrong_is_said_in_order() {
    let running = Running::start();
    running.create("p", echo_server());
    let said = |body: &str| {
        let answer = running.ask("POST", TOXICS, body);
        (answer.status, answer.json()["error"].as_str().unwrap().to_owned())
    };
    let stream = "stream was invalid, can be either upstream or downstream";
    assert_eq!(said(""), (400, "bad request body: EOF".into()));
    assert_eq!(said(r#"{"type":"nope","stream":"sideways"}"#), (400, stream.into()));
    assert_eq!(said(r#"{"type":"latency","stream":""}"#), (400, stream.into()));
    for body in ["null", "{}", r#"{"type":"Latency"}"#] {
        assert_eq!(said(body), (400, "invalid toxic type".into()), "{body}");
    }
    assert_eq!(running.ask("POST", TOXICS, r#"{"type":"latency"}"#).status, 200);
    let again = r#"{"type":"latency","attributes":{"latency":"x"}}"#;
    assert_eq!(said(again), (409, "toxic already exists".into()));
    for value in [r#""100""#, "1.5", "1e2", "100.0", "9223372036854775808"] {
        let body = format!(r#"{{"name":"n","type":"latency","attributes":{{"latency":{value}}}}}"#);
        assert_eq!(said(&body).0, 400, "{value}");
    }
    for (method, path) in [
        ("GET", "/proxies/q/toxics"),
        ("POST", "/proxies/q/toxics"),
        ("DELETE", "/proxies/q/toxics/x"),
    ] {
        assert_eq!(running.ask(method, path, "").json()["error"], "proxy not found");
    }
    for method in ["GET", "POST", "PATCH", "DELETE"] {
        let answer = running.ask(method, "/proxies/p/toxics/none", "junk");
        assert_eq!((answer.status, &answer.json()["error"]), (404, &json!("toxic not found")));
    }
}

#[test]
fn latency_comes_and_goes_on_a_live_connection() {
    let running = Running::start();
    let mut client = connect(running.create("p", echo_server()));
    echo(&mut client, b"quick").unwrap();
    let body = r#"{"type":"latency","attributes":{"latency":200}}"#;
    assert_eq!(running.ask("POST", TOXICS, body).status, 200);
    let begun = Clock::start();
    echo(&mut client, b"slow").unwrap();
    assert!(begun.now().since(Instant::START) >= Duration::from_millis(200));
    let body = r#"{"attributes":{"latency":0}}"#;
    assert_eq!(running.ask("PATCH", "/proxies/p/toxics/latency_downstream", body).status, 200);
    assert_eq!(running.ask("DELETE", "/proxies/p/toxics/latency_downstream", "").status, 204);
    echo(&mut client, b"quick again").unwrap();
}

#[test]
fn a_timeout_that_is_removed_closes_what_it_held() {
    let running = Running::start();
    let mut client = connect(running.create("p", echo_server()));
    echo(&mut client, b"before").unwrap();
    let body = r#"{"type":"timeout","attributes":{"timeout":0}}"#;
    assert_eq!(running.ask("POST", TOXICS, body).status, 200);
    client.write_all(b"lost").unwrap();
    assert_eq!(running.ask("DELETE", "/proxies/p/toxics/timeout_downstream", "").status, 204);
    assert_eq!(client.read(&mut [0; 8]).unwrap(), 0, "closed, and what was lost stays lost");
}

#[test]
fn a_reset_is_a_reset_and_its_toxicity_counts() {
    let running = Running::start();
    let listen = running.create("p", echo_server());
    let body = r#"{"type":"reset_peer","attributes":{"timeout":0},"toxicity":0}"#;
    assert_eq!(running.ask("POST", TOXICS, body).status, 200);
    let mut client = connect(listen);
    echo(&mut client, b"unharmed").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.read(&mut [0; 8]).unwrap(), 0, "a close is a FIN");
    let always =
        running.ask("PATCH", "/proxies/p/toxics/reset_peer_downstream", r#"{"toxicity":1}"#);
    assert_eq!(always.status, 200);
    let mut client = connect(listen);
    client.write_all(b"reset me").unwrap();
    let error = client.read(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

/// The inputs with which the original ends or hangs.
#[test]
fn no_attribute_ends_or_hangs_it() {
    let running = Running::start();
    let listen = running.create("p", echo_server());
    for toxic in [
        json!({ "type": "bandwidth", "attributes": { "rate": -1 } }),
        json!({ "type": "bandwidth", "attributes": { "rate": i64::MAX } }),
        json!({ "type": "slicer" }),
        json!({ "type": "slicer", "attributes": { "average_size": -5 } }),
        json!({ "type": "slicer", "attributes": { "average_size": 1, "size_variation": 100 } }),
        json!({ "type": "latency", "attributes": { "latency": 1, "jitter": 1_i64 << 62 } }),
        json!({ "type": "latency", "attributes": { "latency": i64::MIN, "jitter": i64::MAX } }),
        json!({ "type": "timeout", "attributes": { "timeout": i64::MIN } }),
        json!({ "type": "limit_data", "attributes": { "bytes": i64::MIN } }),
        json!({ "type": "reset_peer", "attributes": { "timeout": i64::MAX } }),
        json!({ "type": "slow_close", "attributes": { "delay": i64::MAX } }),
    ] {
        for toxicity in [json!(1), json!(-1), json!(2), json!(null)] {
            let mut body = toxic.clone();
            (body["name"], body["toxicity"]) = (json!("t"), toxicity);
            assert_eq!(running.ask("POST", TOXICS, &body.to_string()).status, 200, "{body}");
            let mut client = connect(listen);
            client.write_all(b"some bytes for it").unwrap();
            assert_eq!(running.ask("DELETE", "/proxies/p/toxics/t", "").status, 204, "{body}");
        }
    }
    echo(&mut connect(listen), b"alive").unwrap();
}

/// The original's API is dead for ever after a toxic was added to a connection like this.
#[test]
fn a_client_that_does_not_read_holds_nothing_up() {
    let running = Running::start();
    let listen = running.create("p", flooding_server());
    let stalled = connect(listen);
    // It has filled every buffer when it sends no more; a moment is enough to begin.
    let other = running.create("q", echo_server());
    for n in 0..50 {
        let body =
            json!({ "name": format!("t{n}"), "type": "latency", "attributes": { "latency": 1 } });
        assert_eq!(running.ask("POST", TOXICS, &body.to_string()).status, 200);
        echo(&mut connect(other), b"served").unwrap();
    }
    assert_eq!(running.ask("POST", "/reset", "").status, 204);
    assert_eq!(running.ask("DELETE", "/proxies/p", "").status, 204);
    drop(stalled);
}

/// A server that writes for as long as anyone takes it.
fn flooding_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || while stream.write_all(&[0; 65_536]).is_ok() {});
        }
    });
    address
}
