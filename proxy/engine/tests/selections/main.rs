//! Which packets a rule looks at: `match`, `flows` and `per`, alone, in pairs, and with phases.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod facts;
mod streams;
#[path = "../support/mod.rs"]
mod support;

use bytes::Bytes;
use jostle_common::chance::Direction;
use jostle_common::statistics::{Z_999, proportion_margin};
use jostle_common::time::Instant;
use jostle_engine::link::{Link, LinkKey};
use jostle_engine::packet::{Body, Packet};
use jostle_engine::profile::Profile;
use jostle_engine::stage::{Output, Stage};
use std::collections::BTreeMap;

fn link(seed: u64, rules: &str) -> Link {
    let profile = Profile::from_json(&format!(r#"{{ "up": [ {rules} ] }}"#)).unwrap();
    phased(seed, &profile)
}

fn phased(seed: u64, profile: &Profile) -> Link {
    Link::new(LinkKey { seed, route: "test".into(), direction: Direction::Up }, &profile.up)
}

/// Sends payloads, one per microsecond, each of a flow; which of them (from 0) were discarded.
fn lost<'a>(link: &mut Link, payloads: impl IntoIterator<Item = (u32, &'a [u8])>) -> Vec<usize> {
    let mut lost = Vec::new();
    for (index, (flow, payload)) in payloads.into_iter().enumerate() {
        let at = Instant::from_micros(index as u64);
        link.handle(Packet::new(flow, at, Body::data(Bytes::copy_from_slice(payload))));
        while let Some(output) = link.poll(at) {
            if matches!(output, Output::Discard(..)) {
                lost.push(index);
            }
        }
    }
    lost
}

/// As [`lost`], with empty payloads.
fn lost_of_flows(link: &mut Link, flows: &[u32]) -> Vec<usize> {
    lost(link, flows.iter().map(|flow| (*flow, &[][..])))
}

const PAYLOADS: [&[u8]; 6] = [b"GET /", b"POST /", b"G", b"GET /index.html", b"", b" GET"];

