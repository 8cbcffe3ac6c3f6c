//! What calls of the API do to connections that are open, row by row as Toxiproxy was measured.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use jostle_common::clock::Clock;
use jostle_common::time::Instant;
use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;
use support::{PATIENCE, Running, echo_server, vacant_address};

/// How much later than promised something may come on a machine that does other things as well.
const SLACK: Duration = Duration::from_millis(900);

/// A proxy `p` in front of a server that echoes, a client, and the time.
struct Scene {
    running: Running,
    listen: SocketAddr,
    client: TcpStream,
    clock: Clock,
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

impl Scene {
    fn new() -> Self {
        Self::before(echo_server())
    }

    fn before(upstream: SocketAddr) -> Self {
        let running = Running::start();
        let listen = running.create("p", upstream);
        let client = connect(listen);
        Self { running, listen, client, clock: Clock::start() }
    }

    fn add(&self, kind: &str, attributes: Value) {
        self.add_with(json!({ "type": kind, "name": kind, "attributes": attributes }));
    }

    fn add_with(&self, toxic: Value) {
        let answer = self.running.ask("POST", "/proxies/p/toxics", &toxic.to_string());
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    fn update(&self, name: &str, attributes: Value) {
        let body = json!({ "attributes": attributes }).to_string();
        assert_eq!(
            self.running.ask("PATCH", &format!("/proxies/p/toxics/{name}"), &body).status,
            200
        );
    }

    fn remove(&self, name: &str) {
        assert_eq!(
            self.running.ask("DELETE", &format!("/proxies/p/toxics/{name}"), "").status,
            204
        );
    }

    fn send(&mut self, text: &[u8]) -> Instant {
        self.client.write_all(text).unwrap();
        self.clock.now()
    }

    /// Waits for a text, and returns when it was there.
    fn receive(&mut self, text: &[u8]) -> Instant {
        let mut came = vec![0; text.len()];
        self.client.read_exact(&mut came).unwrap();
        assert_eq!(came, text);
        self.clock.now()
    }

    fn echo(&mut self, text: &[u8]) {
        self.send(text);
        self.receive(text);
    }

    /// Waits until nothing more comes for a while: what is on its way has been taken in.
    fn nothing_comes_for(&mut self, time: Duration) {
        self.client.set_read_timeout(Some(time)).unwrap();
        let result = self.client.read(&mut [0]);
        assert_eq!(result.map_err(|error| error.kind()), Err(ErrorKind::WouldBlock));
        self.client.set_read_timeout(Some(PATIENCE)).unwrap();
    }

    /// Waits for the end (FIN), and returns when it came.
    fn end(&mut self) -> Instant {
        assert_eq!(self.client.read(&mut [0]).unwrap(), 0);
        self.clock.now()
    }
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[track_caller]
fn assert_took(begun: Instant, ended: Instant, least: Duration, most: Duration) {
    let took = ended.since(begun);
    assert!(took >= least && took < most, "{took:?} is not from {least:?} to {most:?}");
}

#[test]
fn an_added_toxic_holds_at_once_and_behind_the_others() {
    let mut scene = Scene::new();
    scene.echo(b"before");
    scene.add("latency", json!({ "latency": 200 }));
    scene
        .add_with(json!({ "type": "latency", "name": "second", "attributes": { "latency": 100 } }));
    let sent = scene.send(b"both");
    let came = scene.receive(b"both");
    assert_took(sent, came, ms(300), ms(300) + SLACK);
    let list = scene.running.ask("GET", "/proxies/p/toxics", "").json();
    let names: Vec<&str> =
        list.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["latency", "second"]);
}

#[test]
fn a_count_starts_when_its_toxic_is_added_and_outlives_updates() {
    let mut scene = Scene::new();
    scene.echo(&[1; 100]);
    scene.add("limit_data", json!({ "bytes": 100 }));
    scene.echo(&[2; 50]);
    scene.update("limit_data", json!({ "bytes": 60 }));
    scene.send(&[3; 50]);
    scene.receive(&[3; 10]);
    scene.end();
    // Below what has passed, the next byte is too many.
    scene.client = connect(scene.listen);
    scene.update("limit_data", json!({ "bytes": 100 }));
    scene.echo(&[4; 50]);
    scene.update("limit_data", json!({ "bytes": 20 }));
    scene.send(&[5; 50]);
    scene.end();
}

#[test]
fn an_update_releases_what_was_held_and_its_new_values_hold_from_then_on() {
    let mut scene = Scene::new();
    scene.add("latency", json!({ "latency": 30_000 }));
    let first = scene.send(b"1");
    scene.nothing_comes_for(ms(200));
    scene.update("latency", json!({ "latency": 300 }));
    let came = scene.receive(b"1");
    assert_took(first, came, ms(200), ms(600) + SLACK);
    let second = scene.send(b"2");
    let came = scene.receive(b"2");
    assert_took(second, came, ms(300), ms(300) + SLACK);
}

#[test]
fn a_removed_toxic_gives_back_what_it_held_at_once_and_in_order() {
    for kind in ["latency", "bandwidth"] {
        let mut scene = Scene::new();
        let slow =
            if kind == "latency" { json!({ "latency": 60_000 }) } else { json!({ "rate": 1 }) };
        scene.add(kind, slow);
        let text: Vec<u8> = (0..50_000_u32).map(|n| (n % 251) as u8).collect();
        for piece in text.chunks(10_000) {
            scene.send(piece);
        }
        // A kilobyte a second lets a little pass.
        if kind == "latency" {
            scene.nothing_comes_for(ms(100));
        }
        let begun = scene.clock.now();
        scene.remove(kind);
        let came = scene.receive(&text);
        assert_took(begun, came, ms(0), SLACK);
        scene.echo(b"after");
    }
}

#[test]
fn a_reset_of_all_gives_back_what_was_held_and_keeps_the_connection() {
    let mut scene = Scene::new();
    scene.add("latency", json!({ "latency": 60_000 }));
    scene.send(b"held");
    scene.nothing_comes_for(ms(100));
    assert_eq!(scene.running.ask("POST", "/reset", "").status, 204);
    let begun = scene.clock.now();
    let came = scene.receive(b"held");
    assert_took(begun, came, ms(0), SLACK);
    scene.echo(b"after");
}

#[test]
fn a_removed_timeout_closes_the_connections_it_acted_on_and_spares_the_others() {
    for (toxicity, remove) in [(1, true), (0, true), (1, false)] {
        let mut scene = Scene::new();
        let attributes = json!({ "timeout": 0 });
        let toxic = json!({ "type": "timeout", "name": "t", "toxicity": toxicity, "attributes": attributes });
        scene.echo(b"before");
        scene.add_with(toxic);
        if remove {
            scene.remove("t");
        } else {
            assert_eq!(scene.running.ask("POST", "/reset", "").status, 204);
        }
        if toxicity == 0 {
            scene.echo(b"after");
            continue;
        }
        let begun = scene.clock.now();
        let ended = scene.end();
        assert_took(begun, ended, ms(0), SLACK);
    }
}

/// A server that answers the first byte with one, and closes.
fn closing_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut byte = [0];
            if stream.read_exact(&mut byte).is_ok() {
                let _ = stream.write_all(&byte);
            }
        }
    });
    address
}

