//! The delays that rules gave to packets: the time from when a packet came in to when it was due
//! to leave.

use crate::distribution::Distribution;
use hdrhistogram::Histogram;
use jostle_common::statistics::Moments;
use jostle_common::time::nanos;
use serde::Serialize;
use std::time::Duration;

/// The longest that is told apart; longer counts as this in the percentiles.
const LONGEST: Duration = Duration::from_secs(3600);

/// A distribution of delays in bounded memory: percentiles to two digits, the rest exactly.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delays(
    /// 36 KB, which a route without packets does without.
    Option<Box<Drawn>>,
);

#[derive(Clone, Debug)]
struct Drawn {
    histogram: Histogram<u64>,
    /// In seconds. A histogram of two digits is too coarse for a narrow jitter.
    moments: Moments,
    least: Duration,
    most: Duration,
}

impl Delays {
    pub(crate) fn record(&mut self, delay: Duration) {
        let drawn = self.drawn();
        drawn.histogram.saturating_record(nanos(delay));
        drawn.moments.add(delay.as_secs_f64());
        drawn.least = drawn.least.min(delay);
        drawn.most = drawn.most.max(delay);
    }

    /// Adds another distribution.
    pub(crate) fn absorb(&mut self, other: &Self) {
        if let Some(other) = &other.0 {
            let drawn = self.drawn();
            drawn.histogram.add(&other.histogram).expect("all have the same bounds");
            drawn.moments.merge(&other.moments);
            drawn.least = drawn.least.min(other.least);
            drawn.most = drawn.most.max(other.most);
        }
    }

    fn drawn(&mut self) -> &mut Drawn {
        self.0.get_or_insert_with(|| {
            let histogram = Histogram::new_with_max(nanos(LONGEST), 2);
            Box::new(Drawn {
                histogram: histogram.expect("2 digits and a maximum above 2 are valid"),
                moments: Moments::default(),
                least: Duration::MAX,
                most: Duration::ZERO,
            })
        })
    }

    /// Returns it for [`Snapshot`](crate::Snapshot).
    pub(crate) fn distribution(&self) -> Distribution {
        self.0.as_ref().map_or_else(Distribution::default, |drawn| {
            let sum = drawn.moments.mean() * drawn.moments.count() as f64;
            Distribution::of(&drawn.histogram, Some(sum), Some((drawn.least, drawn.most)))
        })
    }

    pub(crate) fn summary(&self) -> DelaySummary {
        let Some(drawn) = &self.0 else { return DelaySummary::default() };
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        // A step of the histogram may reach beyond what was drawn.
        let quantile = |share: f64| {
            let nanos = drawn.histogram.value_at_quantile(share);
            millis(Duration::from_nanos(nanos).clamp(drawn.least, drawn.most))
        };
        DelaySummary {
            packets: drawn.moments.count(),
            mean_ms: drawn.moments.mean() * 1e3,
            sd_ms: drawn.moments.population_sd() * 1e3,
            p50_ms: quantile(0.5),
            p99_ms: quantile(0.99),
            max_ms: millis(drawn.most),
        }
    }
}

/// The delays that rules gave to the packets that were delivered, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct DelaySummary {
    /// Packets that were delivered.
    pub packets: u64,
    /// The mean.
    pub mean_ms: f64,
    /// The standard deviation.
    pub sd_ms: f64,
    /// The median.
    pub p50_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(micros: impl Iterator<Item = u64>) -> Delays {
        let mut delays = Delays::default();
        micros.for_each(|micros| delays.record(Duration::from_micros(micros)));
        delays
    }

    #[test]
    fn a_constant_delay_is_told_exactly() {
        let summary = delays([40_000; 1000].into_iter()).summary();
        assert_eq!((summary.p50_ms, summary.p99_ms, summary.max_ms), (40.0, 40.0, 40.0));
        assert!(summary.sd_ms < 1e-9 && (summary.mean_ms - 40.0).abs() < 1e-9, "{summary:?}");
        assert_eq!(delays(std::iter::empty()).summary(), DelaySummary::default());
    }

    #[test]
    fn a_narrow_jitter_keeps_its_spread_also_when_added_up() {
        // Even over 40 ms ± 100 µs: an sd of 200 µs/√12 = 57.7 µs, finer than a histogram's step.
        let mut first = delays((39_900..40_000).step_by(2));
        first.absorb(&delays((40_000..=40_100).step_by(2)));
        let summary = first.summary();
        assert_eq!(summary.packets, 101);
        assert!((summary.sd_ms - 0.0583).abs() < 0.0005, "{summary:?}");
        assert!(
            (summary.p50_ms - 40.0).abs() < 0.2 && (summary.max_ms - 40.1).abs() < 1e-9,
            "{summary:?}"
        );
    }

    #[test]
    fn what_is_longer_than_the_longest_still_counts() {
        let summary = delays([7_200_000_000].into_iter()).summary();
        assert_eq!((summary.packets, summary.max_ms), (1, 7_200_000.0));
    }
}
