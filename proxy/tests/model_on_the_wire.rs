//! A transfer through a `model` route on real sockets takes as long as in virtual time.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "it looks at the real clock")]

mod support;

use jostle_common::statistics::RoundTrips;
use jostle_common::transport::Transport;
use jostle_engine::link::Link;
use jostle_engine::profile::Profile;
use jostle_engine::route::CongestionControl;
use jostle_engine::tcp::transfer;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};
use support::{PATIENCE, Running};

const BYTES: usize = 1 << 20;

/// Loss and one-way delay in milliseconds, of three cells of the kernel's table; all at 50 Mbit/s.
const CELLS: [(&str, u64); 3] = [("0", 25), ("1%", 5), ("5%", 5)];

fn profile(loss: &str, delay_ms: u64) -> String {
    // The reference network's queue: the round trip at the rate, at least 50 ms of it.
    let queue = 50_000_000 / 8 * (2 * delay_ms).max(50) / 1000;
    format!(
        r#"{{ "both": [ {{ "rule": "drop", "chance": "{loss}" }},
            {{ "rule": "rate", "limit": "50Mbit/s", "queue": "{queue}B" }},
            {{ "rule": "delay", "time": "{delay_ms}ms" }} ] }}"#
    )
}

/// What virtual time says: how long it takes, and the median round trip.
fn simulated(profile: &str) -> (Duration, Duration) {
    let profile = Profile::from_json(profile).unwrap();
    let outcome =
        transfer(Link::both(&profile, 7, "1"), CongestionControl::Cubic, BYTES as u64, PATIENCE);
    (outcome.time.expect("it ends"), outcome.round_trips.percentile(50.0).unwrap())
}

/// What it takes from before the client connects until the server has read everything, and the
/// round trips of the modelled senders.
fn measured(profile: &str) -> (Duration, RoundTrips) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Running::start(&format!(
        r#"{{ "listen": "tcp://127.0.0.1:0", "upstream": "{}", "profile": {profile} }}"#,
        listener.local_addr().unwrap()
    ));
    let begun = Instant::now();
    let mut client = TcpStream::connect(proxy.address(Transport::Tcp)).unwrap();
    let sender = std::thread::spawn(move || {
        client.write_all(&vec![7; BYTES]).unwrap();
    });
    let (mut server, _) = listener.accept().unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut received = vec![0; BYTES];
    server.read_exact(&mut received).unwrap();
    let took = begun.elapsed();
    sender.join().unwrap();
    assert!(received.iter().all(|byte| *byte == 7));
    (took, proxy.stop().round_trips("1").expect("there were some").clone())
}

#[test]
fn a_transfer_takes_what_virtual_time_says() {
    for (loss, delay_ms) in CELLS {
        let profile = profile(loss, delay_ms);
        let (expected, expected_trip) = simulated(&profile);
        let margin = (expected / 20).max(Duration::from_millis(20));
        let mut seen = Vec::new();
        // A busy machine may spoil an attempt.
        let near = (0..3).any(|_| {
            let (took, trips) = measured(&profile);
            assert!(trips.least() >= Some(Duration::from_millis(2 * delay_ms)), "{trips:?}");
            let trip = trips.percentile(50.0).unwrap();
            seen.push((took, trip));
            took.abs_diff(expected) <= margin && trip.abs_diff(expected_trip) <= margin
        });
        eprintln!(
            "loss {loss}, delay {delay_ms} ms: simulated {expected:?} \
             ({expected_trip:?}), measured {seen:?}"
        );
        assert!(
            near,
            "loss {loss}, delay {delay_ms} ms: simulated {expected:?} \
             ({expected_trip:?}), measured {seen:?}"
        );
    }
}
