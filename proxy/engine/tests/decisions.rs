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

/// The same of packets that come in runs.
const EXPECTED_IN_RUNS: &str = "a0dd208a3c34f07583ab0e45f3902ebe203700f792a191e7206aef1e56d0488f";

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
    let payload = Payload::from(vec![0; 1200]);
    // 20,000 packets a second of ten flows, from 200 to 1,190 bytes.
    let arrivals = (0..packets).map(|number| {
        let size = 200 + (number * 7919 % 100) as usize * 10;
        let body = Body::Data(payload.slice(0..size));
        Packet::new((number % 10) as u32 + 1, Instant::from_micros(number * 50), body)
    });
    let (digest, outputs) = digest_of(arrivals);
    assert!(outputs > packets, "copies come out too");
    digest
}

/// The digest of what becomes of these packets or runs, and how many came out.
fn digest_of(arrivals: impl Iterator<Item = Packet>) -> (String, u64) {
    let profile = Profile::from_json(PROFILE).unwrap();
    let key = LinkKey { seed: 7, route: "decisions".into(), direction: Direction::Up };
    let mut link = Link::new(key, &profile.up);
    let mut hasher = Hasher::default();
    let mut line = String::new();
    let mut outputs = 0;
    let mut log = |output: &Output| {
        use std::fmt::Write as _;
        let packet = output.packet();
        let fate = match output {
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
    for arrival in arrivals {
        while let Some(output) = link.poll(arrival.at) {
            output.singles().for_each(|one| log(&one));
        }
        link.handle(arrival);
    }
    while let Some(output) = link.poll(Instant::from_secs(3600)) {
        output.singles().for_each(|one| log(&one));
    }
    assert_eq!(link.held(), 0);
    (hasher.finish().to_string(), outputs)
}

#[test]
fn a_million_decisions_are_what_they_were() {
    assert_eq!(digest(PACKETS), EXPECTED);
    assert_eq!(digest(PACKETS / 20), digest(PACKETS / 20), "two runs in one process");
}

/// The same packets in runs and one by one: what becomes of each is the same.
#[test]
fn runs_are_told_what_their_packets_would_be_told() {
    let payload = Payload::from(vec![0; 64 * 1200]);
    let runs = (0..20_000u64).map(|run| {
        let (count, segment) = (run % 64 + 1, 200 + run * 7919 % 1000);
        let bytes = payload.slice(0..(count * segment - run % 100) as usize);
        Packet::run((run % 10) as u32 + 1, Instant::from_millis(run), bytes, segment as u16)
    });
    let packets: u64 = runs.clone().map(|run| u64::from(run.count())).sum();
    let whole = digest_of(runs.clone());
    assert!(packets > 640_000 && whole.1 > packets, "{packets}");
    assert_eq!(whole.0, EXPECTED_IN_RUNS);
    assert_eq!(whole, digest_of(runs.flat_map(|run| run.singles().collect::<Vec<_>>())));
}
