//! The evidence of a point's pairs for a condition, and how sure that is.
//!
//! - In virtual time a cell has one outcome: one pair, and pairs that all have one ratio, are
//!   certain.
//! - Otherwise the mean ratio is judged by its interval ([`paired_ratio`]).
//! - A value that was 0 and is no longer, or has become 0, has no ratio that could be averaged.
//!   Then the pairs on either side of the condition are counted: were the median pair on its
//!   threshold, so uneven a count would be as rare as the confidence says (the sign test).

use super::condition::{Condition, Side};
use super::pairs::Pair;
use jostle_common::statistics::{Interval, Verdict, paired_ratio};

/// The evidence that a ratio rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Basis {
    /// There is no chance in it.
    Certain,
    /// The interval around the mean ratio.
    Interval,
    /// The numbers of pairs on either side: some values were or became 0.
    Signs,
}

impl Basis {
    /// Returns `certain`, `interval` or `signs`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Certain => "certain",
            Self::Interval => "interval",
            Self::Signs => "signs",
        }
    }
}

/// The values of the pairs of a point.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Evidence {
    pub(super) basis: Basis,
    /// Values of the pairs that have a ratio; equal ones are 1 and 1, as 0 and 0 have none of their
    /// own.
    new: Vec<f64>,
    old: Vec<f64>,
    pub(super) new_mean: f64,
    pub(super) old_mean: f64,
    /// Pairs of cells that both were done, of which one side does not have the metric, or a
    /// negative value of it.
    pub(super) unusable: u64,
}

/// A judged ratio.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct JudgedRatio {
    /// The verdict on whether the condition is met.
    pub(super) verdict: Verdict,
    /// New / old: the geometric mean over the pairs, or, when values are 0, of the means.
    pub(super) ratio: f64,
    pub(super) interval: Option<Interval>,
}

impl Evidence {
    /// Collects the values of a metric; `None` when no cell that was done has it.
    pub(super) fn new(pairs: &[Pair<'_>], metric: u16) -> Option<Self> {
        let done = || pairs.iter().filter(|pair| pair.new.ok && pair.old.ok);
        let values = |pair: &Pair<'_>| (pair.new.value(metric), pair.old.value(metric));
        if done().all(|pair| values(pair) == (None, None)) {
            return None;
        }
        let (mut new, mut old, mut unusable) = (Vec::new(), Vec::new(), 0);
        let (mut new_sum, mut old_sum) = (0.0, 0.0);
        for pair in done() {
            let (Some(now), Some(then)) = values(pair) else {
                // One side alone lacks the metric; where both lack it nothing is missing.
                unusable += u64::from(values(pair) != (None, None));
                continue;
            };
            if now < 0.0 || then < 0.0 {
                unusable += 1;
                continue;
            }
            new_sum += now;
            old_sum += then;
            // Equal values have a ratio of 1, even where both are 0.
            new.push(if now == then { 1.0 } else { now });
            old.push(if now == then { 1.0 } else { then });
        }
        let is_virtual = pairs.iter().all(|pair| pair.new.is_virtual && pair.old.is_virtual);
        let basis = basis(&new, &old, is_virtual);
        let count = new.len() as f64;
        Some(Self {
            basis,
            new_mean: new_sum / count,
            old_mean: old_sum / count,
            new,
            old,
            unusable,
        })
    }

    /// Returns the number of pairs that have a ratio.
    pub(super) const fn pairs(&self) -> usize {
        self.new.len()
    }

    /// Returns true if the verdict depends on chance, so that it may be wrong.
    pub(super) fn has_chance(&self) -> bool {
        self.basis != Basis::Certain && self.pairs() > 1
    }

    /// Judges a condition; each answer is wrong with a probability of half of what `confidence`
    /// lacks to 1.
    pub(super) fn judge(&self, condition: &Condition, confidence: f64) -> JudgedRatio {
        let answer = |is_met| if is_met { Verdict::Yes } else { Verdict::No };
        if self.pairs() == 0 {
            return JudgedRatio { verdict: Verdict::Unclear, ratio: f64::NAN, interval: None };
        }
        match self.basis {
            Basis::Certain => {
                let ratio = self.new[0] / self.old[0];
                let interval = Some(Interval { low: ratio, high: ratio });
                JudgedRatio { verdict: answer(condition.is_met(ratio)), ratio, interval }
            }
            Basis::Interval => {
                let estimate =
                    paired_ratio(&self.new, &self.old, confidence).expect("no value is 0");
                let verdict = match condition.side {
                    Side::Below => estimate.is_below(condition.ratio),
                    Side::Above => estimate.is_above(condition.ratio),
                };
                JudgedRatio { verdict, ratio: estimate.ratio, interval: estimate.interval }
            }
            Basis::Signs => {
                let met = self.ratios().filter(|ratio| condition.is_met(*ratio)).count() as u64;
                let all = self.pairs() as u64;
                // Were the median pair on the threshold, each pair would be a fair coin.
                let is_rare = |count| at_least(count, all) <= (1.0 - confidence) / 2.0;
                let verdict = match () {
                    () if is_rare(met) => Verdict::Yes,
                    () if is_rare(all - met) => Verdict::No,
                    () => Verdict::Unclear,
                };
                JudgedRatio { verdict, ratio: self.new_mean / self.old_mean, interval: None }
            }
        }
    }

    fn ratios(&self) -> impl Iterator<Item = f64> {
        self.new.iter().zip(&self.old).map(|(new, old)| new / old)
    }
}

fn basis(new: &[f64], old: &[f64], is_virtual: bool) -> Basis {
    let mut ratios = new.iter().zip(old).map(|(new, old)| new / old);
    let Some(first) = ratios.next() else { return Basis::Interval };
    let is_one_ratio = ratios.all(|ratio| ratio == first);
    let has_zero = new.iter().chain(old).any(|value| *value == 0.0);
    // Virtual time repeats itself exactly, so one pair is proof; of real pairs several must agree.
    match is_one_ratio && (is_virtual || (new.len() > 1 && !has_zero)) {
        true => Basis::Certain,
        false if has_zero => Basis::Signs,
        false => Basis::Interval,
    }
}

/// Returns the probability that of `all` fair coins `count` or more show heads.
fn at_least(count: u64, all: u64) -> f64 {
    // In logarithms, as a factorial overflows from 171 on.
    let log_factorial = |number: u64| libm::lgamma(number as f64 + 1.0);
    let all_ways = log_factorial(all) - all as f64 * std::f64::consts::LN_2;
    let exactly = |heads| libm::exp(all_ways - log_factorial(heads) - log_factorial(all - heads));
    (count..=all).map(exactly).sum::<f64>().min(1.0)
}

#[cfg(test)]
mod tests {
    use super::super::super::fixtures::{loaded, row};
    use super::super::super::interner::Interner;
    use super::*;

