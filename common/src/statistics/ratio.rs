//! The change of values against older ones they are paired with, and whether the change is sure.

use super::{Interval, mean_interval};

/// The mean ratio of paired values, as an estimate of what it would be over all pairs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RatioEstimate {
    /// The geometric mean of new / old: 0.5 and 2 make 1.
    pub ratio: f64,
    /// The interval of the true ratio, with the confidence that was asked for. `None` of one pair,
    /// which says nothing about its own spread.
    pub interval: Option<Interval>,
    /// The number of pairs that the ratio is made of, 1 at least.
    pub pairs: u64,
    /// The number of pairs that are left out as they have no ratio, or none with a logarithm.
    pub unusable: u64,
}

/// The answer to a question that is judged by values that spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is so: all of the interval says so.
    Yes,
    /// It is not: all of the interval says so.
    No,
    /// The pairs are too few or too noisy to tell.
    Unclear,
}

impl RatioEstimate {
    /// Judges whether the true ratio is below `threshold`. With an interval of 95 %, each of the
    /// two answers is wrong in at most 2.5 % of cases.
    pub fn is_below(&self, threshold: f64) -> Verdict {
        self.judge(|interval| interval.high < threshold, |interval| interval.low >= threshold)
    }

    /// Judges whether the true ratio is above `threshold`, as sure as [`Self::is_below`].
    pub fn is_above(&self, threshold: f64) -> Verdict {
        self.judge(|interval| interval.low > threshold, |interval| interval.high <= threshold)
    }

    // Two questions and not one with its negation: neither holds for a threshold that is no number.
    fn judge(&self, yes: impl Fn(Interval) -> bool, no: impl Fn(Interval) -> bool) -> Verdict {
        match self.interval {
            Some(interval) if yes(interval) => Verdict::Yes,
            Some(interval) if no(interval) => Verdict::No,
            _ => Verdict::Unclear,
        }
    }
}

/// Returns the geometric mean of `new` / `old` and the interval around it that holds the true one
/// with probability `confidence` (0.95, say), when the logarithms of the ratios are independent and
/// roughly normal; `None` when no pair is usable.
///
/// A pair is usable if both values and their ratio are finite and above 0. The others are left out
/// and counted: what a 0 means, a cell that failed or a perfect one, is for the caller to say. Two
/// or more pairs of exactly one ratio have an interval of no width, which proves little when values
/// are coarsely rounded.
///
/// # Panics
///
/// When there are not as many new values as old ones.
///
/// ```
/// use jostle_common::statistics::{Verdict, paired_ratio};
///
/// let old = [100.0, 50.0, 200.0, 0.0];
/// let new = [80.0, 41.0, 162.0, 7.0];
/// let worse = paired_ratio(&new, &old, 0.95).expect("three pairs are usable");
/// assert!((worse.ratio - 0.81).abs() < 0.001);
/// assert_eq!((worse.pairs, worse.unusable), (3, 1));
/// assert_eq!((worse.is_below(0.9), worse.is_below(0.7)), (Verdict::Yes, Verdict::No));
/// // One is half as good and one better: too few, too noisy.
/// let noisy = paired_ratio(&[50.0, 60.0], &old[..2], 0.95).expect("both pairs are usable");
/// assert_eq!(noisy.is_below(0.9), Verdict::Unclear);
/// ```
pub fn paired_ratio(new: &[f64], old: &[f64], confidence: f64) -> Option<RatioEstimate> {
    assert_eq!(new.len(), old.len(), "values are paired by their place");
    let ratios: Vec<f64> =
        new.iter().zip(old).filter_map(|(new, old)| usable(*new, *old)).collect();
    // In logarithms half and double are equally far from 1, and their mean is the geometric one.
    let logs: Vec<f64> = ratios.iter().map(|ratio| libm::log(*ratio)).collect();
    let estimate = mean_interval(&logs, confidence)?;
    // A mean lies among its values, and equal ratios are their mean: rounding must not carry it
    // past a threshold.
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let most = ratios.iter().copied().fold(0.0, f64::max);
    let ratio = libm::exp(estimate.mean).clamp(least, most);
    let ends = |ends: Interval| Interval {
        low: libm::exp(ends.low).min(ratio),
        high: libm::exp(ends.high).max(ratio),
    };
    let point = Interval { low: ratio, high: ratio };
    Some(RatioEstimate {
        ratio,
        interval: estimate
            .interval
            .map(|interval| if least == most { point } else { ends(interval) }),
        pairs: estimate.count,
        unusable: (new.len() - ratios.len()) as u64,
    })
}

