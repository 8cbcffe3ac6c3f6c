//! Packets at a constant rate.

use jostle_common::time::Instant;
use jostle_common::units::BitRate;

/// Packets of one size, at times that are whole multiples of their time at the rate, without any
/// rounding that adds up.
#[derive(Debug)]
pub(super) struct Constant {
    rate: BitRate,
    pub(super) size: u32,
    /// The time of the first packet,
    from: Instant,
    /// and the number that were sent since.
    sent: u64,
}

impl Constant {
    pub(super) const fn new(rate: BitRate, size: u32, from: Instant) -> Self {
        Self { rate, size, from, sent: 0 }
    }

    /// Returns the time of the next packet.
    pub(super) fn due(&self) -> Instant {
        self.time_of(self.sent)
    }

    fn time_of(&self, packet: u64) -> Instant {
        let bits = u128::from(packet) * u128::from(self.size) * 8;
        let nanos = bits * 1_000_000_000 / u128::from(self.rate.bits_per_second());
        self.from.plus_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Takes the next packet away, and returns its time.
    pub(super) fn take(&mut self) -> Instant {
        let at = self.due();
        self.sent += 1;
        at
    }

    /// Goes on at another rate from `now` on: the next packet comes when it would have come, or
    /// sooner if the new rate says so.
    pub(super) fn retune(&mut self, now: Instant, rate: BitRate, size: u32) {
        let soonest = Self::new(rate, size, now).time_of(1);
        *self = Self::new(rate, size, self.due().min(soonest));
    }
}
