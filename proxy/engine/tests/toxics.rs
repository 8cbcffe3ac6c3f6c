//! Checks that toxics do what they do in Toxiproxy, in virtual time, to the nanosecond; and that no
//! number that Toxiproxy takes fails or hangs, where it does there.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use jostle_engine::carrier::Carrier;
use jostle_engine::memory::Memory;
use jostle_engine::route::{TcpMode, Toxic, ToxicKind, profile_of_toxics};
use std::time::Duration;
use support::streams::{DOWN, Run, Told, UP};

fn toxic(kind: &str, stream: &str, attributes: &str) -> Toxic {
    let text = format!(
        r#"{{ "name": "{kind}-{stream}-{attributes_length}", "type": "{kind}", "stream": "{stream}", "attributes": {{ {attributes} }} }}"#,
        attributes_length = attributes.len()
    );
    Toxic::from_value(&serde_json::from_str(&text).unwrap(), |_| false).unwrap()
}

/// A connection through a proxy with these toxics.
fn run(toxics: &[Toxic]) -> Run {
    let profile = profile_of_toxics(toxics);
    let carrier = Carrier::new(&profile, TcpMode::TOXIPROXY, 7, "1", Memory::default());
    let mut run = Run { carrier, ..Run::new("", TcpMode::TOXIPROXY) };
    run.open(1);
    run
}

fn set(run: &mut Run, toxics: &[Toxic]) {
    let profile = profile_of_toxics(toxics);
    for direction in [UP, DOWN] {
        run.carrier.set_timeline(run.now, direction, profile.timeline(direction));
    }
    run.take();
}

/// Returns the times at which data came, in milliseconds.
fn times(run: &Run) -> Vec<f64> {
    run.seen()
        .iter()
        .filter(|(_, told)| matches!(told, Told::Data(..)))
        .map(|(at, _)| *at)
        .collect()
}

