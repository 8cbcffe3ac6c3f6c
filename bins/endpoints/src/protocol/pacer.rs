//! Spreads packets evenly over time, at a rate in bits per second.

use jostle_common::time::{Instant, nanos};
use jostle_common::units::BitRate;
use std::time::Duration;

/// The most time that a sender that woke late may catch up, as a burst: a few of the milliseconds
/// to which operating systems round a sleep. A receiver's default buffer holds some 40 packets of 4
/// KiB on Linux: at 10 Mbit/s 4 ms are two.
pub const CATCH_UP: Duration = Duration::from_millis(4);

/// A pacer that tells when the next packet may go. Due times follow the rate exactly, whenever the
/// sender wakes, as long as it wakes within [`CATCH_UP`].
#[derive(Clone, Copy, Debug)]
pub struct Pacer {
    rate: BitRate,
    /// The time at which the next packet is due; `None` before the first.
    due: Option<Instant>,
    /// The remainder that the due time leaves out, in units of 1/rate ns, so that no fraction of a
    /// nanosecond is lost.
    carry: u64,
}

impl Pacer {
    /// Creates a pacer at `rate`, whose first packet may go at once.
    pub const fn new(rate: BitRate) -> Self {
        Self { rate, due: None, carry: 0 }
    }

    /// Returns the time at which the next packet is due; `None`: at once.
    pub const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Returns true if a packet may go at `now`.
    pub fn allows(&self, now: Instant) -> bool {
        self.due.is_none_or(|due| due <= now)
    }

    /// Notes that a packet of `bytes` went at `now`.
    pub fn note(&mut self, now: Instant, bytes: usize) {
        // From the due time on, not from now: a late wake-up must not lower the rate.
        let start = self.due.map_or(now, |due| due.max(now - CATCH_UP));
        let rate = u128::from(self.rate.bits_per_second());
        let span =
            bytes as u128 * 8 * u128::from(nanos(Duration::from_secs(1))) + u128::from(self.carry);
        self.carry = (span % rate) as u64;
        self.due = Some(start.plus_nanos(u64::try_from(span / rate).unwrap_or(u64::MAX)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const END: Instant = Instant::from_secs(10);

    /// Sends 4152-byte packets for 10 s, waking only at multiples of `step` nanoseconds. Returns
    /// the bytes sent.
    fn sent(rate: BitRate, step: u64) -> u64 {
        let mut pacer = Pacer::new(rate);
        let mut bytes = 0;
        for now in (0..).map(|turn| Instant::from_nanos(turn * step)).take_while(|now| *now < END) {
            while pacer.allows(now) {
                pacer.note(now, 4152);
                bytes += 4152;
            }
        }
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn keeps_the_rate_whatever_the_wake_ups(mbit in 1u64..500, step in 100_000u64..3_000_000) {
            let rate = BitRate::new(mbit * 1_000_000 + 7).unwrap();
            let expected = rate.bytes_in(Duration::from_secs(10));
            // A sleeping sender is behind by at most one step of wake-ups; a packet at the start is
            // ahead.
            let behind = rate.bytes_in(Duration::from_nanos(step));
            let sent = sent(rate, step);
            prop_assert!(sent <= expected + 2 * 4152, "{sent} of {expected}");
            prop_assert!(sent + behind + 4152 >= expected, "{sent} of {expected}");
        }
    }

    #[test]
    fn a_long_sleep_is_not_caught_up_in_one_burst() {
        let mut pacer = Pacer::new(BitRate::new(10_000_000).unwrap());
        pacer.note(Instant::START, 4152);
        let late = Instant::from_secs(5);
        let mut burst = 0;
        while pacer.allows(late) {
            pacer.note(late, 4152);
            burst += 1;
        }
        assert_eq!(burst, 2, "4 ms at 10 Mbit/s are 1.2 packets");
    }
}
