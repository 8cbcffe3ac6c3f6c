//! What a `delay` rule promises: the distributions it draws from, their memory, and the order of
//! what leaves.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use jostle_common::statistics::{Moments, Z_999, proportion_margin};
use jostle_common::time::Instant;
use jostle_engine::stage::{Output, Stage};
use std::f64::consts::PI;
use support::shapes::{DISTANCE_MAX, SHAPES, distance};
use support::{drain, drain_all, feed, link, packet, rules};

const MS: u64 = 1_000_000;
const SEEDS: [u64; 5] = [1, 2, 3, 4, 5];

/// The delays of `count` packets, `gap` nanoseconds apart, by number; 0 for those that were lost.
fn delays(seed: u64, rules_json: &str, count: u64, gap: u64) -> Vec<u64> {
    let mut delays = vec![0; count as usize];
    feed(&mut link(seed, &rules(rules_json)), count, gap, 100, |output| {
        if let Output::Deliver(packet) = output {
            delays[packet.number as usize - 1] = packet.at.as_nanos() - packet.entered.as_nanos();
        }
    });
    delays
}

#[test]
fn drawn_delays_follow_their_distribution() {
    // A second apart nobody is in anybody's way. With a memory of 50 ms, packets 20 half-lives
    // apart are strangers too.
    for (rule, distribution) in SHAPES {
        for (memory, seeds) in [("", &SEEDS[..]), (r#", "memory": "50ms""#, &SEEDS[..2])] {
            for &seed in seeds {
                let found = distance(
                    delays(seed, &format!("{rule}{memory} }}"), 100_000, 1000 * MS),
                    distribution,
                );
                assert!(found < DISTANCE_MAX, "{rule}{memory}, seed {seed}: {found}");
                assert!(found > 0.2, "nothing random lies so near: {found}");
            }
        }
    }
}

#[test]
fn mean_and_sd_are_those_stated() {
    let even = 10.0 / 3f64.sqrt();
    for ((rule, _), (mean, sd)) in SHAPES.into_iter().zip([
        (50.0, even),
        (50.0, 10.0),
        (50.0, 10.0),
        (50.0, 10.0),
        (52.5, 8.660_254),
    ]) {
        for seed in SEEDS {
            let (mut moments, mut fourth) = (Moments::default(), 0.0);
            for delay in delays(seed, &format!("{rule} }}"), 200_000, 1000 * MS) {
                let delay = delay as f64 / 1e6;
                moments.add(delay);
                fourth += ((delay - mean) / sd).powi(4);
            }
            let count = moments.count() as f64;
            assert!(
                (moments.mean() - mean).abs() < Z_999 * sd / count.sqrt(),
                "{rule}: {}",
                moments.mean()
            );
            // The variance of a sample's variance is (kurtosis − 1)/n; its root varies half as
            // much.
            let margin = Z_999 * 0.5 * ((fourth / count - 1.0) / count).sqrt();
            assert!(
                (moments.sd() / sd - 1.0).abs() < margin.max(1e-3),
                "{rule}: sd {}",
                moments.sd()
            );
        }
    }
}

/// The correlation of each value with the next.
fn lag_one(values: &[f64]) -> f64 {
    let (mut moments, mut product) = (Moments::default(), 0.0);
    values.iter().for_each(|value| moments.add(*value));
    for pair in values.windows(2) {
        product += (pair[0] - moments.mean()) * (pair[1] - moments.mean());
    }
    product / (values.len() - 1) as f64 / (moments.sd() * moments.sd())
}

#[test]
fn memory_correlates_a_normal_jitter_by_its_half_life() {
    // Overtaking is allowed, so that every packet leaves at the time drawn for it.
    let rule = r#"{ "rule": "delay", "time": "50ms", "jitter": "10ms", "shape": "normal", "memory": "100ms", "reorder": true }"#;
    for (seed, gap_millis, count) in
        [(1, 1, 1_000_000), (2, 20, 500_000), (3, 100, 300_000), (4, 400, 300_000)]
    {
        let found = delays(seed, rule, count, gap_millis * MS);
        let found = lag_one(&found.iter().map(|delay| *delay as f64).collect::<Vec<_>>());
        let expected = libm::exp2(-(gap_millis as f64) / 100.0);
        assert!((found - expected).abs() < 0.01, "{gap_millis} ms apart: {found} for {expected}");
    }
}

#[test]
fn memory_correlates_the_ranks_of_any_jitter() {
    for (rule, _) in &SHAPES[..4] {
        for (seed, share) in [(1, 0.5), (2, 2.0)] {
            let gap = (100.0 * share) as u64 * MS;
            let found = delays(
                seed,
                &format!(r#"{rule}, "memory": "100ms", "reorder": true }}"#),
                200_000,
                gap,
            );
            let mut order: Vec<usize> = (0..found.len()).collect();
            order.sort_unstable_by_key(|index| found[*index]);
            let mut ranks = vec![0.0; found.len()];
            order.iter().enumerate().for_each(|(rank, index)| ranks[*index] = rank as f64);
            // Of two Gaussians with the correlation ρ (Pearson 1907).
            let expected = 6.0 / PI * libm::asin(libm::exp2(-share) / 2.0);
            let found = lag_one(&ranks);
            assert!((found - expected).abs() < 0.01, "{rule}: {found} for {expected}");
        }
    }
}

/// Checks the mean over ten million packets at three per half-life.
fn mean_with_memory(seed: u64, shape: &str) {
    let (count, half_life) = (10_000_000u64, 3.0);
    let rule = format!(
        r#"{{ "rule": "delay", "time": "50ms", "jitter": "10ms", "shape": "{shape}", "memory": "{half_life}ms" }}"#
    );
    let mut moments = Moments::default();
    feed(&mut link(seed, &rules(&rule)), count, MS, 100, |output| {
        let packet = output.packet();
        moments.add((packet.at.as_nanos() - packet.entered.as_nanos()) as f64 / 1e6);
    });
    // The delays of another shape are correlated less than the Gaussian below (Gebelein 1941): the
    // margin is wide enough. That of a proportion of a half is for a standard deviation of a half.
    let margin = 20.0 * proportion_margin(0.5, count as f64, libm::exp2(-1.0 / half_life), Z_999);
    assert!((moments.mean() - 50.0).abs() < margin, "{shape}: {} ± {margin}", moments.mean());
    assert_eq!(moments.count(), count);
}

#[test]
fn memory_does_not_move_the_mean_of_a_normal_jitter() {
    mean_with_memory(1, "normal");
}

#[test]
fn memory_does_not_move_the_mean_of_a_long_tail() {
    mean_with_memory(2, "pareto");
}

#[test]
fn with_memory_a_delay_depends_on_its_time_and_not_on_who_came_before() {
    let delay = |name: &str| {
        format!(
            r#"{{ "rule": "delay", "name": "{name}", "time": "50ms", "jitter": "20ms", "memory": "10ms", "reorder": true }}"#
        )
    };
    let alone = delays(1, &delay("d"), 20_000, MS / 3);
    let thinned = format!(r#"{{ "rule": "drop", "chance": "70%" }}, {}"#, delay("d"));
    let survivors: Vec<(u64, u64)> = delays(1, &thinned, 20_000, MS / 3)
        .into_iter()
        .zip(alone.iter().copied())
        .filter(|(delay, _)| *delay > 0)
        .collect();
    assert!((5_500..6_500).contains(&survivors.len()), "{}", survivors.len());
    assert!(survivors.iter().all(|(thinned, alone)| thinned == alone));
    assert_ne!(delays(1, &delay("other"), 20_000, MS / 3), alone);

    let copied = format!(r#"{{ "rule": "duplicate", "chance": "100%" }}, {}"#, delay("d"));
    let mut times = vec![Vec::new(); 1000];
    feed(&mut link(1, &rules(&copied)), 1000, MS / 3, 100, |output| {
        times[output.packet().number as usize - 1].push(output.packet().at);
    });
    assert!(
        times.iter().all(|times| times.len() == 2 && times[0] == times[1]),
        "a copy comes when its original comes"
    );
}

/// The rules whose order is tested: every shape, with and without memory, and a trace that rises
/// and falls faster than time.
fn jittered() -> Vec<String> {
    let mut jittered: Vec<String> = SHAPES.iter().map(|(rule, _)| (*rule).to_owned()).collect();
    jittered.extend(SHAPES.iter().map(|(rule, _)| format!(r#"{rule}, "memory": "5ms""#)));
    jittered.push(
        r#"{ "rule": "delay", "trace": [[0, "20ms"], [3, "50ms"], [7.5, "5ms"], [40, "0"]]"#.into(),
    );
    jittered
}

#[test]
fn nothing_is_reordered_and_the_mean_stays_exact_unless_overtaking_is_asked_for() {
    for rule in jittered() {
        let run = |reorder: bool| {
            let rule = format!(r#"{rule}, "reorder": {reorder} }}"#);
            let (mut total, mut overtaken, mut last, mut longest) = (0u128, 0, 0, 0);
            // 50,000 packets a second.
            feed(&mut link(1, &rules(&rule)), 200_000, 20_000, 100, |output| {
                let packet = output.packet();
                let delay = packet.at.as_nanos() - packet.entered.as_nanos();
                (total, longest) = (total + u128::from(delay), longest.max(delay));
                overtaken += u32::from(packet.number < last);
                last = packet.number;
            });
            (total, overtaken, longest)
        };
        let ((kept, none, kept_longest), (free, many, longest)) = (run(false), run(true));
        assert_eq!(
            (kept, none),
            (free, 0),
            "{rule}: the same delays were drawn, and nobody was overtaken"
        );
        assert!(kept_longest <= longest && many > 2_000, "{rule}: {many} were overtaken");
    }
}

#[test]
fn a_trace_is_followed_from_the_first_packet_and_begins_again() {
    let rule = r#"{ "rule": "delay", "trace": [[0, "20ms"], [100, "35.5ms"], [150, "0"]] }"#;
    let mut link = link(1, &rules(rule));
    let mut found = Vec::new();
    for at in [1000, 1099, 1100, 1149, 1150, 1250, 1300] {
        found.extend(drain(&mut link, Instant::from_millis(at)));
        link.handle(packet(at * MS, 100));
    }
    found.extend(drain_all(&mut link));
    let delay = |output: &Output| {
        (output.packet().at.as_nanos() - output.packet().entered.as_nanos()) / 1000
    };
    // What came at 1150 would arrive before what came at 1149: the two change their due times, 1170
    // and 1184.5 ms.
    assert_eq!(
        found.iter().map(delay).collect::<Vec<_>>(),
        [20_000, 20_000, 35_500, 21_000, 34_500, 35_500, 20_000]
    );
}

#[test]
fn a_live_change_keeps_the_times_of_what_is_inside() {
    let shorter = r#"{ "rule": "delay", "time": "1ms" }"#;
    for rule in jittered() {
        for reorder in [false, true] {
            let before = rules(&format!(r#"{rule}, "reorder": {reorder} }}"#));
            let (mut steady, mut changed) = (link(2, &before), link(2, &before));
            for n in 0..1000 {
                steady.handle(packet(n * 20_000, 100));
                changed.handle(packet(n * 20_000, 100));
            }
            let mut left = drain(&mut changed, Instant::from_millis(20));
            let inside = 1000 - left.len();
            changed.set_timeline(Instant::from_millis(20), &rules(shorter));
            changed.handle(packet(20 * MS, 100));
            left.extend(drain_all(&mut changed));
            let newest = left.pop().unwrap();
            assert_eq!(left, drain_all(&mut steady), "{rule}");
            let last = left.last().unwrap().packet().at;
            assert!(inside > 100 && newest.packet().number == 1001, "{rule}: {inside}");
            assert_eq!(
                newest.packet().at,
                last.max(Instant::from_millis(21)),
                "{rule}: behind what was inside"
            );
        }
    }
}
