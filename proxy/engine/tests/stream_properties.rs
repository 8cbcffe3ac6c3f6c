//! Checks what holds for any rules on streams and any traffic: no byte is made up, moved or lost but
//! those that are counted, an end comes once and last, nothing is kept, and the time at which it is
//! polled changes nothing.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use jostle_common::chance::Direction;
use jostle_engine::route::{TcpMode, Unit};
use proptest::collection::vec;
use proptest::prelude::*;
use support::streams::{DOWN, RAW, Run, Told, UP};

/// A thing that happens to connection 1.
#[derive(Clone, Debug)]
enum Act {
    Push(bool, usize),
    Finish(bool),
    Reset(bool),
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (any::<bool>(), 1usize..3000).prop_map(|(up, count)| Act::Push(up, count)),
        1 => any::<bool>().prop_map(Act::Finish),
        1 => any::<bool>().prop_map(Act::Reset),
        6 => (0u64..200).prop_map(Act::Wait),
    ]
}

fn rule() -> impl Strategy<Value = String> {
    let flows = prop_oneof![3 => Just(1.0), 1 => Just(0.5)];
    let kind = prop_oneof![
        (1u64..2000, 0u64..100, 0u64..30).prop_map(|(size, spread, gap)| {
            let spread = spread.min(size);
            format!(r#""slice", "size": "{size}B", "spread": "{spread}B", "gap": "{gap}ms""#)
        }),
        (0u64..5000, 0u64..400).prop_map(|(after, close)| {
            format!(r#""stall", "after": "{after}B", "close": "{close}ms""#)
        }),
        (0u64..300).prop_map(|delay| format!(r#""slow_close", "delay": "{delay}ms""#)),
        (0u64..300).prop_map(|after| format!(r#""reset", "after": "{after}ms""#)),
        (0u64..9000).prop_map(|bytes| format!(r#""close_after", "bytes": "{bytes}B""#)),
        (0u64..900).prop_map(|time| format!(r#""close_after", "time": "{time}ms""#)),
    ];
    (kind, flows).prop_map(|(kind, flows)| format!(r#"{{ "rule": {kind}, "flows": {flows} }}"#))
}

fn rules() -> impl Strategy<Value = String> {
    let packets = prop_oneof![Just(""), Just(r#"{ "rule": "delay", "time": "9ms" }, "#)];
    (packets, vec(rule(), 1..4))
        .prop_map(|(packets, rules)| format!("{packets}{}", rules.join(", ")))
}

fn direction(up: bool) -> Direction {
    if up { UP } else { DOWN }
}

/// Lets all happen, under other rules from half-time on if there are some, and polls after every
/// so many milliseconds. Returns the number of bytes pushed, by direction.
fn play(run: &mut Run, acts: &[Act], later: Option<&str>, each: u64) -> [usize; 2] {
    let (mut over, mut pushed) = ([false; 2], [0; 2]);
    for (step, act) in acts.iter().enumerate() {
        if step == acts.len() / 2
            && let Some(rules) = later
        {
            run.set(rules);
        }
        match *act {
            Act::Push(up, count) if !over[direction(up).index()] => {
                let index = direction(up).index();
                let count = count.min(run.carrier.room(1, direction(up)));
                if count > 0 {
                    run.push_from(1, direction(up), pushed[index], count);
                    pushed[index] += count;
                }
            }
            Act::Finish(up) if !over[direction(up).index()] => {
                over[direction(up).index()] = true;
                run.finish(direction(up));
            }
            Act::Reset(up) if !over[direction(up).index()] => {
                over = [true; 2];
                run.carrier.reset(run.now, 1, direction(up));
            }
            Act::Wait(millis) => {
                let now = run.now.as_nanos() / 1_000_000;
                for at in now + 1..=now + millis {
                    if at % each == 0 {
                        run.until(at);
                    } else {
                        run.now = support::streams::ms(at);
                    }
                }
            }
            Act::Push(..) | Act::Finish(_) | Act::Reset(_) => {}
        }
    }
    for direction in [UP, DOWN] {
        if !over[direction.index()] {
            run.finish(direction);
        }
    }
    pushed
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn no_byte_is_made_up_moved_or_lost_uncounted(
        acts in vec(act(), 1..40),
        first in rules(),
        later in prop::option::of(rules()),
        modelled in any::<bool>(),
    ) {
        let mode = if modelled { TcpMode::default() } else { RAW };
        let mut run = Run::new(&first, mode);
        let pushed = play(&mut run, &acts, later.as_deref(), 1);
        run.until(run.now.as_nanos() / 1_000_000 + 1_000_000);
        let seen = run.seen();
        let reset = acts.iter().any(|act| matches!(act, Act::Reset(_)));
        let broken = reset || seen.iter().any(|(_, told)| {
            matches!(told, Told::CloseBoth | Told::ResetBoth | Told::Reset(_))
        });
        for direction in [UP, DOWN] {
            let received = &run.bytes[direction.index()];
            let discarded: usize = seen
                .iter()
                .map(|(_, told)| match told {
                    Told::Discarded(one, _, count) if *one == direction => *count,
                    _ => 0,
                })
                .sum();
            let pushed = pushed[direction.index()];
            prop_assert!(received.len() + discarded <= pushed);
            prop_assert!(broken || received.len() + discarded == pushed);
            // Without a discard what comes is what was sent, from its first byte on.
            let expected: Vec<u8> = (0..received.len()).map(|at| at as u8).collect();
            prop_assert!(discarded > 0 || *received == expected);
            let ends = |told: &Told| *told == Told::End(direction);
            let end = seen.iter().position(|(_, told)| ends(told));
            let last = seen.iter().rposition(|(_, told)| matches!(told, Told::Data(one, _) if *one == direction));
            prop_assert!(end.is_none() || last < end, "{seen:?}");
            prop_assert!(seen.iter().filter(|(_, told)| ends(told)).count() <= 1);
        }
        // One last word, and nothing is kept.
        let is_last = |told: &Told| matches!(told, Told::CloseBoth | Told::ResetBoth | Told::Closed);
        prop_assert_eq!(seen.iter().filter(|(_, told)| is_last(told)).count(), 1, "{:?}", seen);
        prop_assert!(is_last(&seen.last().unwrap().1), "{:?}", seen);
        prop_assert!(run.carrier.is_drained() && run.carrier.deadline().is_none());
        prop_assert_eq!(run.memory.used(), 0);
    }

    #[test]
    fn late_is_not_different(acts in vec(act(), 1..30), rules in rules(), each in 2u64..300) {
        let play = |each| {
            let mut run = Run::new(&rules, TcpMode::Raw(Unit::Read));
            play(&mut run, &acts, None, each);
            run.until(run.now.as_nanos() / 1_000_000 + 1_000_000);
            let of = |direction: Direction| {
                let own = |told: &Told| match told {
                    Told::Data(one, _) | Told::End(one) | Told::Discarded(one, ..) => {
                        *one == direction
                    }
                    _ => true,
                };
                run.seen().into_iter().map(|(_, told)| told).filter(own).collect::<Vec<_>>()
            };
            [UP, DOWN].map(of)
        };
        prop_assert_eq!(play(1), play(each));
    }
}
