//! Interarrival jitter as RTP reports it (RFC 3550 §6.4.1): how much the transit time changes from
//! one packet to the next, smoothed.

use jostle_common::time::nanos;
use std::time::Duration;

/// The smoothed change of the transit time: J += (|D| − J) / 16, where D is the difference to the
/// transit before.
///
/// Between two clocks a transit is known up to a constant, which the difference cancels; so a round
/// trip serves as well.
#[derive(Clone, Copy, Debug, Default)]
pub struct Jitter {
    /// In nanoseconds; a fraction must not be lost, or small jitter would never show.
    smoothed: f64,
    before: Option<u64>,
}

impl Jitter {
    /// Takes in the transit time of the packet that arrived next.
    pub fn record(&mut self, transit: Duration) {
        let transit = nanos(transit);
        if let Some(before) = self.before.replace(transit) {
            self.smoothed += (before.abs_diff(transit) as f64 - self.smoothed) / 16.0;
        }
    }

    /// Returns the jitter now; zero before the second packet.
    pub const fn estimate(&self) -> Duration {
        Duration::from_nanos(self.smoothed as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn follows_the_formula() {
        let mut jitter = Jitter::default();
        jitter.record(ms(40));
        assert_eq!(jitter.estimate(), Duration::ZERO, "one transit has no change");
        jitter.record(ms(56));
        assert_eq!(jitter.estimate(), ms(1), "16/16");
        jitter.record(ms(24));
        // 1 + (32 − 1)/16 = 2.9375.
        assert_eq!(jitter.estimate(), Duration::from_nanos(2_937_500));
    }

    #[test]
    fn a_steady_change_is_found_and_a_steady_transit_forgets_it() {
        let mut jitter = Jitter::default();
        (0..400).for_each(|packet| jitter.record(ms(20 + packet % 2 * 8)));
        assert!((Duration::from_nanos(7_999_000)..=ms(8)).contains(&jitter.estimate()));
        (0..400).for_each(|_| jitter.record(ms(20)));
        assert!(jitter.estimate() < Duration::from_micros(1));
    }
}