    /// Judges real or virtual pairs of intact shares, in 16ths.
    fn judged(text: &str, pairs: &[(u64, u64)], is_virtual: bool) -> (Basis, Verdict, f64) {
        let mut interner = Interner::default();
        let mut side = |name: &str, number: fn(&(u64, u64)) -> u64| {
            let cell = |(repeat, pair): (u32, &(u64, u64))| {
                let missing = number(pair);
                row().with("virtual", is_virtual).repeat(repeat).chunks(16 - missing, missing, 0)
            };
            let rows: Vec<_> = (1..).zip(pairs).map(cell).collect();
            loaded(&mut interner, name, &rows)
        };
        let (new, old) = (side("new", |pair| pair.0), side("old", |pair| pair.1));
        let metric =
            interner.metrics().iter().find(|(_, metric)| metric.name == "missing").unwrap().0;
        let pairs: Vec<Pair<'_>> =
            new.records.iter().zip(&old.records).map(|(new, old)| Pair { new, old }).collect();
        let evidence = Evidence::new(&pairs, metric).unwrap();
        let judged = evidence.judge(&text.parse().unwrap(), 0.95);
        (evidence.basis, judged.verdict, judged.ratio)
    }

    #[test]
    fn one_pair_is_certain_in_virtual_time_only() {
        assert_eq!(judged("missing > 1.9", &[(8, 4)], true), (Basis::Certain, Verdict::Yes, 2.0));
        assert_eq!(judged("missing > 2", &[(8, 4)], true), (Basis::Certain, Verdict::No, 2.0));
        assert_eq!(
            judged("missing > 1.9", &[(8, 4)], false),
            (Basis::Interval, Verdict::Unclear, 2.0)
        );
        assert_eq!(
            judged("missing > 1.9", &[(4, 0)], true),
            (Basis::Certain, Verdict::Yes, f64::INFINITY)
        );
        assert_eq!(judged("missing > 1.9", &[(0, 0)], true), (Basis::Certain, Verdict::No, 1.0));
        assert_eq!(judged("missing > 1.9", &[(4, 0)], false).1, Verdict::Unclear);
    }

    #[test]
    fn one_ratio_in_all_pairs_is_certain() {
        assert_eq!(
            judged("missing > 1.1", &[(0, 0), (3, 3)], false),
            (Basis::Certain, Verdict::No, 1.0)
        );
        assert_eq!(
            judged("missing < 0.9", &[(1, 2), (2, 4), (3, 6)], false),
            (Basis::Certain, Verdict::Yes, 0.5)
        );
    }

    #[test]
    fn what_was_nothing_is_judged_by_counting() {
        // Six of six pairs got worse: 1 in 64 by chance. Five of five: 1 in 32, more than 2.5 %.
        let six = [(1, 0), (2, 0), (1, 0), (4, 0), (3, 1), (1, 0)];
        let (basis, verdict, ratio) = judged("missing > 1.1", &six, false);
        assert_eq!((basis, verdict, ratio), (Basis::Signs, Verdict::Yes, 12.0));
        assert_eq!(judged("missing > 1.1", &six[..5], false).1, Verdict::Unclear);
        let better = six.map(|(new, old)| (old, new));
        assert_eq!(judged("missing > 1.1", &better, false).1, Verdict::No);
    }

    #[test]
    fn coins_fall_as_the_textbook_says() {
        for (count, all, expected) in
            [(0, 7, 1.0), (5, 5, 1.0 / 32.0), (8, 10, 56.0 / 1024.0), (51, 100, 0.460_205_381)]
        {
            let found = at_least(count, all);
            assert!((found - expected).abs() < 1e-8, "{count} of {all}: {found}");
        }
    }
}
