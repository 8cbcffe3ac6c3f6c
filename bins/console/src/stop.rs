//! A request to end: set once, seen by every event loop that is attached to it.

use mio::{Poll, Token, Waker};
use std::fmt;
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

#[derive(Default)]
struct Inner {
    requested: AtomicBool,
    wakers: Mutex<Vec<Wake>>,
}

/// What wakes a loop.
type Wake = Arc<dyn Fn() + Send + Sync>;

/// Keeps a loop attached; dropping it detaches the loop.
pub struct Attached {
    stop: Stop,
    wake: Wake,
}

impl Stop {
    /// Creates a request that was not made yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the request, and wakes every attached loop.
    pub fn request(&self) {
        self.inner.requested.store(true, Ordering::SeqCst);
        self.wakers().iter().for_each(|wake| wake());
    }

    /// Returns true if the request was made.
    pub fn is_requested(&self) -> bool {
        self.inner.requested.load(Ordering::SeqCst)
    }

    /// Attaches a loop: [`Self::request`] wakes `poll` with [`STOP`] from now on, also when it was
    /// made before.
    ///
    /// # Errors
    /// When the system has no descriptor left for the waker.
    pub fn attach(&self, poll: &Poll) -> io::Result<Attached> {
        let waker = Waker::new(poll.registry(), STOP)?;
        Ok(self.attach_with(move || {
            // A loop that cannot be woken has gone.
            let _ = waker.wake();
        }))
    }

    /// Attaches a loop of another kind: [`Self::request`] calls `wake` from now on, also when it
    /// was made before. It must not wait.
    pub fn attach_with(&self, wake: impl Fn() + Send + Sync + 'static) -> Attached {
        let wake: Wake = Arc::new(wake);
        self.wakers().push(wake.clone());
        if self.is_requested() {
            wake();
        }
        Attached { stop: self.clone(), wake }
    }

    fn wakers(&self) -> std::sync::MutexGuard<'_, Vec<Wake>> {
        // A list of wakers is whole whatever a panicking holder did.
        self.inner.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.stop.wakers().retain(|wake| !Arc::ptr_eq(wake, &self.wake));
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("requested", &self.requested).finish_non_exhaustive()
    }
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attached").field("stop", &self.stop).finish_non_exhaustive()
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
