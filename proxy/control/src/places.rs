//! The connections that are served at once, as many as the API has descriptors for. Who is silent
//! leaves its place to who waits.

#![expect(clippy::disallowed_methods, reason = "hyper runs on tokio, and so do its waits")]

use crate::course::Course;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The time between two looks for a connection that may leave.
const LOOK: Duration = Duration::from_millis(20);

/// All places.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    free: Arc<Semaphore>,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    courses: BTreeMap<u64, Course>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Places,
    number: u64,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    /// So many places, at least one.
    pub(crate) fn new(count: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(count.max(1))), taken: Arc::default() }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        // None of the changes can be left half done.
        self.taken.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Takes a place. While there is none, it asks who has been silent for the longest to leave.
    pub(crate) async fn take(&self, course: &Course) -> Place {
        loop {
            if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
                return self.enter(permit, course);
            }
            self.make_room();
            let free = Arc::clone(&self.free).acquire_owned();
            if let Ok(permit) = tokio::time::timeout(LOOK, free).await {
                return self.enter(permit.expect("it is never closed"), course);
            }
        }
    }

    fn enter(&self, permit: OwnedSemaphorePermit, course: &Course) -> Place {
        let mut taken = self.taken();
        let number = taken.next;
        taken.next += 1;
        taken.courses.insert(number, course.clone());
        Place { places: self.clone(), number, _permit: permit }
    }

    fn make_room(&self) {
        let taken = self.taken();
        // One at a time: a place is as good as free then.
        if taken.courses.values().any(Course::is_leaving) {
            return;
        }
        let silent = taken.courses.values().filter_map(|one| Some((one.silent_since()?, one)));
        if let Some((_, course)) = silent.min_by_key(|(since, _)| *since) {
            course.ask_to_leave();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().courses.remove(&self.number);
    }
}
