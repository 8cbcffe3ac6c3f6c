//! What is known of a metric at a point: its means with their intervals, its median and quantiles,
//! and of few cells the values themselves.

use super::metric::{CONFIDENCE, Metric, MetricUnit};
use jostle_common::statistics::{Estimate, Interval, geometric_interval, mean_interval, quantile};

/// Fewer values than this have no interval: the t of so few is wide beyond use, and they are seen
/// at a glance one by one.
pub(super) const REPEATS_MIN: u64 = 5;

/// The most values that are kept one by one.
const FEW: usize = REPEATS_MIN as usize - 1;

/// Means that differ by this factor or more stand on a logarithmic axis, if the metric suits one.
const LOG_FROM: f64 = 8.0;

/// What is known of a metric at a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PointEstimate {
    /// The arithmetic mean; its interval has no values that the unit cannot have.
    pub(super) mean: Estimate,
    /// The geometric mean; `None` when a value is not positive.
    pub(super) geometric: Option<Estimate>,
    /// Half of the values are not above it.
    pub(super) median: f64,
    /// A tenth of the values is not above the lower end, nine tenths are not above the upper one.
    pub(super) tenths: Interval,
    /// The values themselves, ascending, of fewer than [`REPEATS_MIN`].
    few: [f64; FEW],
}

impl PointEstimate {
    /// Estimates from the values of a point; `None` of none.
    pub(super) fn of(values: &[f64], unit: MetricUnit) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let at = |q| quantile(&sorted, q);
        let mut few = [0.0; FEW];
        if sorted.len() <= FEW {
            few[..sorted.len()].copy_from_slice(&sorted);
        }
        let sure = |estimate: Estimate| Estimate {
            interval: estimate.interval.filter(|_| estimate.count >= REPEATS_MIN),
            ..estimate
        };
        Some(Self {
            mean: unit.possible(sure(mean_interval(values, CONFIDENCE)?)),
            geometric: geometric_interval(values, CONFIDENCE).map(sure),
            median: at(0.5)?,
            tenths: Interval { low: at(0.1)?, high: at(0.9)? },
            few,
        })
    }

    /// Returns the number of values.
    pub(super) const fn count(&self) -> u64 {
        self.mean.count
    }

    /// Returns the values one by one if they are few, and more than one.
    pub(super) fn few(&self) -> &[f64] {
        match self.count() as usize {
            count @ 2..=FEW => &self.few[..count],
            _ => &[],
        }
    }

    /// Returns the median and the tenths of more than few values.
    pub(super) fn middle(&self) -> Option<(f64, Interval)> {
        (self.count() >= REPEATS_MIN).then_some((self.median, self.tenths))
    }

    /// Returns the mean that is shown, with its interval: on a logarithmic axis the geometric one.
    /// Where there is none, as a value is 0, Student's interval would reach off that axis.
    pub(super) fn centre(&self, metric: &Metric) -> Estimate {
        match self.geometric {
            Some(geometric) if metric.is_log => geometric,
            None if metric.is_log => Estimate { interval: None, ..self.mean },
            _ => self.mean,
        }
    }
}

/// Returns true if the estimates of a metric stand on a logarithmic axis: the metric suits one, and
/// the means of positive values are far apart.
pub(super) fn is_log(metric: &Metric, estimates: impl Iterator<Item = PointEstimate>) -> bool {
    let mut ends: Option<(f64, f64)> = None;
    for geometric in estimates.filter_map(|estimate| estimate.geometric) {
        let (low, high) = ends.unwrap_or((geometric.mean, geometric.mean));
        ends = Some((low.min(geometric.mean), high.max(geometric.mean)));
    }
    metric.suits_log && ends.is_some_and(|(low, high)| high / low >= LOG_FROM)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(name: &str) -> Metric {
        Metric::named(name).unwrap()
    }

    fn of(values: &[f64]) -> PointEstimate {
        PointEstimate::of(values, MetricUnit::Seconds).unwrap()
    }

    #[test]
    fn few_values_are_kept_and_have_no_interval() {
        assert_eq!(PointEstimate::of(&[], MetricUnit::Seconds), None);
        for count in 1..=8 {
            let values: Vec<f64> = (1..=count).rev().map(f64::from).collect();
            let estimate = of(&values);
            let many = count >= 5;
            assert_eq!(estimate.mean.interval.is_some(), many, "{count}");
            assert_eq!(estimate.geometric.unwrap().interval.is_some(), many, "{count}");
            let shown = if many || count == 1 { 0 } else { count as usize };
            assert_eq!(estimate.few().len(), shown, "{count}");
            assert!(estimate.few().is_sorted());
        }
    }

    #[test]
    fn a_transfer_of_fifty_minutes_is_in_the_numbers() {
        // Rates of 64 KiB: nine of half a second, one of 50 minutes.
        let mut rates = vec![1e6; 9];
        rates.push(175.0);
        let estimate = PointEstimate::of(&rates, MetricUnit::BitsPerSecond).unwrap();
        assert!((estimate.mean.mean - 900_017.5).abs() < 1.0, "the mean does not tell");
        assert_eq!(estimate.median, 1e6);
        assert!((estimate.tenths.low - 900_017.5).abs() < 1.0 && estimate.tenths.high == 1e6);
        let geometric = estimate.geometric.unwrap();
        assert!(geometric.mean < 425_000.0 && geometric.interval.unwrap().low > 0.0);
    }

    #[test]
    fn only_positive_values_far_apart_are_logarithmic() {
        let seconds = metric("seconds");
        let log = |metric: &Metric, all: &[&[f64]]| is_log(metric, all.iter().map(|one| of(one)));
        assert!(log(&seconds, &[&[1.0, 2.0], &[80.0]]));
        assert!(!log(&seconds, &[&[1.0], &[7.0]]) && !log(&seconds, &[]));
        assert!(log(&seconds, &[&[1.0], &[1.0, 0.0], &[80.0]]), "0 is drawn at the edge");
        assert!(!log(&metric("intact"), &[&[0.01], &[1.0]]));
    }

    #[test]
    fn the_centre_is_that_of_the_axis() {
        let mut seconds = metric("seconds");
        let estimate = of(&[1.0, 1.0, 1.0, 1.0, 32.0]);
        assert_eq!(estimate.centre(&seconds).mean, 7.2);
        seconds.is_log = true;
        assert!((estimate.centre(&seconds).mean - 2.0).abs() < 1e-12);
        let with_nothing = of(&[0.0, 1.0, 1.0, 1.0, 32.0]);
        let centre = with_nothing.centre(&seconds);
        assert_eq!((centre.mean, centre.interval), (7.0, None));
    }
}
