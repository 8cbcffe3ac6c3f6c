//! The times at which connections want to be woken: one entry per connection, moved only when it
//! would be too late.
//!
//! Most timers are put off again and again by arriving acknowledgements. An entry that is too early
//! costs one look at its connection; to keep it exact would cost two tree operations per segment.

use jostle_common::time::Instant;
use std::collections::BTreeSet;

/// The connections by the time at which to look at them.
#[derive(Debug, Default)]
pub(super) struct Timers {
    entries: BTreeSet<(Instant, u32)>,
}

/// The entry of one connection, kept by the connection.
#[derive(Debug, Default)]
pub(super) struct Entry(Option<Instant>);

impl Timers {
    /// Returns the earliest time at which a connection may have something to do.
    pub(super) fn first(&self) -> Option<(Instant, u32)> {
        self.entries.first().copied()
    }

    /// Takes the first entry out, which is that of the connection `id`.
    pub(super) fn pop(&mut self, entry: &mut Entry) {
        self.entries.pop_first();
        entry.0 = None;
    }

    /// Sees to it that `id` is looked at no later than at `deadline`; not at all without one.
    pub(super) fn wake(&mut self, id: u32, entry: &mut Entry, deadline: Option<Instant>) {
        match deadline {
            Some(deadline) if entry.0.is_none_or(|at| deadline < at) => {
                self.forget(id, entry);
                self.entries.insert((deadline, id));
                entry.0 = Some(deadline);
            }
            Some(_) => {}
            None => self.forget(id, entry),
        }
    }

    /// Removes the entry of a connection.
    pub(super) fn forget(&mut self, id: u32, entry: &mut Entry) {
        if let Some(at) = entry.0.take() {
            self.entries.remove(&(at, id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_one_entry_per_connection_at_the_earliest_time() {
        let mut timers = Timers::default();
        let mut entry = Entry::default();
        for ms in [50, 80, 30, 40] {
            timers.wake(1, &mut entry, Some(Instant::from_millis(ms)));
        }
        assert_eq!(timers.entries.len(), 1);
        assert_eq!(timers.first(), Some((Instant::from_millis(30), 1)));
        timers.pop(&mut entry);
        assert_eq!(timers.first(), None);
        timers.wake(1, &mut entry, Some(Instant::from_millis(80)));
        timers.wake(1, &mut entry, None);
        assert_eq!(timers.first(), None);
    }
}
