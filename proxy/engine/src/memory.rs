//! The memory that what is held may take: one account for a lane, its route and the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The bytes that one process holds at most unless told otherwise: 512 MiB.
const LIMIT_DEFAULT: u64 = 512 << 20;

/// One direction of a connection holds at most this share of what is left when it asks for more, so
/// that connections that stand still never take all of it: of 512 MiB a hundred leave as much as a
/// transfer at 100 Mbit/s over 100 ms needs.
const SHARE: u64 = 32;

/// Less than this share of the whole is little.
const SHORT: u64 = 8;

/// The bytes that each direction of a connection may hold whatever the others hold: they are not
/// taken from the memory that all share.
pub const FLOOR: u64 = 64 << 10;

/// A bound on the bytes that are held, shared by its clones. Bytes taken from a part are taken from
/// the whole too, and those that a part still holds when its last clone goes are given back.
#[derive(Clone, Debug)]
pub struct Memory(Arc<MemoryAccount>);

#[derive(Debug)]
struct MemoryAccount {
    limit: u64,
    used: AtomicU64,
    /// The memory that this one is a part of.
    whole: Option<Memory>,
}

impl Memory {
    /// Makes a memory of `limit` bytes.
    pub fn new(limit: u64) -> Self {
        Self(Arc::new(MemoryAccount { limit, used: AtomicU64::new(0), whole: None }))
    }

    /// Makes a part of it that holds at most `limit` bytes.
    pub fn part(&self, limit: u64) -> Self {
        let whole = Some(self.clone());
        Self(Arc::new(MemoryAccount { limit, used: AtomicU64::new(0), whole }))
    }

    /// Returns the bytes held now.
    pub fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Returns the bytes that may still be taken, from it and from the whole.
    pub fn left(&self) -> u64 {
        self.chain().map(|part| part.0.limit.saturating_sub(part.used())).min().unwrap_or(0)
    }

    /// Returns the bytes that one direction of a connection may take on top of those that it holds.
    pub(crate) fn room(&self, held: u64) -> u64 {
        (FLOOR + self.left() / SHARE).saturating_sub(held)
    }

    /// Takes or gives back what it costs that one direction of a connection holds `after` bytes,
    /// and no more `before`.
    pub(crate) fn settle(&self, before: u64, after: u64) {
        let [before, after] = [before, after].map(|held| held.saturating_sub(FLOOR));
        if after > before {
            self.take(after - before);
        } else {
            self.give_back(before - after);
        }
    }

    /// Returns true if so little is left that connections may be held back which would not be by
    /// themselves.
    pub fn is_short(&self) -> bool {
        self.left() < self.0.limit / SHORT
    }

    /// Takes `bytes` if as many are left. Exact on one thread, which is how an event loop uses it.
    #[must_use]
    pub fn try_take(&self, bytes: u64) -> bool {
        let enough = bytes <= self.left();
        if enough {
            self.take(bytes);
        }
        enough
    }

    /// Takes `bytes` that are held already, whatever is left.
    pub fn take(&self, bytes: u64) {
        for part in self.chain() {
            part.0.used.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Gives back `bytes` that were taken.
    pub fn give_back(&self, bytes: u64) {
        for part in self.chain() {
            part.0.used.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// Returns this bound, and all those that it is a part of.
    fn chain(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |part| part.0.whole.as_ref())
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(LIMIT_DEFAULT)
    }
}

impl Drop for MemoryAccount {
    fn drop(&mut self) {
        if let Some(whole) = &self.whole {
            whole.give_back(*self.used.get_mut());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_it() {
        let memory = Memory::new(3200);
        let other = memory.clone();
        memory.take(1600);
        assert_eq!((other.used(), other.room(FLOOR)), (1600, 50));
        other.take(4000);
        assert_eq!(memory.room(FLOOR), 0);
        memory.give_back(5600);
        assert_eq!(other.room(FLOOR), 100);
    }

    #[test]
    fn each_connection_has_its_floor_and_none_takes_all() {
        const LIMIT: u64 = 64 << 20;
        for (connections, newcomer) in [(1, FLOOR + LIMIT / 34), (100, FLOOR + LIMIT / 800)] {
            let memory = Memory::new(LIMIT);
            let mut held = vec![0; connections];
            for _ in 0..100 {
                for one in &mut held {
                    let more = memory.room(*one);
                    memory.settle(*one, *one + more);
                    *one += more;
                }
            }
            assert!(memory.room(0) >= newcomer, "{} after {connections}", memory.room(0));
            assert!(memory.used() <= LIMIT);
            assert_eq!(memory.is_short(), connections > 1);
            held.iter().for_each(|one| memory.settle(*one, 0));
            assert_eq!(memory.used(), 0);
        }
        let full = Memory::new(LIMIT);
        full.take(LIMIT);
        full.settle(0, FLOOR);
        assert_eq!((full.used(), full.room(0), full.room(FLOOR)), (LIMIT, FLOOR, 0));
    }

    #[test]
    fn a_part_takes_from_the_whole_and_is_bounded_by_both() {
        let whole = Memory::new(100);
        let (one, other) = (whole.part(60), whole.part(60));
        assert!(one.try_take(60) && !one.try_take(1));
        assert!(!other.try_take(41) && other.try_take(40));
        assert_eq!((whole.used(), whole.left(), one.left(), other.left()), (100, 0, 0, 0));
        one.give_back(10);
        assert_eq!((whole.used(), one.left(), other.left()), (90, 10, 10));
    }

    #[test]
    fn what_a_part_holds_when_it_goes_is_given_back() {
        let whole = Memory::new(100);
        let route = whole.part(100);
        let lane = route.part(100);
        lane.take(70);
        drop(route);
        assert_eq!(whole.used(), 70, "the lane still holds it");
        drop(lane);
        assert_eq!(whole.used(), 0);
    }
}
