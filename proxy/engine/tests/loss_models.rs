//! Every way of losing packets against its formula: how many, how long the runs of losses are, and
//! how long those of arrivals.
//!
//! A fit is red below p = 10^-4, and a mean outside its 99.9 % interval. With so many of them
//! chance makes one red now and then; it is then looked at again with ten times the packets under
//! the same seed.
#![allow(clippy::print_stderr, reason = "it says what it skips or measures")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use jostle_engine::stage::Output;
use support::fit::{Losses, chi_square_above};
use support::seen::{P_LEAST, Seen};
use support::{feed, link, rules};

const SEEDS: [u64; 5] = [1, 2, 3, 4, 5];
const MS: u64 = 1_000_000;

/// Sends `count` packets, `gap` nanoseconds apart, and counts each `nth` of successive runs.
fn watch(seed: u64, rule: &str, gap: u64, count: u64, nth: u64) -> Seen {
    let mut seen = Seen::default();
    let mut link = link(seed, &rules(&format!(r#"{{ "rule": "drop", {rule} }}"#)));
    feed(&mut link, count, gap, 100, |output| {
        seen.packet(matches!(output, Output::Discard(..)), nth)
    });
    assert_eq!(seen.packets, count);
    seen
}

/// Checks a rule against its chain under each seed.
fn fits(rule: &str, gap: u64, chain: &Losses, nth: u64) {
    const PACKETS: u64 = 400_000;
    for seed in SEEDS {
        let faults = watch(seed, rule, gap, PACKETS, nth).faults(chain);
        if faults.is_empty() {
            continue;
        }
        let again = watch(seed, rule, gap, 10 * PACKETS, nth).faults(chain);
        assert!(again.is_empty(), "{rule}, seed {seed}: {faults:?}, then {again:?}");
        eprintln!("{rule}, seed {seed}: {faults:?}, but not with ten times the packets");
    }
}

#[test]
fn independent_losses_and_bursts_have_runs_of_geometric_length() {
    fits(r#""chance": "5%""#, 1000, &Losses::independent(0.05), 1);
    fits(r#""chance": "60%""#, 1000, &Losses::independent(0.6), 1);
    for (mean, length) in [(0.02, 3.0), (0.3, 8.0), (0.05, 1.0), (0.5, 1.5)] {
        let r = 1.0 / length;
        let chain = Losses::two_states(r * mean / (1.0 - mean), r, 1.0, 0.0);
        fits(&format!(r#""burst": {{ "mean": {mean:?}, "length": {length} }}"#), 1000, &chain, 1);
    }
}

#[test]
fn bursts_of_one_packet_at_fifty_percent_alternate() {
    let chain = Losses::two_states(1.0, 1.0, 1.0, 0.0);
    fits(r#""burst": { "mean": "50%", "length": 1 }"#, 1000, &chain, 1);
    fits(r#""gilbert_elliott": { "p": "100%", "r": "100%" }"#, 1000, &chain, 1);
}

#[test]
fn gilbert_elliott_has_the_runs_of_its_chain() {
    for (p, r, bad, good) in [
        (0.01, 0.2, 1.0, 0.0),
        (0.08, 0.5, 0.9, 0.0),
        (0.01, 0.08, 0.999, 0.02),
        (0.7, 0.9, 0.5, 0.1),
    ] {
        let rule = format!(
            r#""gilbert_elliott": {{ "p": {p}, "r": {r}, "loss_bad": {bad:?}, "loss_good": {good:?} }}"#
        )
        .replace("1.0", "\"100%\"")
        .replace(": 0.0 ", ": 0 ");
        let nth = if bad == 1.0 { 1 } else { 16 };
        fits(&rule, 1000, &Losses::two_states(p, r, bad, good), nth);
    }
}

#[test]
fn four_states_have_the_runs_of_netems_chain() {
    for (values, nth) in [
        ([0.02, 0.3, 0.2, 0.4, 0.01], 16),
        ([0.01, 0.25, 0.0, 1.0, 0.0], 1),
        ([0.1, 0.2, 0.5, 0.3, 0.05], 16),
        ([0.0, 1.0, 0.0, 1.0, 0.07], 1),
    ] {
        fits(&four_state(values), 1000, &Losses::four_states(values), nth);
    }
    // What is left out is as in netem: one value alone loses each packet on its own.
    fits(r#""four_state": { "p13": "5%" }"#, 1000, &Losses::independent(0.05), 1);
}

fn four_state(values: [f64; 5]) -> String {
    let fields: Vec<String> = ["p13", "p31", "p32", "p23", "p14"]
        .iter()
        .zip(values)
        .map(|(name, value)| format!(r#""{name}": "{:.6}%""#, value * 100.0))
        .collect();
    format!(r#""four_state": {{ {} }}"#, fields.join(", "))
}

#[test]
fn four_states_meet_the_formulas_of_their_authors() {
    for values in
        [[0.02, 0.3, 0.2, 0.4, 0.01], [0.1, 0.2, 0.5, 0.3, 0.05], [0.01, 0.25, 0.25, 0.5, 0.0]]
    {
        let [p13, p31, p32, p23, p14] = values;
        let bursts: f64 = p13 / p31;
        let loss = (bursts + p14) / (1.0 + p14 + bursts + bursts * p32 / p23);
        assert!((Losses::four_states(values).mean() - loss).abs() < 1e-12);
        let judged = [1_000_000, 10_000_000].map(|count| {
            let seen = watch(1, &four_state(values), 1000, count, 1);
            ((seen.mean() - loss).abs() < Losses::four_states(values).margin(count as f64), seen)
        });
        let Some((_, seen)) = judged.into_iter().find(|(within, _)| *within) else {
            panic!("{values:?} should lose {loss}");
        };
        if p14 == 0.0 {
            // Within a burst a run of losses ends by p31 or p32.
            let (count, total) =
                seen.losses.iter().zip(1u64..).fold((0, 0), |(count, total), (runs, length)| {
                    (count + runs, total + runs * length)
                });
            let (mean, length) = (total as f64 / count as f64, 1.0 / (p31 + p32));
            let sd = (length * (length - 1.0) / count as f64).sqrt();
            assert!((mean - length).abs() < 3.3 * sd, "runs of {mean} for {length}");
        }
    }
}

#[test]
fn patterns_have_runs_by_their_chances() {
    for chances in [&[0.02, 0.5, 0.5, 0.0][..], &[0.1, 0.3, 0.6], &[0.25], &[0.9, 0.1, 0.5]] {
        let list: Vec<String> =
            chances.iter().map(|chance| format!("\"{}%\"", chance * 100.0)).collect();
        fits(&format!(r#""pattern": [{}]"#, list.join(", ")), 1000, &Losses::pattern(chances), 1);
    }
}

#[test]
fn bursts_of_time_have_their_share_and_length_at_any_packet_rate() {
    for (mean, millis) in [(0.2, 10), (0.05, 30)] {
        let rule = format!(r#""burst": {{ "mean": "{}%", "length": "{millis}ms" }}"#, mean * 100.0);
        for gap in [MS / 2, 5 * MS, 40 * MS] {
            let chain = Losses::bursts_of_time(mean, millis as f64 * 1e6, gap as f64);
            fits(&rule, gap, &chain, 1);
        }
    }
}

#[test]
fn no_burst_setting_moves_the_mean() {
    for (rule, gap, lambda) in [
        (r#""chance": "5%""#, 1000, 0.0),
        (r#""burst": { "mean": "5%", "length": 2 }"#, 1000, 1.0 - 0.5 / 0.95),
        (r#""burst": { "mean": "5%", "length": 20 }"#, 1000, 1.0 - 0.05 / 0.95),
        (r#""burst": { "mean": "5%", "length": "20ms" }"#, MS, libm::exp(-0.05 / 0.95)),
    ] {
        const PACKETS: u64 = 10_000_000;
        let found = watch(1, rule, gap, PACKETS, 1).mean();
        let margin = jostle_common::statistics::proportion_margin(
            0.05,
            PACKETS as f64,
            lambda,
            jostle_common::statistics::Z_999,
        );
        assert!((found - 0.05).abs() <= margin, "{rule}: {found} ± {margin}");
    }
}

#[test]
fn a_wrong_chain_does_not_fit() {
    // What all the fits above are worth: a tenth more of burst length, and other runs of the same
    // mean, are seen.
    let seen = watch(1, r#""burst": { "mean": "5%", "length": 3.3 }"#, 1000, 400_000, 1);
    let r: f64 = 1.0 / 3.0;
    assert!(Losses::two_states(r * 0.05 / 0.95, r, 1.0, 0.0).fit(true, &seen.losses) < P_LEAST);
    let seen = watch(1, r#""pattern": ["2%", "50%", "50%", "0%"]"#, 1000, 400_000, 1);
    assert!(Losses::pattern(&[0.02, 0.5]).fit(true, &seen.losses) < P_LEAST);
    // And the test itself, by its table: the 1 % points of 1, 10 and 100 degrees of freedom.
    for (x, degrees) in [(6.634_897, 1.0), (23.209_251, 10.0), (135.806_723, 100.0)] {
        assert!((chi_square_above(x, degrees) - 0.01).abs() < 1e-7);
    }
    assert!((chi_square_above(9.341_818, 10.0) - 0.5).abs() < 1e-6);
}
