//! What modelled senders measure of their round trips: the delay of an idle line, and the queue of
//! a busy one.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use bytes::Bytes;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_engine::link::Link;
use jostle_engine::memory::Memory;
use jostle_engine::profile::Profile;
use jostle_engine::route::CongestionControl;
use jostle_engine::tcp::{Model, Outcome, transfer};
use std::time::Duration;

const BYTES: u64 = 10_000_000;

/// Both ways together.
const DELAY: Duration = Duration::from_millis(40);

/// How long 1500 bytes take at 10 Mbit/s.
const PACKET: Duration = Duration::from_micros(1200);

/// 20 ms each way, with these rules in front of the way up.
fn links(rules: &str) -> [Link; 2] {
    let delay = r#"{ "rule": "delay", "time": "20ms" }"#;
    let profile = format!(r#"{{ "up": [ {rules} {delay} ], "down": [ {delay} ] }}"#);
    Link::both(&Profile::from_json(&profile).unwrap(), 1, "test")
}

/// Reno's transfer over these links.
fn reno(rules: &str) -> Outcome {
    let outcome = transfer(links(rules), CongestionControl::Reno, BYTES, Duration::from_secs(100));
    assert_eq!(outcome.received, BYTES);
    outcome
}

#[test]
fn an_idle_line_shows_its_delay() {
    let outcome = reno("");
    let trips = outcome.round_trips;
    let median = trips.percentile(50.0).unwrap();
    assert!((DELAY..=DELAY + Duration::from_millis(1)).contains(&median), "{median:?}");
    // Slow start sends 10, 20, 40 … 2560 segments and then the rest; all that is acknowledged
    // before the transfer ends is acknowledged two by two, so nothing waits for a second segment.
    // Each end has its handshake's sample too.
    let count = (10 + 20 + 40 + 80 + 160 + 320 + 640 + 1280 + 2560) / 2 + 2;
    assert_eq!((trips.count(), trips.least(), trips.most()), (count, Some(DELAY), Some(DELAY)));
}

#[test]
fn a_segment_alone_is_acknowledged_late() {
    let mut model = Model::new(links(""), CongestionControl::Reno, Memory::default());
    model.open(Instant::START, 1);
    model.push(Instant::START, 1, Direction::Up, Bytes::from_static(&[7; 100]));
    let mut samples = Vec::new();
    for ms in [39, 40, 60, 119, 120, 1000] {
        while model.poll(Instant::from_millis(ms)).is_some() {}
        samples.push((
            ms,
            model.round_trips().count(),
            model.round_trips().most().map(|most| most.as_millis()),
        ));
    }
    // The SYN, the SYN-ACK, and the segment that followed at 40 ms: its acknowledgement waited 40
    // ms for another.
    let expected = [
        (39, 0, None),
        (40, 1, Some(40)),
        (60, 2, Some(40)),
        (119, 2, Some(40)),
        (120, 3, Some(80)),
        (1000, 3, Some(80)),
    ];
    assert_eq!(samples, expected);
}

#[test]
fn a_busy_line_shows_its_queue() {
    for queue_ms in [20, 50, 200, 1000] {
        let queue = Duration::from_millis(queue_ms);
        let outcome = reno(&format!(
            r#"{{ "rule": "rate", "limit": "10Mbit/s", "queue": "{queue_ms}ms" }},"#
        ));
        assert!(outcome.counters.retransmissions > 0, "{queue_ms} ms: the queue was never full");
        let (least, most) =
            (outcome.round_trips.least().unwrap(), outcome.round_trips.most().unwrap());
        // The segment in front of the first that found no room waited less than a packet's time
        // short of the bound, and then went itself; the longest wait is the bound, and the
        // acknowledgement of that segment may wait for the one behind it.
        let longest = DELAY + queue;
        assert!((longest..=longest + 2 * PACKET).contains(&most), "{queue_ms} ms: {most:?}");
        // The SYN, of 60 bytes, found the line idle; the handshake's end went back to it without
        // waiting.
        assert!((DELAY..DELAY + PACKET).contains(&least), "{queue_ms} ms: {least:?}");
    }
}
