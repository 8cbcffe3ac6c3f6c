//! The round-trip time, and the retransmission timeout made from it.

use jostle_common::time::nanos;
use std::time::Duration;

/// The timeout before there is a sample (RFC 6298 §2.1).
pub(super) const RTO_INITIAL: Duration = Duration::from_secs(1);

/// The longest timeout, doubled or not (Linux's TCP_RTO_MAX).
pub(super) const RTO_MAX: Duration = Duration::from_secs(120);

/// The least margin of the timeout over the round-trip time (Linux's TCP_RTO_MIN, which it adds;
/// RFC 6298 bounds the sum).
pub(super) const MARGIN_MIN: Duration = Duration::from_millis(200);

/// A smoothed round-trip time, in nanoseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct RoundTrip {
    sampled: bool,
    smoothed: u64,
    variation: u64,
    least: u64,
    /// The number of times that the timeout was doubled since the last sample.
    backoff: u32,
}

impl RoundTrip {
    /// Takes in a sample; it ends any backoff. `last` is the time since the last acknowledged
    /// segment was sent, which a delayed acknowledgement makes no longer; the least round-trip time
    /// is found among those.
    pub(super) fn sample(&mut self, sample: u64, last: u64) {
        // RFC 6298 §2.2 and §2.3: gains of 1/8 and 1/4.
        if self.sampled {
            let error = self.smoothed.abs_diff(sample);
            self.variation = self.variation - self.variation / 4 + error / 4;
            self.smoothed = self.smoothed - self.smoothed / 8 + sample / 8;
            self.least = self.least.min(last);
        } else {
            self.sampled = true;
            self.variation = sample / 2;
            self.smoothed = sample;
            self.least = last;
        }
        self.backoff = 0;
    }

    /// Returns the smoothed round-trip time; `None` before the first sample.
    pub(super) fn smoothed(&self) -> Option<u64> {
        self.sampled.then_some(self.smoothed)
    }

    /// Returns the least round-trip time so far.
    pub(super) const fn least(&self) -> u64 {
        self.least
    }

    /// Returns the timeout: srtt + max(200 ms, 4·rttvar), doubled per backoff, at most 120 s.
    pub(super) fn timeout(&self) -> u64 {
        let base = if self.sampled {
            self.smoothed.saturating_add(nanos(MARGIN_MIN).max(self.variation.saturating_mul(4)))
        } else {
            nanos(RTO_INITIAL)
        };
        base.saturating_mul(1 << self.backoff).min(nanos(RTO_MAX))
    }

    /// Doubles the timeout until the next sample.
    pub(super) const fn back_off(&mut self) {
        // 2^10 times the least timeout is more than the longest one.
        if self.backoff < 10 {
            self.backoff += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn the_margin_is_added_not_bounded() {
        let mut rtt = RoundTrip::default();
        assert_eq!(rtt.timeout(), 1000 * MS, "RFC 6298 before any sample");
        rtt.sample(10 * MS, 10 * MS);
        assert_eq!(rtt.timeout(), 210 * MS, "max(200, ...) alone would be 200");
        rtt.sample(410 * MS, 410 * MS);
        // rttvar = 5·¾ + 400/4, srtt = 10 + 400/8.
        assert_eq!(rtt.timeout(), 60 * MS + 4 * 103_750_000);
        assert_eq!(rtt.least(), 10 * MS);
    }

    #[test]
    fn backoff_doubles_up_to_two_minutes_and_ends_with_a_sample() {
        let mut rtt = RoundTrip::default();
        rtt.sample(100 * MS, 100 * MS);
        let mut seen = Vec::new();
        for _ in 0..12 {
            seen.push(rtt.timeout() / MS);
            rtt.back_off();
        }
        assert_eq!(seen[..10], [300, 600, 1200, 2400, 4800, 9600, 19_200, 38_400, 76_800, 120_000]);
        assert_eq!(seen[11], 120_000);
        rtt.sample(100 * MS, 100 * MS);
        assert!(rtt.timeout() <= 300 * MS);
    }
}
