//! A summary of measured round trips in bounded memory.

use crate::statistics::Moments;
use crate::time::nanos;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The longest round trip that is told apart from longer ones.
const LONGEST: Duration = Duration::from_secs(3600);
/// Percentiles are right to two significant digits.
const DIGITS: u8 = 2;

/// Measured round trips: least, mean, deviation and most as they are, percentiles to within a
/// percent.
#[derive(Clone, PartialEq)]
pub struct RoundTrips {
    histogram: Histogram<u64>,
    /// In nanoseconds.
    moments: Moments,
    least: Duration,
    most: Duration,
}

impl Default for RoundTrips {
    fn default() -> Self {
        let histogram =
            Histogram::new_with_bounds(1, nanos(LONGEST), DIGITS).expect("the bounds are valid");
        Self { histogram, moments: Moments::default(), least: Duration::MAX, most: Duration::ZERO }
    }
}

impl RoundTrips {
    /// Counts one round trip.
    pub fn record(&mut self, round_trip: Duration) {
        self.histogram.saturating_record(nanos(round_trip));
        self.moments.add(nanos(round_trip) as f64);
        self.least = self.least.min(round_trip);
        self.most = self.most.max(round_trip);
    }

    /// Counts what others counted too.
    pub fn merge(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("all have the same bounds");
        self.moments.merge(&other.moments);
        self.least = self.least.min(other.least);
        self.most = self.most.max(other.most);
    }

    /// Returns the number of round trips counted.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// Returns the shortest, if any.
    pub fn least(&self) -> Option<Duration> {
        self.any(self.least)
    }

    /// Returns the longest, if any.
    pub fn most(&self) -> Option<Duration> {
        self.any(self.most)
    }

    /// Returns the mean, if any.
    pub fn mean(&self) -> Option<Duration> {
        self.any(Duration::from_nanos(self.moments.mean() as u64))
    }

    /// Returns the standard deviation of the measured times, as `ping` prints it under `mdev`, if
    /// any were counted.
    pub fn deviation(&self) -> Option<Duration> {
        self.any(Duration::from_nanos(self.moments.population_sd() as u64))
    }

    /// Returns the round trip that `percent` of all do not exceed, if any.
    pub fn percentile(&self, percent: f64) -> Option<Duration> {
        let nanos = self.histogram.value_at_percentile(percent);
        self.any(Duration::from_nanos(nanos).min(self.most).max(self.least))
    }

    fn any(&self, duration: Duration) -> Option<Duration> {
        (self.count() > 0).then_some(duration)
    }
}

impl std::fmt::Debug for RoundTrips {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} round trips, median {:?}", self.count(), self.percentile(50.0))
    }
}

/// Round trips, in milliseconds; `null` where there were none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RoundTripMs {
    /// The number of round trips measured.
    pub samples: u64,
    /// The shortest.
    pub min: Option<f64>,
    /// Their mean.
    pub mean: Option<f64>,
    /// The time that half of them do not exceed.
    pub p50: Option<f64>,
    /// The time that 90 % of them do not exceed.
    pub p90: Option<f64>,
    /// The time that 99 % of them do not exceed.
    pub p99: Option<f64>,
    /// The longest.
    pub max: Option<f64>,
}

impl From<&RoundTrips> for RoundTripMs {
    fn from(trips: &RoundTrips) -> Self {
        let ms = |time: Option<Duration>| time.map(|time| time.as_nanos() as f64 / 1e6);
        Self {
            samples: trips.count(),
            min: ms(trips.least()),
            mean: ms(trips.mean()),
            p50: ms(trips.percentile(50.0)),
            p90: ms(trips.percentile(90.0)),
            p99: ms(trips.percentile(99.0)),
            max: ms(trips.most()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_right_within_a_percent() {
        let mut trips = RoundTrips::default();
        assert_eq!((trips.percentile(50.0), trips.mean(), trips.least()), (None, None, None));
        for micros in 1..=10_000u64 {
            trips.record(Duration::from_micros(micros));
        }
        for (percent, micros) in [(1.0, 100.0), (50.0, 5_000.0), (90.0, 9_000.0), (100.0, 10_000.0)]
        {
            let found = trips.percentile(percent).unwrap().as_secs_f64() * 1e6;
            assert!((0.99..1.01).contains(&(found / micros)), "p{percent}: {found}");
        }
        assert_eq!(trips.least(), Some(Duration::from_micros(1)));
        assert_eq!(trips.most(), Some(Duration::from_millis(10)));
    }

    #[test]
    fn mean_and_deviation_are_exact() {
        let mut trips = RoundTrips::default();
        for millis in [2, 4, 4, 4, 5, 5, 7, 9] {
            trips.record(Duration::from_millis(millis));
        }
        let expected = (Some(Duration::from_millis(5)), Some(Duration::from_millis(2)));
        assert_eq!((trips.mean(), trips.deviation()), expected);
    }

    #[test]
    fn extremes_are_counted() {
        let mut trips = RoundTrips::default();
        trips.record(Duration::ZERO);
        trips.record(Duration::MAX);
        assert_eq!(
            (trips.count(), trips.least(), trips.most()),
            (2, Some(Duration::ZERO), Some(Duration::MAX))
        );
    }
}
