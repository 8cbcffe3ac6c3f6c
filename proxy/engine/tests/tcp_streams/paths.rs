//! Streams over links that many share, or on which packets overtake each other.

use crate::ends::{DOWN, Ends, SEGMENT, UP, bytes, model};
use crate::support::rules;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_engine::link::{Link, LinkKey};
use jostle_engine::memory::Memory;
use jostle_engine::profile::Profile;
use jostle_engine::route::CongestionControl;
use jostle_engine::tcp::{Model, transfer};
use std::time::Duration;

#[test]
fn mild_reordering_costs_next_to_nothing() {
    let seconds = |json: &str| {
        let links = Direction::BOTH.map(|direction| {
            Link::new(LinkKey { seed: 1, route: "test".into(), direction }, &rules(json))
        });
        let outcome =
            transfer(links, CongestionControl::Cubic, 10_000_000, Duration::from_secs(100));
        assert_eq!(outcome.received, 10_000_000);
        outcome.time.unwrap().as_secs_f64()
    };
    let line = r#"{ "rule": "rate", "limit": "20Mbit/s" }, { "rule": "delay", "time": "20ms" }"#;
    let base = seconds(line);
    for reorder in [
        r#"{ "rule": "reorder", "chance": "1%" }"#,
        r#"{ "rule": "reorder", "chance": "1%", "behind": 5 }"#,
        r#"{ "rule": "duplicate", "chance": "10%" }"#,
    ] {
        let time = seconds(&format!("{line}, {reorder}"));
        assert!(time < 1.1 * base, "{reorder}: {time} s, {base} s without");
    }
}

#[test]
fn thousands_of_connections_share_the_links() {
    const CONNECTIONS: u32 = 5000;
    let json = r#"{ "rule": "drop", "chance": "1%" }, { "rule": "rate", "limit": "1Gbit/s" }, { "rule": "delay", "time": "10ms" }"#;
    let mut ends = Ends::new(model(1, json, Memory::default()));
    for id in 1..=CONNECTIONS {
        ends.model.open(ends.now, id);
        ends.model.push(ends.now, id, UP, bytes(u64::from(id), 0, 3000));
        ends.model.push(ends.now, id, DOWN, bytes(u64::from(id), 0, 10_000));
        ends.model.finish(ends.now, id, UP);
        ends.model.finish(ends.now, id, DOWN);
    }
    ends.run(Instant::from_secs(1000));
    assert_eq!((ends.closed.len(), ends.model.connections()), (CONNECTIONS as usize, 0));
    assert!(ends.model.link(DOWN).counters().discarded_total() > 100, "some segments were lost");
    for id in 1..=CONNECTIONS {
        assert!(ends.received[&(id, UP)].bytes == bytes(u64::from(id), 0, 3000));
        assert!(ends.received[&(id, DOWN)].bytes == bytes(u64::from(id), 0, 10_000));
    }
    ends.assert_conserved();
}

#[test]
fn the_same_seed_gives_the_same_times() {
    let json = r#"{ "rule": "drop", "chance": "5%" }, { "rule": "delay", "time": "20ms", "jitter": "3ms" }"#;
    let times = |seed| {
        let mut ends = Ends::connected(seed, json);
        ends.push(UP, 0, 200_000);
        ends.model.finish(ends.now, 1, UP);
        ends.model.finish(ends.now, 1, DOWN);
        ends.run(Instant::from_secs(1000));
        (ends.ended(UP), ends.ended(DOWN), ends.fates, ends.model.counters())
    };
    assert_eq!(times(1), times(1));
    assert_ne!(times(1), times(2));
    assert!(times(1).3.retransmissions > 0);
}

/// A route whose way up becomes shorter and longer by turns, the way down with it. Nothing is lost.
fn changing(length: &str, path: [&str; 2]) -> Profile {
    let phase = |time: &str, path: &str| {
        format!(
            r#"{{ "for": "{length}", "both": [
                {{ "rule": "rate", "limit": "20Mbit/s", "queue": "10s", "path": "{path}" }},
                {{ "rule": "delay", "time": "{time}", "path": "{path}" }} ] }}"#
        )
    };
    let (far, near) = (phase("60ms", path[0]), phase("15ms", path[1]));
    Profile::from_json(&format!(r#"{{ "phases": [ {far}, {near} ], "then": "repeat" }}"#)).unwrap()
}

#[test]
fn a_stream_survives_paths_that_overtake_each_other() {
    const COUNT: u64 = 3_000_000;
    let run = |seed: u64, profile: &Profile| {
        let links = Link::both(profile, seed, "test");
        let mut ends = Ends::new(Model::new(links, CongestionControl::Cubic, Memory::default()));
        ends.model.open(ends.now, 1);
        let mut sent = 0;
        while sent < COUNT {
            let room = ends.model.room(1, UP) as u64;
            let piece = room.min(COUNT - sent).min(20_000);
            ends.push(UP, sent, piece);
            sent += piece;
            ends.run_for(2);
        }
        ends.model.finish(ends.now, 1, UP);
        ends.model.finish(ends.now, 1, DOWN);
        ends.run(Instant::from_secs(100));
        assert!(ends.received(UP) == bytes(0, 0, COUNT), "{} bytes", ends.received(UP).len());
        assert!(ends.ended(UP).is_some());
        ends.assert_conserved();
        let lost = ends.model.link(UP).counters().discarded_total();
        assert_eq!(lost, 0, "so whatever is sent again is spurious");
        (ends.model.counters(), ends.ended(UP).unwrap())
    };
    for seed in [1, 2, 3] {
        let (steady, _) = run(seed, &changing("300ms", ["same", "same"]));
        let (changed, ended) = run(seed, &changing("300ms", ["far", "near"]));
        let segments = COUNT.div_ceil(SEGMENT);
        // In order nothing looks lost. Where each path overtakes what is under way on the other, a
        // window of it does at most, once per change to the shorter one.
        assert_eq!((steady.retransmissions, steady.timeouts), (0, 0), "{steady:?}");
        assert!((1..segments / 4).contains(&changed.retransmissions), "{changed:?}");
        assert_eq!(changed.timeouts, 0, "{changed:?}");
        // 1.2 s for the bytes alone at 20 Mbit/s.
        assert!((1_200..3_000).contains(&(ended.as_nanos() / 1_000_000)), "{ended}");
    }
}
