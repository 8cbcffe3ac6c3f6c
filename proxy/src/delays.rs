//! The delays that rules gave to packets: the time from when a packet came in to when it was due
//! to leave.

use crate::distribution::Distribution;
use hdrhistogram::Histogram;
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
    /// A histogram of two digits is too coarse for a narrow jitter.
    sums: Sums,
    least: Duration,
    most: Duration,
}

/// What mean and standard deviation follow from, exactly: however packets come together, what is
/// told of them is the same to the last digit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sums {
    count: u64,
    /// In nanoseconds.
    sum: u128,
    /// The sum of their squares. It wraps around only if 10^12 packets have each been delayed for
    /// five hours.
    squares: u128,
}

impl Sums {
    const fn add(&mut self, nanos: u64, count: u64) {
        let nanos = nanos as u128;
        self.count += count;
        self.sum = self.sum.wrapping_add(nanos * count as u128);
        self.squares = self.squares.wrapping_add((nanos * nanos).wrapping_mul(count as u128));
    }

    const fn absorb(&mut self, other: &Self) {
        self.count += other.count;
        self.sum = self.sum.wrapping_add(other.sum);
        self.squares = self.squares.wrapping_add(other.squares);
    }

    /// Returns the mean in nanoseconds; 0 of none.
    fn mean(self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum as f64 / self.count as f64 }
    }

    /// Returns the standard deviation in nanoseconds; 0 of none.
    fn population_sd(self) -> f64 {
        let count = u128::from(self.count);
        if count == 0 {
            return 0.0;
        }
        // Around the whole number below the mean, the squares are small and no digit is lost: their
        // sum is Σx² − 2mΣx + nm², whatever wraps around on the way.
        let (mean, rest) = (self.sum / count, self.sum % count);
        let around = self
            .squares
            .wrapping_sub(self.sum.wrapping_mul(2).wrapping_mul(mean))
            .wrapping_add(count.wrapping_mul(mean).wrapping_mul(mean));
        let rest = rest as f64 / count as f64;
        (around as f64 / count as f64 - rest * rest).max(0.0).sqrt()
    }
}

impl Delays {
    /// Counts so many packets that were delayed equally.
    pub(crate) fn record(&mut self, delay: Duration, packets: u32) {
        let drawn = self.drawn();
        drawn.histogram.saturating_record_n(nanos(delay), packets.into());
        drawn.sums.add(nanos(delay), packets.into());
        drawn.least = drawn.least.min(delay);
        drawn.most = drawn.most.max(delay);
    }

    /// Adds another distribution.
    pub(crate) fn absorb(&mut self, other: &Self) {
        if let Some(other) = &other.0 {
            let drawn = self.drawn();
            drawn.histogram.add(&other.histogram).expect("all have the same bounds");
            drawn.sums.absorb(&other.sums);
            drawn.least = drawn.least.min(other.least);
            drawn.most = drawn.most.max(other.most);
        }
    }

    fn drawn(&mut self) -> &mut Drawn {
        self.0.get_or_insert_with(|| {
            let histogram = Histogram::new_with_max(nanos(LONGEST), 2);
            Box::new(Drawn {
                histogram: histogram.expect("2 digits and a maximum above 2 are valid"),
                sums: Sums::default(),
                least: Duration::MAX,
                most: Duration::ZERO,
            })
        })
    }

    /// Returns it for [`Snapshot`](crate::Snapshot).
    pub(crate) fn distribution(&self) -> Distribution {
        self.0.as_ref().map_or_else(Distribution::default, |drawn| {
            let sum = drawn.sums.sum as f64 / 1e9;
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
            packets: drawn.sums.count,
            mean_ms: drawn.sums.mean() / 1e6,
            sd_ms: drawn.sums.population_sd() / 1e6,
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
        micros.for_each(|micros| delays.record(Duration::from_micros(micros), 1));
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
    fn many_at_once_are_as_good_as_one_by_one() {
        let (mut one_by_one, mut at_once) = (Delays::default(), Delays::default());
        for (micros, packets) in [(40_000, 54), (1, 1), (123_456, 7), (0, 64), (20_000_000, 3)] {
            at_once.record(Duration::from_micros(micros), packets);
            (0..packets).for_each(|_| one_by_one.record(Duration::from_micros(micros), 1));
        }
        assert_eq!(at_once.summary(), one_by_one.summary());
        assert_eq!(at_once.distribution(), one_by_one.distribution());
        let delays = [(40.0, 54.0), (1e-3, 1.0), (123.456, 7.0), (0.0, 64.0), (20_000.0, 3.0)];
        let mean = delays.iter().map(|(ms, n)| ms * n).sum::<f64>() / 129.0;
        let squares = delays.iter().map(|(ms, n)| (ms - mean) * (ms - mean) * n).sum::<f64>();
        let summary = at_once.summary();
        assert!((summary.mean_ms / mean - 1.0).abs() < 1e-12, "{summary:?}");
        assert!((summary.sd_ms / (squares / 129.0).sqrt() - 1.0).abs() < 1e-12, "{summary:?}");
    }

    #[test]
    fn what_is_longer_than_the_longest_still_counts() {
        let summary = delays([7_200_000_000].into_iter()).summary();
        assert_eq!((summary.packets, summary.max_ms), (1, 7_200_000.0));
    }
}
