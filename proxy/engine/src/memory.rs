//! The memory that what is held may take: one account for a lane, its route and the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The bytes that one process holds at most unless told otherwise: 512 MiB.
const LIMIT_DEFAULT: u64 = 512 << 20;

/// One connection gets at most this share of what is left, so that connections that are not
/// read never take all of it.
const SHARE: u64 = 8;

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

    /// Returns the bytes that one direction of a connection may hold on top of what is held
    /// already.
    pub(crate) fn share(&self) -> u64 {
        self.left() / SHARE
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
        let memory = Memory::new(800);
        let other = memory.clone();
        memory.take(400);
        assert_eq!((other.used(), other.share()), (400, 50));
        other.take(1000);
        assert_eq!(memory.share(), 0);
        memory.give_back(1400);
        assert_eq!(other.share(), 100);
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