#[test]
fn latency_adds_to_each_chunk_and_not_to_the_end() {
    let toxics = [
        toxic("latency", "upstream", r#""latency": 200"#),
        toxic("latency", "upstream", r#""latency": 300, "jitter": 0"#),
    ];
    let mut run = run(&toxics);
    for at in (0..200).step_by(20) {
        run.until(at);
        run.push(UP, 10);
    }
    run.finish(UP);
    run.push(DOWN, 3);
    run.until(2000);
    let mut expected: Vec<f64> = (0..200).step_by(20).map(|at| f64::from(at) + 500.0).collect();
    expected.insert(0, 180.0);
    assert_eq!(times(&run), expected, "nothing is serialised, and the other way is free");
    assert_eq!(run.seen().last(), Some(&(680.0, Told::End(UP))), "right behind the data");
    // An end in front of which nothing waits is not delayed.
    let mut run = self::run(&toxics);
    run.until(100);
    run.finish(UP);
    run.until(101);
    assert_eq!(run.seen(), [(100.0, Told::End(UP))]);
}

#[test]
fn a_changed_latency_holds_for_what_waits_and_a_removed_one_lets_all_go() {
    let mut run = run(&[toxic("latency", "upstream", r#""latency": 3000"#)]);
    for at in [0, 100, 150] {
        run.until(at);
        run.push(UP, 10);
    }
    run.until(200);
    set(&mut run, &[toxic("latency", "upstream", r#""latency": 1500"#)]);
    run.until(2000);
    // What was waited for goes at once, the others 1500 ms after they came.
    assert_eq!(times(&run), [200.0, 1600.0, 1650.0]);
    run.push(UP, 10);
    run.until(2010);
    run.push(UP, 20);
    run.finish(UP);
    run.until(2100);
    set(&mut run, &[]);
    run.until(2101);
    assert_eq!(times(&run)[3..], [2100.0, 2100.0]);
    assert_eq!(run.seen().last(), Some(&(2100.0, Told::End(UP))), "and behind them the end");
}

/// Bulk data is in flight while toxics come, change, let other connections go, and leave.
#[test]
fn no_change_of_latency_or_bandwidth_loses_a_byte_or_its_place() {
    for seed in 0..60_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut draw = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) % below
        };
        let mut run = run(&[]);
        let (mut toxics, mut at, mut pushed): (Vec<(u64, Toxic)>, u64, usize) = (Vec::new(), 0, 0);
        for _ in 0..200 {
            at += draw(4);
            run.until(at);
            let count = 1 + draw(3000) as usize;
            run.push_from(1, UP, pushed, count);
            pushed += count;
            if draw(2) == 0 {
                continue;
            }
            let name = draw(4);
            let place = toxics.iter().position(|(other, _)| *other == name);
            if let (Some(place), 0) = (place, draw(3)) {
                toxics.remove(place);
            } else {
                let (kind, attributes) = match name % 2 {
                    0 => ("latency", format!(r#""latency": {}, "jitter": {}"#, draw(20), draw(10))),
                    _ => ("bandwidth", format!(r#""rate": {}"#, 1 + draw(2000))),
                };
                let toxicity = ["0", "0.3", "0.7", "1"][draw(4) as usize];
                let text = format!(
                    r#"{{ "name": "t{name}", "type": "{kind}", "stream": "upstream", "toxicity": {toxicity}, "attributes": {{ {attributes} }} }}"#
                );
                let toxic = Toxic::from_value(&serde_json::from_str(&text).unwrap(), |_| false);
                match place {
                    Some(place) => toxics[place].1 = toxic.unwrap(),
                    None => toxics.push((name, toxic.unwrap())),
                }
            }
            let all: Vec<Toxic> = toxics.iter().map(|(_, toxic)| toxic.clone()).collect();
            set(&mut run, &all);
        }
        set(&mut run, &[]);
        run.finish(UP);
        run.until(at + 1_000_000);
        let expected: Vec<u8> = (0..pushed).map(|at| at as u8).collect();
        assert!(run.bytes[UP.index()] == expected, "seed {seed}");
        assert_eq!(run.seen().last().unwrap().1, Told::End(UP), "seed {seed}");
    }
}

#[test]
fn jitter_is_even_and_cut_at_0() {
    for (latency, jitter, least, most, mean) in [
        (100, 50, 50.0, 150.0, 100.0),
        // A third of -20 to 40 ms is below 0: 40²/120.
        (10, 30, 0.0, 40.0, 13.333),
        // Half of -60 to 20 ms … a quarter is above: 20²/160.
        (-20, 40, 0.0, 20.0, 2.5),
    ] {
        let attributes = format!(r#""latency": {latency}, "jitter": {jitter}"#);
        let mut run = run(&[toxic("latency", "upstream", &attributes)]);
        let count = 4000;
        let mut sum = 0.0;
        for number in 0..count {
            let at = number * 1000;
            run.until(at);
            run.push(UP, 1);
            run.until(at + 999);
            let (came, _) = run.seen().pop().unwrap();
            let delay = came - at as f64;
            assert!((least..=most).contains(&delay), "{delay}");
            sum += delay;
            run.told.clear();
        }
        // The sd of a mean of 4000 is below 0.46 ms.
        assert!((sum / count as f64 - mean).abs() < 5.0 * 0.46, "{}", sum / count as f64);
    }
}

#[test]
fn connections_do_not_wait_for_each_other() {
    // The times at which 200 chunks of connection 2 come, sent a millisecond apart.
    let seen = |others: bool| {
        let attributes = r#""latency": 50, "jitter": 40"#;
        let mut run = run(&[toxic("latency", "upstream", attributes)]);
        run.open(2);
        for at in 0..200 {
            run.until(at);
            if others {
                run.push(UP, 1 + at as usize % 7);
            }
            run.push_to(2, UP, 1 + at as usize);
        }
        run.until(1000);
        run.of(2)
    };
    let alone = seen(false);
    let sizes: Vec<usize> = alone
        .iter()
        .map(|(_, told)| match told {
            Told::Data(UP, count) => *count,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(sizes, (1..=200).collect::<Vec<_>>(), "each connection keeps its order");
    assert!(alone.windows(2).any(|pair| pair[0].0 != pair[1].0));
    assert_eq!(seen(true), alone, "and has delays of its own");
}

#[test]
fn bandwidth_delays_each_chunk_by_its_bytes_without_a_burst_and_for_each_connection() {
    let mut run = run(&[toxic("bandwidth", "upstream", r#""rate": 100"#)]);
    run.open(2);
    for at in [0, 1000] {
        run.until(at);
        let mut pushed = 0;
        while pushed < 10_000 {
            let room = run.carrier.room(1, UP).min(10_000 - pushed);
            let other = run.carrier.room(2, UP).min(room);
            for (id, count) in [(1, room), (2, other)] {
                if count > 0 {
                    run.push_to(id, UP, count);
                }
            }
            pushed += room;
            if room == 0 {
                let next = run.carrier.deadline().unwrap();
                run.now = run.now.max(next);
                run.take();
            }
        }
        run.until(at + 500);
        assert_eq!(times(&run).last(), Some(&(at as f64 + 100.0)), "10 kB at 100 kB/s");
    }
    assert_eq!(run.bytes[0].len(), 20_000);
    let last = run.of(2).into_iter().rfind(|(at, _)| *at < 500.0).unwrap().0;
    assert!(last <= 100.0, "the other connection has a rate of its own: {last}");
}

#[test]
fn a_slow_connection_holds_its_own_sender_back_and_a_change_is_felt_at_once() {
    let slow = [toxic("bandwidth", "upstream", r#""rate": 1"#)];
    let mut run = run(&slow);
    run.open(2);
    let mut pushed = 0;
    for at in 0..2000 {
        run.until(at);
        let room = run.carrier.room(1, UP);
        if room > 0 {
            run.push(UP, room);
            pushed += room;
        }
    }
    // 100 ms on the line and 100 ms in front, in pieces of 100 bytes.
    assert!((1900..=2400).contains(&pushed), "{pushed}");
    assert!(run.carrier.room(2, UP) > 0, "the other is not held back");
    assert_eq!(run.carrier.room(1, DOWN), 16 << 10, "nor is the other direction");
    set(&mut run, &[toxic("bandwidth", "upstream", r#""rate": 1000"#)]);
    run.until(2101);
    assert_eq!(run.bytes[0].len(), pushed, "a piece takes 100 ms at most");
}

#[test]
fn no_bandwidth_lets_nothing_pass_and_loses_nothing() {
    for rate in ["0", "-1", "-9223372036854775808"] {
        let attributes = format!(r#""rate": {rate}"#);
        let mut run = run(&[toxic("bandwidth", "upstream", &attributes)]);
        run.push(UP, 1000);
        run.finish(UP);
        run.until(3_600_000);
        assert_eq!(run.seen(), [], "{rate}");
        set(&mut run, &[]);
        assert_eq!(run.bytes[0].len(), 1000, "{rate}");
        assert_eq!(run.seen().last(), Some(&(3_600_000.0, Told::End(UP))));
    }
}

#[test]
fn the_others_do_what_they_say() {
    // Discards, and closes after silence.
    let mut run = run(&[toxic("timeout", "downstream", r#""timeout": 300"#)]);
    for at in [0, 100, 200] {
        run.until(at);
        run.push(DOWN, 5);
        run.push(UP, 1);
    }
    run.until(1000);
    assert_eq!(run.bytes.each_ref().map(Vec::len), [3, 0]);
    assert_eq!(run.seen().last(), Some(&(500.0, Told::CloseBoth)));
    // Resets.
    let mut run = self::run(&[toxic("reset_peer", "upstream", r#""timeout": 100"#)]);
    run.until(50);
    run.push(UP, 5);
    run.until(1000);
    assert_eq!(run.seen().last(), Some(&(150.0, Told::ResetBoth)));
    // Closes after so many bytes.
    let mut run = self::run(&[toxic("limit_data", "downstream", r#""bytes": 7"#)]);
    run.push(DOWN, 5);
    run.push(DOWN, 5);
    run.until(1000);
    assert_eq!((run.bytes[1].len(), run.seen().last()), (7, Some(&(0.0, Told::CloseBoth))));
    // Holds the end.
    let mut run = self::run(&[toxic("slow_close", "downstream", r#""delay": 1000"#)]);
    run.push(DOWN, 5);
    run.finish(DOWN);
    run.until(5000);
    assert_eq!(run.seen(), [(0.0, Told::Data(DOWN, 5)), (1000.0, Told::End(DOWN))]);
    // Slices: microseconds behind each.
    let attributes = r#""average_size": 1, "size_variation": 0, "delay": 500"#;
    let mut run = self::run(&[toxic("slicer", "upstream", attributes)]);
    run.push(UP, 24);
    run.until(1000);
    let expected: Vec<f64> = (0..24).map(|piece| f64::from(piece) / 2.0).collect();
    assert_eq!(times(&run), expected);
    // 480 KB in pieces of 512 to 1536 bytes.
    let attributes = r#""average_size": 1024, "size_variation": 512, "delay": 10"#;
    let mut run = self::run(&[toxic("slicer", "upstream", attributes)]);
    run.push(UP, 480_000);
    run.until(10_000);
    assert!((313..=938).contains(&times(&run).len()), "{}", times(&run).len());
    assert_eq!(run.bytes[0].len(), 480_000);
    // Nothing.
    let mut run = self::run(&[toxic("noop", "upstream", "")]);
    run.push(UP, 5);
    run.finish(UP);
    run.until(1);
    assert_eq!(run.seen(), [(0.0, Told::Data(UP, 5)), (0.0, Told::End(UP))]);
}

/// The numbers by which the original fails or hangs, and more of their kind.
#[test]
fn no_number_fails_or_hangs() {
    let numbers = [0, 1, -1, 5, 1 << 62, i64::MAX, i64::MIN];
    let mut tried = 0;
    for kind in ToxicKind::ALL {
        let names = kind.attributes();
        for first in numbers {
            for second in numbers {
                let values = [first, second, if second == 5 { i64::MAX } else { 1 }];
                let attributes: Vec<String> = names
                    .iter()
                    .zip(values)
                    .map(|(name, value)| format!(r#""{name}": {value}"#))
                    .collect();
                let toxics = ["upstream", "downstream"]
                    .map(|stream| toxic(kind.name(), stream, &attributes.join(", ")));
                let mut run = run(&toxics);
                for at in [0, 7, 50] {
                    run.until(at);
                    for direction in [UP, DOWN] {
                        let room = run.carrier.room(1, direction).min(3000);
                        if room > 0 {
                            run.push(direction, room);
                        }
                    }
                }
                run.finish(UP);
                run.until(1000);
                // Changed, and removed, while something waits.
                set(
                    &mut run,
                    &toxics
                        .clone()
                        .map(|one| one.updated(&serde_json::json!({ "toxicity": 1 })).unwrap()),
                );
                set(&mut run, &[]);
                run.carrier.finish(run.now, 1, DOWN);
                let until = run.now + Duration::from_secs(3600);
                let mut steps = 0;
                while let Some(at) = run.carrier.deadline().filter(|at| *at <= until) {
                    run.now = run.now.max(at);
                    run.take();
                    steps += 1;
                    assert!(steps < 100_000, "{attributes:?} goes round and round");
                }
                tried += 1;
            }
        }
    }
    assert_eq!(tried, 8 * 49);
}
