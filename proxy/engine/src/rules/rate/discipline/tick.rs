//! The beat at which a controller changes its probability: at whole multiples of its period, as the
//! link's time has them, whenever the link is asked.

use jostle_common::time::{Instant, nanos};
use std::time::Duration;

/// The shortest period: a controller that is asked more often learns nothing new.
pub(super) const LEAST: Duration = Duration::from_micros(100);

/// The longest period.
pub(super) const MOST: Duration = Duration::from_secs(10);

/// So many beats are done one by one between two packets; of more, behind which any controller has
/// come to rest, only the last one.
const AT_ONCE: u64 = 1 << 16;

/// The beats of a controller.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticks {
    epoch: Instant,
    period: u64,
    /// The number of the next beat; it comes so many periods after the epoch.
    next: u64,
}

impl Ticks {
    /// Creates the beats later than `now`, counted from `epoch`.
    pub(super) fn after(epoch: Instant, now: Instant, period: Duration) -> Self {
        let mut ticks = Self { epoch, period: nanos(period.clamp(LEAST, MOST)), next: 1 };
        ticks.skip_to(now);
        ticks
    }

    /// Takes on another period; the next beat is the first later than `now`.
    pub(super) fn retune(&mut self, now: Instant, period: Duration) {
        let retuned = Self::after(self.epoch, now, period);
        if retuned.period != self.period {
            *self = retuned;
        }
    }

    /// Returns the next beat at or before `now`.
    #[inline]
    pub(super) fn poll(&mut self, now: Instant) -> Option<Instant> {
        let at = self.at(self.next);
        if at > now {
            return None;
        }
        self.next += 1;
        let left = nanos(now.since(at)) / self.period;
        if left > AT_ONCE {
            self.next += left - AT_ONCE;
        }
        Some(at)
    }

    /// Leaves out all beats at or before `now`, which would change nothing.
    pub(super) fn skip_to(&mut self, now: Instant) {
        self.next = self.next.max(nanos(now.since(self.epoch)) / self.period + 1);
    }

    fn at(&self, number: u64) -> Instant {
        self.epoch.plus_nanos(number.saturating_mul(self.period))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Instant = Instant::from_millis;

    fn all(ticks: &mut Ticks, now: Instant) -> Vec<u64> {
        std::iter::from_fn(|| ticks.poll(now)).map(|at| at.as_nanos() / 1_000_000).collect()
    }

    #[test]
    fn beats_come_at_multiples_however_often_they_are_asked_for() {
        let mut ticks = Ticks::after(MS(100), MS(90), Duration::from_millis(15));
        assert!(all(&mut ticks, MS(114)).is_empty());
        assert_eq!(all(&mut ticks, MS(115)), [115]);
        assert_eq!(all(&mut ticks, MS(161)), [130, 145, 160]);
        ticks.skip_to(MS(190));
        assert_eq!(all(&mut ticks, MS(205)), [205]);
        ticks.retune(MS(205), Duration::from_millis(20));
        assert_eq!(all(&mut ticks, MS(240)), [220, 240]);
    }

    #[test]
    fn a_long_silence_costs_a_bounded_number() {
        let mut ticks = Ticks::after(MS(0), MS(0), Duration::from_millis(1));
        let all = all(&mut ticks, Instant::from_secs(86_400));
        assert_eq!(all.len() as u64, AT_ONCE + 1);
        assert_eq!(all.last(), Some(&86_400_000));
    }
}
