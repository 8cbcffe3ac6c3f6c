//! When flows leave from fresh sockets, to the nanosecond.

use super::*;
use crate::profile::Profile;
use jostle_common::chance::Direction;
use std::time::Duration;

const MS: u64 = 1_000_000;

fn timeline(profile: &str) -> Timeline {
    Profile::from_json(profile).unwrap_or_else(|error| panic!("{error}: {profile}")).up
}

fn rebinding(seed: u64, profile: &str) -> Rebinding {
    let key = LinkKey { seed, route: "test".into(), direction: Direction::Up };
    Rebinding::new(key, &timeline(profile))
}

fn rule(fields: &str) -> String {
    format!(r#"{{ "up": [ {{ "rule": "rebind" {fields} }} ] }}"#)
}

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn facts(millis: u64) -> Arc<FlowFacts> {
    Arc::new(FlowFacts::since(at(millis)))
}

/// Lets flows begin at these milliseconds.
fn open(rebinding: &mut Rebinding, begins: &[(u32, u64)]) {
    for &(flow, begin) in begins {
        rebinding.begin(at(begin));
        rebinding.open(flow, at(begin), facts(begin));
    }
}

/// Asks whenever something is due, until `until` milliseconds: flows and nanoseconds.
fn all(rebinding: &mut Rebinding, until: u64) -> Vec<(u32, u64)> {
    let mut all = Vec::new();
    while let Some(due) = rebinding.deadline().filter(|due| *due <= at(until)) {
        while let Some(rebound) = rebinding.poll(due) {
            all.push((rebound.flow, rebound.at.as_nanos()));
        }
    }
    all
}

fn millis(all: &[(u32, u64)]) -> Vec<(u32, u64)> {
    assert!(all.iter().all(|(_, at)| at.is_multiple_of(MS)));
    all.iter().map(|(flow, at)| (*flow, at / MS)).collect()
}

#[test]
fn a_flow_is_rebound_so_long_after_its_begin_and_then_again_and_again() {
    for (fields, expected) in [
        (r#", "first": "50ms""#, vec![(1, 50), (2, 57)]),
        (r#", "every": "100ms""#, vec![(1, 100), (2, 107), (1, 200), (2, 207)]),
        (
            r#", "first": "50ms", "every": "100ms""#,
            vec![(1, 50), (2, 57), (1, 150), (2, 157), (1, 250)],
        ),
        (r#", "first": "50ms", "match": { "flow": 2 }"#, vec![(2, 57)]),
        (r#", "every": "100ms", "match": { "age": "150ms.." }"#, vec![(1, 200), (2, 207)]),
        (r#", "every": "100ms", "match": { "age": "..150ms" }"#, vec![(1, 100), (2, 107)]),
        ("", vec![]),
    ] {
        let mut rebinding = rebinding(1, &rule(fields));
        open(&mut rebinding, &[(1, 0), (2, 7)]);
        assert_eq!(millis(&all(&mut rebinding, 250)), expected, "{fields}");
    }
}

#[test]
fn what_was_not_asked_for_in_time_is_told_once() {
    let mut rebinding = rebinding(1, &rule(r#", "every": "10ms""#));
    open(&mut rebinding, &[(1, 0)]);
    assert_eq!(rebinding.poll(at(9)), None);
    // An hour in which nobody asked.
    let told = rebinding.poll(at(3_600_005)).unwrap();
    assert_eq!((told.flow, told.at), (1, at(10)));
    assert_eq!(rebinding.poll(at(3_600_005)), None);
    assert_eq!(rebinding.deadline(), Some(at(3_600_010)));
    rebinding.forget(1);
    assert_eq!(rebinding.deadline(), None);
}

#[test]
fn drawn_times_have_their_mean_and_are_those_of_the_seed() {
    let profile = rule(r#", "every": "1s", "random": true"#);
    let run = |seed: u64| {
        let mut rebinding = rebinding(seed, &profile);
        open(&mut rebinding, &[(1, 0), (2, 0)]);
        all(&mut rebinding, 5_000_000)
    };
    for seed in [1, 2, 3] {
        let told = run(seed);
        assert_eq!(told, run(seed));
        assert_ne!(told, run(seed + 10));
        let times: Vec<u64> =
            told.iter().filter(|(flow, _)| *flow == 1).map(|(_, at)| *at).collect();
        // 5,000 are expected, less the hundredth part that come within 10 ms of another; the
        // standard deviation is 71.
        let count = times.len() as f64;
        assert!((4950.0 - 4.0 * 71.0..=4950.0 + 4.0 * 71.0).contains(&count), "{count}");
        let gaps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|gap| *gap >= 10 * MS));
        // Exponential: a share of e^-1 is longer than the mean, ± 4 · 0.7 %.
        let longer = gaps.iter().filter(|gap| **gap > 1000 * MS).count() as f64 / count;
        assert!((0.34..0.40).contains(&longer), "{longer}");
        let other: Vec<u64> =
            told.iter().filter(|(flow, _)| *flow == 2).map(|(_, at)| *at).collect();
        assert_ne!(times, other, "each flow has times of its own");
    }
    let mut first = rebinding(1, &rule(r#", "first": "30ms", "every": "1s", "random": true"#));
    open(&mut first, &[(1, 5)]);
    assert_eq!(all(&mut first, 10_000)[0], (1, 35 * MS), "the first is as it is written");
}

#[test]
fn addresses_are_drawn_for_each_flow_and_are_those_of_the_seed() {
    let profile = rule(r#", "every": "10ms", "addresses": "127.0.0.0/8", "old": "deliver""#);
    let taken = |seed: u64| {
        let mut rebinding = rebinding(seed, &profile);
        open(&mut rebinding, &[(1, 0), (2, 0)]);
        let mut taken = Vec::new();
        for step in 1..=50 {
            while let Some(rebound) = rebinding.poll(at(10 * step)) {
                assert!(rebound.delivers_old && rebound.rule == "rebind");
                taken.push(rebound.address.unwrap());
            }
        }
        taken
    };
    let first = taken(1);
    assert_eq!(first.len(), 100);
    assert_eq!(first, taken(1));
    assert_ne!(first, taken(2));
    let different: BTreeSet<&IpAddr> = first.iter().collect();
    assert_eq!(different.len(), 100, "of 16 million");
    assert!(first.iter().all(|address| address.is_loopback()));
}

#[test]
fn a_rule_of_a_phase_holds_for_that_phase() {
    let phases = |fields: &str, then: &str| {
        format!(
            r#"{{ "phases": [ {{ "for": "100ms" }},
                             {{ "for": "100ms", "up": [ {{ "rule": "rebind" {fields} }} ] }} ],
                 "then": "{then}" }}"#
        )
    };
    // Moments at 30, 60, 90 … ms of the flow: those from 100 to 200 ms of the route. What is due
    // when the phase ends is not its own any more.
    let mut periodic = rebinding(1, &phases(r#", "every": "30ms""#, "repeat"));
    open(&mut periodic, &[(1, 0), (2, 10)]);
    let expected = [(2, 100), (1, 120), (2, 130), (1, 150), (2, 160), (1, 180), (2, 190), (1, 300)];
    assert_eq!(millis(&all(&mut periodic, 300)), expected);
    // Once for all that stand when the phase begins, in each round.
    for (then, expected) in [
        ("repeat", vec![(1, 100), (2, 100), (1, 300), (2, 300), (3, 300)]),
        ("stay", vec![(1, 100), (2, 100)]),
    ] {
        let mut once = rebinding(1, &phases("", then));
        open(&mut once, &[(1, 0), (2, 99)]);
        let mut told = millis(&all(&mut once, 150));
        open(&mut once, &[(3, 150)]);
        told.extend(millis(&all(&mut once, 350)));
        assert_eq!(told, expected, "{then}");
    }
}

#[test]
fn phases_go_on_while_there_are_no_flows() {
    let mut rebinding = rebinding(
        1,
        r#"{ "phases": [ { "for": "100us" },
                         { "for": "100us", "up": [ { "rule": "rebind", "every": "10ms" } ] } ],
             "then": "repeat" }"#,
    );
    open(&mut rebinding, &[(1, 0)]);
    rebinding.forget(1);
    assert_eq!(rebinding.deadline(), None, "nobody waits for anything");
    // A day later, at which 864 million phases have passed.
    rebinding.open(2, Instant::from_secs(86_400), facts(86_400_000));
    assert_eq!(rebinding.deadline(), Some(Instant::from_secs(86_400) + Duration::from_micros(100)));
    // Nor does it take long to come back from standing still under a flow.
    let told = std::iter::from_fn(|| rebinding.poll(Instant::from_secs(2 * 86_400))).count();
    assert!(told <= 2, "{told}");
}

#[test]
fn a_live_change_takes_effect_from_then_on() {
    let mut rebinding = rebinding(1, "{}");
    open(&mut rebinding, &[(1, 0)]);
    assert_eq!(rebinding.deadline(), None);
    let every = timeline(&rule(r#", "every": "100ms""#));
    // Moments that have passed are not made up for.
    rebinding.set_timeline(at(350), &every);
    assert_eq!(millis(&all(&mut rebinding, 500)), [(1, 400), (1, 500)]);
    rebinding.set_timeline(at(500), &every);
    assert_eq!(rebinding.deadline(), Some(at(600)), "the same rule again changes nothing");
    rebinding.set_timeline(at(550), &timeline(&rule(r#", "every": "60ms""#)));
    assert_eq!(rebinding.deadline(), Some(at(600)), "counted from the flow's begin");
    // Rules off, and on again.
    rebinding.set_timeline(at(560), &Timeline::default());
    assert_eq!(rebinding.deadline(), None);
    let once = timeline(&rule(""));
    rebinding.set_timeline(at(700), &once);
    assert_eq!(millis(&all(&mut rebinding, 1000)), [(1, 700)]);
    // One that was just rebound is left alone for 10 ms.
    rebinding.set_timeline(at(1000), &Timeline::default());
    rebinding.set_timeline(at(1001), &once);
    let told = rebinding.poll(at(1001)).unwrap();
    rebinding.set_timeline(at(1002), &Timeline::default());
    rebinding.set_timeline(at(1003), &once);
    assert_eq!((told.at, rebinding.poll(at(1100))), (at(1001), None));
}

#[test]
fn several_rules_act_in_turn() {
    let mut rebinding = rebinding(
        1,
        r#"{ "up": [ { "rule": "rebind", "every": "100ms" },
                     { "rule": "rebind", "first": "150ms", "addresses": ["127.0.0.9"],
                       "old": "deliver" } ] }"#,
    );
    open(&mut rebinding, &[(1, 0)]);
    let mut told = Vec::new();
    for step in 1..=20 {
        told.extend(std::iter::from_fn(|| rebinding.poll(at(10 * step))));
    }
    let seen: Vec<(u64, &str, bool)> = told
        .iter()
        .map(|one| (one.at.as_nanos() / MS, one.rule.as_str(), one.address.is_some()))
        .collect();
    assert_eq!(seen, [(100, "rebind", false), (150, "rebind#2", true), (200, "rebind", false)]);
}

#[test]
fn flows_are_chosen_by_what_is_known_of_them() {
    let profile =
        rule(r#", "every": "50ms", "match": { "client": "127.0.0.2", "target": "*.example.org" }"#);
    let mut rebinding = rebinding(1, &profile);
    let of = |client: [u8; 4]| FlowFacts::since(at(0)).with_client((client, 7).into());
    rebinding.begin(at(0));
    let second = of([127, 0, 0, 2]);
    rebinding.open(1, at(0), Arc::new(of([127, 0, 0, 1]).with_target("a.example.org", 443)));
    rebinding.open(2, at(0), Arc::new(second.clone()));
    assert_eq!(rebinding.deadline(), None);
    // The name of its server becomes known.
    rebinding.tell(at(70), 2, &Arc::new(second.with_server_name("a.example.org")));
    assert_eq!(millis(&all(&mut rebinding, 150)), [(2, 100), (2, 150)]);
}
