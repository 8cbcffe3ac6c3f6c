//! Rules that were changed by hand, and the same as the phases of one profile: the same fates for
//! the same packets.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use jostle_common::time::Instant;
use jostle_engine::link::Link;
use jostle_engine::profile::{Phase, Rule, Start, Then, Timeline};
use jostle_engine::stage::{Output, Stage};
use proptest::collection::vec;
use proptest::prelude::*;
use std::time::Duration;
use support::{drain, drain_all, link, packet, rules};

/// Rules to be switched on and off, each in two settings.
const RULES: [[&str; 2]; 14] = [
    [r#""rule": "drop", "chance": "10%""#, r#""rule": "drop", "chance": "50%""#],
    [
        r#""rule": "drop", "name": "burst", "burst": { "mean": "20%", "length": 3 }"#,
        r#""rule": "drop", "name": "burst", "burst": { "mean": "20%", "length": "20ms" }"#,
    ],
    [
        r#""rule": "drop", "name": "each", "every": 3"#,
        r#""rule": "drop", "name": "each", "every": 5"#,
    ],
    [r#""rule": "corrupt", "chance": "30%""#, r#""rule": "corrupt", "chance": "60%", "bits": 9"#],
    [r#""rule": "delay", "time": "20ms""#, r#""rule": "delay", "time": "35ms""#],
    [
        r#""rule": "delay", "name": "jitter", "time": "20ms", "jitter": "9ms", "memory": "15ms""#,
        r#""rule": "delay", "name": "jitter", "time": "30ms", "jitter": "5ms", "reorder": true"#,
    ],
    [
        r#""rule": "duplicate", "chance": "30%""#,
        r#""rule": "duplicate", "chance": "40%", "gap": "7ms""#,
    ],
    [
        r#""rule": "reorder", "chance": "20%", "behind": 2, "at_most": "40ms""#,
        r#""rule": "reorder", "chance": "40%", "behind": 3, "at_most": "20ms""#,
    ],
    [
        r#""rule": "rate", "limit": "1Mbit/s", "queue": "30ms", "burst": "4KB""#,
        r#""rule": "rate", "limit": "400kbit/s", "queue": "20 packets", "burst": "2KB""#,
    ],
    [
        r#""rule": "rate", "name": "slow", "limit": "2Mbit/s", "queue": "100ms", "discipline": "codel""#,
        r#""rule": "rate", "name": "slow", "limit": "1Mbit/s", "queue": "20ms""#,
    ],
    [
        r#""rule": "rate", "name": "kept", "limit": "1Mbit/s", "discipline": { "pie": { "target": "3ms", "burst": "9ms", "packet": "100B" } }"#,
        r#""rule": "rate", "name": "kept", "limit": "2Mbit/s", "discipline": { "pie": { "target": "1ms", "update": "2ms", "packet": "100B" } }"#,
    ],
    [
        r#""rule": "rate", "name": "fair", "limit": "2Mbit/s", "queue": "20 packets", "discipline": { "fq_codel": { "target": "2ms", "interval": "9ms" } }"#,
        r#""rule": "rate", "name": "fair", "limit": "1Mbit/s", "discipline": { "dualpi2": { "target": "2ms", "round_trip": "9ms" } }"#,
    ],
    [r#""rule": "batch", "window": "13ms""#, r#""rule": "batch", "window": "29ms""#],
    [
        r#""rule": "outage", "up": "30ms", "down": "11ms", "random": true"#,
        r#""rule": "outage", "up": "30ms", "down": "11ms", "hold": true"#,
    ],
];

/// What holds: for each rule whether it does, and in which setting.
fn picked(choice: &[Option<usize>]) -> Vec<Rule> {
    let texts = choice.iter().zip(&RULES).filter_map(|(pick, texts)| Some(texts[(*pick)?]));
    let texts: Vec<String> = texts.map(|text| format!("{{ {text} }}")).collect();
    rules(&texts.join(", ")).phases.remove(0).rules
}

/// A packet's fate: its number and copy, when it left and whether it was delivered, the rules that
/// chose it, and the bits that were flipped.
type Seen = (u64, u64, u64, Option<String>, Vec<String>, u32);

fn seen(link: &Link, outputs: Vec<Output>) -> Vec<Seen> {
    let of = |output: &Output| {
        let packet = output.packet();
        let reason = match output {
            Output::Deliver(_) => None,
            Output::Discard(_, reason) => Some(reason.name().to_owned()),
        };
        let places = (0..64).filter(|place| packet.trace.rules & (1 << place) != 0);
        let mut keys: Vec<String> = places.map(|place| link.rule_key(place).to_owned()).collect();
        keys.sort();
        let (number, copy) = (packet.number, u64::from(packet.copy()));
        (number, copy, packet.at.as_nanos(), reason, keys, packet.flipped_bits())
    };
    outputs.iter().map(of).collect()
}

/// Runs packets of these times and sizes through a link whose rules are changed by hand.
fn by_hand(changes: &[(u64, Vec<Rule>)], arrivals: &[(u64, usize)]) -> Vec<Seen> {
    let mut link = link(7, &Timeline::constant(changes[0].1.clone()));
    let mut changes = changes[1..].iter().peekable();
    let mut outputs = Vec::new();
    for &(at, size) in arrivals {
        while let Some((when, rules)) = changes.next_if(|(when, _)| *when <= at) {
            let when = Instant::from_nanos(*when);
            outputs.extend(drain(&mut link, when));
            link.set_timeline(when, &Timeline::constant(rules.clone()));
        }
        outputs.extend(drain(&mut link, Instant::from_nanos(at)));
        link.handle(packet(at, size));
    }
    for (when, rules) in changes {
        outputs.extend(drain(&mut link, Instant::from_nanos(*when)));
        link.set_timeline(Instant::from_nanos(*when), &Timeline::constant(rules.clone()));
    }
    outputs.extend(drain_all(&mut link));
    seen(&link, outputs)
}

/// Runs the same packets through a link whose profile says the same as phases from the first packet
/// on.
fn by_phases(changes: &[(u64, Vec<Rule>)], arrivals: &[(u64, usize)]) -> Vec<Seen> {
    let epoch = arrivals[0].0;
    let first = changes.iter().rposition(|(when, _)| *when <= epoch).unwrap();
    let changes = &changes[first..];
    let phases = changes.iter().enumerate().map(|(index, (when, rules))| {
        let length = changes.get(index + 1).map(|(next, _)| next - (*when).max(epoch));
        Phase { length: length.map(Duration::from_nanos), rules: rules.clone() }
    });
    let timeline = Timeline { start: Start::Packet, then: Then::Stay, phases: phases.collect() };
    let mut link = link(7, &timeline);
    let mut outputs = Vec::new();
    for &(at, size) in arrivals {
        outputs.extend(drain(&mut link, Instant::from_nanos(at)));
        link.handle(packet(at, size));
    }
    outputs.extend(drain_all(&mut link));
    seen(&link, outputs)
}

/// A link that is empty meets no packet in a phase, and follows it all the same: a bucket that was
/// taken away and put back is full, and one that stayed is not.
#[test]
fn a_rule_that_was_away_while_the_link_was_empty_begins_anew() {
    const MS: u64 = 1_000_000;
    let mut choice = [None; RULES.len()];
    let none = picked(&choice);
    choice[8] = Some(0);
    let rate = picked(&choice);
    let arrivals: Vec<(u64, usize)> = [0, 0, 0, 0, 0, 0]
        .iter()
        .map(|_| (MS, 600))
        .chain((0..7).map(|_| (13 * MS, 600)))
        .collect();
    let at_once = |seen: &[Seen]| seen.iter().filter(|(_, _, at, ..)| *at == 13 * MS).count();
    for (between, expected) in [(&none, 6), (&rate, 3)] {
        let changes = [(0, rate.clone()), (6 * MS, between.clone()), (11 * MS, rate.clone())];
        let seen = by_hand(&changes, &arrivals);
        assert_eq!(at_once(&seen), expected);
        assert_eq!(seen, by_phases(&changes, &arrivals));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    #[test]
    fn phases_do_what_changes_by_hand_did(
        choices in vec(vec(proptest::option::weighted(0.35, 0usize..2), RULES.len()), 2..9),
        gaps in vec(1u64..60_000_000, 8),
        arrivals in vec((prop_oneof![4 => 0u64..3_000_000, 1 => 0u64..80_000_000], 40usize..1400), 20..160),
    ) {
        let mut at = 0;
        let changes: Vec<(u64, Vec<Rule>)> = choices
            .iter()
            .zip([0].iter().chain(&gaps))
            .map(|(choice, gap)| { at += gap; (at, picked(choice)) })
            .collect();
        let mut at = 5_000_001;
        let arrivals: Vec<(u64, usize)> =
            arrivals.iter().map(|(gap, size)| { at += gap; (at, *size) }).collect();
        prop_assert_eq!(by_hand(&changes, &arrivals), by_phases(&changes, &arrivals));
    }
}
