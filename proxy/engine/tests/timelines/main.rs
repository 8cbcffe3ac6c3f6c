//! Phases: rules that change by themselves, at their time and not when somebody looks.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod paths;
#[path = "../support/mod.rs"]
mod support;

use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_engine::link::{Link, LinkKey};
use jostle_engine::profile::Profile;
use jostle_engine::stage::{Output, Stage};
use support::packet;

const MS: u64 = 1_000_000;

fn link(profile: &str) -> Link {
    let profile = Profile::from_json(profile).unwrap();
    Link::new(LinkKey { seed: 1, route: "test".into(), direction: Direction::Up }, &profile.up)
}

/// What became of a packet: its number, when it left, and whether it was delivered.
type Fate = (u64, u64, bool);

/// Lets packets of 1,000 bytes arrive at these milliseconds, polling `polls` times between any two;
/// their fates in order of leaving.
fn fates(link: &mut Link, arrivals: &[u64], polls: u64) -> Vec<Fate> {
    let mut fates = Vec::new();
    let mut drain = |link: &mut Link, now: u64| {
        while let Some(output) = link.poll(Instant::from_nanos(now)) {
            let packet = output.packet();
            fates.push((packet.number, packet.at.as_nanos(), matches!(output, Output::Deliver(_))));
        }
    };
    let mut last = 0;
    for millis in arrivals {
        let at = millis * MS;
        (1..=polls).for_each(|step| drain(link, last + (at - last) * step / (polls + 1)));
        drain(link, at);
        link.handle(packet(at, 1000));
        last = at;
    }
    drain(link, u64::MAX);
    assert_eq!((link.held(), link.counters().held), (0, 0));
    fates
}

fn lost(link: &mut Link, arrivals: &[u64]) -> Vec<u64> {
    let lost = |fate: &Fate| (!fate.2).then(|| arrivals[fate.0 as usize - 1]);
    fates(link, arrivals, 0).iter().filter_map(lost).collect()
}

#[test]
fn phases_follow_each_other_and_the_last_one_stays() {
    const PHASES: &str = r#""phases": [ { "for": "10ms", "up": [ { "rule": "drop", "chance": "100%" } ] },
                                       { "for": "20ms" },
                                       { "for": "10ms", "up": [ { "rule": "drop", "chance": "100%" } ] } ]"#;
    // The first packet starts the clock, at 5 ms.
    let arrivals = [5, 6, 14, 15, 34, 35, 44, 45, 1000];
    for (then, expected) in [
        ("stay", vec![5, 6, 14, 35, 44, 45, 1000]),
        ("clear", vec![5, 6, 14, 35, 44]),
        // Rounds of 40 ms: 1000 − 5 = 995 = 24·40 + 35.
        ("repeat", vec![5, 6, 14, 35, 44, 45, 1000]),
    ] {
        let profile = format!(r#"{{ {PHASES}, "then": "{then}" }}"#);
        assert_eq!(lost(&mut link(&profile), &arrivals), expected, "{then}");
    }
    let run = format!(r#"{{ {PHASES}, "start": "run" }}"#);
    assert_eq!(
        lost(&mut link(&run), &arrivals),
        [5, 6, 30 + 4, 35, 44, 45, 1000],
        "from the start of the run"
    );
}

#[test]
fn both_links_of_a_route_keep_the_time_of_the_first_packet() {
    let mut down = link(
        r#"{ "phases": [ { "for": "10ms" }, { "up": [ { "rule": "drop", "chance": "100%" } ] } ] }"#,
    );
    down.begin(Instant::from_millis(2));
    down.begin(Instant::from_millis(7));
    assert_eq!(lost(&mut down, &[11, 12]), [12]);
}

#[test]
fn a_queue_lives_on_from_phase_to_phase() {
    // 1,000 bytes take 8 ms at 1 Mbit/s and 1 ms at 8 Mbit/s; the packet in service at 20 ms keeps
    // its end, 24 ms.
    let profile = r#"{ "phases": [ { "for": "20ms", "up": [ { "rule": "rate", "limit": "1Mbit/s", "queue": "1s" } ] },
                                   { "for": "2ms", "up": [ { "rule": "rate", "limit": "8Mbit/s", "queue": "1s" } ] },
                                   { "up": [ { "rule": "rate", "limit": "2Mbit/s", "queue": "1s" } ] } ] }"#;
    for polls in [0, 1, 7] {
        let left: Vec<u64> =
            fates(&mut link(profile), &[0; 5], polls).iter().map(|fate| fate.1 / MS).collect();
        // What starts at 24 ms goes at the rate of the phase that began at 22 ms.
        assert_eq!(left, [8, 16, 24, 28, 32]);
    }
}

