//! What the relays of one transport of a route have in common, on however many loops they are: the
//! numbers of flows, and when the time of the rules began. So what a flow meets depends on how many
//! came before it, and never on which loop it came to.

use jostle_common::time::Instant;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Stands for a time that has not begun.
const NOT_BEGUN: u64 = u64::MAX;

/// The bits of the numbers that the packets of a part may have: at a million a second for 12 days.
const NUMBER_BITS: u32 = 40;

/// What such relays share. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct RouteShared(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The number of the last flow.
    last_number: AtomicU32,
    /// The nanoseconds at which the time of the rules began.
    epoch: AtomicU64,
}

impl Default for RouteShared {
    fn default() -> Self {
        let (last_number, epoch) = (AtomicU32::new(0), AtomicU64::new(NOT_BEGUN));
        Self(Arc::new(Inner { last_number, epoch }))
    }
}

impl RouteShared {
    /// Returns the number of the next flow: 1, 2, 3 … in the order of appearance.
    pub(crate) fn next_number(&self) -> u32 {
        // 0 is no flow's number.
        loop {
            let last = self.0.last_number.fetch_add(1, Ordering::Relaxed);
            if last != u32::MAX {
                return last + 1;
            }
        }
    }

    /// Lets the time of the rules begin at `at`, unless it has, and returns when it did.
    pub(crate) fn begin(&self, at: Instant) -> Instant {
        let (order, nanos) = (Ordering::Relaxed, at.as_nanos());
        match self.0.epoch.compare_exchange(NOT_BEGUN, nanos, order, order) {
            Ok(_) => at,
            Err(epoch) => Instant::START.plus_nanos(epoch),
        }
    }

    /// Returns when the time of the rules began; `None`: it has not.
    pub(crate) fn began(&self) -> Option<Instant> {
        let epoch = self.0.epoch.load(Ordering::Relaxed);
        (epoch != NOT_BEGUN).then(|| Instant::START.plus_nanos(epoch))
    }
}

/// The part of a route that a relay is: the `nth` of so many, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RoutePart {
    pub(crate) nth: usize,
    pub(crate) of: usize,
}

impl RoutePart {
    /// All of it.
    #[cfg(test)]
    pub(crate) const WHOLE: Self = Self { nth: 0, of: 1 };

    /// Returns the number behind which those of its packets begin: no two packets of a route have
    /// the same, and all are whole in a double, as JSON has them.
    pub(crate) const fn numbers_from(self) -> u64 {
        (self.nth as u64) << NUMBER_BITS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_given_once_and_never_zero() {
        let route_shared = RouteShared::default();
        let other = route_shared.clone();
        assert_eq!(
            [route_shared.next_number(), other.next_number(), route_shared.next_number()],
            [1, 2, 3]
        );
        route_shared.0.last_number.store(u32::MAX - 1, Ordering::Relaxed);
        assert_eq!([route_shared.next_number(), other.next_number()], [u32::MAX, 1]);
    }

    #[test]
    fn the_first_lets_the_time_begin_for_all() {
        let route_shared = RouteShared::default();
        assert_eq!(route_shared.began(), None);
        assert_eq!(route_shared.begin(Instant::from_millis(5)), Instant::from_millis(5));
        assert_eq!(route_shared.begin(Instant::from_millis(3)), Instant::from_millis(5));
        assert_eq!(route_shared.began(), Some(Instant::from_millis(5)));
    }
}
