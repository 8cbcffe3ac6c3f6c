//! The promise of a `drop` rule: the share of packets that its model loses, and the lengths of its
//! runs.

use super::states::burst_transitions;
use super::{BurstLength, Drop, FourState};
use crate::rules::losses::{LossModel, Losses};
use crate::rules::promise::{Loss, Promise, Traffic};
use jostle_common::units::Probability;
use jostle_common::words::{count, fine_percent, time};
use serde_json::{Value, json};

/// Wheels of more packets than this lose one packet on its own, as far as any stream can tell.
const WHEEL_MAX: usize = 128;

/// Returns the chain of the rule. A burst measured in time needs the gap between packets in
/// seconds. `None` where nothing is stationary: a list of packets, or a burst in time without a
/// gap.
fn model(setting: &Drop, gap: Option<f64>) -> Option<LossModel> {
    let p = Probability::as_f64;
    Some(match setting {
        Drop::Chance(chance) => LossModel::independent(p(*chance)),
        Drop::Burst { mean, length: BurstLength::Packets(length) } => {
            let (enter, leave) = burst_transitions(*mean, *length);
            LossModel::two_states(p(enter), p(leave), 1.0, 0.0)
        }
        Drop::Burst { mean, length: BurstLength::Time(length) } => {
            LossModel::burst_in_time(p(*mean), *length, gap?)
        }
        Drop::GilbertElliott { p: enter, r, loss_bad, loss_good } => {
            LossModel::two_states(p(*enter), p(*r), p(*loss_bad), p(*loss_good))
        }
        Drop::FourState(states) => four_states(states),
        Drop::Every(n) => every(*n),
        Drop::Packets(_) => return None,
        Drop::Pattern(chances) => pattern(&chances.iter().copied().map(p).collect::<Vec<_>>()),
    })
}

fn four_states(states: &FourState) -> LossModel {
    let [p13, p31, p32, p23, p14] =
        [states.p13, states.p31, states.p32, states.p23, states.p14].map(Probability::as_f64);
    let transitions = vec![
        vec![1.0 - p13 - p14, 0.0, p13, p14],
        vec![0.0, 1.0 - p23, p23, 0.0],
        vec![p31, p32, 1.0 - p31 - p32, 0.0],
        vec![1.0, 0.0, 0.0, 0.0],
    ];
    LossModel::chain(transitions, vec![0.0, 0.0, 1.0, 1.0])
}

/// Makes a wheel of n states that loses in the last of them.
fn every(n: u64) -> LossModel {
    let count = usize::try_from(n).ok().filter(|count| *count <= WHEEL_MAX);
    let Some(count) = count else { return LossModel::independent(1.0 / n as f64) };
    let row =
        |from: usize| (0..count).map(|to| indicator(to == (from + 1) % count)).collect::<Vec<_>>();
    let loss = (0..count).map(|state| indicator(state == count - 1)).collect();
    LossModel::chain((0..count).map(row).collect(), loss)
}

/// Makes a state for each number of losses in a row: state 0 is an arrival, state k the k-th loss
/// in a row, the last all beyond.
fn pattern(chances: &[f64]) -> LossModel {
    let last = chances.len();
    let row = |losses: usize| {
        let chance = chances[losses.min(last - 1)];
        let mut row = vec![0.0; last + 1];
        row[0] = 1.0 - chance;
        row[(losses + 1).min(last)] += chance;
        row
    };
    let loss = (0..=last).map(|losses| indicator(losses > 0)).collect();
    LossModel::chain((0..=last).map(row).collect(), loss)
}