#[test]
fn a_removed_stage_empties_in_order() {
    let profile = r#"{ "phases": [ { "for": "10ms", "up": [ { "rule": "delay", "time": "50ms" } ] }, { } ] }"#;
    let fates = fates(&mut link(profile), &[0, 9, 10, 49, 58, 59, 60], 3);
    let left: Vec<(u64, u64)> = fates.iter().map(|fate| (fate.0, fate.1 / MS)).collect();
    // Until the last packet of the first phase has left, at 59 ms, later ones stay behind it.
    assert_eq!(left, [(1, 50), (2, 59), (3, 59), (4, 59), (5, 59), (6, 59), (7, 60)]);
}

#[test]
fn rules_of_other_phases_change_no_draws() {
    let drop = r#"{ "rule": "drop", "chance": "30%" }"#;
    let steady = format!(r#"{{ "up": [ {drop} ] }}"#);
    let phased = format!(
        r#"{{ "phases": [ {{ "for": "100ms", "up": [ {drop} ] }},
                          {{ "for": "100ms", "up": [ {{ "rule": "delay", "time": "1ms" }}, {drop} ] }} ], "then": "repeat" }}"#
    );
    let arrivals: Vec<u64> = (0..1000).collect();
    let lost_in = |profile: &str| lost(&mut link(profile), &arrivals);
    assert_eq!(lost_in(&steady), lost_in(&phased));
    assert!((230..370).contains(&lost_in(&steady).len()));
}

#[test]
fn when_a_link_is_polled_makes_no_difference() {
    let profile = r#"{ "both": [ { "rule": "delay", "time": "8ms", "jitter": "5ms" } ],
        "phases": [ { "for": "7ms", "up": [ { "rule": "rate", "limit": "3Mbit/s", "queue": "5 packets" }, { "rule": "reorder", "chance": "20%" } ] },
                    { "for": "3ms", "up": [ { "rule": "batch", "window": "4ms", "chance": "50%" }, { "rule": "duplicate", "chance": "30%", "gap": "3ms" } ] },
                    { "for": "5ms", "up": [ { "rule": "outage", "up": "3ms", "down": "2ms", "hold": true }, { "rule": "drop", "burst": { "mean": "20%", "length": 2 } } ] } ],
        "then": "repeat" }"#;
    // Busy spells, and silences in which many phases pass.
    let arrivals: Vec<u64> = (0..2000u64).map(|index| index + index / 100 * 77).collect();
    let never = fates(&mut link(profile), &arrivals, 0);
    assert!(never.iter().any(|fate| !fate.2) && never.len() > 2000, "packets are lost and doubled");
    for polls in [1, 5] {
        assert_eq!(fates(&mut link(profile), &arrivals, polls), never);
    }
}

#[test]
fn a_live_change_keeps_the_time_of_the_timeline() {
    let profile = r#"{ "phases": [ { "for": "10ms" }, { "up": [ { "rule": "drop", "chance": "100%" } ] } ] }"#;
    let timeline = Profile::from_json(profile).unwrap().up;
    let mut link = link(profile);
    assert!(!link.is_transparent(), "rules are to come");
    assert_eq!(fates(&mut link, &[0], 0).len(), 1);
    link.set_timeline(Instant::from_millis(4), &jostle_engine::profile::Timeline::default());
    assert!(link.is_transparent());
    link.handle(packet(12 * MS, 10));
    assert!(matches!(link.poll(Instant::from_millis(12)), Some(Output::Deliver(_))));
    link.set_timeline(Instant::from_millis(13), &timeline);
    link.handle(packet(14 * MS, 10));
    assert!(
        matches!(link.poll(Instant::from_millis(14)), Some(Output::Discard(..))),
        "the second phase has begun"
    );
}
