//! The requests that a client of an HTTP proxy makes on one connection.
//!
//! Each that is for the server of the one before goes to it by the connection that is there. One for
//! another server ends that: its client goes on as another connection, with a number of its own, and
//! everything that comes before one.

use super::TcpRelay;
use super::asking::Negotiated;
use super::connection::Progress;
use super::sockets::asks_later;
use crate::observed::FlowEvent;
use crate::own::may_reach;
use crate::turn::Turn;
use bytes::Bytes;
use jostle_common::chance::Direction;
use jostle_engine::route::{Forward, ForwardProtocol};
use jostle_forward::http::{NextRequest, Requests};
use jostle_forward::{Asked, Progress as Heard};

impl TcpRelay {
    /// Looks whether the answer to a client's request has ended, now that bytes of it were passed
    /// on. `more`: its server said more than it was asked for, and is heard no further.
    pub(super) fn turn_page(&mut self, index: usize, more: bool, turn: &mut Turn) {
        if more {
            log::debug!("route {}: a server says what nobody asked for", self.route.name);
            return self.end_exchanges(index, turn);
        }
        let user = self.askings.forward().and_then(|forward| forward.user.as_ref());
        let Some(connection) = self.connections.get_mut(index) else { return };
        let Some(client) = connection.source(Direction::Up) else { return };
        if client.turn(user) {
            self.ask_again(index, Direction::Up, turn);
        }
        if self.draining {
            self.end_if_idle(index, turn);
        }
    }

    /// Closes the connections of clients that ask for nothing.
    pub(super) fn end_idle_exchanges(&mut self, turn: &mut Turn) {
        for index in self.connections.indices() {
            self.end_if_idle(index, turn);
        }
    }

    fn end_if_idle(&mut self, index: usize, turn: &mut Turn) {
        let client = self.connections.get_mut(index).and_then(|one| one.source(Direction::Up));
        if client.is_some_and(|client| client.is_between_requests()) {
            self.end_exchanges(index, turn);
        }
    }

    /// Takes the next request of a client.
    pub(super) fn take_next(&mut self, index: usize, turn: &mut Turn) {
        let connection = self.connections.at(index);
        connection.set_head_until(None);
        let Some(client) = connection.source(Direction::Up) else { return };
        let Some(next) = client.take_next() else { return };
        let NextRequest { progress, answer, body, rest } = next;
        // Whoever was told of the end is told nothing behind it.
        let is_over = client.has_ended();
        match progress {
            Heard::Refused(why) => {
                client.say(&answer);
                self.counts.refuse(why);
                self.end_exchanges(index, turn);
            }
            Heard::Asked(_) if is_over => self.end_exchanges(index, turn),
            Heard::Asked(Asked::Fetch { target, head, expected })
                if self.goes_on_to(index, &target) =>
            {
                let (requests, own) = Requests::begin(body, expected, &rest);
                let ahead = Bytes::from([&head, &rest[..own]].concat());
                let Some(client) = self.connections.at(index).source(Direction::Up) else { return };
                client.follow_requests(requests, ahead);
                self.counts.asked_again += 1;
                self.ask_again(index, Direction::Up, turn);
            }
            Heard::Asked(asked) => {
                if !self.asks_by_http() {
                    return self.end_exchanges(index, turn);
                }
                self.begin_anew(index, turn);
                let negotiated = Negotiated { protocol: ForwardProtocol::HttpProxy, body, rest };
                self.take_request(index, negotiated, asked, turn);
            }
            Heard::More => {}
        }
    }

    /// Returns true if a request for this target goes where the one before went, which may be
    /// reached still.
    fn goes_on_to(&mut self, index: usize, target: &jostle_forward::Target) -> bool {
        let connection = self.connections.at(index);
        let is_same = connection.request().is_some_and(|request| request.target == *target);
        let address = connection.upstream_address();
        let Some(Forward { allowed, .. }) = self.askings.forward() else { return false };
        is_same
            && self.asks_by_http()
            && allowed.judge(target).is_ok()
            && address.is_some_and(|one| may_reach(allowed, target, one.ip()))
    }

    /// Returns true if the route is an HTTP proxy still.
    fn asks_by_http(&self) -> bool {
        let forward = self.askings.forward();
        forward.is_some_and(|forward| forward.protocol == ForwardProtocol::HttpProxy)
    }

    /// Ends both sides of a client's connection, behind what they were given.
    pub(super) fn end_exchanges(&mut self, index: usize, turn: &mut Turn) {
        let connection = self.connections.at(index);
        let (id, carried) = (connection.id, connection.carried);
        if let Some(carrier) = self.carriage.of(carried) {
            carrier.abandon(turn.now, id);
        }
        self.close_gently(index, turn);
    }

    /// Ends a client's connection to the server that has answered all that it was asked, and lets the
    /// client begin another one.
    fn begin_anew(&mut self, index: usize, turn: &mut Turn) {
        let connection = self.connections.at(index);
        let (id, carried) = (connection.id, connection.carried);
        let look = connection.beside().and_then(|beside| beside.look);
        if let Some(carrier) = self.carriage.of(carried) {
            // Nothing of it is under way to the client, and nothing that its server waits for.
            carrier.abandon(turn.now, id);
        }
        for direction in Direction::BOTH {
            self.observe(id, FlowEvent::Ended(direction), turn);
        }
        self.observe(id, FlowEvent::Closed, turn);
        self.silences.forget(look, index, id);
        self.counts.finished += 1;
        let connection = self.connections.at(index);
        connection.drop_source(Direction::Down, turn);
        connection.begin_anew(turn.now);
        if asks_later(turn.options.portable) {
            self.keepalive.await_one(turn.now);
        }
        debug_assert_eq!(connection.progress, Progress::Naming);
    }
}
