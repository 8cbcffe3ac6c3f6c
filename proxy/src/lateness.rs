//! The lateness of releases: the time between when a packet was due and when its send had
//! returned.

use crate::distribution::Distribution;
use hdrhistogram::Histogram;
use jostle_common::time::nanos;
use serde::Serialize;
use std::time::Duration;

/// The latest that is told apart; later is counted as this.
const LATEST: Duration = Duration::from_secs(60);

/// A distribution of latenesses, in bounded memory and to two digits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lateness(
    /// 31 KB, which a route without packets does without.
    Option<Box<Histogram<u64>>>,
);

impl Lateness {
    /// Counts so many packets that were equally late.
    pub(crate) fn record(&mut self, lateness: Duration, packets: u32) {
        self.histogram().saturating_record_n(nanos(lateness), packets.into());
    }

    /// Adds another distribution.
    pub(crate) fn absorb(&mut self, other: &Self) {
        if let Some(other) = &other.0 {
            self.histogram().add(&**other).expect("all have the same bounds");
        }
    }

    fn histogram(&mut self) -> &mut Histogram<u64> {
        self.0.get_or_insert_with(|| {
            let histogram = Histogram::new_with_max(nanos(LATEST), 2);
            Box::new(histogram.expect("2 digits and a maximum above 2 are valid"))
        })
    }

    /// Returns it for [`Snapshot`](crate::Snapshot).
    pub(crate) fn distribution(&self) -> Distribution {
        let read = |histogram: &Histogram<u64>| Distribution::of(histogram, None, None);
        self.0.as_deref().map_or_else(Distribution::default, read)
    }

    pub(crate) fn summary(&self) -> LatenessSummary {
        let Some(histogram) = &self.0 else { return LatenessSummary::default() };
        let micros = |value: u64| value as f64 / 1e3;
        LatenessSummary {
            packets: histogram.len(),
            p50_us: micros(histogram.value_at_quantile(0.5)),
            p99_us: micros(histogram.value_at_quantile(0.99)),
            max_us: micros(histogram.max()),
        }
    }
}

/// The lateness of releases, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct LatenessSummary {
    /// Packets that were released.
    pub packets: u64,
    /// The median.
    pub p50_us: f64,
    /// The 99th percentile.
    pub p99_us: f64,
    /// The latest.
    pub max_us: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_two_digits() {
        let mut lateness = Lateness::default();
        for micros in 1..=1000 {
            lateness.record(Duration::from_micros(micros), 1);
        }
        let summary = lateness.summary();
        assert_eq!(summary.packets, 1000);
        assert!((summary.p50_us - 500.0).abs() <= 5.0, "{summary:?}");
        assert!((summary.p99_us - 990.0).abs() <= 10.0, "{summary:?}");
        assert!((summary.max_us - 1000.0).abs() <= 10.0, "{summary:?}");
    }

    #[test]
    fn what_is_later_than_the_latest_still_counts() {
        let mut lateness = Lateness::default();
        lateness.record(Duration::MAX, 1);
        let summary = lateness.summary();
        assert_eq!(summary.packets, 1);
        assert!(summary.max_us >= 60e6, "{summary:?}");
    }
}
