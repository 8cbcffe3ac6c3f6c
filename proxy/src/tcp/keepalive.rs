//! Keepalive: peers that say nothing are asked whether they are still there.
//!
//! Most connections are over long before the first question. So their sockets are told to ask once
//! they have lasted for a while: for a short one that would be a sixth of all its system calls.

use super::TcpRelay;
use super::connection::{Progress, RelayedConnection};
use super::sockets::ask_when_silent;
use crate::turn::Turn;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use socket2::SockRef;
use std::time::Duration;

/// The age of a connection that lasts, and the time between two looks for such: the first question
/// is due after a minute of silence.
const LASTING: Duration = Duration::from_secs(2);

/// Places of connections that are looked at before the others have their turn.
const PLACES_PER_TURN: usize = 512;

/// The looks for connections whose sockets do not ask yet.
#[derive(Debug, Default)]
pub(super) struct Keepalive {
    /// The time of the next look, or of the one under way; `None`: there are no such connections.
    next: Option<Instant>,
    /// The place at which the look under way goes on.
    place: usize,
    /// Set if the look is not the last one.
    again: bool,
}

impl Keepalive {
    /// Notes that there is a connection whose sockets do not ask yet.
    pub(super) fn await_one(&mut self, now: Instant) {
        self.again = true;
        self.next.get_or_insert(now + LASTING);
    }

    /// Returns when to look, or to go on with that.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.next
    }
}

impl TcpRelay {
    /// Lets the sockets of connections that have lasted ask their peers, some connections at a time.
    pub(super) fn keep_alive(&mut self, turn: &Turn) {
        if self.keepalive.next.is_none_or(|at| at > turn.now) {
            return;
        }
        if self.keepalive.place == 0 {
            self.keepalive.again = false;
        }
        let (begin, places) = (self.keepalive.place, self.connections.places());
        let end = begin + PLACES_PER_TURN;
        for index in begin..end.min(places) {
            let connection = self.connections.get_mut(index);
            if let Some(connection) = connection.filter(|connection| !connection.asks_peers) {
                self.keepalive.again |= !ask_if_lasting(connection, turn.now);
            }
        }
        if end < places {
            self.keepalive.place = end;
        } else {
            let next = self.keepalive.again.then(|| turn.now + LASTING);
            (self.keepalive.next, self.keepalive.place) = (next, 0);
        }
    }
}

/// Lets the sockets of a connection ask if it lasts. Returns false if that is not known yet.
fn ask_if_lasting(connection: &mut RelayedConnection, now: Instant) -> bool {
    let is_settled = matches!(connection.progress, Progress::Open | Progress::Associated);
    connection.asks_peers = is_settled && connection.since + LASTING <= now;
    if connection.asks_peers {
        for end in Direction::BOTH.into_iter().filter_map(|direction| connection.writer(direction))
        {
            ask_when_silent(&SockRef::from(&end.stream));
        }
    }
    connection.asks_peers
}
