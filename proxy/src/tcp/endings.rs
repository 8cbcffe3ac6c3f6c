//! The ends of connections: once both directions have ended, or torn down.

use super::TcpRelay;
use crate::observed::FlowEvent;
use crate::turn::Turn;
use jostle_common::chance::Direction;
use jostle_common::transport::Transport;
use jostle_forward::Failure;

impl TcpRelay {
    /// Closes a connection whose both directions have ended.
    pub(super) fn close_if_over(&mut self, index: usize, turn: &mut Turn) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        if connection.is_over() {
            self.counts.finished += 1;
            self.close(index, turn);
        }
    }

    /// Tears a connection down towards the receiver of `direction`.
    pub(super) fn tear_down(&mut self, index: usize, direction: Direction, turn: &mut Turn) {
        // A reset that comes before a client was answered refuses it.
        let refused = Failure::ConnectionRefused;
        if direction == Direction::Down && self.answers_for_reset(index, refused, turn) {
            return;
        }
        let Some(connection) = self.connections.get_mut(index) else { return };
        if let Some(target) = connection.target(direction) {
            // What does not fit the socket now would not have fitted the receiver's window before
            // the reset.
            let written = target.flush();
            self.accounts[direction.index()].written(written);
            target.reset_on_close();
        }
        self.close(index, turn);
    }

    /// Closes both sockets.
    pub(super) fn close(&mut self, index: usize, turn: &mut Turn) {
        let mut connection = self.connections.remove(index);
        self.leave_asking(connection.asking());
        if let Some(id) = connection.beside().and_then(|beside| beside.association) {
            self.kept.count -= 1;
            self.kept.associations.end(id, turn);
        }
        self.observe(connection.id, FlowEvent::Closed, turn);
        let beside = connection.beside();
        let (look, attempt) = beside.map_or((None, None), |beside| (beside.look, beside.attempt));
        self.silences.forget(look, index, connection.id);
        self.forget_attempt(index, connection.id, attempt);
        debug_assert!(self.silences.len() <= self.connections.len(), "none is left behind");
        for direction in Direction::BOTH {
            connection.drop_source(direction, turn);
        }
        // Two were taken for it; the upstream's may not have been opened.
        turn.descriptors.remove_client(Transport::Tcp, connection.client_address().ip());
    }

    /// Tears a connection down towards both sides.
    pub(super) fn give_up(&mut self, index: usize, turn: &mut Turn) {
        for direction in Direction::BOTH {
            if let Some(end) = self.connections.at(index).source(direction) {
                end.reset_on_close();
            }
        }
        let id = self.connections.at(index).id;
        self.observe(id, FlowEvent::TornDown, turn);
        self.close(index, turn);
    }
}
