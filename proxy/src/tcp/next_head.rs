//! The time that a client of an HTTP proxy has for the head of a further request, from its first byte
//! on: as much as for the first one, so that nobody keeps a place by saying it ever so slowly.

use super::TcpRelay;
use super::connection::Progress;
use crate::turn::Turn;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use std::collections::VecDeque;

/// The clients whose next request has begun to come: until when, their places and numbers. All have
/// the same time, so the first is the earliest; the heads of some are whole already.
#[derive(Debug, Default)]
pub(super) struct NextHeads(VecDeque<(Instant, usize, u32)>);

impl NextHeads {
    /// Returns when the first of them has had its time.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.front().map(|(until, ..)| *until)
    }
}

impl TcpRelay {
    /// Lets the time of a client begin whose next request has begun to come.
    pub(super) fn time_next_head(&mut self, index: usize, turn: &Turn) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        let has_begun =
            connection.source(Direction::Up).is_some_and(|client| client.hears_request());
        if has_begun && connection.head_until().is_none() {
            self.give_head_time(index, turn);
        }
    }

    fn give_head_time(&mut self, index: usize, turn: &Turn) {
        let until = turn.now + turn.options.negotiation_timeout;
        let connection = self.connections.at(index);
        connection.set_head_until(Some(until));
        self.next_heads.0.push_back((until, index, connection.id));
    }

    /// Ends the connections of clients whose next request did not come in time.
    pub(super) fn end_slow_heads(&mut self, turn: &mut Turn) {
        while let Some(&(until, index, id)) = self.next_heads.0.front() {
            let connection = self.connections.get_same(index, id);
            let awaited = connection.filter(|connection| {
                connection.progress == Progress::Open && connection.head_until() == Some(until)
            });
            if awaited.is_some() && until > turn.now {
                return;
            }
            self.next_heads.0.pop_front();
            let Some(connection) = awaited else { continue };
            if connection.source(Direction::Up).is_some_and(|client| client.is_blocked()) {
                // It is not read while it has yet to take the answer before.
                self.give_head_time(index, turn);
            } else {
                self.counts.negotiation_timed_out += 1;
                self.end_exchanges(index, turn);
            }
        }
    }
}
