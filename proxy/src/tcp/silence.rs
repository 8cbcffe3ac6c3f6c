//! The connections of a relay by the time at which to look whether they have been silent for too
//! long.
//!
//! A connection is looked at again only then: bytes that come meanwhile cost nothing here.

use super::TcpRelay;
use crate::turn::Turn;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use std::collections::BTreeSet;
use std::time::Duration;

/// The times at which to look at connections: each open one's place and number.
#[derive(Debug, Default)]
pub(super) struct Silences {
    times: BTreeSet<(Instant, usize, u32)>,
    /// The silence that a connection may keep; `None`: any.
    limit: Option<Duration>,
}

impl Silences {
    /// Returns the silence that a connection may keep.
    pub(super) const fn limit(&self) -> Option<Duration> {
        self.limit
    }

    /// Looks at a connection that was heard of at `last` when its time is over, and returns when
    /// that is. It keeps that for [`forget`](Self::forget).
    pub(super) fn watch(&mut self, last: Instant, index: usize, id: u32) -> Option<Instant> {
        let at = last + self.limit?;
        self.times.insert((at, index, id));
        Some(at)
    }

    /// Forgets a connection that is closed: a route may have many short ones, and a long limit.
    pub(super) fn forget(&mut self, at: Option<Instant>, index: usize, id: u32) {
        if let Some(at) = at {
            self.times.remove(&(at, index, id));
        }
    }

    /// Returns how many connections are looked at.
    pub(super) fn len(&self) -> usize {
        self.times.len()
    }

    /// Returns when to look at the next one.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.times.first().map(|(at, ..)| *at)
    }

    fn pop_due(&mut self, now: Instant) -> Option<(usize, u32)> {
        let &due = self.times.first().filter(|(at, ..)| *at <= now)?;
        self.times.remove(&due);
        Some((due.1, due.2))
    }
}

impl TcpRelay {
    /// Takes over how long a connection may be silent.
    pub(super) fn set_silence(&mut self, limit: Option<Duration>) {
        if self.silences.limit == limit {
            return;
        }
        self.acceptor.set_silence(limit);
        self.silences = Silences { times: BTreeSet::new(), limit };
        for index in self.connections.indices() {
            let connection = self.connections.at(index);
            if connection.id == 0 {
                // It has no number yet, and a time of its own.
                continue;
            }
            connection.set_look(self.silences.watch(connection.last, index, connection.id));
        }
    }

    /// Tears down the connections that have been silent for too long, towards both sides.
    pub(super) fn cut_silent(&mut self, turn: &mut Turn) {
        while let Some((index, id)) = self.silences.pop_due(turn.now) {
            let Some(limit) = self.silences.limit() else { return };
            let Some(connection) = self.connections.get_same(index, id) else { continue };
            if connection.last + limit > turn.now {
                connection.set_look(self.silences.watch(connection.last, index, id));
                continue;
            }
            self.counts.idle += 1;
            if let Some(carrier) = self.carriage.of(connection.carried) {
                carrier.reset(turn.now, id, Direction::Up);
            }
            self.give_up(index, turn);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_are_closed_leave_nothing() {
        let limit = Duration::from_secs(3600);
        let mut silences = Silences { limit: Some(limit), ..Silences::default() };
        for id in 1..=1000 {
            let at = silences.watch(Instant::from_millis(id.into()), 0, id);
            assert_eq!(at, Some(Instant::from_millis(id.into()) + limit));
            if id != 500 {
                silences.forget(at, 0, id);
            }
        }
        assert_eq!(silences.len(), 1);
        assert_eq!(silences.deadline(), Some(Instant::from_millis(500) + limit));
        assert_eq!(silences.pop_due(Instant::from_millis(499) + limit), None);
        assert_eq!(silences.pop_due(Instant::from_millis(500) + limit), Some((0, 500)));
        let mut none = Silences::default();
        assert_eq!(none.watch(Instant::START, 0, 1), None);
        none.forget(None, 0, 1);
        assert_eq!((none.len(), none.deadline()), (0, None));
    }
}
