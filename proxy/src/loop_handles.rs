//! The ways to all loops of a proxy: their mailboxes and wakers, and whether each has anything left
//! to do.

use crate::orders::{Flags, Order, OrderError};
use mio::Waker;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

/// All loops, as they and their handles reach each other.
#[derive(Debug)]
pub(crate) struct LoopHandles {
    flags: Flags,
    loops: Vec<Reach>,
}

/// The way to one loop.
#[derive(Debug)]
struct Reach {
    mailbox: SyncSender<Order>,
    waker: Arc<Waker>,
    /// Set while it drains and nothing of it is left.
    is_drained: AtomicBool,
}

impl LoopHandles {
    /// The handles of loops with these mailboxes and wakers.
    pub(crate) fn new(loops: impl IntoIterator<Item = (SyncSender<Order>, Arc<Waker>)>) -> Self {
        let reach = |(mailbox, waker)| Reach { mailbox, waker, is_drained: AtomicBool::new(false) };
        Self { flags: Flags::new(), loops: loops.into_iter().map(reach).collect() }
    }

    /// Returns what each loop reads in every turn.
    pub(crate) const fn flags(&self) -> &Flags {
        &self.flags
    }

    /// Returns how many loops there are.
    pub(crate) const fn len(&self) -> usize {
        self.loops.len()
    }

    /// Puts an order into the mailbox of a loop and wakes it.
    ///
    /// # Errors
    /// The order, and why it could not be given.
    pub(crate) fn send(&self, number: usize, order: Order) -> Result<(), Box<(Order, OrderError)>> {
        self.loops[number].mailbox.try_send(order).map_err(|error| match error {
            TrySendError::Full(order) => Box::new((order, OrderError::Full)),
            TrySendError::Disconnected(order) => Box::new((order, OrderError::Ended)),
        })?;
        self.wake(number);
        Ok(())
    }

    /// Wakes a loop.
    pub(crate) fn wake(&self, number: usize) {
        if let Err(error) = self.loops[number].waker.wake() {
            log::error!("cannot wake an event loop: {error}");
        }
    }

    /// Wakes all loops.
    pub(crate) fn wake_all(&self) {
        (0..self.loops.len()).for_each(|number| self.wake(number));
    }

    /// Ends all loops after draining for at most `drain`.
    pub(crate) fn stop(&self, drain: Duration) {
        self.flags.stop(drain);
        self.wake_all();
    }

    /// Notes whether a draining loop has nothing left, and returns true if none has.
    pub(crate) fn are_drained(&self, number: usize, is_drained: bool) -> bool {
        let was = self.loops[number].is_drained.swap(is_drained, Ordering::SeqCst);
        let all = self.loops.iter().all(|one| one.is_drained.load(Ordering::SeqCst));
        if all && !was {
            // The others wait for this one.
            (0..self.loops.len()).filter(|other| *other != number).for_each(|one| self.wake(one));
        }
        all
    }
}
