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

/// The times at which to look at connections: each one's place and number.
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

    /// Looks at a connection that was heard of at `last` when its time is over.
    pub(super) fn watch(&mut self, last: Instant, index: usize, id: u32) {
        if let Some(limit) = self.limit {
            self.times.insert((last + limit, index, id));
        }
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
        self.silences = Silences { times: BTreeSet::new(), limit };
        for index in self.connections.indices() {
            let connection = self.connections.at(index);
            self.silences.watch(connection.last, index, connection.id);
        }
    }

    /// Tears down the connections that have been silent for too long, towards both sides.
    pub(super) fn cut_silent(&mut self, turn: &mut Turn) {
        while let Some((index, id)) = self.silences.pop_due(turn.now) {
            let Some(limit) = self.silences.limit() else { return };
            let Some(connection) = self.connections.get_same(index, id) else { continue };
            if connection.last + limit > turn.now {
                self.silences.watch(connection.last, index, id);
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
