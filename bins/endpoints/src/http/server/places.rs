//! The places of a server: who waits gets that of a connection that has long asked nothing.

#![expect(clippy::disallowed_methods, reason = "hyper runs on tokio, and so do its waits")]

use super::handler::Context;
use super::watched::Activity;
use jostle_common::time::Instant;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The time after which a connection yields that has never asked anything.
const YIELD_UNHEARD: Duration = Duration::from_secs(5);
/// The time after which a connection yields that asked something before.
const YIELD_HEARD: Duration = Duration::from_secs(30);
/// The time between two looks for one that yields, when none may by itself.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The places, and the connections that have them.
#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    taken: Mutex<TakenPlaces>,
}

#[derive(Debug, Default)]
struct TakenPlaces {
    next: u64,
    places: BTreeMap<u64, (Arc<Activity>, Arc<Notify>)>,
}

/// The place of one connection, which is free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    /// Notified when the connection should end in favour of another.
    pub(super) leave: Arc<Notify>,
    _free: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn new(count: usize) -> Arc<Self> {
        Arc::new(Self { free: Arc::new(Semaphore::new(count)), taken: Mutex::default() })
    }

    /// Waits for a place for a connection of this activity. When all are taken, the connection that
    /// has asked nothing for longest is told to leave, if that is long.
    pub(super) async fn take(
        self: &Arc<Self>,
        context: &Context,
        activity: &Arc<Activity>,
    ) -> Place {
        let free = loop {
            let now = context.clock.now();
            let wait = match self.yielding() {
                _ if self.free.available_permits() > 0 => LOOK_EVERY,
                Some((at, number)) if at <= now => {
                    self.tell_to_leave(number);
                    context.counts.yielded.add(1);
                    LOOK_EVERY
                }
                Some((at, _)) => at.since(now).min(LOOK_EVERY),
                None => LOOK_EVERY,
            };
            let free = self.free.clone().acquire_owned();
            if let Ok(free) = tokio::time::timeout(wait, free).await {
                break free.expect("it is never closed");
            }
        };
        let leave = Arc::new(Notify::new());
        let mut taken = self.taken();
        let number = taken.next;
        taken.next += 1;
        taken.places.insert(number, (activity.clone(), leave.clone()));
        Place { places: self.clone(), number, leave, _free: free }
    }

    /// Returns the connection that is the first to yield its place, and the time at which it may be
    /// made to.
    fn yielding(&self) -> Option<(Instant, u64)> {
        let yields_at = |activity: &Activity| {
            let (answers, since) = activity.idle()?;
            Some(since + if answers == 0 { YIELD_UNHEARD } else { YIELD_HEARD })
        };
        let taken = self.taken();
        let places = taken.places.iter();
        places.filter_map(|(number, (activity, _))| Some((yields_at(activity)?, *number))).min()
    }

    /// Tells a connection to leave; it is not told twice.
    fn tell_to_leave(&self, number: u64) {
        if let Some((_, leave)) = self.taken().places.remove(&number) {
            leave.notify_one();
        }
    }

    fn taken(&self) -> MutexGuard<'_, TakenPlaces> {
        // Whole whatever a panicking holder did: its only changes are single calls.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().places.remove(&self.number);
    }
}
