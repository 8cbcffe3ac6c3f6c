//! Paths that change: packets of one path keep their order, and a shorter new path overtakes what
//! is still on the longer old one.

use crate::support::{drain, drain_all, of_flow, packet};
use crate::{MS, fates, link};
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_engine::link::{Link, LinkKey};
use jostle_engine::packet::{Body, Packet};
use jostle_engine::profile::Profile;
use jostle_engine::stage::Stage;
use std::collections::BTreeMap;

/// A delay rule in a phase of `millis`, on a path if there is one.
fn phase(length: u64, time: u64, path: Option<&str>) -> String {
    let path = path.map_or_else(String::new, |path| format!(r#", "path": "{path}""#));
    format!(
        r#"{{ "for": "{length}ms", "up": [ {{ "rule": "delay", "time": "{time}ms"{path} }} ] }}"#
    )
}

/// Packets with the milliseconds at which they leave.
fn left(profile: &str, arrivals: &[u64], polls: u64) -> Vec<(u64, u64)> {
    let fates = fates(&mut link(profile), arrivals, polls);
    assert!(fates.iter().all(|fate| fate.2 && fate.1.is_multiple_of(MS)), "to the nanosecond");
    fates.iter().map(|fate| (fate.0, fate.1 / MS)).collect()
}

#[test]
fn a_shorter_path_overtakes_the_longer_one_and_nothing_else_does() {
    let arrivals = [0, 9, 10, 11, 30, 31];
    let phases = |a, b| format!("\"phases\": [ {}, {} ]", phase(10, 50, a), phase(1000, 20, b));
    for polls in [0, 1, 7] {
        let changed = format!("{{ {} }}", phases(Some("a"), Some("b")));
        // At 50 ms the packet that came first goes first, though it takes the other path.
        let expected = [(3, 30), (4, 31), (1, 50), (5, 50), (6, 51), (2, 59)];
        assert_eq!(left(&changed, &arrivals, polls), expected);
        // The path without a name is one like others.
        for (a, b) in [(None, Some("b")), (Some("a"), None)] {
            assert_eq!(left(&format!("{{ {} }}", phases(a, b)), &arrivals, polls), expected);
        }
        // On the same path later packets queue behind.
        let expected = [(1, 50), (2, 59), (3, 59), (4, 59), (5, 59), (6, 59)];
        for path in [None, Some("a")] {
            assert_eq!(left(&format!("{{ {} }}", phases(path, path)), &arrivals, polls), expected);
        }
    }
}

#[test]
fn who_comes_back_to_a_path_keeps_the_order_of_that_path() {
    let profile = format!(
        "{{ \"phases\": [ {}, {}, {} ] }}",
        phase(10, 50, Some("a")),
        phase(10, 20, Some("b")),
        phase(1000, 5, Some("a"))
    );
    // What comes at 20 ms and later would be there at 25 ms, and stays behind what is on path a
    // until 59 ms; path b is empty at 39 ms.
    let arrivals = [0, 9, 10, 19, 20, 53, 54, 55];
    let expected = [(3, 30), (4, 39), (1, 50), (2, 59), (5, 59), (6, 59), (7, 59), (8, 60)];
    for polls in [0, 3] {
        assert_eq!(left(&profile, &arrivals, polls), expected);
    }
}

#[test]
fn a_new_path_has_a_queue_of_its_own() {
    // 1,000 bytes take 8 ms on path a and 1 ms on path b, and then 30 or 2 ms.
    let phase = |length: u64, rate: u64, time: u64, path: &str| {
        format!(
            r#"{{ "for": "{length}ms", "up": [
                {{ "rule": "rate", "limit": "{rate}Mbit/s", "queue": "1s", "path": "{path}" }},
                {{ "rule": "delay", "time": "{time}ms", "path": "{path}" }} ] }}"#
        )
    };
    let profile =
        format!("{{ \"phases\": [ {}, {} ] }}", phase(10, 1, 30, "a"), phase(1000, 8, 2, "b"));
    let arrivals = [0, 0, 0, 0, 10, 10, 35];
    // What is on path a at the change still goes at its rate, 8, 16, 24 and 32 ms, and then has its
    // delay too, though that comes behind the change.
    let queues = [(5, 13), (6, 14), (1, 38), (7, 38), (2, 46), (3, 54), (4, 62)];
    for polls in [0, 1, 7] {
        assert_eq!(left(&profile, &arrivals, polls), queues);
    }
    // On one path all of them share the queue; the packet in service at the change keeps its end.
    let profile = profile.replace(r#""path": "a""#, r#""path": "b""#);
    let shared = left(&profile, &arrivals, 0);
    assert_eq!(shared, [(1, 38), (2, 38), (3, 38), (4, 38), (5, 38), (6, 38), (7, 38)]);
}

