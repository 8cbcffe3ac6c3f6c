//! Checks how rules on delivered streams come, change and go under live connections, whom they hit,
//! what they hold, and that nothing depends on when it was polled.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use jostle_engine::carrier::Carrier;
use jostle_engine::memory::Memory;
use jostle_engine::profile::Profile;
use jostle_engine::route::{TcpMode, Unit};
use support::streams::{DOWN, RAW, Run, Told, UP, ms};

#[test]
fn what_slices_hold_is_bounded_by_the_window_and_charged() {
    for mode in [RAW, TcpMode::default()] {
        let mut run = Run::new(r#"{ "rule": "slice", "size": "1B", "gap": "1h" }"#, mode);
        run.until(1);
        let mut pushed = 0;
        for at in 1..2000 {
            run.until(at);
            let room = run.carrier.room(1, UP).min(64 << 10);
            if room > 0 {
                run.push(UP, room);
                pushed += room;
            }
        }
        assert_eq!((run.carrier.room(1, UP), run.bytes[0].len()), (0, 1), "{mode:?}");
        assert!((1 << 20..=(6 << 20) + 1).contains(&pushed), "{mode:?}: {pushed}");
        assert!(run.memory.used() + (64 << 10) >= pushed as u64 - 1, "{mode:?}");
        // Removed, it lets all go at once.
        run.set("");
        run.until(3000);
        assert_eq!(run.bytes[0].len(), pushed, "{mode:?}");
        assert!(run.carrier.room(1, UP) > 0, "{mode:?}");
    }
}

#[test]
fn the_count_of_bytes_outlives_a_change() {
    let rule = |bytes| format!(r#"{{ "rule": "close_after", "bytes": "{bytes}B" }}"#);
    for (bound, passes) in [(60, 10), (50, 0), (20, 0)] {
        let mut run = Run::new(&rule(100), RAW);
        run.push(UP, 50);
        run.until(10);
        run.set(&rule(bound));
        run.until(20);
        assert_eq!(run.seen().len(), 1, "nothing happens before the next data");
        run.push(UP, 50);
        run.until(30);
        assert_eq!(
            (run.bytes[0].len(), run.told.last().unwrap().2.clone()),
            (50 + passes, Told::CloseBoth)
        );
    }
}

#[test]
fn rules_come_and_go_under_live_connections_in_order() {
    let slice = |name: &str, gap| {
        format!(r#"{{ "rule": "slice", "name": "{name}", "size": "10B", "gap": "{gap}" }}"#)
    };
    let mut run = Run::new("", RAW);
    run.push(UP, 5);
    run.until(10);
    run.set(&format!("{}, {}", slice("a", "1h"), slice("b", "1h")));
    for _ in 0..3 {
        run.push(UP, 100);
    }
    run.until(20);
    assert_eq!(run.bytes[0].len(), 15, "each lets its first piece through");
    // The nearer one goes; what it holds stays in front of what the other holds.
    run.set(&slice("a", "1h"));
    run.until(30);
    assert_eq!(run.bytes[0].len(), 15);
    run.set(&slice("a", "5ms"));
    run.until(36);
    assert_eq!(run.bytes[0].len(), 25, "what waited for the long gap waits for the short one");
    run.set("");
    let sent: Vec<u8> =
        [5usize, 100, 100, 100].iter().flat_map(|n| (0..*n).map(|at| at as u8)).collect();
    assert_eq!(run.bytes[0], sent);
    run.push(UP, 9);
    run.until(40);
    assert_eq!(run.bytes[0].len(), 314, "nothing is in the way any more");
}

#[test]
fn phases_change_the_rules_on_streams() {
    let text = r#"{ "phases": [ { "for": "100ms" }, { "for": "100ms", "up": [ { "rule": "stall", "name": "hole" } ] },
                                { "for": "100ms", "up": [ { "rule": "drop", "chance": "0%" } ] } ], "then": "repeat" }"#;
    let carrier = Carrier::new(&Profile::from_json(text).unwrap(), RAW, 7, "1", Memory::default());
    let mut run = Run { carrier, ..Run::new("", RAW) };
    run.until(1000);
    run.open(1);
    run.open(2);
    // Time counts from the first packet.
    run.push_to(2, DOWN, 1);
    run.until(1050);
    run.push(UP, 1);
    run.until(1099);
    assert_eq!(run.seen(), [(1050.0, Told::Data(UP, 1))]);
    run.until(1150);
    run.push(UP, 2);
    run.until(1500);
    assert_eq!(
        run.seen()[1..],
        [(1150.0, Told::Discarded(UP, "hole".into(), 2)), (1200.0, Told::CloseBoth)]
    );
    assert_eq!(run.of(2)[1..], [(1200.0, Told::CloseBoth)], "it was stalled too");
    run.open(3);
    run.until(1710);
    run.push_to(3, UP, 4);
    run.until(1799);
    assert_eq!(
        run.of(3),
        [(1710.0, Told::Discarded(UP, "hole".into(), 4))],
        "a connection that opens in a later round meets its rules"
    );
}

#[test]
fn nothing_depends_on_when_it_was_polled() {
    let rules = r#"{ "rule": "rate", "limit": "400kbit/s" }, { "rule": "slice", "size": "700B", "spread": "300B", "gap": "7ms" },
                   { "rule": "stall", "name": "late", "after": "4KiB", "close": "333ms" }"#;
    let run = |every: u64| {
        let mut run = Run::new(rules, TcpMode::Raw(Unit::Bytes(500)));
        for at in 0..200 {
            run.now = ms(at);
            let room = run.carrier.room(1, UP).min(200);
            run.push(UP, room.min(150));
            if at % every == 0 {
                run.take();
            }
        }
        if every == 1 {
            run.until(9000)
        } else {
            run.jump(9000)
        }
        let told: Vec<Told> = run.seen().into_iter().map(|(_, told)| told).collect();
        (told, run.bytes[0].clone())
    };
    let often = run(1);
    assert!(often.0.len() > 20 && often.0.last() == Some(&Told::CloseBoth), "{:?}", often.0);
    assert!(often.0.iter().any(|told| matches!(told, Told::Discarded(..))));
    for every in [8, 50, 1 << 40] {
        assert!(run(every) == often, "{every}");
    }
}

#[test]
fn a_sender_that_resets_is_told_on_behind_its_bytes() {
    let mut run = Run::new(r#"{ "rule": "slice", "size": "10B", "gap": "10ms" }"#, RAW);
    run.push(UP, 30);
    run.push(DOWN, 5);
    run.until(5);
    run.carrier.reset(run.now, 1, UP);
    run.until(1000);
    assert_eq!(
        run.seen()[2..],
        [
            (10.0, Told::Data(UP, 10)),
            (20.0, Told::Data(UP, 10)),
            (30.0, Told::Reset(UP)),
            (30.0, Told::Closed),
        ]
    );
    assert_eq!((run.memory.used(), run.carrier.deadline()), (0, None));
}

#[test]
fn a_flow_is_chosen_by_its_number_alone() {
    let chosen = |rules: &str, order: &[u32]| {
        let mut run = Run::new(rules, RAW);
        for id in order.iter().filter(|id| **id > 1) {
            run.open(*id);
        }
        for id in order {
            run.push_to(*id, UP, 1);
        }
        run.until(1);
        let mut hit: Vec<u32> = run
            .told
            .iter()
            .filter(|(.., told)| matches!(told, Told::Discarded(..)))
            .map(|(_, id, _)| *id)
            .collect();
        hit.sort_unstable();
        hit
    };
    let ids: Vec<u32> = (1..=1000).collect();
    let backwards: Vec<u32> = (1..=1000).rev().collect();
    let stall = |flows| format!(r#"{{ "rule": "stall", "flows": {flows} }}"#);
    let half = chosen(&stall(0.5), &ids);
    // 500 expected, sd 16; five of them.
    assert!((420..=580).contains(&half.len()), "{}", half.len());
    assert_eq!(chosen(&stall(0.5), &backwards), half);
    let more = chosen(&stall(0.6), &ids);
    assert!(half.iter().all(|id| more.contains(id)) && more.len() > half.len());
    assert!(chosen(&stall(0.0), &ids).is_empty());
    let named = r#"{ "rule": "stall", "name": "other", "flows": 0.5 }"#;
    assert!(chosen(named, &ids) != half, "each rule draws for itself");
}

#[test]
fn extreme_settings_are_borne() {
    let most = "18446744073709551615";
    for rules in [
        format!(
            r#"{{ "rule": "slice", "size": "{most}B", "spread": "{most}B", "gap": "500years" }}"#
        ),
        r#"{ "rule": "slice", "size": "1B", "spread": "1B" }"#.to_owned(),
        format!(r#"{{ "rule": "stall", "after": "{most}B", "close": "500years" }}"#),
        r#"{ "rule": "stall", "close": "0s" }"#.to_owned(),
        r#"{ "rule": "slow_close", "delay": "500years" }"#.to_owned(),
        r#"{ "rule": "reset", "after": "500years" }"#.to_owned(),
        format!(r#"{{ "rule": "close_after", "bytes": "{most}B", "time": "500years" }}"#),
        r#"{ "rule": "close_after", "bytes": "0B", "time": "0s" }"#.to_owned(),
    ] {
        for mode in [RAW, TcpMode::default()] {
            let mut run = Run::new(&rules, mode);
            run.until(10);
            run.push(UP, 1000);
            run.finish(UP);
            run.until(3_600_000);
            run.set("");
            run.carrier.finish(run.now, 1, DOWN);
            run.until(7_200_000);
            assert_eq!(run.memory.used(), 0, "{rules} {mode:?}");
            assert_eq!(run.carrier.deadline(), None, "{rules} {mode:?}");
        }
    }
}

#[test]
fn a_rule_may_be_for_one_connection_by_its_number() {
    let third = r#"{ "rule": "reset", "after": "0s", "match": { "flow": 3 } }, { "rule": "stall", "match": { "flow": "every 2nd" } }"#;
    let mut run = Run::new(third, RAW);
    (2..=4).for_each(|id| run.open(id));
    run.until(10);
    (1..=4).for_each(|id| run.push_to(id, UP, 5));
    run.until(20);
    let told = |run: &Run, id| run.of(id).into_iter().map(|(_, told)| told).collect::<Vec<_>>();
    let stalled = Told::Discarded(UP, "stall".into(), 5);
    assert_eq!(told(&run, 1), [Told::Data(UP, 5)]);
    assert_eq!(told(&run, 2), std::slice::from_ref(&stalled));
    assert_eq!(told(&run, 3), [Told::Discarded(UP, "reset".into(), 5), Told::ResetBoth]);
    assert_eq!(told(&run, 4), [stalled]);
    // A change of whom it is for holds at once, for connections that stand.
    run.set(r#"{ "rule": "reset", "after": "0s", "match": { "flow": "1-" } }"#);
    run.push_to(1, UP, 5);
    run.until(30);
    assert_eq!(told(&run, 1).last(), Some(&Told::ResetBoth));
}

#[test]
fn a_rule_on_streams_that_is_switched_off_acts_as_a_removed_one() {
    let slice = r#"{ "rule": "slice", "size": "10B", "gap": "1h" }"#;
    let off = slice.replace(" }", r#", "enabled": false }"#);
    let mut run = Run::new(slice, RAW);
    run.push(UP, 50);
    run.until(10);
    assert_eq!(run.bytes[0].len(), 10);
    run.set(&off);
    run.until(20);
    assert_eq!(run.bytes[0].len(), 50, "it lets all go at once");
    run.push(UP, 50);
    run.until(30);
    assert_eq!(run.bytes[0].len(), 100);
    run.set(slice);
    run.push(UP, 50);
    run.until(40);
    assert_eq!(run.bytes[0].len(), 110, "and goes on");
    let mut run = Run::new(r#"{ "rule": "stall" }"#, RAW);
    run.push(UP, 50);
    run.until(10);
    run.set(r#"{ "rule": "stall", "enabled": false }"#);
    assert_eq!(run.seen().last().unwrap().1, Told::CloseBoth, "its bytes will never come");
}
