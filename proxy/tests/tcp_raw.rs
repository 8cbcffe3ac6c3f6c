//! A raw route: lines vanish, flip and double, the counters say how many, and the seed repeats it.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "it looks at the real clock")]

mod support;

use jostle_common::chance::Direction;
use jostle_common::transport::Transport;
use jostle_proxy::LinkSummary;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};
use support::{PATIENCE, Running};

const PROFILE: &str = r#"{ "up": [ { "rule": "drop", "chance": "10%" },
    { "rule": "duplicate", "chance": "10%" },
    { "rule": "corrupt", "chance": "10%" }, { "rule": "delay", "time": "3ms" } ] }"#;

/// Sends 1000 lines in pieces of `piece` bytes through a raw route; returns what arrives and the
/// counters.
fn send(unit: &str, piece: usize, portable: bool) -> (Vec<u8>, LinkSummary) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut settings = support::settings(&format!(
        r#"{{ "listen": "127.0.0.1:0", "upstream": "{}",
            "tcp": "raw", "unit": "{unit}", "profile": {PROFILE} }}"#,
        listener.local_addr().unwrap()
    ));
    settings.portable = portable;
    let proxy = Running::with(settings);
    let mut client = TcpStream::connect(proxy.address(Transport::Tcp)).unwrap();
    let text: Vec<u8> =
        (0..1000).flat_map(|n| format!("this is line {n:04}\n").into_bytes()).collect();
    for bytes in text.chunks(piece) {
        client.write_all(bytes).unwrap();
    }
    drop(client);
    let (mut server, _) = listener.accept().unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut arrived = Vec::new();
    server.read_to_end(&mut arrived).unwrap();
    drop(server);
    let summary = proxy.stop();
    let up = summary.link("1", Transport::Tcp, Direction::Up).unwrap().clone();
    assert_eq!(up.entered + up.copies, up.delivered + up.discarded_total() + up.held);
    assert_eq!((up.bytes_in, up.bytes_out), (text.len() as u64, arrived.len() as u64));
    (arrived, up)
}

#[test]
fn counters_say_what_the_receiver_sees_and_the_seed_repeats_it() {
    // A line has 18 bytes, and so has a block.
    for unit in ["line", "18B"] {
        let (arrived, up) = send(unit, 18_000, false);
        assert_eq!(up.entered, 1000, "{unit}");
        assert_eq!(arrived.len() as u64, 18 * up.delivered, "{unit}: whole units");
        // 100 expected, sd 9.5; five of them.
        for count in [up.discarded_total(), up.copies, up.corrupted] {
            assert!((50..=160).contains(&count), "{unit}: {up:?}");
        }
        let mut times: BTreeMap<&[u8], u64> = BTreeMap::new();
        for line in arrived.chunks(18) {
            *times.entry(line).or_default() += 1;
        }
        let clean = |line: &[u8]| line.starts_with(b"this is line ") && line.ends_with(b"\n");
        let damaged = arrived.chunks(18).filter(|line| !clean(line)).count() as u64;
        assert!(
            damaged > 0 && damaged <= up.corrupted,
            "{unit}: flips outside the digits are seen"
        );
        assert!(times.values().any(|count| *count == 2), "{unit}");
        for (piece, portable) in [(18_000, true), (7, false), (1000, true)] {
            let (again, other) = send(unit, piece, portable);
            assert!(again == arrived, "{unit} {piece} {portable}");
            assert_eq!(
                (other.copies, other.corrupted, other.discarded),
                (up.copies, up.corrupted, up.discarded.clone())
            );
        }
    }
}

#[test]
fn the_rules_can_be_switched_off_and_on_under_a_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Running::start(&format!(
        r#"{{ "listen": "127.0.0.1:0", "upstream": "{}", "tcp": "raw",
            "profile": {{ "up": [ {{ "rule": "drop", "chance": "100%" }} ] }} }}"#,
        listener.local_addr().unwrap()
    ));
    let mut client = TcpStream::connect(proxy.address(Transport::Tcp)).unwrap();
    let (server, _) = listener.accept().unwrap();
    server.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut server = BufReader::new(server);
    let mut arrives = |text: &str| {
        client.write_all(text.as_bytes()).unwrap();
        let mut line = String::new();
        server.read_line(&mut line).is_ok() && line == text
    };
    assert!(!arrives("lost\n"));
    assert!(!proxy.control.toggle());
    let begun = Instant::now();
    while !arrives("passes\n") {
        assert!(begun.elapsed() < PATIENCE);
    }
    assert!(proxy.control.toggle());
    while arrives("lost\n") {
        assert!(begun.elapsed() < PATIENCE);
    }
}
