//! A mean of a few values, and how sure it is.

use super::{Moments, student_t};

/// From one number to another, both of them included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end, not below the lower one.
    pub high: f64,
}

/// A mean of values that were drawn, as an estimate of the mean of all that could be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The mean of the values.
    pub mean: f64,
    /// The number of values, 1 at least.
    pub count: u64,
    /// The interval of the true mean, with the confidence that was asked for. `None` of one value,
    /// which says nothing about its own spread.
    pub interval: Option<Interval>,
}

/// Returns the mean of values and the interval around it that holds the true mean with probability
/// `confidence` (0.95, say), when the values are independent and roughly normal (Student,
/// Biometrika 1908); `None` of no values. Values that are all equal have an interval of no width.
///
/// Every value counts: one that is not finite leaves no interval, and no finite mean.
pub fn mean_interval(values: &[f64], confidence: f64) -> Option<Estimate> {
    let mut moments = Moments::default();
    values.iter().for_each(|value| moments.add(*value));
    (!values.is_empty()).then(|| Estimate {
        mean: moments.mean(),
        count: moments.count(),
        interval: interval(&moments, confidence),
    })
}

/// Returns the geometric mean of positive values and its interval: Student's in the logarithm,
/// taken back (Bland and Altman, BMJ 1996;312:1079). Its ends are as many times below and above the
/// mean, and neither reaches 0. `None` of no values, and when one is not positive and finite.
pub fn geometric_interval(values: &[f64], confidence: f64) -> Option<Estimate> {
    if !values.iter().all(|value| *value > 0.0 && value.is_finite()) {
        return None;
    }
    // Rounding would make others of values that are all one.
    if values.first().is_some_and(|first| values.iter().all(|value| value == first)) {
        return mean_interval(values, confidence);
    }
    let logs: Vec<f64> = values.iter().map(|value| libm::log(*value)).collect();
    let Estimate { mean, count, interval } = mean_interval(&logs, confidence)?;
    let back = |Interval { low, high }| Interval { low: libm::exp(low), high: libm::exp(high) };
    Some(Estimate { mean: libm::exp(mean), count, interval: interval.map(back) })
}

fn interval(moments: &Moments, confidence: f64) -> Option<Interval> {
    let degrees = moments.count().checked_sub(1).filter(|degrees| *degrees > 0)?;
    let error = moments.sd() / libm::sqrt(moments.count() as f64);
    // At a confidence of 1 the quantile is infinite, and infinity times nothing no number.
    let half = if error == 0.0 { 0.0 } else { student_t(confidence, degrees) * error };
    (!half.is_nan()).then(|| Interval { low: moments.mean() - half, high: moments.mean() + half })
}

#[cfg(test)]
mod tests {
    use super::super::{Z_999, normal_draws, proportion_margin};
    use super::*;