#[test]
fn jitter_keeps_order_on_each_path_and_nothing_is_lost() {
    let profile = r#"{ "phases": [
        { "for": "7ms", "up": [ { "rule": "delay", "time": "40ms", "jitter": "9ms", "path": "far" } ] },
        { "for": "5ms", "up": [ { "rule": "delay", "time": "12ms", "jitter": "4ms", "path": "near" } ] } ],
        "then": "repeat" }"#;
    for seed in [1, 2, 3] {
        let timeline = Profile::from_json(profile).unwrap().up;
        let key = || LinkKey { seed, route: "test".into(), direction: Direction::Up };
        let run = |polls: u64| {
            let mut link = Link::new(key(), &timeline);
            let arrivals: Vec<u64> = (0..3000).collect();
            let fates = fates(&mut link, &arrivals, polls);
            assert_eq!(link.counters().delivered, 3000);
            fates
        };
        let all = run(0);
        assert_eq!(all, run(3), "whoever polls");
        let (mut last, mut overtaken) = (BTreeMap::new(), 0);
        let mut latest = 0;
        for (number, at, _) in all {
            // The first packet comes at 0 ms, and one every millisecond.
            let came = (number - 1) * MS;
            let is_far = came % (12 * MS) < 7 * MS;
            let (least, most) = if is_far { (31, 49) } else { (8, 16) };
            assert!((least * MS..=most * MS).contains(&(at - came)), "{number}: {}", at - came);
            let before = last.insert(is_far, number).unwrap_or(0);
            assert!(before < number, "{number} behind {before} of the same path");
            overtaken += usize::from(number < latest);
            latest = latest.max(number);
        }
        // Every packet of the far path that is under way at a change is overtaken.
        assert!((1500..=1750).contains(&overtaken), "{overtaken}");
    }
}

#[test]
fn paths_are_those_of_each_flow() {
    let timeline = Profile::from_json(
        r#"{ "phases": [ { "for": "10ms", "up": [ { "rule": "delay", "time": "50ms", "path": "a", "per": "flow" } ] },
                         { "up": [ { "rule": "delay", "time": "20ms", "path": "b", "per": "flow" } ] } ] }"#,
    )
    .unwrap()
    .up;
    let key = LinkKey { seed: 1, route: "test".into(), direction: Direction::Up };
    let mut link = Link::new(key, &timeline);
    let mut out = Vec::new();
    for (flow, at) in [(1, 0), (2, 5), (1, 10), (2, 10), (3, 11)] {
        out.extend(drain(&mut link, Instant::from_millis(at)));
        link.handle(of_flow(flow, packet(at * MS, 100)));
    }
    // A flow that is over empties on all its paths.
    link.forget(1);
    out.extend(drain_all(&mut link));
    let left: Vec<(u32, u64)> = out
        .iter()
        .map(|output| (output.packet().flow, output.packet().at.as_nanos() / MS))
        .collect();
    assert_eq!(left, [(1, 30), (2, 30), (3, 31), (1, 50), (2, 55)]);
    assert_eq!(link.held(), 0);
}

#[test]
fn the_end_of_a_stream_overtakes_nothing() {
    for polls in [1, 50] {
        let profile = format!(
            "{{ \"phases\": [ {}, {} ] }}",
            phase(10, 50, Some("a")),
            phase(1000, 20, Some("b"))
        );
        let mut link = link(&profile);
        let mut out = Vec::new();
        for (at, body) in [(0, "first"), (9, "second"), (12, "third"), (13, "")] {
            let body = if body.is_empty() { Body::End } else { Body::data(body) };
            out.extend(drain(&mut link, Instant::from_millis(at)));
            link.handle(Packet::new(1, Instant::from_millis(at), body));
        }
        for step in 1..=polls {
            out.extend(drain(&mut link, Instant::from_nanos(100 * MS * step / polls)));
        }
        let bodies: Vec<(&Body, u64)> =
            out.iter().map(|one| (one.packet().body(), one.packet().at.as_nanos() / MS)).collect();
        // The mark goes on once path a is empty, and has its own way then.
        let data = |text: &'static str| Body::data(text);
        let expected =
            [(&data("third"), 32), (&data("first"), 50), (&data("second"), 59), (&Body::End, 79)];
        assert_eq!(bodies, expected);
    }
}

#[test]
fn a_rule_that_is_taken_away_empties_all_its_paths() {
    let profile = format!(
        "{{ \"phases\": [ {}, {} ], \"then\": \"clear\" }}",
        phase(10, 50, Some("a")),
        phase(10, 20, Some("b"))
    );
    // At 20 ms there is no rule any more; what comes then stays behind path b.
    let arrivals = [0, 10, 20, 45, 51];
    for polls in [0, 4] {
        let expected = [(2, 30), (3, 30), (4, 45), (1, 50), (5, 51)];
        assert_eq!(left(&profile, &arrivals, polls), expected);
    }
}

#[test]
fn more_live_changes_of_the_path_than_there_may_be_paths_lose_nothing() {
    let timeline = |index: u64| {
        let time = 1000 - index;
        let text = format!(
            r#"{{ "up": [ {{ "rule": "delay", "time": "{time}ms", "path": "path {index}" }} ] }}"#
        );
        Profile::from_json(&text).unwrap().up
    };
    let key = LinkKey { seed: 1, route: "test".into(), direction: Direction::Up };
    let mut link = Link::new(key, &timeline(0));
    for index in 0..40 {
        link.set_timeline(Instant::from_nanos(index), &timeline(index));
        link.handle(packet(index, 100));
    }
    let left: Vec<u64> = drain_all(&mut link).iter().map(|one| one.packet().number).collect();
    // Each of the first sixteen overtakes all before it; the others queue behind the sixteenth.
    let expected: Vec<u64> = (16..=40).chain((1..16).rev()).collect();
    assert_eq!(left, expected);
    assert_eq!((link.held(), link.counters().held), (0, 0));
}
