//! How much is lost, and how long the runs of losses and of arrivals are.

use crate::support::fit::Losses;
use crate::support::seen::Seen;
use crate::support::ways::{both_ways, feed_runs};
use crate::support::{link, rules};
use jostle_engine::stage::Output;

/// Checks a rule that goes by the numbers of packets; of successive runs each `nth` is counted.
fn fits(rule: &str, chain: &Losses, nth: u64) {
    const PACKETS: u64 = 400_000;
    let timeline = rules(&format!(r#"{{ "rule": "drop", {rule} }}"#));
    for seed in [1, 2, 3] {
        let (seen, _) = both_ways(|way| {
            let (mut seen, mut link) = (Seen::default(), link(seed, &timeline));
            feed_runs(&mut link, way, PACKETS, 1000, 100, |output| {
                seen.packet(matches!(output, Output::Discard(..)), nth)
            });
            (seen, *link.counters())
        });
        assert_eq!(seen.packets, PACKETS);
        let faults = seen.faults(chain);
        assert!(faults.is_empty(), "{rule}, seed {seed}: {faults:?}");
    }
}

#[test]
fn each_packet_for_itself() {
    fits(r#""chance": "0.5%""#, &Losses::independent(0.005), 1);
    fits(r#""chance": "60%""#, &Losses::independent(0.6), 1);
}

#[test]
fn in_bursts() {
    for (mean, length) in [(0.02, 3.0), (0.3, 8.0)] {
        let r = 1.0 / length;
        let chain = Losses::two_states(r * mean / (1.0 - mean), r, 1.0, 0.0);
        fits(&format!(r#""burst": {{ "mean": {mean}, "length": {length} }}"#), &chain, 1);
    }
}

#[test]
fn by_the_state_of_a_chain() {
    let rule =
        r#""gilbert_elliott": { "p": "1%", "r": "8%", "loss_bad": "99.9%", "loss_good": "2%" }"#;
    fits(rule, &Losses::two_states(0.01, 0.08, 0.999, 0.02), 16);
    let rule =
        r#""four_state": { "p13": "2%", "p31": "30%", "p32": "20%", "p23": "40%", "p14": "1%" }"#;
    fits(rule, &Losses::four_states([0.02, 0.3, 0.2, 0.4, 0.01]), 16);
    let rule = r#""pattern": ["2%", "50%", "50%", "0%"]"#;
    fits(rule, &Losses::pattern(&[0.02, 0.5, 0.5, 0.0]), 1);
}

#[test]
fn by_the_time_at_which_they_come() {
    // Runs are at most 0.65 ms apart, which is little of a burst.
    const GAP: u64 = 15_000;
    let rule = r#"{ "rule": "drop", "burst": { "mean": "20%", "length": "10ms" } }"#;
    let chain = Losses::bursts_of_time(0.2, 10e6, GAP as f64);
    for seed in [1, 2, 3] {
        let (seen, _) = both_ways(|way| {
            let (mut seen, mut link) = (Seen::default(), link(seed, &rules(rule)));
            feed_runs(&mut link, way, 2_000_000, GAP, 100, |output| {
                seen.packet(matches!(output, Output::Discard(..)), 1)
            });
            (seen, *link.counters())
        });
        let margin = chain.margin(seen.packets as f64);
        assert!((seen.mean() - 0.2).abs() < margin, "seed {seed}: {} ± {margin}", seen.mean());
    }
}
