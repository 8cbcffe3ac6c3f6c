//! What a million packets are told is the same in every build, on every machine and in every
//! version: the log of all decisions, kept as a digest. A changed digest changes the outcome of
//! every seeded run in the world; do it knowingly, and say so in the changelog.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use jostle_common::chance::Direction;
use jostle_common::digest::Hasher;
use jostle_common::time::Instant;
use jostle_engine::link::{Link, LinkKey};
use jostle_engine::packet::{Body, Packet};
use jostle_engine::payload::Payload;
use jostle_engine::profile::Profile;
use jostle_engine::stage::{Output, Stage};

const PACKETS: u64 = 1_000_000;
const EXPECTED: &str = "e96f4f2aec92ee91fd893bbcfa2b44e89a5a2006dee2b7e60a88cfcbce872faa";

/// Every rule and every model, some only in the second of two phases.
const PROFILE: &str = r#"{
    "up": [
        { "rule": "drop", "chance": "1%" },
        { "rule": "drop", "burst": { "mean": "2%", "length": 3.5 }, "per": "flow" },
        { "rule": "drop", "burst": { "mean": "1%", "length": "20ms" } },
        { "rule": "drop", "gilbert_elliott": { "p": "1%", "r": "20%", "loss_bad": "50%", "loss_good": "0.1%" } },
        { "rule": "drop", "pattern": ["1%", "20%", "5%"] },
        { "rule": "drop", "packets": [17, 4711] },
        { "rule": "duplicate", "chance": "1%" },
        { "rule": "duplicate", "chance": "1%", "copies": 2, "gap": "3ms" },
        { "rule": "corrupt", "chance": "2%", "bits": 3 },
        { "rule": "corrupt", "bit_error_rate": 1e-5, "flows": "50%" },
        { "rule": "size", "max": "1100B" },
        { "rule": "reorder", "chance": "1%", "ahead": true },
        { "rule": "rate", "limit": "180Mbit/s", "queue": "20ms" },
        { "rule": "delay", "time": "10ms", "jitter": "3ms", "shape": "normal" },
        { "rule": "delay", "time": "10ms", "jitter": "3ms", "shape": "pareto", "memory": "20ms", "match": { "size": { "min": "500B" } } },
        { "rule": "reorder", "chance": "2%", "behind": 3 }
    ],
    "phases": [
        { "for": "2s" },
        { "for": "1s", "up": [ { "rule": "drop", "four_state": { "p13": "1%", "p31": "20%", "p32": "10%", "p23": "30%", "p14": "0.5%" } },
                               { "rule": "rate", "limit": "150Mbit/s", "discipline": "codel", "name": "tight" },
                               { "rule": "delay", "time": "5ms", "jitter": "1ms", "reorder": true },
                               { "rule": "outage", "up": "300ms", "down": "10ms", "random": true, "hold": true },
                               { "rule": "batch", "window": "2ms", "chance": "5%" } ] }
    ],
    "then": "repeat"
}"#;

/// The digest of what becomes of so many packets.
fn digest(packets: u64) -> String {
    let profile = Profile::from_json(PROFILE).unwrap();
    let key = LinkKey { seed: 7, route: "decisions".into(), direction: Direction::Up };
    let mut link = Link::new(key, &profile.up);
    let mut hasher = Hasher::default();
    let mut line = String::new();
    let mut outputs = 0;
    let mut log = |output: Output| {
        use std::fmt::Write as _;
        let packet = output.packet();
        let fate = match &output {
            Output::Deliver(_) => "delivered",
            Output::Discard(_, reason) => reason.name(),
        };
        line.clear();
        let (number, copy, at, trace) =
            (packet.number, packet.copy(), packet.at.as_nanos(), packet.trace);
        writeln!(
            line,
            "{number} {copy} {} {at} {fate} {} {}",
            packet.flow,
            trace.rules,
            packet.flipped_bits()
        )
        .unwrap();
        hasher.update(line.as_bytes());
        if let Body::Data(payload) = packet.body()
            && packet.is_damaged()
        {
            hasher.update(payload);
        }
        outputs += 1;
    };
    let payload = Payload::from(vec![0; 1200]);
    for number in 0..packets {
        // 20,000 packets a second of ten flows, from 200 to 1,190 bytes.
        let at = Instant::from_micros(number * 50);
        while let Some(output) = link.poll(at) {
            log(output);
        }
        let size = 200 + (number * 7919 % 100) as usize * 10;
        link.handle(Packet::new((number % 10) as u32 + 1, at, Body::Data(payload.slice(0..size))));
    }
    while let Some(output) = link.poll(Instant::from_secs(3600)) {
        log(output);
    }
    assert_eq!(link.held(), 0);
    assert!(outputs > packets, "copies come out too");
    hasher.finish().to_string()
}

#[test]
fn a_million_decisions_are_what_they_were() {
    assert_eq!(digest(PACKETS), EXPECTED);
    assert_eq!(digest(PACKETS / 20), digest(PACKETS / 20), "two runs in one process");
}
