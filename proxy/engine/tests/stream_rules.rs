//! Checks the rules on delivered streams, in virtual time: sizes, times and ends.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use bytes::Bytes;
use jostle_engine::carrier::Carrier;
use jostle_engine::memory::Memory;
use jostle_engine::profile::Profile;
use jostle_engine::route::TcpMode;
use jostle_engine::tcp::Event;
use support::streams::{DOWN, RAW, Run, Told, UP, ms, profile};

#[test]
fn slices_have_their_size_and_their_gap() {
    let mut run = Run::new(r#"{ "rule": "slice", "size": "100B", "gap": "10ms" }"#, RAW);
    run.now = ms(5);
    run.push(UP, 250);
    run.finish(UP);
    run.push(DOWN, 300);
    run.until(100);
    assert_eq!(
        run.seen(),
        [
            (5.0, Told::Data(UP, 100)),
            (5.0, Told::Data(DOWN, 300)),
            (15.0, Told::Data(UP, 100)),
            (25.0, Told::Data(UP, 50)),
            (35.0, Told::End(UP)),
        ]
    );
    assert_eq!(run.bytes[0], (0..250).map(|at| at as u8).collect::<Vec<_>>());
    // After a pause longer than the gap the next piece goes at once; one that waits takes what has
    // come by its turn.
    let mut run = Run::new(r#"{ "rule": "slice", "size": "100B", "gap": "10ms" }"#, RAW);
    for (at, count) in [(0, 60), (5, 30), (7, 30), (50, 10)] {
        run.until(at);
        run.push(UP, count);
    }
    run.until(100);
    let seen = [(0.0, 60), (10.0, 60), (50.0, 10)].map(|(at, n)| (at, Told::Data(UP, n)));
    assert_eq!(run.seen(), seen);
}

#[test]
fn slices_are_spread_evenly_by_their_number_and_nothing_is_lost() {
    for seed in 1..=5 {
        let rules = r#"{ "rule": "slice", "size": "100B", "spread": "40B", "gap": "1us" }"#;
        let mut carrier = Carrier::new(&profile(rules), RAW, seed, "1", Memory::default());
        carrier.open(ms(0), 1);
        let mut sizes = Vec::new();
        let text: Bytes = (0..1_000_000).map(|at| (at % 251) as u8).collect();
        let (mut received, mut pushed, mut now) = (0, 0, ms(0));
        while received < text.len() {
            let room = carrier.room(1, UP).min(text.len() - pushed).min(30_000);
            if room > 0 {
                carrier.push(now, 1, UP, text.slice(pushed..pushed + room));
                pushed += room;
            }
            while let Some(event) = carrier.poll(now) {
                if let Event::Data { bytes, .. } = event {
                    assert_eq!(bytes, text[received..received + bytes.len()]);
                    received += bytes.len();
                    sizes.push(bytes.len());
                    carrier.consumed(now, 1, UP, bytes.len());
                }
            }
            now = now.max(carrier.deadline().unwrap_or(now));
        }
        sizes.pop();
        assert!(sizes.iter().all(|size| (60..=140).contains(size)), "all but the last");
        assert!(sizes.contains(&60) && sizes.contains(&140));
        // The sd of a piece is 23.4, of the mean of 10,000 0.234; five of them.
        let mean = sizes.iter().sum::<usize>() as f64 / sizes.len() as f64;
        assert!((98.8..=101.2).contains(&mean), "{mean}");
    }
}

#[test]
fn a_piece_of_one_byte_costs_no_memory_for_all_the_others() {
    let mut run = Run::new(r#"{ "rule": "slice", "size": "1B" }"#, RAW);
    run.push(UP, 1 << 20);
    let mut pieces = 0;
    while let Some(event) = run.carrier.poll(run.now) {
        if let Event::Data { bytes, .. } = event {
            assert_eq!(bytes.len(), 1);
            pieces += 1;
            run.carrier.consumed(run.now, 1, UP, 1);
        }
    }
    assert_eq!(pieces, 1 << 20);
}

#[test]
fn a_stall_discards_and_closes_after_silence() {
    let rules = r#"{ "rule": "stall", "after": "10B", "close": "300ms" }"#;
    let mut run = Run::new(rules, RAW);
    run.push(UP, 6);
    run.until(1000);
    assert_eq!(run.seen(), [(0.0, Told::Data(UP, 6))], "it does not act yet");
    run.push(UP, 6);
    for at in [1100, 1399, 1500] {
        run.until(at);
        run.push(UP, 5);
        run.push(DOWN, 1);
    }
    run.until(5000);
    let discarded = |at, count| (at, Told::Discarded(UP, "stall".into(), count));
    let down = |at| (at, Told::Data(DOWN, 1));
    let expected = [
        (0.0, Told::Data(UP, 6)),
        (1000.0, Told::Data(UP, 4)),
        discarded(1000.0, 2),
        discarded(1100.0, 5),
        down(1100.0),
        discarded(1399.0, 5),
        down(1399.0),
        discarded(1500.0, 5),
        down(1500.0),
        (1800.0, Told::CloseBoth),
    ];
    let mut seen = run.seen();
    // At one time the directions have no order.
    seen.sort_by(|a, b| {
        a.0.total_cmp(&b.0)
            .then(matches!(a.1, Told::Data(DOWN, _)).cmp(&matches!(b.1, Told::Data(DOWN, _))))
    });
    assert_eq!(seen, expected);
    assert!(run.carrier.is_drained() && run.carrier.deadline().is_none());
    assert_eq!((run.memory.used(), run.carrier.room(1, UP)), (0, 0));
}

#[test]
fn a_silent_connection_is_closed_by_a_stall_from_its_start_on() {
    // The handshake of a modelled connection takes a round trip.
    for (mode, delay, at) in [(RAW, 0, 300.0), (TcpMode::default(), 20, 360.0)] {
        let rules = format!(
            r#"{{ "rule": "stall", "close": "300ms" }}, {{ "rule": "delay", "time": "{delay}ms" }}"#
        );
        let mut profile = profile(&rules);
        profile.down = Profile::from_json(&format!(
            r#"{{ "up": [ {{ "rule": "delay", "time": "{delay}ms" }} ] }}"#
        ))
        .unwrap()
        .up;
        let carrier = Carrier::new(&profile, mode, 7, "1", Memory::default());
        let mut run = Run { carrier, ..Run::new("", mode) };
        run.open(1);
        run.until(1000);
        assert_eq!(run.seen(), [(at, Told::CloseBoth)], "{mode:?}");
    }
}

#[test]
fn the_end_of_a_stalled_stream_closes_at_once_and_a_stall_that_goes_closes_what_it_acted_on() {
    let mut run = Run::new(r#"{ "rule": "stall" }"#, RAW);
    run.push(UP, 5);
    run.until(50);
    run.finish(UP);
    run.until(60);
    assert_eq!(
        run.seen(),
        [(0.0, Told::Discarded(UP, "stall".into(), 5)), (50.0, Told::CloseBoth)]
    );
    // It never closes by itself.
    let mut run = Run::new(r#"{ "rule": "stall", "flows": "50%" }"#, RAW);
    (2..=400).for_each(|id| run.open(id));
    run.until(10_000);
    assert!(run.told.is_empty());
    (1..=400).for_each(|id| run.push_to(id, UP, 1));
    run.until(10_001);
    let hit: Vec<u32> = run
        .told
        .iter()
        .filter(|(.., told)| matches!(told, Told::Discarded(..)))
        .map(|(_, id, _)| *id)
        .collect();
    // 200 expected, sd 10; five of them.
    assert!((150..=250).contains(&hit.len()), "{}", hit.len());
    run.told.clear();
    run.set("");
    run.until(10_002);
    let closed: Vec<u32> = run
        .told
        .iter()
        .map(|(_, id, told)| {
            assert_eq!(*told, Told::CloseBoth);
            *id
        })
        .collect();
    assert_eq!(closed, hit, "only those");
    // The others go on.
    let other = (1..=400).find(|id| !hit.contains(id)).unwrap();
    run.push_to(other, UP, 7);
    run.until(10_003);
    assert_eq!(run.of(other), [(10_002.0, Told::Data(UP, 7))]);
}

#[test]
fn a_slow_close_holds_the_end_alone() {
    for mode in [RAW, TcpMode::default()] {
        let mut run = Run::new(r#"{ "rule": "slow_close", "delay": "700ms" }"#, mode);
        run.until(100);
        run.push(UP, 10);
        run.finish(UP);
        run.push(DOWN, 3);
        run.finish(DOWN);
        run.until(2000);
        let mut seen = run.seen();
        assert_eq!(seen.split_off(seen.len() - 2), [(800.0, Told::End(UP)), (800.0, Told::Closed)]);
        assert_eq!(seen.len(), 3, "{mode:?}: {seen:?}");
        assert!(seen.iter().all(|(at, _)| *at == 100.0), "{mode:?}: {seen:?}");
        assert!(seen.contains(&(100.0, Told::End(DOWN))));
        assert_eq!(run.memory.used(), 0);
    }
    // Removed, it lets the end go; changed, the end waits anew.
    let mut run = Run::new(r#"{ "rule": "slow_close", "delay": "1h" }"#, RAW);
    run.finish(UP);
    run.until(50);
    run.set(r#"{ "rule": "slow_close", "delay": "20ms" }"#);
    run.until(60);
    assert_eq!(run.seen(), []);
    run.set("");
    assert_eq!(run.seen(), [(60.0, Told::End(UP))]);
}

#[test]
fn a_reset_waits_for_something_and_then_hits_both_sides() {
    for (after, first) in [(0, 5), (100, 5), (100, 0)] {
        let rules = format!(r#"{{ "rule": "reset", "after": "{after}ms" }}"#);
        let mut run = Run::new(&rules, RAW);
        run.open(2);
        run.until(1000);
        assert!(run.told.is_empty(), "an idle connection is not touched");
        if first > 0 {
            run.push(UP, first);
        } else {
            run.finish(UP);
        }
        run.until(1000 + after);
        run.push(DOWN, 3);
        run.until(3000);
        let mut expected = Vec::new();
        let at = 1000.0 + after as f64;
        if first > 0 {
            expected.push((at, Told::Discarded(UP, "reset".into(), first)));
        }
        expected.push((at, Told::ResetBoth));
        let seen: Vec<_> = run
            .seen()
            .into_iter()
            .filter(|(_, told)| !matches!(told, Told::Data(DOWN, _)))
            .collect();
        assert_eq!(seen, expected);
        assert!(run.of(2).is_empty(), "others are not touched");
        assert_eq!(run.memory.used(), 0);
    }
    // Removed in time it lets go what waits: nothing is lost.
    let mut run = Run::new(r#"{ "rule": "reset", "after": "100ms" }"#, RAW);
    run.push(UP, 5);
    run.finish(UP);
    run.until(99);
    run.set("");
    assert_eq!(run.seen(), [(99.0, Told::Data(UP, 5)), (99.0, Told::End(UP))]);
    // Without a connection that it hits it does nothing.
    let mut run = Run::new(r#"{ "rule": "reset", "after": "0s", "flows": 0 }"#, RAW);
    run.push(UP, 5);
    run.finish(UP);
    run.finish(DOWN);
    run.until(1000);
    assert_eq!(run.bytes[0].len(), 5);
    assert_eq!(run.seen().last(), Some(&(0.0, Told::Closed)));
}

#[test]
fn a_connection_is_closed_after_exactly_so_many_bytes() {
    for mode in [RAW, TcpMode::default()] {
        for (pieces, discarded) in [(&[60, 40][..], 0), (&[60, 50], 10), (&[300], 200), (&[100], 0)]
        {
            let mut run = Run::new(r#"{ "rule": "close_after", "bytes": "100B" }"#, mode);
            for (step, count) in pieces.iter().enumerate() {
                run.until(10 + 100 * step as u64);
                run.push(UP, *count);
            }
            run.until(1000);
            assert_eq!(run.bytes[0].len(), 100, "{mode:?} {pieces:?}");
            assert_eq!(run.told.last().unwrap().2, Told::CloseBoth);
            let gone: usize = run
                .told
                .iter()
                .map(|(.., told)| match told {
                    Told::Discarded(UP, rule, count) if rule == "close_after" => *count,
                    _ => 0,
                })
                .sum();
            assert_eq!(gone, discarded);
            assert_eq!(run.memory.used(), 0);
        }
    }
    // One byte less does not.
    let mut run = Run::new(r#"{ "rule": "close_after", "bytes": "100B" }"#, RAW);
    run.push(UP, 99);
    run.finish(UP);
    run.until(1000);
    assert_eq!(run.seen(), [(0.0, Told::Data(UP, 99)), (0.0, Told::End(UP))]);
}

#[test]
fn a_connection_is_closed_by_time_and_bytes_cross_the_later_rules_first() {
    let rules = r#"{ "rule": "close_after", "time": "500ms", "bytes": "1MiB" }"#;
    let mut run = Run::new(rules, RAW);
    run.until(400);
    run.open(2);
    run.push(UP, 10);
    run.until(2000);
    assert_eq!(run.seen(), [(400.0, Told::Data(UP, 10)), (500.0, Told::CloseBoth)]);
    assert_eq!(run.of(2), [(900.0, Told::CloseBoth)]);
    // Time counts from when the rule came, for a connection that stood.
    let mut run = Run::new("", RAW);
    run.until(400);
    run.set(rules);
    run.until(2000);
    assert_eq!(run.seen(), [(900.0, Told::CloseBoth)]);
    let rules = r#"{ "rule": "close_after", "bytes": "250B" },
                   { "rule": "slice", "size": "100B", "gap": "10ms" }"#;
    let mut run = Run::new(rules, RAW);
    run.push(UP, 1000);
    run.until(2000);
    assert_eq!(
        run.seen(),
        [
            (0.0, Told::Discarded(UP, "close_after".into(), 750)),
            (0.0, Told::Data(UP, 100)),
            (10.0, Told::Data(UP, 100)),
            (20.0, Told::Data(UP, 50)),
            (30.0, Told::CloseBoth),
        ]
    );
}