#[test]
fn a_match_by_size_number_and_bytes() {
    let of = |matching: &str| {
        let rule = format!(r#"{{ "rule": "drop", "chance": "100%", "match": {matching} }}"#);
        lost(&mut link(1, &rule), PAYLOADS.map(|payload| (1, payload)))
    };
    assert_eq!(of(r#"{ "size": { "min": "5B" } }"#), [0, 1, 3]);
    assert_eq!(of(r#"{ "size": { "min": "1B", "max": "5B" } }"#), [0, 2, 5]);
    assert_eq!(of(r#"{ "first": 2 }"#), [0, 1]);
    assert_eq!(of(r#"{ "after": 2, "first": 4 }"#), [2, 3]);
    assert_eq!(of(r#"{ "bytes": { "offset": 0, "text": "GET" } }"#), [0, 3]);
    assert_eq!(of(r#"{ "bytes": { "offset": 1, "hex": "474554" } }"#), [5]);
    assert_eq!(
        of(r#"{ "bytes": { "offset": 0, "text": "GET" }, "after": 1 }"#),
        [3],
        "all that is given must hold"
    );
}

#[test]
fn what_a_rule_does_not_look_at_changes_no_draw_of_it() {
    let (all, some) = (
        r#"{ "rule": "drop", "chance": "40%" }"#,
        r#"{ "rule": "drop", "chance": "40%", "match": { "after": 500 } }"#,
    );
    let flows = [1; 1000];
    let expected: Vec<usize> = lost_of_flows(&mut link(3, all), &flows)
        .into_iter()
        .filter(|index| *index >= 500)
        .collect();
    assert_eq!(lost_of_flows(&mut link(3, some), &flows), expected);
    assert!(expected.len() > 100);
}

#[test]
fn what_does_not_match_passes_a_stage_by() {
    let rule = r#"{ "rule": "delay", "time": "10ms", "match": { "size": { "min": "100B" } } }"#;
    let mut link = link(1, rule);
    for (number, size) in [(0, 200usize), (1, 50), (2, 200)] {
        link.handle(Packet::new(1, Instant::from_millis(number), Body::data(vec![0; size])));
    }
    let left: Vec<(u64, u64)> = std::iter::from_fn(|| link.poll(Instant::from_millis(99)))
        .map(|output| (output.packet().number, output.packet().at.as_nanos() / 1_000_000))
        .collect();
    assert_eq!(left, [(2, 1), (1, 10), (3, 12)]);
}

#[test]
fn flows_are_affected_whole_or_not_at_all() {
    for seed in 1..=5 {
        let mut link = link(seed, r#"{ "rule": "drop", "chance": "100%", "flows": "30%" }"#);
        let flows: Vec<u32> = (0..3).flat_map(|_| 1..=20_000).collect();
        let mut losses: BTreeMap<u32, u32> = BTreeMap::new();
        for index in lost_of_flows(&mut link, &flows) {
            *losses.entry(flows[index]).or_default() += 1;
        }
        assert!(losses.values().all(|count| *count == 3), "a flow is affected always or never");
        let share = losses.len() as f64 / 20_000.0;
        assert!(
            (share - 0.3).abs() < proportion_margin(0.3, 20_000.0, 0.0, Z_999),
            "seed {seed}: {share}"
        );
    }
}

#[test]
fn a_higher_share_of_flows_affects_a_superset() {
    let flows: Vec<u32> = (1..=1000).collect();
    let of = |share: u32| {
        lost_of_flows(
            &mut link(
                9,
                &format!(r#"{{ "rule": "drop", "chance": "100%", "flows": "{share}%" }}"#),
            ),
            &flows,
        )
    };
    let (few, many) = (of(10), of(40));
    assert!(few.iter().all(|flow| many.contains(flow)) && few.len() < many.len());
}

/// The fates of each flow's packets, in order, however the flows were interleaved.
fn by_flow(rule: &str, flows: &[u32]) -> BTreeMap<u32, Vec<bool>> {
    let lost = lost_of_flows(&mut link(5, rule), flows);
    let mut fates: BTreeMap<u32, Vec<bool>> = BTreeMap::new();
    for (index, flow) in flows.iter().enumerate() {
        fates.entry(*flow).or_default().push(lost.binary_search(&index).is_ok());
    }
    fates
}

#[test]
fn per_flow_the_fates_do_not_depend_on_how_flows_interleave() {
    let one_after_the_other: Vec<u32> = (1..=4).flat_map(|flow| [flow; 500]).collect();
    let in_turn: Vec<u32> = (0..500).flat_map(|_| 1..=4).collect();
    for rule in [
        r#"{ "rule": "drop", "chance": "30%", "per": "flow" }"#,
        r#"{ "rule": "drop", "burst": { "mean": "20%", "length": 4 }, "per": "flow" }"#,
        r#"{ "rule": "drop", "gilbert_elliott": { "p": "5%", "r": "20%", "loss_bad": "70%" }, "per": "flow" }"#,
        r#"{ "rule": "drop", "every": 7, "per": "flow" }"#,
    ] {
        let (one, other) = (by_flow(rule, &one_after_the_other), by_flow(rule, &in_turn));
        assert!(one == other, "{rule}");
        assert!(
            one.values().all(|fates| fates.contains(&true) && fates.contains(&false)),
            "{rule}"
        );
        assert!(rule.contains("every") || one[&1] != one[&2], "flows draw for themselves: {rule}");
    }
    let shared = r#"{ "rule": "drop", "chance": "30%" }"#;
    assert_ne!(
        by_flow(shared, &one_after_the_other),
        by_flow(shared, &in_turn),
        "a shared rule counts all packets"
    );
}

#[test]
fn per_flow_each_flow_has_a_queue_of_its_own() {
    let rates = |per: &str| {
        let mut link = link(
            1,
            &format!(r#"{{ "rule": "rate", "limit": "8Mbit/s", "queue": "1s", "per": "{per}" }}"#),
        );
        for flow in [1, 2, 1, 2] {
            link.handle(Packet::new(flow, Instant::START, Body::data(vec![0; 1000])));
        }
        std::iter::from_fn(|| link.poll(Instant::from_secs(1)))
            .map(|output| (output.packet().flow, output.packet().at.as_nanos() / 1_000_000))
            .collect::<Vec<_>>()
    };
    assert_eq!(rates("link"), [(1, 1), (2, 2), (1, 3), (2, 4)]);
    assert_eq!(rates("flow"), [(1, 1), (2, 1), (1, 2), (2, 2)]);
}

#[test]
fn a_flow_that_is_over_is_forgotten_when_its_packets_have_left() {
    let mut link = link(1, r#"{ "rule": "delay", "time": "5ms", "per": "flow" }"#);
    link.handle(Packet::new(1, Instant::START, Body::data(Bytes::new())));
    link.handle(Packet::new(1, Instant::START, Body::End));
    link.forget(1);
    assert_eq!(link.held(), 2);
    let left: Vec<bool> = std::iter::from_fn(|| link.poll(Instant::from_millis(5)))
        .map(|output| output.packet().is_mark())
        .collect();
    assert_eq!(left, [false, true]);
    assert_eq!((link.held(), link.deadline()), (0, None));
}

#[test]
fn match_and_per_count_within_the_flow() {
    let flows = [1, 2, 1, 1, 2, 2, 1];
    let of = |matching: &str| {
        lost_of_flows(
            &mut link(
                1,
                &format!(
                    r#"{{ "rule": "drop", "chance": "100%", "per": "flow", "match": {matching} }}"#
                ),
            ),
            &flows,
        )
    };
    assert_eq!(of(r#"{ "first": 1 }"#), [0, 1]);
    assert_eq!(of(r#"{ "after": 2 }"#), [3, 5, 6]);
}

#[test]
fn a_match_by_the_number_of_the_flow() {
    let flows: Vec<u32> = (0..3).flat_map(|_| 1..=24).collect();
    let of = |rule: &str| {
        let lost = lost_of_flows(&mut link(1, &format!("{{ {rule} }}")), &flows);
        lost.into_iter().map(|index| (index, flows[index])).collect::<Vec<_>>()
    };
    let matching = |flow: &str, more: &str| {
        of(&format!(r#""rule": "drop", "chance": "100%", "match": {{ "flow": {flow}{more} }}"#))
    };
    let every_packet = |chosen: &dyn Fn(u32) -> bool| {
        let all = flows.iter().copied().enumerate();
        all.filter(|(_, flow)| chosen(*flow)).collect::<Vec<_>>()
    };
    assert_eq!(matching("1", ""), every_packet(&|flow| flow == 1));
    assert_eq!(matching(r#""3""#, ""), every_packet(&|flow| flow == 3));
    assert_eq!(matching(r#""3-5""#, ""), every_packet(&|flow| (3..=5).contains(&flow)));
    assert_eq!(matching(r#""20-""#, ""), every_packet(&|flow| flow >= 20));
    assert_eq!(matching(r#""every 10th""#, ""), every_packet(&|flow| flow % 10 == 0));
    assert_eq!(matching("9", r#", "first": 24"#), [(8, 9)], "all that is given must hold");
    // What the rule draws for a packet does not depend on whom it looks at.
    let all = of(r#""rule": "drop", "chance": "40%""#);
    let some = of(r#""rule": "drop", "chance": "40%", "match": { "flow": "7-12" }"#);
    let expected: Vec<_> =
        all.iter().filter(|(_, flow)| (7..=12).contains(flow)).copied().collect();
    assert_eq!(some, expected);
    assert!(some.len() > 3 && some.len() < 15, "{some:?}");
    let both =
        of(r#""rule": "drop", "chance": "100%", "flows": "50%", "match": { "flow": "every 2nd" }"#);
    let shared = of(r#""rule": "drop", "chance": "100%", "flows": "50%""#);
    let expected: Vec<_> = shared.into_iter().filter(|(_, flow)| flow % 2 == 0).collect();
    assert_eq!(both, expected);
}

#[test]
fn a_rule_for_one_flow_moves_no_draw_of_another_rule() {
    let flows: Vec<u32> = (0..500).map(|index| index % 5 + 1).collect();
    let rest = r#"{ "rule": "drop", "chance": "20%", "name": "rest" }"#;
    let own = r#"{ "rule": "drop", "chance": "100%", "match": { "flow": 4 }, "per": "flow" }"#;
    let of = |rules: &str| lost_of_flows(&mut link(6, rules), &flows);
    let with: Vec<usize> =
        of(&format!("{own}, {rest}")).into_iter().filter(|index| flows[*index] != 4).collect();
    let without: Vec<usize> = of(rest).into_iter().filter(|index| flows[*index] != 4).collect();
    assert_eq!(with, without);
    assert!(with.len() > 40);
}

#[test]
fn match_and_flows_must_both_hold() {
    let flows: Vec<u32> = (0..2).flat_map(|_| 1..=100).collect();
    let affected = lost_of_flows(
        &mut link(2, r#"{ "rule": "drop", "chance": "100%", "flows": "50%" }"#),
        &flows,
    );
    let both = lost_of_flows(
        &mut link(
            2,
            r#"{ "rule": "drop", "chance": "100%", "flows": "50%", "match": { "first": 100 } }"#,
        ),
        &flows,
    );
    assert_eq!(both, affected.iter().copied().filter(|index| *index < 100).collect::<Vec<_>>());
    assert!((30..70).contains(&both.len()));
}

#[test]
fn flows_and_per_do_not_disturb_each_other() {
    let flows: Vec<u32> = (0..50).flat_map(|_| 1..=40).collect();
    let all = by_flow(r#"{ "rule": "drop", "chance": "50%", "per": "flow" }"#, &flows);
    let some =
        by_flow(r#"{ "rule": "drop", "chance": "50%", "per": "flow", "flows": "50%" }"#, &flows);
    let untouched = some.values().filter(|fates| !fates.contains(&true)).count();
    assert!((8..=32).contains(&untouched));
    for (flow, fates) in &some {
        assert!(
            !fates.contains(&true) || fates == &all[flow],
            "an affected flow draws what it always draws"
        );
    }
}

/// Two phases of 100 packets each with these rules, and what they lose of packets of four flows in
/// turn.
fn lost_in_phases(first: &str, second: &str) -> Vec<usize> {
    let text = format!(
        r#"{{ "phases": [ {{ "for": "100us", "up": [ {first} ] }}, {{ "up": [ {second} ] }} ] }}"#
    );
    let flows: Vec<u32> = (0..200).map(|index| index % 4 + 1).collect();
    lost_of_flows(&mut phased(1, &Profile::from_json(&text).unwrap()), &flows)
}

#[test]
fn phases_and_match() {
    let rule =
        |matching: &str| format!(r#"{{ "rule": "drop", "chance": "100%", "match": {matching} }}"#);
    // Packets are counted from the first one of the link, not of the phase.
    assert_eq!(
        lost_in_phases(&rule(r#"{ "first": 2 }"#), &rule(r#"{ "after": 198 }"#)),
        [0, 1, 198, 199]
    );
    assert_eq!(lost_in_phases("", &rule(r#"{ "first": 102 }"#)), [100, 101]);
}

#[test]
fn phases_and_per_flow_state() {
    let rule = |every: u32| format!(r#"{{ "rule": "drop", "every": {every}, "per": "flow" }}"#);
    let lost = lost_in_phases(&rule(25), &rule(50));
    // Each flow's 25th packet in the first phase, its 50th in the second.
    assert_eq!(lost, [96, 97, 98, 99, 196, 197, 198, 199]);
}

#[test]
fn phases_and_flows() {
    let rule =
        |chance: &str| format!(r#"{{ "rule": "drop", "chance": "{chance}", "flows": "50%" }}"#);
    let lost = lost_in_phases(&rule("100%"), &rule("100%"));
    let flows_lost = |range: std::ops::Range<usize>| {
        lost.iter()
            .filter(|index| range.contains(index))
            .map(|index| index % 4)
            .collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(
        flows_lost(0..100),
        flows_lost(100..200),
        "a flow keeps its lot from phase to phase"
    );
    assert!((1..4).contains(&flows_lost(0..200).len()));
}

/// A delay that remembers; packets may overtake, so that each has the delay drawn for it.
const REMEMBERS: &str = r#""rule": "delay", "time": "50ms", "jitter": "10ms", "shape": "normal", "memory": "20ms", "reorder": true"#;

/// The delays, in nanoseconds, of a packet of each flow each millisecond; of 100 bytes, and 900
/// when the millisecond is odd.
fn delays(link: &mut Link, millis: u64, flows: &[u32]) -> BTreeMap<(u64, u32), u64> {
    let mut outputs = Vec::new();
    for at in 0..millis {
        for flow in flows {
            let now = Instant::from_millis(at);
            outputs.extend(std::iter::from_fn(|| link.poll(now)));
            let size = if at % 2 == 1 { 900 } else { 100 };
            link.handle(Packet::new(*flow, now, Body::data(vec![0; size])));
        }
    }
    outputs.extend(std::iter::from_fn(|| link.poll(Instant::from_secs(3600))));
    let delay = |output: &Output| {
        let packet = output.packet();
        (
            (packet.entered.as_nanos() / 1_000_000, packet.flow),
            packet.at.as_nanos() - packet.entered.as_nanos(),
        )
    };
    outputs.iter().map(delay).collect()
}

fn delays_of(rule_fields: &str, flows: &[u32]) -> BTreeMap<(u64, u32), u64> {
    delays(&mut link(4, &format!("{{ {REMEMBERS}{rule_fields} }}")), 500, flows)
}

#[test]
fn memory_and_match() {
    let all = delays_of("", &[1]);
    let some = delays_of(r#", "match": { "size": { "min": "500B" } }"#, &[1]);
    assert_eq!(some.len(), 500);
    for (place, delay) in some {
        let expected = if place.0 % 2 == 1 { all[&place] } else { 0 };
        assert_eq!(delay, expected, "what is passed by changes nothing that is remembered");
    }
}

#[test]
fn memory_and_flows() {
    let flows: Vec<u32> = (1..=8).collect();
    let (all, some) = (delays_of("", &flows), delays_of(r#", "flows": "50%""#, &flows));
    let affected = flows.iter().filter(|flow| some[&(0, **flow)] > 0).count();
    assert!((1..8).contains(&affected));
    assert!(
        some.iter()
            .all(|(place, delay)| *delay == if some[&(0, place.1)] > 0 { all[place] } else { 0 })
    );
}

#[test]
fn memory_and_per() {
    let per_flow = |flows: &[u32]| delays_of(r#", "per": "flow""#, flows);
    let (together, alone) = (per_flow(&[1, 2]), per_flow(&[2]));
    assert!(
        alone.iter().all(|(place, delay)| together[place] == *delay),
        "flows do not disturb each other"
    );
    let differ = (0..500).filter(|at| together[&(*at, 1)] != together[&(*at, 2)]).count();
    assert!(differ > 490, "each remembers for itself");
    let shared = delays_of("", &[1, 2]);
    assert!(
        (0..500).all(|at| shared[&(at, 1)] == shared[&(at, 2)]),
        "what comes at the same time has the same delay"
    );
}

#[test]
fn memory_and_phases() {
    let rule = format!("{{ {REMEMBERS} }}");
    let text = format!(
        r#"{{ "phases": [ {{ "for": "100ms", "up": [ {rule} ] }},
                          {{ "for": "50ms", "up": [ {{ "rule": "drop", "every": 2 }}, {rule} ] }} ], "then": "repeat" }}"#
    );
    let steady = delays_of("", &[1]);
    let phased = delays(&mut phased(4, &Profile::from_json(&text).unwrap()), 500, &[1]);
    let delivered = phased.iter().filter(|(_, delay)| **delay > 0);
    assert!(delivered.clone().count() > 400);
    assert!(
        delivered.clone().all(|(place, delay)| steady[place] == *delay),
        "it remembers through the phases"
    );
}
