//! A recorded rate: opportunities to send, each for so many bytes at its time, as mahimahi replays
//! them.

use super::trace::{OPPORTUNITY_BYTES, RateTrace};
use jostle_common::time::{Instant, nanos};
use std::sync::Arc;
use std::time::Duration;

/// The place of a link in its trace.
#[derive(Clone, Debug)]
pub(super) struct Opportunities {
    trace: Arc<RateTrace>,
    epoch: Instant,
    /// The first opportunity that has not begun to be used, counted over all rounds.
    next: u64,
    /// The time at which it comes.
    at: Instant,
    /// The bytes that are left of the one before.
    left: u64,
}

impl Opportunities {
    /// Creates the opportunities of `trace`, begun at `epoch`, that come later than `now`.
    pub(super) fn after(trace: Arc<RateTrace>, epoch: Instant, now: Instant) -> Self {
        let mut opportunities = Self { trace, epoch, next: 0, at: epoch, left: 0 };
        opportunities.go_to(0);
        opportunities.skip_to(now.plus_nanos(1));
        opportunities
    }

    /// Returns true if it follows this trace.
    pub(super) fn follows(&self, trace: &Arc<RateTrace>) -> bool {
        Arc::ptr_eq(&self.trace, trace) || self.trace.millis() == trace.millis()
    }

    /// Returns the time at which the next one comes.
    pub(super) const fn next(&self) -> Instant {
        self.at
    }

    /// Lets those pass unused that come before `at`, and what is left of the one in use.
    pub(super) fn skip_to(&mut self, at: Instant) {
        self.left = 0;
        if self.at < at {
            let first = self.trace.first_from(at.since(self.epoch));
            self.go_to(first.max(self.next));
        }
    }

    /// Returns true if there are bytes to be had at `now`: left of an opportunity, or in one that
    /// comes now.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        self.left > 0 || self.at <= now
    }

    /// Carries a packet of so many bytes from `now` on, when it [is open](Self::is_open) or the
    /// packet has no bytes. Returns the time at which it will have left.
    pub(super) fn carry(&mut self, bytes: u64, now: Instant) -> Instant {
        if bytes <= self.left {
            self.left -= bytes;
            return now;
        }
        let more = (bytes - self.left).div_ceil(u64::from(OPPORTUNITY_BYTES));
        self.left = self.left + more * u64::from(OPPORTUNITY_BYTES) - bytes;
        let last = self.next + more - 1;
        let left_at = self.time(last);
        self.go_to(last + 1);
        left_at
    }

    /// Returns the bytes that go by in `time`, on average.
    pub(super) fn bytes_in(trace: &RateTrace, time: Duration) -> u64 {
        let bytes =
            trace.millis().len() as u128 * u128::from(OPPORTUNITY_BYTES) * u128::from(nanos(time));
        u64::try_from(bytes / (u128::from(trace.period()) * 1_000_000)).unwrap_or(u64::MAX)
    }

    fn go_to(&mut self, index: u64) {
        self.next = index;
        self.at = self.time(index);
    }

    fn time(&self, index: u64) -> Instant {
        self.epoch + self.trace.opportunity(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opportunities(millis: &[u64], now: u64) -> Opportunities {
        let trace = Arc::new(RateTrace::new(millis.to_vec()).unwrap());
        Opportunities::after(trace, Instant::from_millis(100), Instant::from_millis(now))
    }

    #[test]
    fn an_opportunity_at_the_time_of_asking_is_missed() {
        assert_eq!(opportunities(&[0, 5, 5, 9], 100).next(), Instant::from_millis(105));
        assert_eq!(opportunities(&[0, 5, 5, 9], 104).next(), Instant::from_millis(105));
        assert_eq!(opportunities(&[0, 5, 5, 9], 105).next(), Instant::from_millis(109));
        assert_eq!(
            opportunities(&[0, 5, 5, 9], 109).next(),
            Instant::from_millis(114),
            "0 of the next round came too"
        );
    }

    #[test]
    fn a_packet_takes_as_many_opportunities_as_it_has_bytes_for() {
        let mut trace = opportunities(&[2, 5, 5, 9], 100);
        let carried = |trace: &mut Opportunities, bytes, now| {
            let now = Instant::from_millis(now);
            assert!(trace.is_open(now));
            trace.carry(bytes, now).as_nanos() / 1_000_000
        };
        assert_eq!(carried(&mut trace, 1000, 102), 102);
        assert_eq!(carried(&mut trace, 504, 102), 102);
        assert!(!trace.is_open(Instant::from_millis(102)));
        assert_eq!(carried(&mut trace, 1505, 105), 105);
        assert_eq!(carried(&mut trace, 1503, 105), 105);
        assert_eq!(carried(&mut trace, 1504 * 3 + 1, 109), 114);
        assert_eq!(trace.left, 1503);
    }

    #[test]
    fn the_mean_speed_is_that_of_a_round() {
        let trace = RateTrace::new(vec![0, 5, 5, 8]).unwrap();
        assert_eq!(Opportunities::bytes_in(&trace, Duration::from_millis(100)), 75_200);
    }
}
