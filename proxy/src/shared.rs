//! Values that several loops share, each for a moment, and how often one had to wait for another.
//!
//! A proxy with one loop shares nothing and locks nothing.

use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

/// A value that a loop has for itself, or that it shares with others.
#[derive(Debug)]
pub(crate) enum Shared<T> {
    /// Nobody else has it.
    Own(T),
    /// All clones are the same.
    Among(Lock<T>),
}

impl<T> Shared<T> {
    /// Does something with it.
    pub(crate) fn with<R>(&mut self, act: impl FnOnce(&mut T) -> R) -> R {
        match self {
            Self::Own(value) => act(value),
            Self::Among(lock) => act(&mut lock.lock()),
        }
    }

    /// Looks at it.
    pub(crate) fn look<R>(&self, act: impl FnOnce(&T) -> R) -> R {
        match self {
            Self::Own(value) => act(value),
            Self::Among(lock) => act(&lock.lock()),
        }
    }

    /// Makes handles of a value for so many loops.
    pub(crate) fn among(value: T, loops: usize, waits: &Waits) -> Vec<Self> {
        if loops == 1 {
            return vec![Self::Own(value)];
        }
        let lock = Lock::new(value, waits);
        (0..loops).map(|_| Self::Among(lock.clone())).collect()
    }
}

/// A lock that counts how often somebody had to wait for it. Clones are the same.
#[derive(Debug)]
pub(crate) struct Lock<T> {
    value: Arc<Mutex<T>>,
    waits: Waits,
}

impl<T> Clone for Lock<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), waits: self.waits.clone() }
    }
}

impl<T> Lock<T> {
    pub(crate) fn new(value: T, waits: &Waits) -> Self {
        Self { value: Arc::new(Mutex::new(value)), waits: waits.clone() }
    }

    /// Waits for the others, if need be. A holder that panicked left the value whole: each change
    /// of what is shared is made in one call.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        match self.value.try_lock() {
            Ok(value) => value,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                self.waits.0.fetch_add(1, Ordering::Relaxed);
                self.value.lock().unwrap_or_else(PoisonError::into_inner)
            }
        }
    }
}

/// The count of those who had to wait for a lock. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waits(Arc<AtomicU64>);

impl Waits {
    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often loops waited for each other, by what they wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contention {
    pub(crate) sinks: Waits,
    pub(crate) descriptors: Waits,
    pub(crate) addresses: Waits,
    pub(crate) clients: Waits,
    pub(crate) routes: Waits,
    /// Orders for which all loops stood still.
    pub(crate) pauses: Waits,
}

impl Contention {
    pub(crate) fn counted(&self) -> Contended {
        Contended {
            sinks: self.sinks.count(),
            descriptors: self.descriptors.count(),
            addresses: self.addresses.count(),
            clients: self.clients.count(),
            routes: self.routes.count(),
            pauses: self.pauses.count(),
        }
    }
}

impl Waits {
    /// Counts once more.
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// How often one of several workers found that another one was at what it wanted, and waited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Contended {
    /// The sinks of fates: locked once for each fate and change of a flow, if there is a sink.
    pub sinks: u64,
    /// The count of descriptors: locked when clients come and go.
    pub descriptors: u64,
    /// The list of the addresses that are listened on: locked when UDP clients come.
    pub addresses: u64,
    /// Whoever is told of new clients, if somebody is.
    pub clients: u64,
    /// The table of routes: locked for orders, and for answers of the resolver.
    pub routes: u64,
    /// Orders for which all workers stood still: those about the rules of all routes, or about a
    /// route that several workers have.
    pub pauses: u64,
}

impl Contended {
    /// Returns the counts by name.
    pub const fn named(&self) -> [(&'static str, u64); 6] {
        [
            ("sinks", self.sinks),
            ("descriptors", self.descriptors),
            ("addresses", self.addresses),
            ("clients", self.clients),
            ("routes", self.routes),
            ("pauses", self.pauses),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_to_wait_is_counted_and_who_has_not_is_not() {
        let waits = Waits::default();
        let lock = Lock::new(1, &waits);
        *lock.lock() += 1;
        assert_eq!((*lock.lock(), waits.count()), (2, 0));
        let held = lock.lock();
        let other = lock.clone();
        let waiting = std::thread::spawn(move || *other.lock());
        while waits.count() == 0 {
            std::thread::yield_now();
        }
        drop(held);
        assert_eq!((waiting.join().unwrap(), waits.count()), (2, 1));
    }

    #[test]
    fn one_loop_has_its_value_for_itself() {
        let waits = Waits::default();
        let mut own = Shared::among(5, 1, &waits);
        assert!(matches!(own.as_slice(), [Shared::Own(5)]));
        assert_eq!(own[0].with(|value| std::mem::replace(value, 6)), 5);
        let mut shared = Shared::among(5, 2, &waits);
        shared[0].with(|value| *value = 7);
        assert_eq!(shared[1].look(|value| *value), 7);
    }
}
