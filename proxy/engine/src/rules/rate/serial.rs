//! A constant rate: packets one after the other, each as long as its bits take, with a token bucket
//! if bursts are allowed.

use jostle_common::time::{Instant, nanos};
use jostle_common::units::{BitRate, ByteSize};
use std::time::Duration;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// A line that carries packets at a constant rate.
///
/// A bucket of depth B lets a packet go when the tokens for it are there. That is a line on which
/// transmission may begin up to B/rate before the packet came, which is how it is computed: the
/// time at which the line is free again is kept B/rate too late, and a packet leaves B/rate before
/// it, or as soon as it is its turn. So in any window *w* at most rate·*w* + B bits leave, and one
/// packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Serial {
    rate: BitRate,
    burst: ByteSize,
    /// B/rate.
    lead: Point,
    /// The time at which the line is free again, B/rate later.
    free: Point,
}

/// A nanosecond and a fraction of one, whose denominator is the rate in bits per second. Carrying
/// the fraction keeps the rate exact over any number of packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Point {
    nanos: u64,
    fraction: u64,
}

impl Point {
    const fn at(instant: Instant) -> Self {
        Self { nanos: instant.as_nanos(), fraction: 0 }
    }

    /// Returns the first whole nanosecond that is not before it.
    const fn due(self) -> Instant {
        Instant::from_nanos(self.nanos.saturating_add((self.fraction > 0) as u64))
    }
}

impl Serial {
    pub(super) fn new(rate: BitRate, burst: ByteSize) -> Self {
        Self { rate, burst, lead: lead(rate, burst), free: Point::default() }
    }

    /// Returns the rate.
    pub(super) const fn rate(&self) -> BitRate {
        self.rate
    }

    /// Returns the same line at another rate and with another bucket. `busy` is the time at which
    /// the packet in service will have left, by which the bucket is empty; without one the time
    /// since it was empty counts at the new rate.
    pub(super) fn retuned(&self, rate: BitRate, burst: ByteSize, busy: Option<Instant>) -> Self {
        if self.rate == rate && self.burst == burst {
            return *self;
        }
        let emptied = busy.unwrap_or_else(|| self.minus_lead(self.free));
        Self::emptied(rate, burst, emptied)
    }

    /// Creates a line whose bucket is empty at `at`.
    pub(super) fn emptied(rate: BitRate, burst: ByteSize, at: Instant) -> Self {
        let lead = lead(rate, burst);
        let free = Point { nanos: lead.nanos.saturating_add(at.as_nanos()), ..lead };
        Self { rate, burst, lead, free }
    }

    /// Carries a packet of so many bytes that found the line idle at `now`. Returns the time at
    /// which it will have left.
    #[inline]
    pub(super) fn carry_idle(&mut self, bytes: u64, now: Instant) -> Instant {
        self.free = self.free.max(Point::at(now));
        self.carry_next(bytes, now)
    }

    /// Carries a packet that waited until the one before had left, which was at `now`. Returns the
    /// time at which it will have left.
    #[inline]
    pub(super) fn carry_next(&mut self, bytes: u64, now: Instant) -> Instant {
        let rate = self.rate.bits_per_second();
        // A packet of a gigabyte would still fit 64 bits; saturation only keeps the arithmetic
        // total.
        let work = (bytes * 8).saturating_mul(NANOS_PER_SECOND).saturating_add(self.free.fraction);
        self.free =
            Point { nanos: self.free.nanos.saturating_add(work / rate), fraction: work % rate };
        if self.burst.bytes() == 0 { self.free.due() } else { self.minus_lead(self.free).max(now) }
    }

    fn minus_lead(&self, point: Point) -> Instant {
        let whole = point.nanos.saturating_sub(self.lead.nanos);
        if point.fraction >= self.lead.fraction {
            Point { nanos: whole, fraction: point.fraction - self.lead.fraction }.due()
        } else {
            // A nanosecond is borrowed for the fraction, and what is left of it rounds up to that
            // nanosecond.
            Instant::from_nanos(whole)
        }
    }

    /// Returns true if `rest` and then so many bytes take longer than `bound`; multiplied out by
    /// the rate, so that nothing is rounded.
    #[inline]
    pub(super) fn takes_longer(&self, rest: Duration, bytes: u64, bound: Duration) -> bool {
        let rate = u128::from(self.rate.bits_per_second());
        let queued = u128::from(bytes * 8) * u128::from(NANOS_PER_SECOND);
        queued + u128::from(nanos(rest)) * rate > u128::from(nanos(bound)) * rate
    }
}

/// Returns the time in which a bucket fills.
fn lead(rate: BitRate, burst: ByteSize) -> Point {
    let rate = u128::from(rate.bits_per_second());
    let work = u128::from(burst.bytes()) * 8 * u128::from(NANOS_PER_SECOND);
    let nanos = u64::try_from(work / rate).unwrap_or(u64::MAX);
    Point { nanos, fraction: (work % rate) as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serial(rate: u64, burst: u64) -> Serial {
        Serial::new(BitRate::new(rate).unwrap(), ByteSize::new(burst))
    }

    #[test]
    fn fractions_of_a_nanosecond_add_up() {
        // 12,000 bits at 7 Gbit/s: 1714 and two sevenths.
        let mut line = serial(7_000_000_000, 0);
        let mut now = line.carry_idle(1500, Instant::START);
        assert_eq!(now, Instant::from_nanos(1715));
        for _ in 1..7_000_000 {
            now = line.carry_next(1500, now);
        }
        assert_eq!(now, Instant::from_secs(12));
    }

    #[test]
    fn a_full_bucket_is_spent_at_once_and_fills_at_the_rate() {
        // 8 bits a microsecond.
        let mut line = serial(8_000_000, 3000);
        let mut now = line.carry_idle(1000, Instant::START);
        assert_eq!(now, Instant::START, "it is full from the start");
        let mut left = Vec::new();
        for _ in 0..4 {
            now = line.carry_next(1000, now);
            left.push(now.as_nanos() / 1000);
        }
        assert_eq!(left, [0, 0, 1000, 2000]);
        // 1.5 ms after the bucket was empty it holds 1500 bytes.
        let later = Instant::from_micros(3500);
        assert_eq!(line.carry_idle(1500, later), later);
        assert_eq!(line.carry_next(1, later), Instant::from_micros(3501));
        // And never more than its depth.
        let much_later = Instant::from_secs(1);
        assert_eq!(line.carry_idle(3000, much_later), much_later);
        assert_eq!(line.carry_next(10, much_later), much_later.plus_nanos(10_000));
    }

    #[test]
    fn the_lead_of_a_bucket_may_have_a_fraction() {
        // A bucket of a byte at 3 bit/s fills in 2.666… s; two bytes take 5.333… s.
        let mut line = serial(3, 1);
        let first = line.carry_idle(1, Instant::START);
        assert_eq!(first, Instant::START);
        assert_eq!(line.carry_next(1, first), Instant::from_nanos(2_666_666_667));
        assert_eq!(
            line.carry_next(1, Instant::from_nanos(2_666_666_667)),
            Instant::from_nanos(5_333_333_334)
        );
        assert_eq!(line.carry_next(1, Instant::from_nanos(5_333_333_334)), Instant::from_secs(8));
    }
}
