//! A TCP route gains and loses rules while bytes are in flight, and none is lost or moved.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "it looks at the real clock")]

mod support;

use jostle_common::chance::Direction;
use jostle_common::transport::Transport;
use jostle_engine::profile::{Profile, Timeline};
use jostle_proxy::RouteId;
use socket2::SockRef;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::{PATIENCE, Running, assert_conserved, rules, wait_until};

const MEGABYTE: usize = 1_000_000;

/// What is sent in each transfer.
const BYTES: usize = 50 * MEGABYTE;

/// The rules of each stretch of a modelled transfer.
const MODELLED: [&str; 12] = [
    "",
    r#"{ "rule": "delay", "time": "3ms" }"#,
    r#"{ "rule": "drop", "chance": "5%" }, { "rule": "delay", "time": "3ms" }"#,
    r#"{ "rule": "rate", "limit": "400Mbit/s" }"#,
    "",
    r#"{ "rule": "rate", "limit": "300Mbit/s" }, { "rule": "drop", "chance": "0.2%" }"#,
    "",
    "",
    r#"{ "rule": "delay", "time": "1ms", "jitter": "1ms", "reorder": true }"#,
    r#"{ "rule": "duplicate", "chance": "10%" }, { "rule": "corrupt", "chance": "1%" }"#,
    "",
    r#"{ "rule": "delay", "time": "2ms" }"#,
];

/// Those of a raw one: none that loses, damages, doubles or moves bytes.
const RAW: [&str; 12] = [
    "",
    r#"{ "rule": "delay", "time": "3ms" }"#,
    r#"{ "rule": "delay", "time": "3ms", "jitter": "2ms" }"#,
    r#"{ "rule": "rate", "limit": "400Mbit/s", "queue": "64MiB" }"#,
    "",
    r#"{ "rule": "drop", "chance": "0%" }, { "rule": "delay", "time": "1ms" }"#,
    "",
    "",
    r#"{ "rule": "rate", "limit": "800Mbit/s", "queue": "64MiB" }"#,
    r#"{ "rule": "duplicate", "chance": "0%" }"#,
    "",
    r#"{ "rule": "delay", "time": "2ms" }"#,
];

/// The byte at a place of the stream: lines of many lengths.
const fn byte(place: usize) -> u8 {
    let mixed = (place as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    if mixed.is_multiple_of(97) { b'\n' } else { (mixed % 251) as u8 }
}

fn profile(direction: Direction, text: &str) -> Profile {
    let mut profile = Profile::default();
    let timeline = Timeline::constant(rules(text));
    match direction {
        Direction::Up => profile.up = timeline,
        Direction::Down => profile.down = timeline,
    }
    profile
}

/// A route without rules between a client and a server that are connected.
fn connected(tcp: &str) -> (Running, RouteId, [TcpStream; 2]) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = listener.local_addr().unwrap();
    let proxy = Running::start(&format!(
        r#"{{ "listen": "127.0.0.1:0", "upstream": "{upstream}", "tcp": {tcp} }}"#
    ));
    let client = TcpStream::connect(proxy.address(Transport::Tcp)).unwrap();
    let (server, _) = listener.accept().unwrap();
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
    }
    let id = proxy.control.routes().unwrap()[0].id;
    (proxy, id, [client, server])
}

/// Sends a stream in stretches, each with rules of its own that are set while the stretch before is
/// under way.
fn transfer(tcp: &str, direction: Direction, stretches: &[&str]) {
    let (proxy, id, [client, server]) = connected(tcp);
    let (mut sender, mut receiver) = match direction {
        Direction::Up => (client, server),
        Direction::Down => (server, client),
    };
    let sent = Arc::new(AtomicUsize::new(0));
    let stretch = BYTES / stretches.len();
    // How many stretches may begin.
    let open = Arc::new(AtomicUsize::new(1));
    let (progress, gate) = (Arc::clone(&sent), Arc::clone(&open));
    let writer = std::thread::spawn(move || {
        let mut at = 0;
        while at < BYTES {
            wait_until("the next stretch", || gate.load(Ordering::Acquire) > at / stretch);
            let end = (at + 50_000).min(BYTES);
            let bytes: Vec<u8> = (at..end).map(byte).collect();
            sender.write_all(&bytes).unwrap();
            at = end;
            progress.store(at, Ordering::Release);
        }
        sender.shutdown(Shutdown::Write).unwrap();
        sender
    });
    let reader = std::thread::spawn(move || {
        let mut at = 0;
        let mut buffer = vec![0; 1 << 18];
        loop {
            let count = receiver.read(&mut buffer).unwrap();
            if count == 0 {
                return (receiver, at);
            }
            let wrong = buffer[..count].iter().zip(at..).find(|(found, at)| **found != byte(*at));
            assert!(wrong.is_none(), "the byte at {}", wrong.unwrap().1);
            at += count;
        }
    });
    for (number, text) in stretches.iter().enumerate().skip(1) {
        // Half of the stretch before has been written, and not all has arrived.
        let half = number * stretch - stretch / 2;
        wait_until("half a stretch", || sent.load(Ordering::Acquire) >= half);
        proxy.control.set_profile(id, profile(direction, text)).unwrap();
        open.store(number + 1, Ordering::Release);
    }
    let sender = writer.join().unwrap();
    let (receiver, arrived) = reader.join().unwrap();
    assert_eq!(arrived, BYTES, "{tcp} {direction}");
    drop((sender, receiver));
    let finished = || {
        let summary = proxy.control.counters().unwrap();
        summary.socket_count("1", Transport::Tcp, "finished") == 1
    };
    wait_until("the end of the connection", finished);
    let summary = proxy.stop();
    assert_conserved(&summary);
    let link = summary.link("1", Transport::Tcp, direction).unwrap();
    assert_eq!((link.bytes_in, link.bytes_out), (BYTES as u64, BYTES as u64), "{tcp}");
    assert_eq!(link.held, 0, "{link:?}");
    // What crossed the links has a lateness, what went straight from socket to socket has none:
    // there was some of either.
    let crossed = link.lateness.packets;
    assert!(crossed > 0 && crossed < link.delivered, "{link:?}");
    if stretches == MODELLED {
        assert!(link.discarded["drop"] > 0 && link.copies > 0, "{link:?}");
        assert!(summary.socket_count("1", Transport::Tcp, "retransmissions") > 0);
    }
}

