//! The closing of a connection by a rule: both sides are told by a FIN, behind the bytes that they
//! were given.
//!
//! Closing a socket that has something to read, or that is written to afterwards, resets it, and a
//! reset may take from the peer what it has yet to read. So the sockets stay for a moment, in which
//! what comes is read and forgotten.

use super::TcpRelay;
use super::connection::Progress;
use super::end::{End, Found};
use crate::observed::FlowEvent;
use crate::turn::{SCRATCH_BYTES, Turn};
use jostle_common::chance::Direction;
use std::time::Duration;

/// The time for which a peer that was told of the end may go on before it is reset.
const LINGER: Duration = Duration::from_millis(500);

/// Reads that a connection gets before the others have their turn.
const READS_PER_TURN: usize = 2;

impl TcpRelay {
    /// Ends both sides of a connection. The links know it no more.
    pub(super) fn close_gently(&mut self, index: usize, turn: &mut Turn) {
        let connection = self.connections.at(index);
        if connection.progress != Progress::Open {
            // The upstream has not answered yet, so it has nothing to be told.
            connection.drop_source(Direction::Down, turn);
            connection.forget_addresses();
        }
        let is_known = connection.progress != Progress::Naming;
        connection.progress = Progress::Closing;
        let id = connection.id;
        for direction in Direction::BOTH.into_iter().filter(|_| is_known) {
            self.observe(id, FlowEvent::Ended(direction), turn);
        }
        let connection = self.connections.at(index);
        for direction in Direction::BOTH {
            let Some(end) = connection.source(direction) else { continue };
            end.forget_requests();
            // It may have waited for room in the links.
            end.feed();
            end.end();
            end.ask_again(&mut turn.reactor);
        }
        self.conclude_closing(index, turn);
    }

    /// Reads what comes from a side of a connection that is closing, and forgets it.
    pub(super) fn ignore(&mut self, index: usize, direction: Direction, turn: &mut Turn) {
        for _ in 0..READS_PER_TURN {
            let Some(connection) = self.connections.get_mut(index) else { return };
            let Some(end) = connection.source(direction) else { return };
            if end.is_read_out() || !end.is_readable() {
                return self.conclude_closing(index, turn);
            }
            match end.read(&mut turn.scratch[..SCRATCH_BYTES]) {
                Found::Bytes(_) | Found::Request => {}
                Found::Nothing => return,
                Found::End => return self.conclude_closing(index, turn),
                Found::Reset => {
                    // This side is gone; the other is still told.
                    connection.drop_source(direction, turn);
                    return self.conclude_closing(index, turn);
                }
            }
        }
        self.ask_again(index, direction, turn);
    }

    /// Closes the sockets of a connection once both sides have ended too, and gives them a moment
    /// for that once both were told.
    pub(super) fn conclude_closing(&mut self, index: usize, turn: &mut Turn) {
        let connection = self.connections.at(index);
        let id = connection.id;
        let is_told =
            |end: Option<&mut End>| end.is_none_or(|end| end.has_ended() || end.is_broken());
        if !Direction::BOTH.iter().all(|&direction| is_told(connection.source(direction))) {
            return;
        }
        let is_over =
            |end: Option<&mut End>| end.is_none_or(|end| end.is_read_out() || end.is_broken());
        if Direction::BOTH.iter().all(|&direction| is_over(connection.source(direction))) {
            return self.close(index, turn);
        }
        self.let_linger(index, id, turn);
    }

    /// Gives a connection that is closing a moment, unless it has it already.
    pub(super) fn let_linger(&mut self, index: usize, id: u32, turn: &Turn) {
        if let Some(connection) = self.connections.get_same(index, id)
            && !std::mem::replace(&mut connection.beside_mut().lingers, true)
        {
            self.closing.push_back((turn.now + LINGER, index, id));
        }
    }

    /// Closes the connections whose moment has passed.
    pub(super) fn end_closing(&mut self, turn: &mut Turn) {
        while let Some(&(at, index, id)) = self.closing.front()
            && at <= turn.now
        {
            self.closing.pop_front();
            if self.connections.get_same(index, id).is_some() {
                self.close(index, turn);
            }
        }
    }
}