fn indicator(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

pub(super) fn promise(setting: &Drop, traffic: &Traffic) -> Promise {
    let model = model(setting, traffic.gap());
    let is_idle = model.as_ref().is_some_and(|model| model.losses().share == 0.0);
    Promise { loss: model.map_or(Loss::Unknown, Loss::Counted), is_idle, ..Promise::default() }
}

/// The losses of a rule without a chain.
enum Unchained {
    /// Those of a list, so many.
    Listed(u64),
    /// A share of the time, in bursts of a mean length in seconds.
    InTime(f64, f64),
}

fn losses(setting: &Drop, traffic: &Traffic) -> Result<Losses, Unchained> {
    if let Some(model) = model(setting, traffic.gap()) {
        return Ok(model.losses());
    }
    Err(match setting {
        Drop::Packets(list) => Unchained::Listed(list.len() as u64),
        Drop::Burst { mean, length: BurstLength::Time(length) } => {
            Unchained::InTime(mean.as_f64(), length.as_secs_f64())
        }
        _ => Unchained::Listed(0),
    })
}

pub(super) fn numbers(setting: &Drop, traffic: &Traffic) -> Value {
    match losses(setting, traffic) {
        Ok(losses) => json!({ "loss": losses.share, "burst": losses.burst }),
        Err(Unchained::Listed(packets)) => json!({ "lost_packets": packets }),
        Err(Unchained::InTime(share, burst)) => json!({ "loss": share, "burst_seconds": burst }),
    }
}

/// Says in a few words what it loses.
pub(super) fn brief(setting: &Drop) -> String {
    let percent = |chance: Probability| fine_percent(chance.as_f64());
    match setting {
        Drop::Chance(chance) => percent(*chance),
        Drop::Burst { mean, length: BurstLength::Packets(length) } => {
            format!("{} in bursts of {length}", percent(*mean))
        }
        Drop::Burst { mean, length: BurstLength::Time(length) } => {
            format!("{} in bursts of {}", percent(*mean), time(length.as_secs_f64()))
        }
        Drop::Every(1) => "all".to_owned(),
        Drop::Every(n) => format!("1 of {n}"),
        Drop::Packets(list) => format!("{} by number", list.len()),
        Drop::GilbertElliott { .. } | Drop::FourState(_) | Drop::Pattern(_) => {
            let share = model(setting, None).map_or(0.0, |model| model.losses().share);
            format!("{} in bursts", fine_percent(share))
        }
    }
}

pub(super) fn words(setting: &Drop, traffic: &Traffic) -> String {
    format!("loses {}", amount(setting, traffic))
}

/// Says how many packets it chooses: "2% of packets, 3.00 in a row on average".
pub(in crate::rules) fn amount(setting: &Drop, traffic: &Traffic) -> String {
    match losses(setting, traffic) {
        Ok(losses) => losses.amount(),
        Err(Unchained::Listed(packets)) => format!("{} by number", count(packets, "packet")),
        Err(Unchained::InTime(share, burst)) => {
            format!("{} of the time, {} at a time on average", fine_percent(share), time(burst))
        }
    }
}

/// The SYNs of a handshake that is given up: the first, four a second apart and six of Linux's
/// tcp_syn_retries.
const SYNS: usize = 11;

/// A share of handshakes below this is not worth a warning, among those that open into a burst.
const TIMED_OUT_MIN: f64 = 0.05;

/// Warns of bursts that silence does not end: while one packet goes per timeout, they last.
pub(super) fn warning(setting: &Drop, traffic: &Traffic) -> Option<String> {
    let counted = match setting {
        Drop::Burst { length: BurstLength::Packets(_), .. }
        | Drop::GilbertElliott { .. }
        | Drop::FourState(_)
        | Drop::Pattern(_) => model(setting, traffic.gap())?.losses(),
        _ => return None,
    };
    let timed_out = share_before_losses(&counted.lengths, SYNS);
    (timed_out >= TIMED_OUT_MIN).then(|| {
        format!(
            "its bursts are counted in packets, so silence does not end one: of the TCP \
             connections that open into one, {} lose all {SYNS} SYNs of 131 s and time out; for a \
             burst that passes write a time, \"burst\": {{ \"mean\": \"{}\", \"length\": \
             \"200ms\" }}",
            fine_percent(timed_out),
            fine_percent(counted.share),
        )
    })
}

/// Returns the share of lost packets with which `count` losses in a row begin, by the distribution
/// of run lengths.
fn share_before_losses(lengths: &[f64], count: usize) -> f64 {
    let sum = |from: usize| -> f64 {
        let runs = lengths.iter().enumerate().skip(from);
        runs.map(|(index, share)| (index + 1 - from) as f64 * share).sum()
    };
    let all = sum(0);
    if all > 0.0 { sum(count - 1) / all } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::losses::Losses;
    use crate::rules::setting::RuleSyntax;
    use crate::rules::written::no_files;
    use jostle_common::setting::{decode, parse_json};

    fn losses(rule: &str) -> Losses {
        let fields = parse_json(&format!("{{ {rule} }}")).unwrap();
        let drop = Drop::read("", decode("", fields).unwrap(), &no_files).unwrap();
        model(&drop, Some(0.001)).unwrap().losses()
    }

    fn close(value: f64, expected: f64) -> bool {
        (value - expected).abs() < 1e-9 * expected.abs().max(1.0)
    }

    #[test]
    fn long_run_losses_agree_with_the_formulas() {
        // chance p: runs of mean 1/(1 − p).
        let one = losses(r#""chance": "20%""#);
        assert!(
            close(one.share, 0.2) && close(one.burst.unwrap(), 1.25) && close(one.inflation, 1.0)
        );
        // Bursts: λ = 1 − p − r with r = 1/3 and p = r·0.02/0.98.
        let burst = losses(r#""burst": { "mean": "2%", "length": 3 }"#);
        let lambda: f64 = 1.0 - (1.0 / 3.0) * (1.0 + 0.02 / 0.98);
        assert!(close(burst.share, 0.02) && close(burst.burst.unwrap(), 3.0), "{burst:?}");
        assert!(close(burst.inflation, (1.0 + lambda) / (1.0 - lambda)), "{}", burst.inflation);
        assert!(close(burst.lengths[1], (2.0 / 3.0) / 3.0));
        // Gilbert–Elliott: (p·h + r·k)/(p + r).
        let states = losses(
            r#""gilbert_elliott": { "p": "1%", "r": "20%", "loss_bad": "50%", "loss_good": "0.1%" }"#,
        );
        assert!(close(states.share, (0.01 * 0.5 + 0.2 * 0.001) / 0.21), "{states:?}");
        // In time: a share of the time, and at a packet per ms nearly 50 packets each.
        let time = losses(r#""burst": { "mean": "2%", "length": "50ms" }"#);
        assert!(close(time.share, 0.02) && (time.burst.unwrap() - 50.5).abs() < 0.02, "{time:?}");
        let every = losses(r#""every": 10"#);
        assert!(
            close(every.share, 0.1) && close(every.burst.unwrap(), 1.0) && every.inflation < 1e-9
        );
        assert_eq!(losses(r#""every": 1"#).burst, None);
    }

    #[test]
    fn patterns_and_four_states_agree_with_long_hand() {
        // One loss in ten on its own, then one in two: runs of 2, so π = 0.1·2/(1 + 0.1·2) of
        // packets are lost.
        let pattern = losses(r#""pattern": ["10%", "50%"]"#);
        assert!(
            close(pattern.burst.unwrap(), 2.0) && close(pattern.share, 0.2 / 1.2),
            "{pattern:?}"
        );
        // Without states 2 and 4 it is the two-state chain with p13 and p31.
        let simple = losses(r#""four_state": { "p13": "1%", "p31": "25%" }"#);
        assert!(
            close(simple.share, 0.01 / 0.26) && close(simple.burst.unwrap(), 4.0),
            "{simple:?}"
        );
        // netem's formula (tc-netem(8), Salsano et al. 2012).
        let (p13, p31, p32, p23, p14) = (0.05, 0.4, 0.2, 0.5, 0.02);
        let full = losses(
            r#""four_state": { "p13": "5%", "p31": "40%", "p32": "20%", "p23": "50%", "p14": "2%" }"#,
        );
        let sum = p13 * p23 + p14 * p23 * p31 + p23 * p31 + p13 * p32;
        assert!(close(full.share, (p13 * p23 + p14 * p23 * p31) / sum), "{full:?}");
    }

    #[test]
    fn bursts_that_a_handshake_does_not_outlast_are_warned_of() {
        let warned = |rule: &str| {
            let fields = parse_json(&format!("{{ {rule} }}")).unwrap();
            let drop = Drop::read("", decode("", fields).unwrap(), &no_files).unwrap();
            let traffic = Traffic { packets_per_second: Some(1000.0), ..Traffic::of_size(1200) };
            warning(&drop, &traffic)
        };
        // Of geometric runs the share is (1 − 1/length)^10: 5.63 % of 4, 34.9 % of 10.
        for (rule, share) in [
            (r#""burst": { "mean": "2%", "length": 4 }"#, "5.63%"),
            (r#""burst": { "mean": "2%", "length": 10 }"#, "34.9%"),
            (r#""gilbert_elliott": { "p": "1%", "r": "10%" }"#, "34.9%"),
            (r#""pattern": ["1%", "90%"]"#, "34.9%"),
        ] {
            let text = warned(rule).unwrap();
            assert!(text.contains(&format!("open into one, {share} lose all 11 SYNs")), "{text}");
        }
        for rule in [
            r#""burst": { "mean": "2%", "length": 3 }"#,
            r#""burst": { "mean": "2%", "length": "200ms" }"#,
            r#""chance": "90%""#,
            r#""every": 2"#,
            r#""gilbert_elliott": { "p": "1%", "r": "10%", "loss_bad": "50%" }"#,
        ] {
            assert_eq!(warned(rule), None, "{rule}");
        }
    }

    #[test]
    fn two_rules_lose_together_what_either_loses() {
        let burst = Drop::burst(Probability::new(0.02).unwrap(), 3.0).unwrap();
        let both = model(&burst, None).unwrap().with(&LossModel::independent(0.1)).unwrap();
        assert!(close(both.losses().share, 1.0 - 0.98 * 0.9));
        assert!(close(LossModel::independent(0.5).thinned(0.1).losses().share, 0.05));
    }
}
