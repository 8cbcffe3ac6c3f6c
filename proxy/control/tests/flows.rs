//! The flows of a proxy over the API: listed, closed, reset, and refused when they are not there.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "it looks at the real clock")]

mod support;

use jostle_common::transport::Transport;
use jostle_engine::profile::Profile;
use jostle_engine::route::Configuration;
use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};
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

/// A proxy with one route that was configured, and where it listens by transport.
fn configured(route: &str) -> (Running, impl Fn(Transport) -> SocketAddr + use<>) {
    let text = format!(r#"{{ "proxies": [ {route} ] }}"#);
    let no_files = |name: &str| Err(format!("{name}: tests read no files"));
    let running = Running::with(Configuration::from_json(&text, &no_files).unwrap().routes);
    let listeners = running.control.routes().unwrap().remove(0).listeners;
    let address = move |transport| {
        let of_it = listeners.iter().find(|listener| listener.protocol == transport);
        of_it.expect("it listens").address
    };
    (running, address)
}

fn udp() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn profile(running: &Running) -> Profile {
    running.control.routes().unwrap().remove(0).route.profile
}

/// Waits until something is so, and panics if it takes too long.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what} does not come");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

#[test]
fn one_udp_flow_has_weather_of_its_own_as_long_as_it_lives() {
    let server = udp();
    let upstream = server.local_addr().unwrap();
    let (running, address) = configured(&format!(
        r#"{{ "name": "dns", "listen": "udp://127.0.0.1:0", "upstream": "{upstream}",
            "profile": {{ "up": [ {{ "rule": "size", "max": "1000B" }} ] }} }}"#
    ));
    let address = address(Transport::Udp);
    let before = profile(&running);
    let clients = [udp(), udp(), udp()];
    // Each says its number; returns what arrives, up to the last one's.
    let arrived = || {
        clients.iter().enumerate().for_each(|(n, client)| {
            client.send_to(&[n as u8 + 1], address).unwrap();
        });
        let (mut arrived, mut byte) = (Vec::new(), [0]);
        while arrived.last() != Some(&3) {
            server.recv_from(&mut byte).unwrap();
            arrived.push(byte[0]);
        }
        arrived
    };
    assert_eq!(arrived(), [1, 2, 3]);
    let put = |flow: u32, body: &str| {
        running.ask("PUT", &format!("/proxies/dns/flows/{flow}/profile"), body)
    };
    let lose = r#"{"up": [{"rule": "drop", "chance": "100%"}]}"#;
    let answer = put(2, lose);
    assert_eq!((answer.status, answer.json()), (200, serde_json::from_str(lose).unwrap()));
    assert_eq!(arrived(), [1, 3]);
    let shown = running.ask("GET", "/proxies/dns/flows/2/profile", "");
    assert_eq!(shown.json(), answer.json());
    assert_eq!(running.ask("GET", "/proxies/dns/flows/1/profile", "").json(), json!({}));
    let counts = running.ask("GET", "/proxies/dns/flows/2", "").json()["up"].clone();
    assert_eq!(counts, json!({ "packets": 2, "bytes": 2, "delivered": 1, "discarded": 1 }));
    // What cannot be set changes nothing.
    let as_it_is = profile(&running);
    for (body, said) in [
        ("", "the body is empty"),
        ("{", "JSON"),
        ("[]", "an object"),
        (r#"{"up": [{"rule": "drop", "chance": "5"}]}"#, "up[0].chance"),
        (r#"{"up": [{"rule": "lose"}]}"#, "up[0].rule"),
        (r#"{"up": [], "up": []}"#, "up"),
        (r#"{"phases": [{"for": "1s"}, {}]}"#, "phases"),
        (
            r#"{"down": [{"rule": "size", "max": "9B", "match": {"flow": 1}}]}"#,
            "down[0].match.flow",
        ),
        (r#"{"up": [{"rule": "rate", "trace": "/etc/passwd"}]}"#, "up[0].trace"),
        (r#"{"up": [{"rule": "reset", "after": "1s"}]}"#, "reset"),
    ] {
        let answer = put(2, body);
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
        assert!(answer.json()["error"].as_str().unwrap().contains(said), "{body}: {answer:?}");
    }
    assert_eq!(put(4, lose).status, 404);
    assert_eq!(running.ask("PUT", "/proxies/nobody/flows/1/profile", lose).status, 404);
    assert_eq!(running.ask("POST", "/proxies/dns/flows/1/profile", lose).status, 405);
    assert_eq!(profile(&running), as_it_is);
    // They are replaced together, and removed.
    assert_eq!(put(2, r#"{"down": [{"rule": "size", "max": "9B"}]}"#).status, 200);
    assert_eq!(arrived(), [1, 2, 3]);
    assert_eq!(put(2, "{}").json(), json!({}));
    assert_eq!(profile(&running), before);
    // They end with the flow: the client's next one is another.
    assert_eq!((put(2, lose).status, put(3, lose).status), (200, 200));
    assert_eq!(running.ask("DELETE", "/proxies/dns/flows/2", "").status, 204);
    wait_until("the end of the rules", || profile(&running).flow_rules(2) == Profile::default());
    assert_ne!(profile(&running), before, "another flow's stay");
    assert_eq!(put(3, "{}").status, 200);
    assert_eq!(profile(&running), before);
    assert_eq!(arrived(), [1, 2, 3]);
}

#[test]
fn one_connection_has_weather_of_its_own_and_none_of_the_next_inherits_it() {
    let running = Running::start();
    let (listener, upstream) = listener();
    let proxy = running.create("web", upstream);
    let ends: Vec<_> = (0..3).map(|_| connect(proxy, &listener)).collect();
    ends.iter().for_each(|(client, server)| pass(client, server, 10));
    let reset = r#"{"up": [{"rule": "reset", "after": "0s"}]}"#;
    assert_eq!(running.ask("PUT", "/proxies/web/flows/2/profile", reset).status, 200);
    (&ends[1].0).write_all(b"more").unwrap();
    let read = |mut end: &TcpStream| end.read(&mut [0; 10]).map_err(|error| error.kind());
    assert_eq!(read(&ends[1].0), Err(ErrorKind::ConnectionReset));
    for (client, server) in [&ends[0], &ends[2]] {
        pass(client, server, 10_000);
        pass(server, client, 10_000);
    }
    assert_eq!(running.ask("PUT", "/proxies/web/flows/3/profile", reset).status, 200);
    // Enabled again, the third connection is another one.
    for enabled in [false, true] {
        let body = json!({ "enabled": enabled }).to_string();
        assert_eq!(running.ask("PATCH", "/proxies/web", &body).status, 200);
    }
    let listen = running.ask("GET", "/proxies/web", "").json()["listen"].clone();
    let proxy = listen.as_str().unwrap().parse().unwrap();
    for _ in 0..4 {
        let (client, server) = connect(proxy, &listener);
        pass(&client, &server, 100);
        pass(&server, &client, 100);
    }
    assert!(profile(&running).is_empty());
}

#[test]
fn a_number_that_is_there_twice_is_asked_for_by_its_protocol() {
    let listener = loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        // Another test may have the port.
        if let Ok(socket) = UdpSocket::bind(listener.local_addr().unwrap()) {
            break (listener, socket);
        }
    };
    let (listener, server) = listener;
    let upstream = listener.local_addr().unwrap();
    let (running, address) = configured(&format!(
        r#"{{ "name": "both", "listen": "both://127.0.0.1:0", "upstream": "{upstream}" }}"#
    ));
    let client = udp();
    client.send_to(b"question", address(Transport::Udp)).unwrap();
    assert_eq!(server.recv(&mut [0; 10]).unwrap(), 8);
    let (one, other) = connect(address(Transport::Tcp), &listener);
    let path = "/proxies/both/flows/1";
    let ask = |method: &str, query: &str| running.ask(method, &format!("{path}{query}"), "");
    for method in ["GET", "DELETE"] {
        let answer = ask(method, "");
        assert_eq!(answer.status, 409);
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains("add ?protocol=udp or ?protocol=tcp"), "{error}");
    }
    assert_eq!(ask("GET", "?protocol=tcp").json()["client"], one.local_addr().unwrap().to_string());
    assert_eq!(ask("DELETE", "?protocol=udp").status, 204);
    assert_eq!(ask("DELETE", "?protocol=udp").status, 404);
    pass(&one, &other, 100);
    assert_eq!(ask("DELETE", "").status, 204, "only one is left");
    assert_eq!((&one).read(&mut [0]).unwrap(), 0);
}
