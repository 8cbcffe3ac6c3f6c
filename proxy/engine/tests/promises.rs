//! The numbers that a profile promises, checked against formulas in virtual time.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use jostle_common::statistics::{Moments, Z_999, proportion_margin};
use jostle_common::time::Instant;
use jostle_engine::stage::{Output, Stage};
use support::{feed, link, packet, rules};

const SEEDS: [u64; 3] = [1, 2, 3];

/// Loss and burst statistics of a rule over `count` packets.
fn losses(seed: u64, rule: &str, count: u64) -> (f64, Moments) {
    let mut link = link(seed, &rules(rule));
    let (mut lost, mut run, mut bursts) = (0u64, 0u64, Moments::default());
    feed(&mut link, count, 1000, 100, |output| match output {
        Output::Discard(..) => {
            lost += 1;
            run += 1;
        }
        Output::Deliver(_) => {
            if run > 0 {
                bursts.add(run as f64);
            }
            run = 0;
        }
    });
    (lost as f64 / count as f64, bursts)
}

#[test]
fn independent_loss_meets_its_rate() {
    for seed in SEEDS {
        for (percent, count) in [(0.1, 1e6), (1.0, 1e6), (5.0, 1e6), (20.0, 1e6)] {
            let (found, _) = losses(
                seed,
                &format!(r#"{{ "rule": "drop", "chance": "{percent}%" }}"#),
                count as u64,
            );
            let p = percent / 100.0;
            let margin = proportion_margin(p, count, 0.0, Z_999);
            assert!((found - p).abs() <= margin, "seed {seed}: {found} for {p} ± {margin}");
        }
    }
}

#[test]
fn bursts_meet_their_mean_loss_and_their_mean_length() {
    let count: f64 = 1e7;
    for (seed, percent, length) in
        [(1, 2.0, 3.0), (2, 1.0, 10.0), (3, 20.0, 1.5), (4, 50.0, 4.0), (5, 5.0, 1.0)]
    {
        let rule = format!(
            r#"{{ "rule": "drop", "burst": {{ "mean": "{percent}%", "length": {length} }} }}"#
        );
        let (found, bursts) = losses(seed, &rule, count as u64);
        let mean = percent / 100.0;
        let r = 1.0 / length;
        let lambda = 1.0 - r - r * mean / (1.0 - mean);
        let margin = proportion_margin(mean, count, lambda, Z_999);
        assert!((found - mean).abs() <= margin, "{rule}: {found} ± {margin}");
        // Geometric: variance length·(length − 1).
        let margin = 3.3 * (length * (length - 1.0)).sqrt() / (bursts.count() as f64).sqrt();
        assert!(
            (bursts.mean() - length).abs() <= margin,
            "{rule}: bursts of {} ± {margin}",
            bursts.mean()
        );
    }
}

#[test]
fn gilbert_elliott_meets_its_stationary_loss() {
    let count: f64 = 1e7;
    for (seed, p, r, bad, good) in [
        (1, 0.01, 0.2, 1.0, 0.0),
        (2, 0.01, 0.08, 1.0, 0.02),
        (3, 0.08, 0.5, 0.9, 0.0),
        (4, 0.7, 0.9, 0.5, 0.1),
    ] {
        let rule = format!(
            r#"{{ "rule": "drop", "gilbert_elliott": {{ "p": {p}, "r": {r}, "loss_bad": {bad}, "loss_good": {good} }} }}"#
        );
        let (found, bursts) = losses(seed, &rule, count as u64);
        let (share, lambda) = (p / (p + r), 1.0 - p - r);
        let loss = share * bad + (1.0 - share) * good;
        // Packets are correlated through the state: cov(k) = (bad − good)²·share·(1 − share)·λ^k.
        let state = (bad - good) * (bad - good) * share * (1.0 - share);
        let variance: f64 = loss * (1.0 - loss) + 2.0 * state * lambda / (1.0 - lambda);
        let margin = Z_999 * (variance / count).sqrt();
        assert!((found - loss).abs() <= margin, "{rule}: {found} for {loss} ± {margin}");
        if bad == 1.0 && good == 0.0 {
            let length: f64 = 1.0 / r;
            let margin = 3.3 * (length * (length - 1.0)).sqrt() / (bursts.count() as f64).sqrt();
            assert!(
                (bursts.mean() - length).abs() <= margin,
                "{rule}: bursts of {}",
                bursts.mean()
            );
        }
    }
}

#[test]
fn every_nth_packet_is_exactly_that() {
    let (found, bursts) = losses(1, r#"{ "rule": "drop", "every": 4 }"#, 1_000_000);
    assert_eq!((found, bursts.mean(), bursts.count()), (0.25, 1.0, 249_999));
}

#[test]
fn ten_megabits_for_ten_seconds_are_twelve_and_a_half_megabytes() {
    for (size, seed) in [(1500, 1), (1000, 2), (77, 3)] {
        let mut link = link(seed, &rules(r#"{ "rule": "rate", "limit": "10Mbit/s" }"#));
        let (mut bytes, mut refused) = (0u64, 0u64);
        // Offered at 12 Mbit/s for eleven seconds.
        let gap = size as u64 * 8 * 1000 / 12;
        let end = Instant::from_secs(10);
        feed(&mut link, 11_000_000_000 / gap, gap, size, |output| match output {
            Output::Deliver(packet) if packet.at <= end => bytes += u64::from(packet.size()),
            Output::Deliver(_) => {}
            Output::Discard(..) => refused += 1,
        });
        assert!(bytes.abs_diff(12_500_000) <= size as u64, "{bytes} bytes in packets of {size}");
        assert!(refused > 0, "the link was busy");
    }
}

#[test]
fn a_queue_of_a_time_never_makes_a_packet_wait_longer() {
    let mut link = link(1, &rules(r#"{ "rule": "rate", "limit": "1Mbit/s", "queue": "50ms" }"#));
    let mut longest = 0;
    feed(&mut link, 10_000, 1_000_000, 1000, |output| {
        if let Output::Deliver(packet) = output {
            longest = longest.max(packet.at.as_nanos() - packet.entered.as_nanos());
        }
    });
    // 50 ms of waiting and 8 ms of transmission; one packet less than the bound would be too
    // strict.
    assert!((50_000_001..=58_000_000).contains(&longest), "{longest}");
}

#[test]
fn drawn_jitter_has_its_mean_and_spread() {
    // 250 ms apart, so that keeping order changes nothing.
    for (rule, mean, sd) in [
        (r#"{ "rule": "delay", "time": "50ms", "jitter": "10ms", "shape": "normal" }"#, 50e6, 10e6),
        (r#"{ "rule": "delay", "time": "20ms", "jitter": "10ms", "shape": "normal" }"#, 20e6, 10e6),
        (r#"{ "rule": "delay", "time": "50ms", "jitter": "30ms" }"#, 50e6, 30e6 / 3f64.sqrt()),
    ] {
        for seed in SEEDS {
            let mut link = link(seed, &rules(rule));
            let (mut moments, mut least, mut most) = (Moments::default(), u64::MAX, 0);
            feed(&mut link, 1_000_000, 250_000_000, 100, |output| {
                let packet = output.packet();
                let delay = packet.at.as_nanos() - packet.entered.as_nanos();
                moments.add(delay as f64);
                (least, most) = (least.min(delay), most.max(delay));
            });
            assert_eq!(moments.count(), 1_000_000);
            assert!((moments.sd() / sd - 1.0).abs() < 0.01, "{rule}: sd {}", moments.sd());
            assert!(
                (moments.mean() - mean).abs() < Z_999 * sd / 1000.0,
                "{rule}: mean {}",
                moments.mean()
            );
            assert!(most as f64 <= 2.0 * mean && least as f64 >= 0.0);
        }
    }
}

#[test]
fn kept_order_leaves_the_mean_delay_exact() {
    let delays = |reorder: bool| {
        let rule = format!(
            r#"{{ "rule": "delay", "time": "20ms", "jitter": "10ms", "reorder": {reorder} }}"#
        );
        let mut link = link(1, &rules(&rule));
        let (mut total, mut overtaken, mut last) = (0u128, 0, 0);
        feed(&mut link, 200_000, 20_000, 100, |output| {
            let packet = output.packet();
            total += u128::from(packet.at.as_nanos() - packet.entered.as_nanos());
            overtaken += u32::from(packet.number < last);
            last = packet.number;
        });
        (total, overtaken)
    };
    let ((kept, none), (free, many)) = (delays(false), delays(true));
    assert_eq!((kept, none), (free, 0), "the same delays were drawn, and nobody was overtaken");
    assert!(many > 10_000, "at 50,000 packets a second ± 10 ms overtakes");
}

#[test]
fn a_stream_below_the_rate_loses_nothing_to_the_delay() {
    // 9.6 Mbit/s over 10 Mbit/s: the 50 ms in flight behind the link are not its queue.
    let mut link = link(
        1,
        &rules(r#"{ "rule": "rate", "limit": "10Mbit/s" }, { "rule": "delay", "time": "50ms" }"#),
    );
    let mut delivered = 0;
    feed(&mut link, 100_000, 1_000_000, 1200, |output| {
        assert!(matches!(output, Output::Deliver(_)));
        delivered += 1;
    });
    assert_eq!(delivered, 100_000);
}

#[test]
fn a_packet_held_back_is_overtaken_by_exactly_so_many() {
    for behind in [1u64, 3] {
        let rule = format!(
            r#"{{ "rule": "reorder", "chance": "0.1%", "behind": {behind}, "at_most": "10s" }}"#
        );
        let mut link = link(1, &rules(&rule));
        let mut order = Vec::new();
        feed(&mut link, 100_000, 1000, 100, |output| {
            order.push((output.packet().number, output.packet().trace.rules))
        });
        let held: Vec<(usize, u64)> = order
            .iter()
            .enumerate()
            .filter(|(_, (_, rules))| *rules != 0)
            .map(|(place, (number, _))| (place, *number))
            .collect();
        assert!((60..150).contains(&held.len()), "{} of 100 expected", held.len());
        for (place, number) in held {
            let passed = order[..place].iter().filter(|(other, _)| *other > number).count() as u64;
            assert!(
                passed == behind || number + behind > 100_000,
                "{number} was passed by {passed}"
            );
        }
    }
}

#[test]
fn no_hold_back_outlives_its_bound() {
    let mut link = link(1, &rules(r#"{ "rule": "reorder", "chance": "100%", "at_most": "20ms" }"#));
    link.handle(packet(1_000_000, 100));
    assert_eq!(link.deadline(), Some(Instant::from_millis(21)));
    assert!(link.poll(Instant::from_nanos(20_999_999)).is_none());
    let Some(Output::Deliver(packet)) = link.poll(Instant::from_secs(1)) else { panic!() };
    assert_eq!(packet.at, Instant::from_millis(21));
}
