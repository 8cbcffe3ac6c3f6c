//! The handle with which other threads stop a running proxy or switch its rules.

use mio::Waker;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the handle and the loop share.
#[derive(Debug)]
pub(crate) struct Orders {
    stop: AtomicBool,
    rules_on: AtomicBool,
}

impl Orders {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { stop: AtomicBool::new(false), rules_on: AtomicBool::new(true) })
    }

    pub(crate) fn stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(crate) fn rules_on(&self) -> bool {
        self.rules_on.load(Ordering::Relaxed)
    }
}

/// A handle to a running proxy, for any thread.
#[derive(Clone, Debug)]
pub struct Control {
    orders: Arc<Orders>,
    waker: Arc<Waker>,
}

impl Control {
    pub(crate) const fn new(orders: Arc<Orders>, waker: Arc<Waker>) -> Self {
        Self { orders, waker }
    }

    /// Lets the proxy deliver what it holds, for two seconds at most, and end.
    pub fn stop(&self) {
        self.orders.stop.store(true, Ordering::Relaxed);
        self.wake();
    }

    /// Switches all rules off, or on again, and returns whether they are on now. What is inside
    /// keeps its times.
    pub fn toggle(&self) -> bool {
        let were_on = self.orders.rules_on.fetch_xor(true, Ordering::Relaxed);
        self.wake();
        !were_on
    }

    fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            log::error!("cannot wake the event loop: {error}");
        }
    }
}
