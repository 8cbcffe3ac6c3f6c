//! Rules that change under traffic: what is inside keeps its place, what waits goes by the new
//! setting, and nothing is lost on the way.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use jostle_common::time::Instant;
use jostle_engine::link::Link;
use jostle_engine::profile::Timeline;
use jostle_engine::stage::{Output, Reason, Stage};
use std::ops::Range;
use support::{drain, drain_all, link, packet, rules};

const MS: u64 = 1_000_000;

/// A link with packets of 1000 bytes that came at these milliseconds.
fn loaded(json: &str, arrivals: impl IntoIterator<Item = u64>) -> Link {
    let mut link = link(1, &rules(json));
    for at in arrivals {
        drain(&mut link, Instant::from_millis(at));
        link.handle(packet(at * MS, 1000));
    }
    link
}

/// The numbers and times, in microseconds, of everything that still comes, all of it delivered.
fn delivered(link: &mut Link) -> Vec<(u64, u64)> {
    let outputs = drain_all(link);
    assert_eq!((link.held(), link.counters().held), (0, 0));
    let of = |output: &Output| {
        assert!(matches!(output, Output::Deliver(_)), "{output:?}");
        (output.packet().number, output.packet().at.as_nanos() / 1000)
    };
    outputs.iter().map(of).collect()
}

fn change(link: &mut Link, millis: u64, json: &str) {
    let timeline = if json.is_empty() { Timeline::default() } else { rules(json) };
    link.set_timeline(Instant::from_millis(millis), &timeline);
}

const SLOW: &str = r#"{ "rule": "rate", "limit": "1Mbit/s", "queue": "1MB" }"#;

