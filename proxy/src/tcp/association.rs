//! The connections that keep associations: nothing crosses them, and with each ends what it keeps.
//!
//! Its client said that it wants its datagrams relayed, and is told the address that it has reached
//! already: the datagrams of a route are heard at the port that its connections are.

use super::TcpRelay;
use super::connection::Progress;
use super::end::Found;
use crate::associations::SharedAssociations;
use crate::resolve::leads_to;
use crate::turn::Turn;
use jostle_common::chance::Direction;
use jostle_forward::Failure;
use jostle_forward::socks::{self, Sender};
use std::net::SocketAddr;

/// Bytes of such a connection that are read at a time, to be forgotten.
const READ_BYTES: usize = 4 << 10;

/// Reads that one gets before the others have their turn.
const READS_PER_TURN: usize = 2;

/// The associations that connections of a relay keep.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) associations: SharedAssociations,
    /// How many connections keep one.
    pub(super) count: usize,
}

impl TcpRelay {
    /// A client wants its datagrams relayed, which it will send from there as far as it knows.
    pub(super) fn take_association(&mut self, index: usize, sender: &Sender, turn: &mut Turn) {
        let connection = self.connections.at(index);
        let address = connection.client_address().ip();
        let client = connection.source(Direction::Up);
        let bound = client.and_then(|client| client.stream.local_addr().ok());
        let begun = bound.and_then(|bound| {
            let id = self.kept.associations.begin(address, sender)?;
            Some((bound, id))
        });
        let Some((bound, id)) = begun else {
            self.counts.associations_refused += 1;
            if let Some(client) = self.connections.at(index).source(Direction::Up) {
                client.say(&socks::failed(Failure::General));
            }
            return self.close_gently(index, turn);
        };
        self.counts.associations += 1;
        self.kept.count += 1;
        let connection = self.connections.at(index);
        connection.progress = Progress::Associated;
        connection.beside_mut().association = Some(id);
        let client = connection.source(Direction::Up);
        if client.is_some_and(|client| client.say(&socks::succeeded(bound))) {
            self.watch_association(index, turn);
        } else {
            self.give_up(index, turn);
        }
    }

    /// Reads a connection that keeps an association, for its end: nothing else is said there.
    pub(super) fn watch_association(&mut self, index: usize, turn: &mut Turn) {
        for _ in 0..READS_PER_TURN {
            let Some(connection) = self.connections.get_mut(index) else { return };
            let Some(client) = connection.source(Direction::Up) else { return };
            if !client.is_readable() {
                return;
            }
            match client.read(&mut turn.scratch[..READ_BYTES]) {
                Found::Bytes(_) | Found::Request => {}
                Found::Nothing => return,
                // RFC 1928, section 7: an association ends when its connection does; one that
                // nobody writes to any more has ended as far as its client can say so.
                Found::End | Found::Reset => return self.close(index, turn),
            }
        }
        self.ask_again(index, Direction::Up, turn);
    }

    /// Ends the associations that are told another address than those that are still listened at.
    pub(super) fn end_associations_but(&mut self, addresses: &[SocketAddr], turn: &mut Turn) {
        for index in self.connections.indices() {
            let connection = self.connections.at(index);
            if connection.progress != Progress::Associated {
                continue;
            }
            let bound = connection.source(Direction::Up).map(|end| end.stream.local_addr());
            let is_heard = matches!(bound, Some(Ok(bound))
                if addresses.iter().any(|&listener| leads_to(bound, listener)));
            if !is_heard {
                self.close(index, turn);
            }
        }
    }
}
