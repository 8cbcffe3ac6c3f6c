//! The flows of a proxy over the API: listed, closed, reset, and refused when they are not there.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use support::{Answer, PATIENCE, Running};

/// A connection through a proxy, both of its ends.
fn connect(proxy: SocketAddr, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(proxy).unwrap();
    let (server, _) = listener.accept().unwrap();
    for end in [&client, &server] {
        end.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    (client, server)
}

fn pass(mut from: &TcpStream, mut to: &TcpStream, count: usize) {
    from.write_all(&vec![7; count]).unwrap();
    to.read_exact(&mut vec![0; count]).unwrap();
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// The ids of a list.
fn ids(list: &Answer) -> Vec<u64> {
    assert_eq!(list.status, 200, "{list:?}");
    let list = list.json();
    let flows = list["flows"].as_array().expect("a list").iter();
    flows.map(|flow| flow["id"].as_u64().expect("a number")).collect()
}

#[test]
fn connections_are_listed_page_by_page() {
    let running = Running::start();
    let (listener, upstream) = listener();
    let proxy = running.create("web", upstream);
    assert_eq!(
        running.ask("GET", "/proxies/web/flows", "").json(),
        json!({ "flows": [], "next": null })
    );
    let ends: Vec<_> = (0..20).map(|_| connect(proxy, &listener)).collect();
    for (n, (client, server)) in ends.iter().enumerate() {
        pass(client, server, n + 1);
        pass(server, client, 100);
    }
    let list = running.ask("GET", "/proxies/web/flows", "");
    assert_eq!(list.header("content-type"), Some("application/json"));
    assert_eq!(ids(&list), (1..=20).collect::<Vec<_>>());
    for (n, (flow, (client, _))) in
        list.json()["flows"].as_array().unwrap().iter().zip(&ends).enumerate()
    {
        let id = n + 1;
        assert_eq!(flow["client"], client.local_addr().unwrap().to_string());
        assert_eq!(flow["upstream"], upstream.to_string());
        assert_eq!((&flow["protocol"], &flow["rtt_ms"]), (&json!("tcp"), &Value::Null));
        let (age, idle) = (flow["age_s"].as_f64().unwrap(), flow["idle_s"].as_f64().unwrap());
        assert!(0.0 <= idle && idle <= age && age < PATIENCE.as_secs_f64(), "{flow}");
        let counts =
            |bytes| json!({ "packets": 1, "bytes": bytes, "delivered": 1, "discarded": 0 });
        assert_eq!((&flow["up"], &flow["down"]), (&counts(id), &counts(100)));
        let alone = running.ask("GET", &format!("/proxies/web/flows/{id}"), "").json();
        for field in ["id", "client", "up", "down"] {
            assert_eq!(alone[field], flow[field]);
        }
    }
    let (mut after, mut seen) = (json!(0), Vec::new());
    while !after.is_null() {
        let page = running.ask("GET", &format!("/proxies/web/flows?after={after}&limit=7"), "");
        seen.push(ids(&page));
        after = page.json()["next"].clone();
    }
    let expected: [Vec<u64>; 3] = [(1..=7).collect(), (8..=14).collect(), (15..=20).collect()];
    assert_eq!(seen, expected);
    assert!(ids(&running.ask("GET", "/proxies/web/flows?protocol=udp", "")).is_empty());
    for query in ["after=x", "limit=0", "limit=20000", "protocol=tls"] {
        let answer = running.ask("GET", &format!("/proxies/web/flows?{query}"), "");
        assert_eq!(answer.status, 400, "{query}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.json()["status"], 400);
    }
}

#[test]
fn one_is_cut_one_is_reset_and_the_rest_goes_on() {
    let running = Running::start();
    let (listener, upstream) = listener();
    let proxy = running.create("web", upstream);
    let toxic = r#"{"type": "latency", "attributes": {"latency": 5}}"#;
    assert_eq!(running.ask("POST", "/proxies/web/toxics", toxic).status, 200);
    let ends: Vec<_> = (0..4).map(|_| connect(proxy, &listener)).collect();
    ends.iter().for_each(|(client, server)| pass(client, server, 10));
    let closed = running.ask("DELETE", "/proxies/web/flows/2", "");
    assert_eq!((closed.status, closed.body.as_str()), (204, ""));
    assert_eq!(running.ask("POST", "/proxies/web/flows/3/reset", "").status, 204);
    let read = |mut end: &TcpStream| end.read(&mut [0; 10]).map_err(|error| error.kind());
    assert_eq!((read(&ends[1].0), read(&ends[1].1)), (Ok(0), Ok(0)));
    let reset = Err(ErrorKind::ConnectionReset);
    assert_eq!((read(&ends[2].0), read(&ends[2].1)), (reset, reset));
    for (client, server) in [&ends[0], &ends[3]] {
        pass(client, server, 10_000);
        pass(server, client, 10_000);
    }
    assert_eq!(ids(&running.ask("GET", "/proxies/web/flows", "")), [1, 4]);
    // What is gone is gone, and no other one is meant by its number.
    let fifth = connect(proxy, &listener);
    for (method, path) in [
        ("GET", "/proxies/web/flows/2"),
        ("DELETE", "/proxies/web/flows/2"),
        ("POST", "/proxies/web/flows/3/reset"),
        ("DELETE", "/proxies/web/flows/0"),
        ("DELETE", "/proxies/web/flows/4294967296"),
        ("DELETE", "/proxies/web/flows/-1"),
        ("DELETE", "/proxies/web/flows/one"),
        ("GET", "/proxies/nobody/flows"),
        ("DELETE", "/proxies/nobody/flows/1"),
        ("POST", "/proxies/nobody/flows/1/reset"),
    ] {
        let answer = running.ask(method, path, "");
        assert_eq!(answer.status, 404, "{method} {path}: {answer:?}");
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains("GET /proxies"), "{error}");
    }
    pass(&fifth.0, &fifth.1, 10);
    // No other method, and no state is changed by GET.
    for (method, path) in [
        ("GET", "/proxies/web/flows/1/reset"),
        ("POST", "/proxies/web/flows"),
        ("POST", "/proxies/web/flows/1"),
        ("DELETE", "/proxies/web/flows"),
        ("HEAD", "/proxies/web/flows"),
    ] {
        assert_eq!(running.ask(method, path, "").status, 405, "{method} {path}");
    }
    assert_eq!(ids(&running.ask("GET", "/proxies/web/flows", "")), [1, 4, 5]);
    // A disabled proxy has none.
    assert_eq!(running.ask("PATCH", "/proxies/web", r#"{"enabled": false}"#).status, 200);
    assert!(ids(&running.ask("GET", "/proxies/web/flows", "")).is_empty());
    assert_eq!(running.ask("DELETE", "/proxies/web/flows/1", "").status, 404);
}
