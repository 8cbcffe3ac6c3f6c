//! How long packets take, and in which order they leave.

use crate::MS;
use crate::support::shapes::{DISTANCE_MAX, SHAPES, distance};
use crate::support::ways::{both_ways, feed_runs};
use crate::support::{link, rules};

/// The delays of `count` packets in the order in which they left, and their numbers.
fn left(seed: u64, rule: &str, count: u64, gap: u64) -> (Vec<u64>, Vec<u64>) {
    let timeline = rules(rule);
    let left = both_ways(|way| {
        let mut left = (Vec::new(), Vec::new());
        feed_runs(&mut link(seed, &timeline), way, count, gap, 100, |output| {
            let packet = output.packet();
            left.0.push(packet.at.as_nanos() - packet.entered.as_nanos());
            left.1.push(packet.number);
        });
        left
    });
    assert_eq!(left.0.len() as u64, count);
    left
}

#[test]
fn drawn_delays_follow_their_distribution() {
    // Those of a run change places at most, and runs are a second apart or more.
    for (rule, distribution) in SHAPES {
        for seed in [1, 2] {
            let (delays, _) = left(seed, &format!("{rule} }}"), 100_000, 1000 * MS);
            let found = distance(delays, distribution);
            assert!(found < DISTANCE_MAX, "{rule}, seed {seed}: {found}");
            assert!(found > 0.2, "nothing random lies so near: {found}");
        }
    }
}

#[test]
fn nothing_is_overtaken_unless_that_is_asked_for_and_the_mean_stays_exact() {
    for (rule, _) in SHAPES {
        for memory in ["", r#", "memory": "5ms""#] {
            let [kept, free] = [false, true].map(|reorder| {
                let rule = format!(r#"{rule}{memory}, "reorder": {reorder} }}"#);
                left(1, &rule, 100_000, 20_000)
            });
            assert_eq!(kept.0.iter().sum::<u64>(), free.0.iter().sum::<u64>(), "{rule}");
            assert!(kept.1.is_sorted() && !free.1.is_sorted(), "{rule}");
        }
    }
}

#[test]
fn a_trace_and_a_constant_delay_are_followed_to_the_nanosecond() {
    let (delays, numbers) = left(1, r#"{ "rule": "delay", "time": "20ms" }"#, 100_000, 1000);
    assert!(delays.iter().all(|delay| *delay == 20 * MS) && numbers.is_sorted());
    let rule = r#"{ "rule": "delay", "trace": [[0, "20ms"], [100, "35ms"], [150, "0"]], "reorder": true }"#;
    let (delays, _) = left(1, rule, 100_000, 50_000);
    // 5 s at most 2.15 ms apart, of periods of 150 ms: two thirds of the time it is 20 ms.
    let of = |delay| delays.iter().filter(|one| **one == delay).count() as f64 / 100_000.0;
    assert_eq!(of(20 * MS) + of(35 * MS), 1.0);
    assert!((of(20 * MS) - 2.0 / 3.0).abs() < 0.02, "{}", of(20 * MS));
}