#[test]
fn a_slow_close_that_is_removed_closes_now() {
    let mut scene = Scene::before(closing_server());
    scene.add("slow_close", json!({ "delay": 60_000 }));
    scene.echo(b"x");
    scene.nothing_comes_for(ms(100));
    scene.remove("slow_close");
    let begun = scene.clock.now();
    let ended = scene.end();
    assert_took(begun, ended, ms(0), SLACK);
}

#[test]
fn a_reset_peer_that_is_removed_lets_nobody_wait() {
    let mut scene = Scene::new();
    scene.add("reset_peer", json!({ "timeout": 60_000 }));
    scene.send(b"x");
    scene.nothing_comes_for(ms(100));
    let begun = scene.clock.now();
    scene.remove("reset_peer");
    assert_took(begun, scene.clock.now(), ms(0), SLACK);
}

#[test]
fn disabling_moving_and_deleting_close_all_connections_at_once() {
    let other = echo_server();
    let calls = [
        ("POST", json!({ "enabled": false }).to_string()),
        ("PATCH", json!({ "upstream": other.to_string() }).to_string()),
        ("PATCH", json!({ "listen": "127.0.0.1:0" }).to_string()),
        ("DELETE", String::new()),
    ];
    for (method, body) in calls {
        let mut scene = Scene::new();
        scene.echo(b"before");
        let begun = scene.clock.now();
        let answer = scene.running.ask(method, "/proxies/p", &body);
        assert!(answer.status < 300, "{answer:?}");
        let ended = scene.end();
        assert_took(begun, ended, ms(0), SLACK);
    }
}

#[test]
fn a_client_of_an_upstream_that_is_down_is_taken_in_and_ended_at_once() {
    let gone = vacant_address();
    let mut scene = Scene::before(gone);
    // A close or a reset: which one depends on what it had sent.
    match scene.client.read(&mut [0]) {
        Ok(0) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        other => panic!("{other:?}"),
    }
    assert_took(Instant::START, scene.clock.now(), ms(0), SLACK);
}

/// The original then answers neither new clients nor calls for that proxy.
#[test]
fn an_upstream_that_never_answers_holds_up_no_call_and_no_other_client() {
    use socket2::{Domain, Socket, Type};
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    listener.listen(0).unwrap();
    let hangs = listener.local_addr().unwrap();
    let _waiting = [(); 4].map(|()| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        let _ = socket.connect(&hangs);
        socket
    });
    let mut scene = Scene::before(hangs.as_socket().unwrap());
    scene.send(b"nobody reads this");
    let others: Vec<TcpStream> = (0..5).map(|_| connect(scene.listen)).collect();
    let begun = scene.clock.now();
    scene.add("latency", json!({ "latency": 10 }));
    for (method, path, body) in [
        ("GET", "/proxies/p", ""),
        ("PATCH", "/proxies/p", r#"{"enabled":false}"#),
        ("PATCH", "/proxies/p", r#"{"enabled":true}"#),
        ("POST", "/reset", ""),
        ("DELETE", "/proxies/p", ""),
    ] {
        let answer = scene.running.ask(method, path, body);
        assert!(answer.status < 300, "{method} {path}: {answer:?}");
    }
    assert_took(begun, scene.clock.now(), ms(0), 2 * SLACK);
    drop(others);
}
