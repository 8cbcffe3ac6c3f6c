//! A request to end: set once, seen by every event loop that is attached to it.

use mio::{Poll, Token, Waker};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The token of the waker in an attached [`Poll`]: no socket may use it.
pub const STOP: Token = Token(usize::MAX);

/// A request to end. Clones are the same request.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    requested: AtomicBool,
    wakers: Mutex<Vec<Arc<Waker>>>,
}

/// Keeps a loop attached; dropping it detaches the loop.
#[derive(Debug)]
pub struct Attached {
    stop: Stop,
    waker: Arc<Waker>,
}

impl Stop {
    /// A request that nobody has made yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the request, and wakes every attached loop.
    pub fn request(&self) {
        self.inner.requested.store(true, Ordering::SeqCst);
        for waker in self.wakers().iter() {
            // A loop that cannot be woken has gone.
            let _ = waker.wake();
        }
    }

    /// Whether the request was made.
    pub fn is_requested(&self) -> bool {
        self.inner.requested.load(Ordering::SeqCst)
    }

    /// Attaches a loop: [`Self::request`] wakes `poll` with [`STOP`] from now on, also when it was made before.
    ///
    /// # Errors
    /// When the system has no descriptor left for the waker.
    pub fn attach(&self, poll: &Poll) -> io::Result<Attached> {
        let waker = Arc::new(Waker::new(poll.registry(), STOP)?);
        self.wakers().push(waker.clone());
        if self.is_requested() {
            waker.wake()?;
        }
        Ok(Attached { stop: self.clone(), waker })
    }

    fn wakers(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Waker>>> {
        // A list of wakers is whole whatever a panicking holder did.
        self.inner.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.stop.wakers().retain(|waker| !Arc::ptr_eq(waker, &self.waker));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::Events;

    #[test]
    fn a_request_wakes_loops_attached_before_and_after_it() {
        let stop = Stop::new();
        let mut before = Poll::new().unwrap();
        let held = stop.attach(&before).unwrap();
        assert!(!stop.is_requested());
        stop.request();
        let mut after = Poll::new().unwrap();
        let _held = stop.attach(&after).unwrap();
        let mut events = Events::with_capacity(1);
        for poll in [&mut before, &mut after] {
            poll.poll(&mut events, None).unwrap();
            assert!(events.iter().any(|event| event.token() == STOP));
        }
        drop(held);
        assert_eq!(stop.wakers().len(), 1, "a detached loop is forgotten");
    }
}
