//! The target that a client asked for: its addresses are found and judged, and the client is
//! answered.

use super::TcpRelay;
use super::asking::Negotiated;
use super::connection::Progress;
use super::request::{Answer, Request};
use crate::look_ups::LookedUp;
use crate::own::may_reach;
use crate::resolve::leads_to;
use crate::turn::Turn;
use bytes::Bytes;
use jostle_common::chance::Direction;
use jostle_engine::route::{Forward, ForwardProtocol};
use jostle_forward::http::Requests;
use jostle_forward::{Allowed, Asked, Failure, Host, Target};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

impl TcpRelay {
    /// A client has said where it wants to go.
    pub(super) fn take_request(
        &mut self,
        index: usize,
        negotiated: Negotiated,
        asked: Asked,
        turn: &mut Turn,
    ) {
        let Negotiated { protocol, body, rest } = negotiated;
        let Some(client) = self.connections.at(index).source(Direction::Up) else { return };
        let (target, answer) = match asked {
            Asked::Connect(target) => {
                client.put_ahead(Bytes::from(rest));
                let is_socks = protocol == ForwardProtocol::Socks5;
                (target, if is_socks { Answer::Socks } else { Answer::Tunnel })
            }
            Asked::Fetch { target, head, expected } => {
                let (requests, own) = Requests::begin(body, expected, &rest);
                client.follow_requests(requests, Bytes::from([&head, &rest[..own]].concat()));
                (target, Answer::Fetch)
            }
            Asked::Associate(sender) => return self.take_association(index, &sender, turn),
        };
        let number = self.connections.number(index);
        let connection = self.connections.at(index);
        connection.since = turn.now;
        connection.set_look(self.silences.watch(turn.now, index, number));
        connection.progress = Progress::Naming;
        let addresses = VecDeque::new();
        let request = Request { target, addresses, answer, failure: None };
        connection.beside_mut().request = Some(Box::new(request));
        self.counts.asked += 1;
        self.find_target(index, turn);
    }

    /// Looks for the addresses of a connection's target, and begins its way there once they are
    /// known.
    fn find_target(&mut self, index: usize, turn: &mut Turn) {
        let connection = self.connections.at(index);
        let number = connection.id;
        let Some(Request { target, .. }) = connection.request() else { return };
        let allowed = self.askings.forward().map(|forward| &forward.allowed);
        if allowed.is_none_or(|allowed| allowed.judge(target).is_err()) {
            self.counts.not_allowed += 1;
            return self.deny(index, Failure::NotAllowed, turn);
        }
        let name = match &target.host {
            &Host::Address(address) => return self.take_addresses(index, &[address], turn),
            Host::Name(name) => name,
        };
        match turn.asked.look_up(name, self.id, turn.now) {
            LookedUp::Found(addresses) => self.take_addresses(index, &addresses, turn),
            LookedUp::Awaited => {
                self.askings.await_name(name, index, number);
                self.give_up_at(turn.now + turn.options.connect_timeout, index, number);
            }
            LookedUp::Busy => {
                self.counts.unresolved += 1;
                self.deny(index, Failure::General, turn);
            }
        }
    }

    /// Takes what was found for a name, for all who wait for it.
    pub(super) fn take_found(&mut self, name: &str, addresses: &[IpAddr], turn: &mut Turn) {
        for (index, id) in self.askings.take_awaiting(name) {
            let connection = self.connections.get_same(index, id);
            if connection.is_some_and(|connection| connection.progress == Progress::Naming) {
                self.take_addresses(index, addresses, turn);
            }
        }
    }

    /// Begins the way of a connection to those of its target's addresses that may be reached.
    fn take_addresses(&mut self, index: usize, addresses: &[IpAddr], turn: &mut Turn) {
        let connection = self.connections.at(index);
        let Some(request) = connection.request_mut() else { return };
        let Some(Forward { allowed, .. }) = self.askings.forward() else {
            return self.deny(index, Failure::NotAllowed, turn);
        };
        let may = may_be_reached(allowed, &request.target, addresses);
        if may.is_empty() {
            let failure = if addresses.is_empty() {
                self.counts.unresolved += 1;
                Failure::HostUnreachable
            } else {
                self.counts.not_allowed += 1;
                Failure::NotAllowed
            };
            return self.deny(index, failure, turn);
        }
        let own = self.acceptor.addresses();
        let is_circle =
            |address: &SocketAddr| own.iter().any(|&listener| leads_to(*address, listener));
        request.addresses = may.into_iter().filter(|address| !is_circle(address)).collect();
        if request.addresses.is_empty() {
            self.counts.looped += 1;
            return self.deny(index, Failure::NotAllowed, turn);
        }
        self.begin(index, turn);
    }

    /// Tells a client whose target is not even tried.
    fn deny(&mut self, index: usize, failure: Failure, turn: &mut Turn) {
        let connection = self.connections.at(index);
        if let Some(request) = connection.request() {
            log::debug!("route {}: {}: {failure:?}", self.route.name, request.target);
        }
        self.answer_failure(index, failure, turn);
    }

    /// Answers that the target was not reached, and closes behind that.
    fn answer_failure(&mut self, index: usize, failure: Failure, turn: &mut Turn) {
        let connection = self.connections.at(index);
        let (id, carried) = (connection.id, connection.carried);
        let answer = connection.request_mut().map_or(Answer::Given, Request::take_answer);
        if let Some(client) = connection.source(Direction::Up) {
            client.say(&answer.failure(failure));
        }
        if let Some(carrier) = self.carriage.of(carried) {
            carrier.abandon(turn.now, id);
        }
        self.close_gently(index, turn);
    }

    /// Answers a client whose target cannot be reached, in place of a reset, if it is owed an
    /// answer: for the reason that is known, or else for `otherwise`. Returns false if not.
    pub(super) fn answers_for_reset(
        &mut self,
        index: usize,
        otherwise: Failure,
        turn: &mut Turn,
    ) -> bool {
        let Some(connection) = self.connections.get_mut(index) else { return false };
        let Some(request) = connection.request().filter(|request| request.is_owed()) else {
            return false;
        };
        let failure = request.failure.unwrap_or(otherwise);
        self.answer_failure(index, failure, turn);
        true
    }

    /// Tells a client that its target is there, if it is owed that, as its own connect would return.
    /// Returns false if it does not hear it, and is gone.
    pub(super) fn tell_success(&mut self, index: usize, turn: &mut Turn) -> bool {
        let is_told = self.answer_success(index);
        if !is_told {
            self.counts.left_early += 1;
            self.give_up(index, turn);
        }
        is_told
    }

    /// Answers that the target is there. Returns false if the client does not hear it.
    fn answer_success(&mut self, index: usize) -> bool {
        let connection = self.connections.at(index);
        if connection.request().is_none() {
            return true;
        }
        let local = connection.source(Direction::Down).map(|end| end.stream.local_addr());
        let bound = local.and_then(Result::ok).unwrap_or_else(|| ([0, 0, 0, 0], 0).into());
        let Some(request) = connection.request_mut() else { return true };
        let answer = request.take_answer().success(bound);
        let Some(client) = connection.source(Direction::Up) else { return false };
        answer.is_empty() || client.say(&answer)
    }
}

/// Returns those of a target's addresses that may be reached.
fn may_be_reached(allowed: &Allowed, target: &Target, addresses: &[IpAddr]) -> Vec<SocketAddr> {
    let may = addresses.iter().filter(|address| may_reach(allowed, target, **address));
    may.map(|address| SocketAddr::new(*address, target.port)).collect()
}