    #[test]
    fn an_interval_is_the_mean_and_so_many_standard_errors() {
        let estimate = mean_interval(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0], 0.95).unwrap();
        assert_eq!((estimate.mean, estimate.count), (5.0, 8));
        // t of 7 degrees of freedom, from the table, times the root of 32/7 over the root of 8.
        let half = 2.364_624_252 * (32.0f64 / 7.0 / 8.0).sqrt();
        let Interval { low, high } = estimate.interval.unwrap();
        assert!(
            (low - (5.0 - half)).abs() < 1e-8 && (high - (5.0 + half)).abs() < 1e-8,
            "{low} {high}"
        );
    }

    #[test]
    fn two_values_say_little() {
        let Interval { low, high } = mean_interval(&[1.0, 3.0], 0.95).unwrap().interval.unwrap();
        assert!((low - (2.0 - 12.706_204_736)).abs() < 1e-8, "{low}");
        assert!((high - (2.0 + 12.706_204_736)).abs() < 1e-8, "{high}");
    }

    #[test]
    fn one_value_has_no_interval_and_none_has_no_mean() {
        assert_eq!(
            mean_interval(&[7.5], 0.95),
            Some(Estimate { mean: 7.5, count: 1, interval: None })
        );
        assert_eq!(mean_interval(&[], 0.95), None);
    }

    #[test]
    fn equal_values_are_their_interval() {
        for (count, confidence) in [(2, 0.95), (3, 0.5), (1000, 1.0)] {
            let estimate = mean_interval(&vec![0.1; count], confidence).unwrap();
            assert_eq!(
                (estimate.mean, estimate.interval),
                (0.1, Some(Interval { low: 0.1, high: 0.1 }))
            );
        }
    }

    #[test]
    fn what_is_no_number_leaves_no_interval() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let estimate = mean_interval(&[1.0, value, 2.0], 0.95).unwrap();
            assert!(
                !estimate.mean.is_finite() && estimate.count == 3 && estimate.interval.is_none()
            );
        }
        let unbounded = mean_interval(&[1.0, 2.0], 1.0).unwrap().interval.unwrap();
        assert_eq!((unbounded.low, unbounded.high), (f64::NEG_INFINITY, f64::INFINITY));
    }

    #[test]
    fn a_geometric_interval_is_as_far_below_as_above_in_ratio() {
        // Logarithms of base 2: 0, 1, 2, 3, 4; their mean is 2, their error the root of 2.5/5.
        let Estimate { mean, count, interval } =
            geometric_interval(&[1.0, 2.0, 4.0, 8.0, 16.0], 0.95).unwrap();
        let factor = libm::exp2(2.776_445_105 * 0.5f64.sqrt());
        let Interval { low, high } = interval.unwrap();
        assert!((mean - 4.0).abs() < 1e-9 && count == 5);
        assert!((low - 4.0 / factor).abs() < 1e-7 && (high - 4.0 * factor).abs() < 1e-6, "{low}");
        // However wide, it does not reach 0: Student's own would be -2900 to 3900.
        let wide = geometric_interval(&[0.001, 1000.0, 1.0], 0.95).unwrap().interval.unwrap();
        assert!(wide.low > 0.0 && wide.high.is_finite(), "{wide:?}");
        for values in [&[1.0, 0.0][..], &[1.0, -1.0], &[1.0, f64::INFINITY], &[f64::NAN], &[]] {
            assert_eq!(geometric_interval(values, 0.95), None, "{values:?}");
        }
    }

    #[test]
    fn geometric_intervals_hold_the_true_mean_as_often_as_promised() {
        const RUNS: u32 = 20_000;
        for (seed, count) in [(6, 5), (7, 10), (8, 30)] {
            let held = (0..RUNS).filter(|run| {
                let values: Vec<f64> =
                    normal_draws(seed, *run, count).map(|z| libm::exp(3.0 + 1.5 * z)).collect();
                let interval = geometric_interval(&values, 0.95).unwrap().interval.unwrap();
                (interval.low..=interval.high).contains(&libm::exp(3.0))
            });
            let share = held.count() as f64 / f64::from(RUNS);
            let margin = proportion_margin(0.95, f64::from(RUNS), 0.0, Z_999);
            assert!((share - 0.95).abs() < margin, "{count} values: {share} ± {margin}");
        }
    }

    #[test]
    fn intervals_hold_the_true_mean_as_often_as_promised() {
        const RUNS: u32 = 20_000;
        for (seed, count, confidence) in
            [(1, 2, 0.95), (2, 5, 0.95), (3, 10, 0.95), (4, 30, 0.95), (5, 5, 0.8)]
        {
            let (mut below, mut above) = (0, 0);
            for run in 0..RUNS {
                let values: Vec<f64> =
                    normal_draws(seed, run, count).map(|z| 40.0 + 3.0 * z).collect();
                let Interval { low, high } =
                    mean_interval(&values, confidence).unwrap().interval.unwrap();
                below += u32::from(high < 40.0);
                above += u32::from(low > 40.0);
            }
            let expected = (1.0 - confidence) / 2.0;
            let margin = proportion_margin(expected, f64::from(RUNS), 0.0, Z_999);
            for missed in [below, above] {
                let share = f64::from(missed) / f64::from(RUNS);
                assert!(
                    (share - expected).abs() < margin,
                    "{count} values: {share}, not {expected} ± {margin}"
                );
            }
            let share = 1.0 - f64::from(below + above) / f64::from(RUNS);
            let margin = proportion_margin(confidence, f64::from(RUNS), 0.0, Z_999);
            assert!((share - confidence).abs() < margin, "{count} values: {share} ± {margin}");
        }
    }
}
