//! A sender on a route with rules is ahead of its receiver by what its kernel would let it be, not
//! by megabytes.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::print_stderr, reason = "it says what it skips or measures")]

mod support;

use jostle_common::chance::Direction;
use jostle_common::transport::Transport;
use socket2::SockRef;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use support::{PATIENCE, Running};

/// What a sender may be ahead.
const AHEAD_MAX: usize = 512 << 10;

/// What is received before a test ends: 4 s at 1 Mbit/s.
const ENOUGH: usize = 500_000;

/// Two programs with a route between them.
fn connected(route: &str) -> (Running, TcpStream, TcpStream) {
    // Linux remembers of a way how it went, and makes buffers larger where packets once overtook
    // each other: the ways of this test are its own.
    let net = format!("127.{}.{}", 64 + std::process::id() % 64, std::process::id() / 64 % 256);
    let listener = TcpListener::bind(format!("{net}.1:0")).unwrap();
    let upstream = listener.local_addr().unwrap();
    restrain_congestion_control(&SockRef::from(&listener));
    let proxy = Running::start(&format!(
        r#"{{ "listen": "tcp://{net}.2:0", "upstream": "{upstream}", {route} }}"#
    ));
    let address = proxy.address(Transport::Tcp);
    let client = socket2::Socket::new(
        socket2::Domain::IPV4,
        socket2::Type::STREAM,
        Some(socket2::Protocol::TCP),
    )
    .unwrap();
    restrain_congestion_control(&SockRef::from(&client));
    client.connect(&address.into()).unwrap();
    let (server, _) = listener.accept().unwrap();
    (proxy, client.into(), server)
}

/// Takes the congestion control that a system has unless it was told otherwise: some make their
/// send buffers larger, whatever the network is like.
fn restrain_congestion_control(socket: &SockRef<'_>) {
    #[cfg(target_os = "linux")]
    if socket.set_tcp_congestion(b"cubic").is_err() {
        socket.set_tcp_congestion(b"reno").unwrap();
    }
    let _ = socket;
}

/// Returns the most bytes that a sender which never waits was ahead of its receiver.
fn most_ahead(mut sender: TcpStream, mut receiver: TcpStream) -> usize {
    receiver.set_read_timeout(Some(PATIENCE)).unwrap();
    sender.set_nonblocking(true).unwrap();
    let (received, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (count, is_over) = (Arc::clone(&received), Arc::clone(&over));
    let reader = std::thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while count.load(Ordering::SeqCst) < ENOUGH {
            let some = receiver.read(&mut buffer).unwrap();
            assert!(some > 0);
            count.fetch_add(some, Ordering::SeqCst);
        }
        is_over.store(true, Ordering::SeqCst);
        receiver
    });
    let (mut sent, mut most) = (0, 0);
    let bytes = vec![7; 64 << 10];
    while !over.load(Ordering::SeqCst) {
        match sender.write(&bytes) {
            Ok(some) => {
                sent += some;
                most = most.max(sent.saturating_sub(received.load(Ordering::SeqCst)));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                std::thread::park_timeout(Duration::from_millis(1));
            }
            Err(error) => panic!("{error}"),
        }
    }
    reader.join().unwrap();
    most
}

fn check(direction: Direction, route: &str) {
    let (proxy, client, server) = connected(route);
    let most = match direction {
        Direction::Up => most_ahead(client, server),
        Direction::Down => most_ahead(server, client),
    };
    eprintln!("{direction} with {route}: at most {} KiB ahead", most >> 10);
    assert!(most <= AHEAD_MAX, "{direction} with {route}: {most} bytes ahead");
    assert!(most >= 10_000, "the kernels take something: {most}");
    drop(proxy);
}

/// The routes that hold a sender back at 1 Mbit/s.
const ROUTES: [&str; 3] = [
    r#""profile": { "both": [ { "rule": "rate", "limit": "1Mbit/s" } ] }"#,
    r#""profile": { "both": [ { "rule": "rate", "limit": "1Mbit/s", "queue": "64kB" },
        { "rule": "delay", "time": "50ms" } ] }"#,
    r#""tcp": "raw", "profile": { "both": [ { "rule": "rate", "limit": "1Mbit/s" } ] }"#,
];

#[test]
fn an_upload_is_not_done_before_it_is_sent() {
    ROUTES.iter().for_each(|route| check(Direction::Up, route));
}

#[test]
fn a_server_is_held_back_too() {
    ROUTES.iter().for_each(|route| check(Direction::Down, route));
}

#[test]
fn with_fast_links_nobody_is_held_back_for_long() {
    const BYTES: usize = 40 << 20;
    for tcp in ["model", "raw"] {
        let (proxy, mut client, mut server) = connected(&format!(
            r#""tcp": "{tcp}", "profile": {{ "both": [ {{ "rule": "delay", "time": "2ms" }} ] }}"#
        ));
        server.set_read_timeout(Some(PATIENCE)).unwrap();
        let writer = std::thread::spawn(move || {
            client.write_all(&vec![7; BYTES]).unwrap();
            client
        });
        let mut received = vec![0; BYTES];
        server.read_exact(&mut received).unwrap();
        assert!(received.iter().all(|byte| *byte == 7));
        drop((writer.join().unwrap(), proxy));
    }
}