#[test]
fn raising_or_lowering_a_rate_lets_what_waits_go_at_the_new_one() {
    // 8 ms a packet; at 3 ms the first is in service and four wait.
    for (limit, step) in [("8Mbit/s", 1000), ("80Mbit/s", 100), ("100kbit/s", 80_000)] {
        let mut link = loaded(SLOW, [0; 5]);
        change(
            &mut link,
            3,
            &format!(r#"{{ "rule": "rate", "limit": "{limit}", "queue": "1MB" }}"#),
        );
        let expected: Vec<_> = (0..5).map(|index| (index + 1, 8000 + index * step)).collect();
        assert_eq!(delivered(&mut link), expected, "{limit}");
    }
}

#[test]
fn the_queue_is_judged_at_the_new_rate_and_by_the_new_bound() {
    // Two packets wait, for 16 ms at the old rate and 2 ms at the new one.
    let limited =
        |limit: &str| format!(r#"{{ "rule": "rate", "limit": "{limit}", "queue": "20ms" }}"#);
    for (limit, accepted) in [("1Mbit/s", 0), ("8Mbit/s", 15)] {
        let mut link = loaded(&limited("1Mbit/s"), [0; 3]);
        change(&mut link, 0, &limited(limit));
        (0..40).for_each(|_| link.handle(packet(0, 1000)));
        let fates = drain_all(&mut link);
        let all = fates.iter().filter(|output| matches!(output, Output::Deliver(_))).count();
        // 8 ms of the first and so many of a millisecond make 20.
        assert_eq!(all, 3 + accepted.min(13 - 2), "{limit}");
    }
    // A queue that is too small from now on keeps what it has.
    let mut link = loaded(SLOW, [0; 5]);
    change(&mut link, 1, r#"{ "rule": "rate", "limit": "1Mbit/s", "queue": "1 packet" }"#);
    link.handle(packet(MS, 1000));
    let fates = drain_all(&mut link);
    let refused: Vec<_> = fates
        .iter()
        .filter(|output| matches!(output, Output::Discard(_, Reason::QueueFull)))
        .collect();
    assert_eq!((fates.len(), refused.len(), refused[0].packet().number), (6, 1, 6));
    // And with the discipline `head` lets the oldest go.
    let mut link = loaded(SLOW, [0; 5]);
    change(
        &mut link,
        1,
        r#"{ "rule": "rate", "limit": "1Mbit/s", "queue": "2 packets", "discipline": "head" }"#,
    );
    link.handle(packet(MS, 1000));
    let left: Vec<u64> = drain_all(&mut link)
        .iter()
        .filter(|output| matches!(output, Output::Deliver(_)))
        .map(|output| output.packet().number)
        .collect();
    assert_eq!(left, [1, 5, 6]);
}

#[test]
fn a_removed_rate_empties_in_order_when_the_packet_in_service_has_gone() {
    let mut link = loaded(SLOW, [0; 4]);
    change(&mut link, 3, "");
    link.handle(packet(4 * MS, 1000));
    assert_eq!(delivered(&mut link), [1, 2, 3, 4, 5].map(|number| (number, 8000)));
    link.handle(packet(9 * MS, 1000));
    assert_eq!(delivered(&mut link), [(6, 9000)], "and is gone");
}

#[test]
fn a_rate_that_is_put_back_before_it_was_empty_goes_on() {
    let mut link = loaded(SLOW, [0; 3]);
    change(&mut link, 3, "");
    change(&mut link, 4, SLOW);
    assert_eq!(delivered(&mut link), [(1, 8000), (2, 16_000), (3, 24_000)]);
}

#[test]
fn a_rate_becomes_a_trace_and_a_trace_a_rate() {
    const TRACE: &str = r#"{ "rule": "rate", "trace": [5, 8, 9, 20], "queue": "100 packets" }"#;
    // The first is in service until 8 ms; an opportunity that comes just then is used.
    let mut link = loaded(SLOW, [0; 4]);
    change(&mut link, 3, TRACE);
    // Opportunities at 8 (1504 bytes: one and a half), 9, 20 …
    assert_eq!(delivered(&mut link), [(1, 8000), (2, 8000), (3, 9000), (4, 9000)]);
    // Back: at 6 ms the second is half sent, and will have been at 8.
    let mut link = loaded(TRACE, [0; 4]);
    assert_eq!(drain(&mut link, Instant::from_millis(6)).len(), 1);
    change(&mut link, 6, SLOW);
    assert_eq!(delivered(&mut link), [(2, 8000), (3, 16_000), (4, 24_000)]);
    // Nothing is in service before the first opportunity: what waits begins at once.
    let mut link = loaded(TRACE, [0; 2]);
    change(&mut link, 2, SLOW);
    assert_eq!(delivered(&mut link), [(1, 10_000), (2, 18_000)]);
    let mut link = loaded(TRACE, [0; 2]);
    change(&mut link, 2, "");
    assert_eq!(delivered(&mut link), [(1, 2000), (2, 2000)]);
    // Another trace counts from the same beginning; the same one goes on where it was.
    let mut link = loaded(TRACE, [0; 4]);
    drain(&mut link, Instant::from_millis(6));
    change(&mut link, 6, r#"{ "rule": "rate", "trace": [7, 7, 12] }"#);
    assert_eq!(delivered(&mut link), [(2, 8000), (3, 12_000), (4, 19_000)]);
    let mut link = loaded(TRACE, [0; 4]);
    drain(&mut link, Instant::from_millis(8));
    change(&mut link, 8, &TRACE.replace("100 packets", "64KiB"));
    assert_eq!(delivered(&mut link), [(4, 9000)], "1504 bytes at 5, 8 and 9 ms carry four packets");
}

#[test]
fn a_bucket_that_changes_keeps_what_it_owes() {
    // 3 ms of a byte a microsecond are spent at 0; the fourth packet leaves at 1 ms, the fifth
    // would at 2.
    let bucket = |limit: &str, burst: u64| {
        format!(r#"{{ "rule": "rate", "limit": "{limit}", "queue": "1MB", "burst": "{burst}B" }}"#)
    };
    for (limit, burst, fifth) in
        [("8Mbit/s", 50_000, 2000), ("8Mbit/s", 0, 2000), ("16Mbit/s", 3000, 1500)]
    {
        let mut link = loaded(&bucket("8Mbit/s", 3000), [0; 5]);
        assert_eq!((link.counters().delivered, link.held()), (3, 2));
        change(&mut link, 0, &bucket(limit, burst));
        assert_eq!(delivered(&mut link), [(4, 1000), (5, fifth)], "{limit} {burst}");
    }
    // Idle since 2 ms: at 12 ms ten milliseconds of the new rate are in the new bucket.
    let mut link = loaded(&bucket("8Mbit/s", 3000), [0; 5]);
    drain(&mut link, Instant::from_millis(12));
    change(&mut link, 12, &bucket("16Mbit/s", 50_000));
    (0..24).for_each(|_| link.handle(packet(12 * MS, 1000)));
    let at_once = drain(&mut link, Instant::from_millis(12)).len();
    assert_eq!(at_once, 20);
}

#[test]
fn disciplines_change_without_moving_anyone() {
    let limited =
        |discipline: &str| SLOW.replace(" }", &format!(r#", "discipline": "{discipline}" }}"#));
    let mut link = loaded(SLOW, [0; 5]);
    let turns = ["head", "codel", "fq_codel", "pie", "dualpi2", "fq_codel", "tail", "pie", "head"];
    for (millis, discipline) in (1..).zip(turns) {
        change(&mut link, millis, &limited(discipline));
    }
    let expected: Vec<_> = (1..=5).map(|number| (number, number * 8000)).collect();
    assert_eq!(delivered(&mut link), expected);
    // CoDel finds a queue that has stood long, waits its interval and then drops.
    let mut link = loaded(SLOW, [0; 60]);
    change(&mut link, 50, &limited("codel"));
    let outputs = drain_all(&mut link);
    let dropped: Vec<u64> = outputs
        .iter()
        .filter(|output| matches!(output, Output::Discard(_, Reason::QueueDelay)))
        .map(|output| output.packet().at.as_nanos() / MS)
        .collect();
    // From 56 ms on it sees the wait; 100 ms later it begins.
    assert_eq!(dropped[0], 160);
    assert!((3..12).contains(&dropped.len()), "{dropped:?}");
}

/// A packet's number, its copy's, its time in microseconds, its damage, and the reason if it is
/// lost.
type Fate = (u64, u32, u64, u32, Option<Reason>);

fn fates(link: &mut Link) -> Vec<Fate> {
    let of = |output: &Output| {
        let (packet, reason) = match output {
            Output::Deliver(packet) => (packet, None),
            Output::Discard(packet, reason) => (packet, Some(*reason)),
        };
        let micros = packet.at.as_nanos() / 1000;
        (packet.number, packet.copy(), micros, packet.flipped_bits(), reason)
    };
    let mut fates: Vec<_> = drain_all(link).iter().map(of).collect();
    fates.sort_unstable_by_key(|(number, copy, ..)| (*number, *copy));
    fates
}

#[test]
fn switching_a_rule_off_and_on_moves_no_draw_of_another() {
    const RULES: [&str; 5] = [
        r#"{ "rule": "drop", "chance": "10%""#,
        r#"{ "rule": "drop", "burst": { "mean": "10%", "length": 3 }"#,
        r#"{ "rule": "duplicate", "chance": "20%""#,
        r#"{ "rule": "corrupt", "chance": "10%""#,
        r#"{ "rule": "delay", "time": "20ms", "jitter": "9ms", "reorder": true"#,
    ];
    let written = |is_off: &dyn Fn(usize) -> bool| {
        let off = |index| if is_off(index) { r#", "enabled": false }"# } else { " }" };
        let rules = RULES.iter().enumerate().map(|(index, rule)| format!("{rule}{}", off(index)));
        rules.collect::<Vec<_>>().join(",")
    };
    // Rules that are left out keep no place for others of their kind: they are given their names.
    let left_out = |gone: usize| {
        let names = ["drop", "drop#2", "duplicate", "corrupt", "delay"];
        let named = RULES.iter().zip(names).enumerate().filter(|(index, _)| *index != gone);
        let named = named.map(|(_, (rule, name))| format!(r#"{rule}, "name": "{name}" }}"#));
        named.collect::<Vec<_>>().join(",")
    };
    let all = written(&|_| false);
    let run = |json: &str, changes: &[(u64, &str)]| {
        let mut link = loaded(json, 0..1000);
        for (at, json) in changes {
            change(&mut link, *at, json);
            for millis in *at..*at + 500 {
                link.handle(packet(millis * MS, 1000));
            }
        }
        fates(&mut link)
    };
    for (off, rule) in RULES.iter().enumerate() {
        let without = written(&|index| index == off);
        assert_eq!(run(&without, &[]), run(&left_out(off), &[]), "{rule}");
        assert_ne!(run(&without, &[]), run(&all, &[]), "{rule}");
        // Off for half a second, and on again: before and after it is as if nothing had been.
        let switched = run(&all, &[(1000, &without), (1500, &all)]);
        let steady = run(&all, &[(1000, &all), (1500, &all)]);
        let lone = run(&without, &[(1000, &without), (1500, &without)]);
        let part = |fates: &[Fate], numbers: Range<u64>| {
            let own = fates.iter().filter(|(number, ..)| numbers.contains(number));
            own.copied().collect::<Vec<_>>()
        };
        // What is in the delay when it is switched off leaves at its time all the same.
        assert_eq!(part(&switched, 1..1001), part(&steady, 1..1001), "{rule}");
        assert_eq!(part(&switched, 1501..2001), part(&steady, 1501..2001), "{rule}");
        if rule.contains("drop") {
            assert_eq!(part(&switched, 1001..1501), part(&lone, 1001..1501), "{rule}");
        }
        assert!(part(&lone, 1001..1501).len() > 300);
    }
}

#[test]
fn a_stage_that_is_switched_off_lets_go_in_order_and_goes_on_when_it_is_switched_on() {
    let off = SLOW.replace(" }", r#", "enabled": false }"#);
    let mut link = loaded(SLOW, [0; 4]);
    change(&mut link, 3, &off);
    link.handle(packet(4 * MS, 1000));
    assert_eq!(delivered(&mut link), [1, 2, 3, 4, 5].map(|number| (number, 8000)));
    assert!(link.is_transparent());
    let mut link = loaded(SLOW, [0; 3]);
    change(&mut link, 3, &off);
    change(&mut link, 4, SLOW);
    assert_eq!(delivered(&mut link), [(1, 8000), (2, 16_000), (3, 24_000)]);
}

#[test]
fn every_removed_stage_empties_in_order() {
    for (json, last) in [
        (r#"{ "rule": "delay", "time": "30ms" }"#, 34_000),
        (SLOW, 8000),
        (r#"{ "rule": "batch", "window": "1s" }"#, 5000),
        (r#"{ "rule": "outage", "up": "1ms", "down": "10s", "hold": true }"#, 5000),
        (r#"{ "rule": "rate", "trace": [100] }"#, 5000),
        (
            r#"{ "rule": "duplicate", "chance": "0%", "gap": "1s" }, { "rule": "delay", "time": "20ms" }"#,
            24_000,
        ),
    ] {
        let mut link = loaded(json, [0, 1, 2, 3, 4]);
        let before = link.counters().delivered;
        change(&mut link, 5, "");
        link.handle(packet(6 * MS, 1000));
        let after = delivered(&mut link);
        assert_eq!(after.len() as u64 + before, 6, "{json}");
        assert!(after.is_sorted() && after.is_sorted_by_key(|(_, at)| at), "{json}: {after:?}");
        let place = after.iter().position(|(number, _)| *number == 5).unwrap();
        assert_eq!(after[place].1, last, "{json}: when the last that was inside left");
    }
}
