//! Rebinding: a flow leaves from a fresh socket, as its route's rules say; what still comes to the
//! old one is delivered or dropped.

use super::intake::ReadAt;
use super::old::{OF_A_FLOW_MAX, OldSocketOf};
use super::opening::Opening;
use super::{UdpPart, UdpRelay};
use crate::fate::Loss;
use crate::observed::FlowEvent;
use crate::reactor::{Owner, Reactor};
use crate::sinks::SocketChange;
use crate::turn::Turn;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_engine::rebinding::Rebound;
use jostle_engine::route::Route;
use jostle_engine::rules::{Rebind, RuleKind};
use jostle_sys::datagrams_missed;
use mio::Interest;
use mio::net::UdpSocket;
use std::io;
use std::net::SocketAddr;

impl UdpRelay {
    /// Lets the flows leave from fresh sockets that are to do so at or before `until`. Whatever was
    /// to leave before that has been sent.
    pub(super) fn rebind_due(&mut self, until: Instant, turn: &mut Turn) {
        while let Some(rebound) = self.rebinding.poll(until) {
            self.rebind(&rebound, turn);
        }
    }

    fn rebind(&mut self, rebound: &Rebound, turn: &mut Turn) {
        let Some(index) = self.flows.by_ordinal(rebound.flow) else { return };
        let opened = self.open_fresh(index, rebound, turn);
        let (fresh, to) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.counts.rebinds_failed += 1;
                let address = rebound.address;
                self.alarms.tell_of_rebind(
                    &self.route.name,
                    &rebound.rule,
                    address,
                    &error,
                    turn.now,
                );
                return;
            }
        };
        self.counts.rebinds += 1;
        if self.stray.as_ref().is_some_and(|stray| stray.flow == index) {
            self.close_stray(&mut turn.reactor, &mut turn.descriptors);
        }
        let flow = self.flows.get_mut(index).expect("its fresh socket was just opened");
        let (mut socket, token) = std::mem::replace(&mut flow.socket, fresh);
        let missed = std::mem::take(&mut flow.missed);
        flow.rebinds += 1;
        let upstream = flow.receiver();
        // What it was to read the relay reads from the old socket, which reports anew.
        flow.again = false;
        self.coalescing.forget(UdpPart::Flow(index));
        turn.reactor.remove(&mut socket, token);
        // It was bound, so it has an address.
        let from = socket.local_addr().unwrap_or(to);
        self.tell_of_rebind(rebound, [from, to], upstream, turn);
        let left = rebound.at;
        let delivers = rebound.delivers_old;
        let old = OldSocketOf { socket, flow: index, local: from, delivers, missed, left };
        self.leave(old, turn);
    }

    /// Opens a fresh socket of a flow. The old one keeps its descriptor until it is closed.
    fn open_fresh(
        &mut self,
        index: usize,
        rebound: &Rebound,
        turn: &mut Turn,
    ) -> io::Result<((UdpSocket, mio::Token), SocketAddr)> {
        let mut is_free = turn.descriptors.take(1);
        if !is_free && let Some(oldest) = self.old.oldest() {
            self.close_old(oldest, turn);
            is_free = turn.descriptors.take(1);
        }
        if !is_free {
            return Err(io::Error::other("no descriptor is left; raise the limit (ulimit -n)"));
        }
        let flow = self.flows.get(index).expect("the caller just found it");
        let kept = || flow.socket.0.local_addr().ok().map(|local| local.ip());
        let from = rebound.address.or_else(|| kept().filter(|ip| !ip.is_unspecified()));
        let opening = Opening {
            upstream: flow.upstream,
            from,
            follow: flow.peer().is_some(),
            hops: flow.hops,
            portable: self.portable,
        };
        let owner = Owner { relay: self.id.index, socket: UdpPart::Flow(index).key() };
        let opened = opening.open().and_then(|mut socket| {
            let local = socket.local_addr()?;
            let token = turn.reactor.add(&mut socket, owner, Interest::READABLE)?;
            Ok(((socket, token), local))
        });
        opened.inspect_err(|_| turn.descriptors.give(1))
    }

    /// Tells the event log and who observes flows.
    fn tell_of_rebind(
        &mut self,
        rebound: &Rebound,
        [from, to]: [SocketAddr; 2],
        upstream: SocketAddr,
        turn: &mut Turn,
    ) {
        let Rebound { flow, at, rule, delivers_old, .. } = rebound;
        let (flow, at, delivers_old) = (*flow, *at, *delivers_old);
        let route = &self.route.name;
        turn.sinks.change_socket(&SocketChange { route, flow, at, rule, from, to, delivers_old });
        if turn.sinks.are_observers() {
            let account = &self.lanes[Direction::Up.index()].account;
            account.observe(flow, at, FlowEvent::Rebound { from, to, upstream }, &mut turn.sinks);
        }
    }

    /// Keeps a socket that a flow has left, in place of the oldest if there are too many.
    fn leave(&mut self, old: OldSocketOf, turn: &mut Turn) {
        let of_flow = self.old.of_flow(old.flow);
        if of_flow.len() >= OF_A_FLOW_MAX {
            self.close_old(of_flow[0], turn);
        }
        if self.old.are_full()
            && let Some(oldest) = self.old.oldest()
        {
            self.close_old(oldest, turn);
        }
        if let Err(error) = self.old.keep(old, self.id.index, turn.now, &mut turn.reactor) {
            log::debug!("route {}: an old socket: {error}", self.route.name);
            turn.descriptors.give(1);
        }
    }

    /// Closes a socket that a flow has left.
    pub(super) fn close_old(&mut self, index: usize, turn: &mut Turn) {
        self.close_old_with(index, &mut turn.reactor);
        turn.descriptors.give(1);
    }

    /// Closes it; its descriptor is the caller's.
    pub(super) fn close_old_with(&mut self, index: usize, reactor: &mut Reactor) {
        let mut old = self.old.remove(index);
        let told = datagrams_missed(&old.socket, self.portable);
        self.lanes[Direction::Down.index()].missed(&mut old.missed, told);
        reactor.remove(&mut old.socket, old.token);
    }

    /// Closes the old sockets to which nothing comes any more; all of them while descriptors are
    /// short.
    pub(super) fn close_idle_old(&mut self, turn: &mut Turn) {
        if self.old.is_empty() {
            return;
        }
        let over = match turn.descriptors.is_short_of_flows() {
            true => self.old.indices(),
            false => self.old.over(turn.now, self.route.flow_idle()),
        };
        for index in over {
            self.close_old(index, turn);
        }
    }

    /// Takes in what came to a socket that a flow has left.
    pub(super) fn take_from_old(&mut self, index: usize, at: ReadAt, turn: &mut Turn) {
        let Some(old) = self.old.get_mut(index) else { return };
        old.last = turn.now;
        let (flow, local, delivers, left) = (old.flow, old.local, old.delivers, old.left);
        let Some((ordinal, present, upstream)) = self.flows.get(flow).map(|flow| {
            let present = flow.socket.0.local_addr().ok();
            (flow.ordinal, present, flow.receiver())
        }) else {
            return;
        };
        // Who observes sees it come to where it comes.
        self.observe_at(ordinal, local, upstream, at.now, turn);
        let Turn { datagrams, reactor, descriptors, sinks, own, .. } = turn;
        for received in datagrams.inbox.received() {
            let Some(old) = self.old.get_mut(index) else { break };
            self.lanes[Direction::Down.index()].missed(&mut old.missed, received.missed);
            // It came before the flow left, and was not read before.
            if delivers || at.arrival(received.stamp) < left {
                if let Some(loss) = self.foreign(flow, received.from, own) {
                    self.refuse_answer(ordinal, at, received, loss, sinks);
                } else {
                    self.answered(reactor, descriptors);
                    self.enter(flow, Direction::Down, at, received, sinks);
                }
            } else {
                self.refuse(ordinal, Direction::Down, at, received, Loss::OldAddress, sinks);
            }
        }
        if let Some(present) = present {
            self.observe_at(ordinal, present, upstream, at.now, turn);
        }
    }

    fn observe_at(
        &self,
        flow: u32,
        local: SocketAddr,
        upstream: SocketAddr,
        at: Instant,
        turn: &mut Turn,
    ) {
        if turn.sinks.are_observers() {
            let account = &self.lanes[Direction::Up.index()].account;
            account.observe(flow, at, FlowEvent::Reached { local, upstream }, &mut turn.sinks);
        }
    }
}

/// Checks that the system has the addresses that the rules of a route take.
///
/// # Errors
/// When it does not, with the route, the rule and the remedy.
pub(crate) fn check_addresses(route: &Route) -> Result<(), String> {
    for rule in route.profile.up.enabled_rules() {
        let RuleKind::Rebind(Rebind { addresses, .. }) = &rule.kind else { continue };
        for address in addresses.samples() {
            std::net::UdpSocket::bind((address, 0)).map_err(|error| {
                format!(
                    "route \"{}\": rule \"{}\" leaves from {address}, which this machine does not \
                     have: {error}; write addresses that it has, or add them to an interface",
                    route.name, rule.key
                )
            })?;
        }
    }
    Ok(())
}
