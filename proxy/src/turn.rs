//! What the relays of a loop share while they work: one turn's view of the proxy.

use crate::events::EventLog;
use crate::reactor::Reactor;
use crate::resolve::Resolver;
use jostle_common::time::Instant;
use jostle_sys::{Inbox, Outbox};

/// The common goods of a loop.
pub(crate) struct Turn {
    pub(crate) reactor: Reactor,
    pub(crate) resolver: Option<Resolver>,
    pub(crate) events: EventLog,
    pub(crate) inbox: Inbox,
    pub(crate) outbox: Outbox,
    /// Where streams are read into.
    pub(crate) scratch: Vec<u8>,
    /// When this turn began. What a turn reads arrived before or during it.
    pub(crate) now: Instant,
    /// Whether the proxy is stopping: what has come is taken in, and nothing after it.
    pub(crate) stopping: bool,
    /// How many more sockets the process may open.
    pub(crate) descriptors: Budget,
    pub(crate) portable: bool,
    pub(crate) connect_timeout: std::time::Duration,
}

/// What streams are read into at a time: larger than the socket buffers, so that one read usually
/// empties them.
pub(crate) const SCRATCH_BYTES: usize = 256 << 10;

/// Something that is shared and runs out.
#[derive(Debug)]
pub(crate) struct Budget {
    left: usize,
}

impl Budget {
    pub(crate) const fn new(left: usize) -> Self {
        Self { left }
    }

    /// Takes `amount`, if there is as much.
    pub(crate) const fn take(&mut self, amount: usize) -> bool {
        if amount <= self.left {
            self.left -= amount;
            true
        } else {
            false
        }
    }

    /// Gives `amount` back.
    pub(crate) const fn give(&mut self, amount: usize) {
        self.left += amount;
    }
}
