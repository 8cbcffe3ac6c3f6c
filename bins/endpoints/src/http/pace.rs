//! The least pace of the other side: at least so many bytes must move in so much time of waiting
//! for it.
//!
//! Only time spent waiting counts: our own pauses count against no peer, and neither does a single
//! late byte.

use jostle_common::time::Instant;
use std::time::Duration;

/// The least pace that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Least {
    /// The number of bytes.
    pub bytes: u64,
    /// The time of waiting in which they must move.
    pub within: Duration,
}

/// The pace of one side of a connection.
#[derive(Clone, Debug)]
pub struct Pace {
    least: Least,
    waiting_since: Option<Instant>,
    waited: Duration,
    moved: u64,
}

impl Pace {
    /// Creates a side that has not been waited for.
    pub const fn new(least: Least) -> Self {
        Self { least, waiting_since: None, waited: Duration::ZERO, moved: 0 }
    }

    /// Notes that we wait for the other side, from `now` unless we do already.
    pub fn handle_wait(&mut self, now: Instant) {
        if self.waiting_since.is_none() {
            if self.waited.is_zero() {
                // What went into empty buffers before says nothing about the other side.
                self.moved = 0;
            }
            self.waiting_since = Some(now);
        }
    }

    /// Notes that so many bytes have moved.
    pub fn handle_bytes(&mut self, now: Instant, bytes: u64) {
        if let Some(since) = self.waiting_since.take() {
            self.waited += now.since(since);
        }
        self.moved = self.moved.saturating_add(bytes);
        if self.waited >= self.least.within && self.moved >= self.least.bytes {
            (self.waited, self.moved) = (Duration::ZERO, 0);
        }
    }

    /// Returns the time at which to judge, if nothing moves until then.
    pub fn deadline(&self) -> Option<Instant> {
        self.waiting_since.map(|since| since + self.least.within.saturating_sub(self.waited))
    }

    /// Returns true if the other side is too slow. Otherwise a new span of time begins when the
    /// last is over.
    pub fn is_too_slow(&mut self, now: Instant) -> bool {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return false;
        }
        if self.moved < self.least.bytes {
            return true;
        }
        (self.waiting_since, self.waited, self.moved) = (Some(now), Duration::ZERO, 0);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Least = Least { bytes: 1000, within: Duration::from_secs(10) };

    /// Moves a piece of `bytes` after every `every` of waiting. Returns the time at which it is
    /// found too slow, if that is within 1000 s.
    fn cut(bytes: u64, every: Duration) -> Option<Instant> {
        let mut pace = Pace::new(LEAST);
        let mut now = Instant::START;
        while now < Instant::from_secs(1000) {
            pace.handle_wait(now);
            let next = now + every;
            while let Some(deadline) = pace.deadline().filter(|deadline| *deadline < next) {
                if pace.is_too_slow(deadline) {
                    return Some(deadline);
                }
            }
            now = next;
            pace.handle_bytes(now, bytes);
        }
        None
    }

    #[test]
    fn a_trickle_is_cut_and_the_least_pace_is_not() {
        assert_eq!(cut(1, Duration::from_secs(1)), Some(Instant::from_secs(10)));
        assert_eq!(cut(90, Duration::from_secs(1)), Some(Instant::from_secs(10)));
        assert_eq!(cut(120, Duration::from_secs(1)), None);
        assert_eq!(cut(2000, Duration::from_secs(9)), None);
        assert_eq!(cut(2000, Duration::from_secs(11)), Some(Instant::from_secs(10)));
    }

    #[test]
    fn what_filled_the_buffers_at_first_counts_for_nobody() {
        let mut pace = Pace::new(LEAST);
        pace.handle_bytes(Instant::START, 1_000_000);
        pace.handle_wait(Instant::START);
        assert!(pace.is_too_slow(Instant::from_secs(10)));
    }

    #[test]
    fn our_own_pauses_count_for_nobody() {
        let mut pace = Pace::new(LEAST);
        for second in 0..1000 {
            // A hundred seconds pass between two waits of a second.
            let now = Instant::from_secs(100 * second);
            pace.handle_wait(now);
            assert!(!pace.is_too_slow(now + Duration::from_millis(999)));
            pace.handle_bytes(now + Duration::from_secs(1), 101);
            assert_eq!(pace.deadline(), None);
        }
    }
}