#[test]
fn a_modelled_transfer_keeps_every_byte_up() {
    transfer(r#""model""#, Direction::Up, &MODELLED);
}

#[test]
fn a_modelled_transfer_keeps_every_byte_down() {
    transfer(r#""model""#, Direction::Down, &MODELLED);
}

#[test]
fn a_raw_transfer_keeps_every_byte_up() {
    for unit in ["line", "4KiB", "read"] {
        transfer(&format!(r#""raw", "unit": "{unit}""#), Direction::Up, &RAW);
    }
}

#[test]
fn a_raw_transfer_keeps_every_byte_down() {
    for unit in ["line", "4KiB", "read"] {
        transfer(&format!(r#""raw", "unit": "{unit}""#), Direction::Down, &RAW);
    }
}

/// The ways in which a route without rules can relay once it has some.
const MODES: [&str; 4] = [
    r#""model""#,
    r#""raw", "unit": "line""#,
    r#""raw", "unit": "100B""#,
    r#""raw", "unit": "read""#,
];

/// Reads to the end: the bytes, and how it came.
fn read_out(stream: &mut TcpStream) -> (Vec<u8>, Result<(), io::ErrorKind>) {
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes).map(drop).map_err(|error| error.kind());
    (bytes, end)
}

#[test]
fn a_half_closed_connection_goes_on_under_new_rules() {
    let delay = |direction| profile(direction, r#"{ "rule": "delay", "time": "20ms" }"#);
    for tcp in MODES {
        // The rule comes before the end, behind it, and goes before the other end.
        for when in 0..3 {
            let (proxy, id, [mut client, mut server]) = connected(tcp);
            client.write_all(b"question\n").unwrap();
            if when == 0 {
                proxy.control.set_profile(id, delay(Direction::Up)).unwrap();
            }
            client.write_all(b"rest").unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            let question = read_out(&mut server);
            assert_eq!(question, (b"question\nrest".to_vec(), Ok(())), "{tcp} {when}");
            if when > 0 {
                proxy.control.set_profile(id, delay(Direction::Down)).unwrap();
            }
            server.write_all(b"answer\n").unwrap();
            if when == 2 {
                proxy.control.set_profile(id, Profile::default()).unwrap();
            }
            server.write_all(b"last").unwrap();
            server.shutdown(Shutdown::Write).unwrap();
            let answer = read_out(&mut client);
            assert_eq!(answer, (b"answer\nlast".to_vec(), Ok(())), "{tcp} {when}");
            drop((client, server));
            let finished = || {
                let summary = proxy.control.counters().unwrap();
                summary.socket_count("1", Transport::Tcp, "finished") == 1
            };
            wait_until("the end of the connection", finished);
            assert_eq!(proxy.stop().socket_count("1", Transport::Tcp, "cut"), 0);
        }
    }
}

#[test]
fn a_reset_follows_the_bytes_through_a_change() {
    for tcp in MODES {
        for gains in [true, false] {
            let (proxy, id, [mut client, mut server]) = connected(tcp);
            let delay = profile(Direction::Up, r#"{ "rule": "delay", "time": "30ms" }"#);
            if !gains {
                proxy.control.set_profile(id, delay.clone()).unwrap();
            }
            client.write_all(b"before\n").unwrap();
            let mut before = [0; 7];
            server.read_exact(&mut before).unwrap();
            if gains {
                proxy.control.set_profile(id, delay).unwrap();
            } else {
                client.write_all(b"within\n").unwrap();
                proxy.control.set_profile(id, Profile::default()).unwrap();
                server.read_exact(&mut before).unwrap();
            }
            SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
            drop(client);
            let (rest, end) = read_out(&mut server);
            assert_eq!((rest, end), (vec![], Err(io::ErrorKind::ConnectionReset)), "{tcp}");
            let count = proxy.stop().socket_count("1", Transport::Tcp, "reset_by_client");
            assert_eq!(count, 1, "{tcp} {gains}");
        }
    }
}

#[test]
fn a_duplicate_rule_that_comes_later_finds_what_to_copy() {
    let (proxy, id, [mut client, mut server]) = connected(r#""raw", "unit": "10B""#);
    proxy
        .control
        .set_profile(id, profile(Direction::Up, r#"{ "rule": "delay", "time": "1ms" }"#))
        .unwrap();
    client.write_all(b"0123456789").unwrap();
    let mut once = [0; 10];
    server.read_exact(&mut once).unwrap();
    let doubled = profile(
        Direction::Up,
        r#"{ "rule": "delay", "time": "1ms" }, { "rule": "duplicate", "chance": "100%" }"#,
    );
    proxy.control.set_profile(id, doubled).unwrap();
    client.write_all(b"abcdefghijklmnopqrst").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let (twice, end) = read_out(&mut server);
    assert_eq!(end, Ok(()));
    assert_eq!(String::from_utf8(twice).unwrap(), "abcdefghijabcdefghijklmnopqrstklmnopqrst");
    drop((client, server));
    assert_conserved(&proxy.stop());
}
