//! The memory that all connections of a process may hold together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What one process holds at most unless told otherwise: 512 MiB.
const LIMIT_DEFAULT: u64 = 512 << 20;

/// One connection gets at most this share of what is left, so that connections which nobody reads
/// never take all of it.
const SHARE: u64 = 8;

/// A bound on bytes, shared by its clones: those that were pushed into a [`super::Model`] and not
/// yet consumed.
#[derive(Clone, Debug)]
pub struct Budget {
    limit: u64,
    used: Arc<AtomicU64>,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: u64) -> Self {
        Self { limit, used: Arc::default() }
    }

    /// Bytes held now.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes that one direction of a connection may hold beside what is held already.
    pub(crate) fn share(&self) -> u64 {
        self.limit.saturating_sub(self.used()) / SHARE
    }

    pub(crate) fn take(&self, bytes: u64) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(LIMIT_DEFAULT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_it() {
        let budget = Budget::new(800);
        let other = budget.clone();
        budget.take(400);
        assert_eq!((other.used(), other.share()), (400, 50));
        other.take(1000);
        assert_eq!(budget.share(), 0);
        budget.give_back(1400);
        assert_eq!(other.share(), 100);
    }
}
