//! The upright axis of a metric: linear from nothing, or logarithmic, and the same in all its
//! charts.

use jostle_common::statistics::Estimate;

/// From where to where an axis goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    /// Its lower end.
    pub(super) low: f64,
    /// Its upper end, above the lower one.
    pub(super) high: f64,
    /// True if equal distances are equal ratios. Then both ends are positive.
    pub(super) is_log: bool,
}

/// An interval may stretch a linear axis by this factor beyond the means, a wider one is cut: two
/// repeats may have an interval 6 times the mean.
const STRETCH: f64 = 1.5;

/// Returns the axis that holds all the means, and of their intervals what leaves the means
/// readable.
pub(super) fn scale<'a>(
    estimates: impl Iterator<Item = &'a Estimate> + Clone,
    is_log: bool,
) -> Option<Scale> {
    let means = || estimates.clone().map(|estimate| estimate.mean).filter(|mean| mean.is_finite());
    let highest = means().reduce(f64::max)?;
    let lowest = means().reduce(f64::min)?;
    let least = means().filter(|mean| *mean > 0.0).reduce(f64::min);
    let intervals = || estimates.clone().filter_map(|estimate| estimate.interval);
    let above = intervals()
        .map(|interval| interval.high)
        .filter(|high| high.is_finite())
        .fold(highest, f64::max);
    if let Some(least) = least.filter(|_| is_log) {
        let below =
            intervals().map(|interval| interval.low).filter(|low| *low > 0.0).fold(least, f64::min);
        // Wide intervals are cut, so that the means keep their room.
        let low = step_down(below.max(least / 2.5));
        let high = step_up(above.min(highest * 2.5));
        return Some(Scale { low, high, is_log: true });
    }
    let high = above.min(if highest > 0.0 { highest * STRETCH } else { highest });
    let low = if lowest < 0.0 { lowest * 1.1 } else { 0.0 };
    // All means are 0: any height will do.
    let high = if high > low { high } else { low + 1.0 };
    Some(Scale { low, high, is_log: false })
}

/// Returns the next of 1, 2, 5, 10 … at or below.
fn step_down(value: f64) -> f64 {
    let decade = 10f64.powf(value.log10().floor());
    let steps = [5.0, 2.0, 1.0].into_iter().map(|step| step * decade);
    steps.into_iter().find(|step| *step <= value * 1.000_001).unwrap_or(decade)
}

/// Returns the next of 1, 2, 5, 10 … at or above.
fn step_up(value: f64) -> f64 {
    let decade = 10f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0].into_iter().map(|step| step * decade);
    steps.into_iter().find(|step| *step >= value / 1.000_001).unwrap_or(10.0 * decade)
}

impl Scale {
    /// Returns the value, or the end beyond which it is.
    pub(super) fn clamp(self, value: f64) -> f64 {
        if value.is_nan() { self.low } else { value.clamp(self.low, self.high) }
    }

    /// Returns the height of a value on the axis, from 0 to 1.
    pub(super) fn share(self, value: f64) -> f64 {
        let value = self.clamp(value);
        if self.is_log {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        }
    }

    /// Returns the value that is so far up the axis.
    pub(super) fn at(self, share: f64) -> f64 {
        if self.is_log {
            self.low * (self.high / self.low).powf(share)
        } else {
            self.low + (self.high - self.low) * share
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jostle_common::statistics::{Interval, mean_interval};

    fn of(means: &[f64], is_log: bool) -> Option<Scale> {
        let estimates: Vec<Estimate> =
            means.iter().filter_map(|mean| mean_interval(&[*mean], 0.95)).collect();
        scale(estimates.iter(), is_log)
    }

    #[test]
    fn a_wide_range_is_logarithmic_between_round_numbers() {
        let Scale { low, high, is_log } = of(&[0.03, 4.0], true).unwrap();
        assert!(is_log && (low - 0.02).abs() < 1e-9 && (high - 5.0).abs() < 1e-9, "{low} {high}");
        let Scale { low, high, .. } = of(&[0.1, 100.0], true).unwrap();
        assert!((low - 0.1).abs() < 1e-9 && (high - 100.0).abs() < 1e-9, "{low} {high}");
        assert!(!of(&[0.03, 4.0], false).unwrap().is_log);
    }

    #[test]
    fn a_linear_axis_begins_at_nothing() {
        let Scale { low, high, .. } = of(&[3.0, 4.0], false).unwrap();
        assert_eq!((low, high), (0.0, 4.0));
        assert_eq!(of(&[0.0, 0.0], true), Some(Scale { low: 0.0, high: 1.0, is_log: false }));
        assert!(of(&[-2.0, 4.0], false).unwrap().low < -2.0);
        assert_eq!((of(&[], true), of(&[f64::NAN], false)), (None, None));
    }

    #[test]
    fn no_interval_makes_the_means_small() {
        let wide = Estimate {
            mean: 10.0,
            count: 2,
            interval: Some(Interval { low: -500.0, high: 520.0 }),
        };
        let Scale { low, high, .. } = scale([wide].iter(), false).unwrap();
        assert!(low == 0.0 && (10.0..17.0).contains(&high), "{low} {high}");
    }

    #[test]
    fn places_and_values_are_each_other_s_inverse() {
        for scale in [of(&[0.03, 4.0], true).unwrap(), of(&[3.0, 4.0], false).unwrap()] {
            for share in [0.0, 0.25, 1.0] {
                assert!((scale.share(scale.at(share)) - share).abs() < 1e-9);
            }
            assert_eq!((scale.share(-1.0), scale.share(1e9)), (0.0, 1.0));
        }
    }
}