/// Returns the ratio of a pair, if it has one and that has a logarithm.
fn usable(new: f64, old: f64) -> Option<f64> {
    let is_usable = |value: f64| value.is_finite() && value > 0.0;
    [new, old, new / old].into_iter().all(is_usable).then_some(new / old)
}

/// Returns the confidence that each of `count` verdicts needs so that with probability `together`
/// none of them is wrong (Bonferroni): of a hundred points judged at 95 %, a few are wrong by
/// chance alone.
pub fn confidence_of_each(together: f64, count: u64) -> f64 {
    1.0 - (1.0 - together) / count.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::super::{Z_999, normal_draws, proportion_margin};
    use super::*;

    const OLD: [f64; 4] = [3.0, 7.0, 11.0, 1e6];

    fn estimate(ratio: f64, low: f64, high: f64) -> RatioEstimate {
        RatioEstimate { ratio, interval: Some(Interval { low, high }), pairs: 4, unusable: 0 }
    }

    #[test]
    fn a_ratio_is_a_mean_of_logarithms() {
        let estimate = paired_ratio(&[1.0, 2.0, 8.0], &[2.0, 2.0, 2.0], 0.95).unwrap();
        // The ratios 1/2, 1 and 4 are 2 to the powers of -1, 0 and 2: mean 1/3, sample variance
        // 7/3.
        let half = 4.302_652_729_749 * (7.0f64 / 3.0 / 3.0).sqrt();
        let close = |value: f64, power: f64| (value / libm::exp2(power) - 1.0).abs() < 1e-9;
        let Interval { low, high } = estimate.interval.unwrap();
        assert!(close(estimate.ratio, 1.0 / 3.0), "{}", estimate.ratio);
        assert!(close(low, 1.0 / 3.0 - half) && close(high, 1.0 / 3.0 + half), "{low} {high}");
        assert_eq!((estimate.pairs, estimate.unusable), (3, 0));
    }

    #[test]
    fn the_other_way_round_is_the_inverse() {
        let new = [2.5, 8.0, 10.0, 0.9e6];
        let (there, back) =
            (paired_ratio(&new, &OLD, 0.9).unwrap(), paired_ratio(&OLD, &new, 0.9).unwrap());
        assert!((there.ratio * back.ratio - 1.0).abs() < 1e-12);
        let (there, back) = (there.interval.unwrap(), back.interval.unwrap());
        assert!(
            (there.low * back.high - 1.0).abs() < 1e-12
                && (there.high * back.low - 1.0).abs() < 1e-12
        );
    }

    #[test]
    fn equal_ratios_are_their_interval() {
        for ratio in [0.25, 0.5, 1.0, 4.0] {
            let new = OLD.map(|old| old * ratio);
            assert_eq!(paired_ratio(&new, &OLD, 0.95), Some(estimate(ratio, ratio, ratio)));
        }
        // No power of two: the way through the logarithm and back would miss some of these by a
        // rounding.
        for percent in 1..200 {
            let ratio = f64::from(percent) / 100.0;
            let estimate = paired_ratio(&[ratio; 3], &[1.0; 3], 0.95).unwrap();
            assert_eq!(
                (estimate.ratio, estimate.interval),
                (ratio, Some(Interval { low: ratio, high: ratio }))
            );
            assert_eq!(
                (estimate.is_below(ratio), estimate.is_above(ratio)),
                (Verdict::No, Verdict::No)
            );
        }
    }

    #[test]
    fn one_pair_has_no_interval_and_none_has_no_ratio() {
        let one = paired_ratio(&[0.9], &[1.0], 0.95).unwrap();
        assert_eq!(one, RatioEstimate { ratio: 0.9, interval: None, pairs: 1, unusable: 0 });
        assert_eq!((one.is_below(5.0), one.is_above(0.1)), (Verdict::Unclear, Verdict::Unclear));
        assert_eq!(paired_ratio(&[], &[], 0.95), None);
        assert_eq!(paired_ratio(&[0.0, 1.0], &[1.0, 0.0], 0.95), None);
    }

    #[test]
    fn pairs_without_a_ratio_are_left_out_and_counted() {
        let sound = paired_ratio(&[1.0, 3.0], &[2.0, 2.0], 0.95).unwrap();
        for value in [0.0, -0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mixed =
                paired_ratio(&[1.0, value, 3.0, 5.0, value], &[2.0, 5.0, 2.0, value, value], 0.95);
            assert_eq!(mixed, Some(RatioEstimate { unusable: 3, ..sound }), "{value}");
        }
        // Both are numbers, their ratio is none.
        let mixed = paired_ratio(&[1.0, 1e300, 3.0, 1e-300], &[2.0, 1e-300, 2.0, 1e300], 0.95);
        assert_eq!(mixed, Some(RatioEstimate { unusable: 2, ..sound }));
    }

    #[test]
    #[should_panic(expected = "paired by their place")]
    fn values_without_a_partner_are_refused() {
        paired_ratio(&[1.0, 2.0], &[1.0], 0.95);
    }

    #[test]
    fn a_verdict_needs_the_whole_interval() {
        let estimate = estimate(0.85, 0.8, 0.9);
        for (threshold, below, above) in [
            (0.79, Verdict::No, Verdict::Yes),
            (0.8, Verdict::No, Verdict::Unclear),
            (0.85, Verdict::Unclear, Verdict::Unclear),
            (0.9, Verdict::Unclear, Verdict::No),
            (0.91, Verdict::Yes, Verdict::No),
            (f64::NAN, Verdict::Unclear, Verdict::Unclear),
        ] {
            assert_eq!(
                (estimate.is_below(threshold), estimate.is_above(threshold)),
                (below, above),
                "{threshold}"
            );
        }
    }

    #[test]
    fn verdicts_are_wrong_as_seldom_as_promised() {
        const RUNS: u32 = 20_000;
        // The true ratio is the threshold: "yes" and "no" are both the 2.5 % that may be wrong.
        for (seed, count, noise) in [(11, 3, 0.3), (12, 5, 0.05), (13, 10, 1.0)] {
            let (mut yes, mut no) = (0, 0);
            for run in 0..RUNS {
                let old: Vec<f64> =
                    normal_draws(seed, run, count).map(|z| 1e6 * libm::exp(z)).collect();
                let noises =
                    normal_draws(seed + 100, run, count).map(|z| 0.9 * libm::exp(noise * z));
                let new: Vec<f64> =
                    old.iter().zip(noises).map(|(old, ratio)| old * ratio).collect();
                let verdict = paired_ratio(&new, &old, 0.95).unwrap().is_below(0.9);
                yes += u32::from(verdict == Verdict::Yes);
                no += u32::from(verdict == Verdict::No);
            }
            let margin = proportion_margin(0.025, f64::from(RUNS), 0.0, Z_999);
            for wrong in [yes, no] {
                let share = f64::from(wrong) / f64::from(RUNS);
                assert!(
                    (share - 0.025).abs() < margin,
                    "{count} pairs: {share}, not 0.025 ± {margin}"
                );
            }
        }
    }

    #[test]
    fn many_verdicts_need_more_confidence_each() {
        assert!((confidence_of_each(0.95, 100) - 0.9995).abs() < 1e-12);
        assert!((confidence_of_each(0.95, 1) - 0.95).abs() < 1e-12);
        assert!((confidence_of_each(0.95, 0) - 0.95).abs() < 1e-12);
    }
}
