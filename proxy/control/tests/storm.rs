//! Many clients of the API at once, while traffic runs: no hang, and no byte lost or out of place.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use jostle_common::clock::Clock;
use jostle_common::time::Instant;
use serde_json::json;
use socket2::{Domain, Socket, Type};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::{PATIENCE, Running, echo_server};

/// Clients of the API, and the toxics that each adds, changes and removes.
const CLIENTS: usize = 8;
const TOXICS: usize = 125;
/// The proxies with traffic.
const PROXIES: usize = 3;
/// The time within which every call is answered, on a machine that does other things as well.
const CALL_MOST: Duration = Duration::from_secs(5);

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

/// A listener whose queue is full: whoever connects gets no answer.
fn hanging_server() -> (Socket, Vec<Socket>, SocketAddr) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let waiting = (0..4).map(|_| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        // It is under way for ever, or in the queue.
        let _ = socket.connect(&address);
        socket
    });
    (listener, waiting.collect(), address.as_socket().unwrap())
}

/// Sends and reads numbers through a proxy until it is told to end; returns how many came back,
/// each in its place.
fn count_through(listen: SocketAddr, ends: &AtomicBool) -> u64 {
    let mut stream = TcpStream::connect(listen).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut next = 0;
    while !ends.load(Ordering::Relaxed) {
        let numbers: Vec<u8> = (next..next + 500).flat_map(u64::to_le_bytes).collect();
        stream.write_all(&numbers).unwrap();
        let mut came = vec![0; numbers.len()];
        stream.read_exact(&mut came).unwrap();
        assert!(came == numbers, "bytes between {next} and {} are not in their place", next + 500);
        next += 500;
    }
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty(), "more came than was sent");
    next
}

/// Adds, changes and removes toxics that lose nothing, and returns how long each call took.
fn storm(running: &Running, client: usize) -> Vec<Duration> {
    let clock = Clock::start();
    let mut times = Vec::new();
    let mut call = |method: &str, path: &str, body: &str, status: u16| {
        let begun = clock.now();
        let answer = running.ask(method, path, body);
        times.push(clock.now().since(begun));
        assert_eq!(answer.status, status, "{method} {path} {body}: {answer:?}");
    };
    for n in 0..TOXICS {
        // Two of five meet the client that does not read, or the upstream that does not answer.
        let proxy = ["p0", "p1", "p2", "flood", "hang"][(n + client) % (PROXIES + 2)];
        let stream = ["upstream", "downstream"][n % 2];
        let name = format!("c{client}-{n}");
        let (kind, first, then) = match n % 3 {
            0 => ("latency", json!({ "latency": 3, "jitter": 2 }), json!({ "latency": 1 })),
            1 => ("bandwidth", json!({ "rate": 100_000 }), json!({ "rate": 200_000 })),
            _ => ("latency", json!({ "latency": 0 }), json!({ "latency": 2 })),
        };
        let toxic = json!({ "name": name, "type": kind, "stream": stream, "attributes": first });
        call("POST", &format!("/proxies/{proxy}/toxics"), &toxic.to_string(), 200);
        let path = format!("/proxies/{proxy}/toxics/{name}");
        let body = json!({ "attributes": then, "toxicity": if n % 5 == 0 { 0.5 } else { 1.0 } });
        call(if n % 2 == 0 { "POST" } else { "PATCH" }, &path, &body.to_string(), 200);
        if n % 7 == 0 {
            call("GET", "/proxies", "", 200);
        }
        call("DELETE", &path, "", 204);
    }
    times
}

#[test]
fn eight_clients_change_toxics_while_every_byte_arrives_in_its_place() {
    let running = Running::start();
    let upstream = echo_server();
    let listens: Vec<SocketAddr> =
        (0..PROXIES).map(|n| running.create(&format!("p{n}"), upstream)).collect();
    let stalled = TcpStream::connect(running.create("flood", flooding_server())).unwrap();
    let (_listener, _waiting, hangs) = hanging_server();
    let mut hanging = TcpStream::connect(running.create("hang", hangs)).unwrap();
    hanging.write_all(b"never read").unwrap();

    let ends = Arc::new(AtomicBool::new(false));
    let traffic: Vec<_> = listens
        .iter()
        .flat_map(|listen| [*listen; 2])
        .map(|listen| {
            let ends = Arc::clone(&ends);
            std::thread::spawn(move || count_through(listen, &ends))
        })
        .collect();
    let mut times = std::thread::scope(|scope| {
        let running = &running;
        let clients: Vec<_> =
            (0..CLIENTS).map(|client| scope.spawn(move || storm(running, client))).collect();
        clients.into_iter().flat_map(|one| one.join().unwrap()).collect::<Vec<_>>()
    });
    ends.store(true, Ordering::Relaxed);
    for one in traffic {
        assert!(one.join().unwrap() > 500, "traffic stood still");
    }
    times.sort();
    assert!(times.len() > 3 * CLIENTS * TOXICS);
    assert!(times[times.len() - 1] < CALL_MOST, "{:?}", times[times.len() - 1]);
    let left = running.ask("GET", "/proxies", "").json();
    for (name, proxy) in left.as_object().unwrap() {
        assert_eq!(proxy["toxics"], json!([]), "{name}");
    }
    // What stood still ends with its proxy, at once.
    let begun = Clock::start();
    for name in ["flood", "hang"] {
        assert_eq!(running.ask("DELETE", &format!("/proxies/{name}"), "").status, 204);
    }
    assert!(begun.now().since(Instant::START) < CALL_MOST);
    drop(stalled);
}
