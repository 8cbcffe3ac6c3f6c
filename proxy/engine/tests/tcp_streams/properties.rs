//! What holds in any weather.

use crate::ends::{DOWN, Ends, UP, bytes, model};
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_engine::memory::Memory;
use jostle_engine::tcp::{Event, Model};
use proptest::prelude::*;
use std::time::Duration;

/// Rules of one direction: none, one or several of each kind, mild or severe.
fn weather() -> impl Strategy<Value = String> {
    let maybe = |rule: BoxedStrategy<String>| prop::option::of(rule);
    (
        maybe((0u32..40).prop_map(|p| format!(r#"{{ "rule": "drop", "chance": "{p}%" }}"#)).boxed()),
        maybe((0u32..30).prop_map(|p| format!(r#"{{ "rule": "duplicate", "chance": "{p}%" }}"#)).boxed()),
        maybe((0u32..20).prop_map(|p| format!(r#"{{ "rule": "corrupt", "chance": "{p}%" }}"#)).boxed()),
        maybe(
            (1u32..20, 1u32..64)
                .prop_map(|(mbit, kib)| {
                    format!(r#"{{ "rule": "rate", "limit": "{mbit}Mbit/s", "queue": "{kib}KiB" }}"#)
                })
                .boxed(),
        ),
        maybe(
            (1u32..100)
                .prop_map(|ms| {
                    format!(
                        r#"{{ "rule": "delay", "time": "{ms}ms", "jitter": "{}ms", "reorder": {} }}"#,
                        ms / 2,
                        ms % 3 == 0
                    )
                })
                .boxed(),
        ),
        maybe(
            (0u32..50, 1u32..6)
                .prop_map(|(p, behind)| {
                    format!(r#"{{ "rule": "reorder", "chance": "{p}%", "behind": {behind} }}"#)
                })
                .boxed(),
        ),
    )
        .prop_map(|(a, b, c, d, e, f)| [a, b, c, d, e, f].into_iter().flatten().collect::<Vec<_>>().join(","))
}

/// Sends pieces, each so many milliseconds after the one before, up if that is set, and ends both
/// streams. Returns the ends and what was sent.
fn carried(seed: u64, weather: &str, pieces: &[(u64, bool, u64)]) -> (Ends, [u64; 2]) {
    let mut ends = Ends::connected(seed, weather);
    let mut sent = [0, 0];
    for &(gap, up, count) in pieces {
        ends.run_for(gap);
        let direction = if up { UP } else { DOWN };
        ends.push(direction, sent[direction.index()], count);
        sent[direction.index()] += count;
    }
    ends.model.finish(ends.now, 1, UP);
    ends.run_for(50);
    ends.model.finish(ends.now, 1, DOWN);
    ends.run(Instant::from_secs(100_000));
    (ends, sent)
}

#[test]
fn room_that_is_told_of_is_there() {
    // The stream down ends just when there is room for more of it.
    let weather = r#"{ "rule": "reorder", "chance": "39%", "behind": 2 }"#;
    let pieces = [
        (0, false, 17_931),
        (34, false, 8_134),
        (16, true, 4_345),
        (3, true, 10_137),
        (0, false, 1),
        (4, false, 13_033),
        (50, false, 16_168),
        (0, false, 11_564),
        (50, true, 7_241),
        (0, false, 1_229),
        (50, true, 2_897),
        (0, true, 15_929),
        (0, true, 12_551),
    ];
    let (ends, sent) = carried(5_349_178_713_336_879_425, weather, &pieces);
    for direction in Direction::BOTH {
        assert_eq!(ends.received(direction).len() as u64, sent[direction.index()]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_byte_arrives_in_order_in_both_directions(
        seed: u64,
        weather in weather(),
        pieces in prop::collection::vec((0u64..60, any::<bool>(), 1u64..20_000), 0..30),
    ) {
        let (ends, sent) = carried(seed, &weather, &pieces);
        let is_whole = Direction::BOTH.iter().all(|direction| ends.ended(*direction).is_some());
        for direction in Direction::BOTH {
            let expected = bytes(direction.index() as u64, 0, sent[direction.index()]);
            let received = ends.received(direction);
            // In the worst weather a connection may time out; what came by then is right, too.
            let is_right = if is_whole { received == expected } else { expected.starts_with(received) };
            prop_assert!(is_right, "{} bytes {direction}", expected.len());
        }
        // That takes as many timeouts as Linux has, or a handshake that never came through.
        let timeouts = ends.model.counters().timeouts;
        prop_assert!(is_whole || timeouts >= 14 || ends.established.is_empty(), "{timeouts} timeouts");
        prop_assert_eq!(&ends.closed, &[1]);
        prop_assert_eq!(ends.model.connections(), 0);
        prop_assert_eq!(ends.model.deadline(), None);
        ends.assert_conserved();
    }

    #[test]
    fn late_is_not_different(
        seed: u64,
        weather in weather(),
        pieces in prop::collection::vec((0u64..60, any::<bool>(), 1u64..20_000), 1..20),
        wakes in prop::collection::vec(1u64..3_000_000, 1..100),
    ) {
        // One shell wakes for every deadline, the other now and then.
        let mut outcomes = [false, true].map(|sleepy| {
            let mut model = model(seed, &weather, Memory::default());
            let mut wakes = wakes.iter().cycle();
            let (mut now, mut events) = (Instant::START, Vec::new());
            let mut wait_until = |model: &mut Model, until: Instant, now: &mut Instant, events: &mut Vec<Event>| {
                while *now < until {
                    let next = if sleepy {
                        now.plus_nanos(*wakes.next().unwrap() * 1000)
                    } else {
                        model.deadline().unwrap_or(until)
                    };
                    *now = until.min(next.max(*now));
                    events.extend(std::iter::from_fn(|| model.poll(*now)));
                    if !sleepy && model.deadline().is_none() {
                        *now = until;
                    }
                }
            };
            model.open(now, 1);
            let mut sent = 0;
            for &(gap, up, count) in &pieces {
                let until = now + Duration::from_millis(gap);
                wait_until(&mut model, until, &mut now, &mut events);
                model.push(now, 1, if up { UP } else { DOWN }, bytes(0, sent, count));
                sent += count;
            }
            let until = now + Duration::from_secs(30);
            wait_until(&mut model, until, &mut now, &mut events);
            events
        });
        let [prompt, sleepy] = &mut outcomes;
        prop_assert!(prompt.len() > 3, "the test saw something");
        prop_assert_eq!(prompt, sleepy);
    }
}
