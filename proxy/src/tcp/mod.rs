//! The TCP relay of a route: a connection to the upstream for each one accepted, faithful in
//! half-close, reset and refusal.

mod accept;
mod carried;
mod connection;
mod counts;
mod end;
mod plain;

use crate::ledger::Ledger;
use crate::listener::Opened;
use crate::reactor::{Owner, Part, Reactor, Readiness};
use crate::resolve::Upstream;
use crate::summary::{LinkSummary, SocketSummary};
use crate::table::Table;
use crate::turn::Turn;
use accept::Listening;
use connection::{Connection, Stage};
use counts::Counts;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_common::transport::Transport;
use jostle_engine::carrier::Carrier;
use jostle_engine::counters::Counters;
use jostle_engine::memory::Memory;
use jostle_engine::profile::Timeline;
use jostle_engine::route::Route;
use jostle_engine::stage::Output;
use jostle_engine::tcp;
use mio::Interest;
use mio::net::TcpListener;
use slab::Slab;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

/// The TCP half of a route.
pub(crate) struct TcpRelay {
    index: usize,
    route: Route,
    listeners: Vec<Listening>,
    upstream: Upstream,
    /// The links; a route without rules has none.
    carrier: Option<Carrier>,
    ledgers: [Ledger; 2],
    /// What a route without links counts.
    plain: [Counters; 2],
    connections: Slab<Connection>,
    by_id: Table<u32>,
    last_id: u32,
    /// Connections whose upstream has yet to answer, and until when. All have the same time, so the
    /// first is the earliest.
    connecting: VecDeque<(Instant, usize, u32)>,
    /// Ends that were not read for want of room.
    starved: VecDeque<(usize, u32, Direction)>,
    /// Packets that left the links in this pass and are not yet written down.
    fates: Vec<(Direction, Output)>,
    counts: Counts,
}

impl TcpRelay {
    pub(crate) fn new(
        index: usize,
        route: Route,
        seed: u64,
        upstream: Upstream,
        opened: Vec<Opened>,
        budget: Memory,
        reactor: &mut Reactor,
    ) -> io::Result<Self> {
        let mut listeners = Vec::new();
        for Opened { socket, .. } in opened {
            let mut socket = TcpListener::from_std(socket.into());
            let owner = Owner { relay: index, part: Part::Listener(listeners.len()) };
            let token = reactor.add(&mut socket, owner, Interest::READABLE)?;
            listeners.push(Listening::new(socket, token));
        }
        let carrier = (!route.profile.is_empty())
            .then(|| Carrier::new(&route.profile, route.tcp, seed, route.drawn_as(), budget));
        let ledgers =
            Direction::BOTH.map(|direction| Ledger::new(&route.name, Transport::Tcp, direction));
        Ok(Self {
            index,
            route,
            listeners,
            upstream,
            carrier,
            ledgers,
            plain: [Counters::default(); 2],
            connections: Slab::new(),
            by_id: Table::default(),
            last_id: 0,
            connecting: VecDeque::new(),
            starved: VecDeque::new(),
            fates: Vec::new(),
            counts: Counts::default(),
        })
    }

    /// Takes the answer of the resolver.
    pub(crate) fn set_addresses(&mut self, addresses: Vec<SocketAddr>) {
        self.upstream.set_addresses(addresses);
    }

    /// Switches the rules off or on. Streams stay with their links even while these have no rules,
    /// so that they can be switched on again.
    pub(crate) fn switch(&mut self, now: Instant, on: bool) {
        let Some(carrier) = &mut self.carrier else { return };
        let none = Timeline::default();
        for direction in Direction::BOTH {
            let timeline = if on { self.route.profile.timeline(direction) } else { &none };
            carrier.set_timeline(now, direction, timeline);
        }
    }

    /// Notes what an event said about one of the sockets, and asks to be called for it in its turn.
    pub(crate) fn note(&mut self, part: Part, readiness: Readiness, reactor: &mut Reactor) {
        let (index, direction) = match part {
            Part::Listener(index) => return self.listeners[index].ask_again(reactor),
            Part::Client(index) => (index, Direction::Up),
            Part::Upstream(index) => (index, Direction::Down),
            Part::Flow(_) => unreachable!("a TCP relay has no flows"),
        };
        let connection = self.connections.get_mut(index);
        if let Some(end) = connection.and_then(|connection| connection.source(direction)) {
            end.readable |= readiness.readable | readiness.failed;
            end.writable |= readiness.writable;
            end.failed |= readiness.failed;
            end.ask_again(reactor);
        }
    }

    /// Serves a socket in its turn.
    pub(crate) fn go_on(&mut self, part: Part, turn: &mut Turn) {
        let (index, direction) = match part {
            Part::Listener(index) => return self.accept(index, turn),
            Part::Client(index) => (index, Direction::Up),
            Part::Upstream(index) => (index, Direction::Down),
            Part::Flow(_) => unreachable!("a TCP relay has no flows"),
        };
        let Some(connection) = self.connections.get_mut(index) else { return };
        let stage = connection.stage;
        let Some(end) = connection.source(direction) else { return };
        end.again = false;
        if stage == Stage::Connecting && direction == Direction::Down {
            // Whatever the event was, the connect has come to an end.
            return self.conclude_connect(index, turn);
        }
        if end.wants_to_write() {
            self.flush(index, direction.opposite(), turn);
        }
        self.serve(index, direction, turn);
    }

    /// Moves what can be moved in `direction`, up to a fair share.
    fn serve(&mut self, index: usize, direction: Direction, turn: &mut Turn) {
        match &self.carrier {
            Some(_) => self.take_in(index, direction, turn),
            None => self.copy(index, direction, turn),
        }
    }

    /// Writes what is pending in `direction`.
    fn flush(&mut self, index: usize, direction: Direction, turn: &mut Turn) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        let Some(target) = connection.target(direction) else { return };
        let written = target.flush();
        let broken = target.is_broken();
        self.ledgers[direction.index()].bytes_out += written as u64;
        match &mut self.carrier {
            Some(carrier) if written > 0 => {
                carrier.consumed(turn.now, connection.id, direction, written);
                self.resume(index, direction, turn);
            }
            Some(_) => {}
            None => self.copy(index, direction, turn),
        }
        if broken {
            // What its peer wrote before it tore the connection down, and then the reset, are to be
            // read.
            self.ask_again(index, direction.opposite(), turn);
        } else {
            self.close_if_over(index, turn);
        }
    }

    /// Asks to be called again for the end that writes `direction`.
    fn ask_again(&mut self, index: usize, direction: Direction, turn: &mut Turn) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        if let Some(end) = connection.source(direction) {
            end.ask_again(&mut turn.reactor);
        }
    }

    /// Closes a connection whose both directions have ended.
    fn close_if_over(&mut self, index: usize, turn: &mut Turn) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        if connection.is_over() {
            self.counts.finished += 1;
            self.close(index, turn);
        }
    }

    /// Tears a connection down towards the receiver of `direction`.
    fn tear_down(&mut self, index: usize, direction: Direction, turn: &mut Turn) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        if let Some(target) = connection.target(direction) {
            // What does not fit the socket now would not have fitted the receiver's window before
            // the reset.
            let written = target.flush();
            self.ledgers[direction.index()].bytes_out += written as u64;
            target.reset_on_close();
        }
        self.close(index, turn);
    }

    /// Closes both sockets.
    fn close(&mut self, index: usize, turn: &mut Turn) {
        let mut connection = self.connections.remove(index);
        self.by_id.remove(&connection.id);
        for direction in Direction::BOTH {
            connection.drop_source(direction, turn);
        }
        // Two were taken for it; the upstream's may not have been opened.
        turn.descriptors.give(connection.descriptors);
    }

    /// Does what is due, and says when something is due next.
    pub(crate) fn work(&mut self, turn: &mut Turn) -> Option<Instant> {
        self.dispatch(turn);
        while let Some(&(at, index, id)) = self.connecting.front()
            && at <= turn.now
        {
            self.connecting.pop_front();
            self.time_out(index, id, turn);
        }
        self.retry_accept(turn);
        self.retry_starved(turn);
        let timers = [
            self.carrier.as_ref().and_then(Carrier::deadline),
            self.connecting.front().map(|(at, ..)| *at),
            self.listeners.iter().filter_map(|listener| listener.paused_until).min(),
            (!self.starved.is_empty()).then(|| turn.now + carried::STARVED_RETRY),
        ];
        timers.into_iter().flatten().min()
    }

    /// Stops listening; what is connected goes on.
    pub(crate) fn stop_listening(&mut self, turn: &mut Turn) {
        for mut listener in self.listeners.drain(..) {
            turn.reactor.remove(&mut listener.socket, listener.token);
        }
    }

    /// Whether nothing is under way.
    pub(crate) fn is_drained(&self) -> bool {
        self.carrier.as_ref().is_none_or(Carrier::is_drained)
            && self.connections.iter().all(|(_, connection)| connection.is_quiet())
    }

    /// Tears down what is still connected: a FIN would tell the receivers that they had got
    /// everything.
    pub(crate) fn cut(&mut self, turn: &mut Turn) {
        let left: Vec<usize> = self.connections.iter().map(|(index, _)| index).collect();
        for index in left {
            self.counts.cut += 1;
            self.give_up(index, turn);
        }
    }

    /// Tears a connection down towards both sides.
    fn give_up(&mut self, index: usize, turn: &mut Turn) {
        for direction in Direction::BOTH {
            if let Some(end) = self.connections[index].source(direction) {
                end.reset_on_close();
            }
        }
        self.close(index, turn);
    }

    pub(crate) fn links(&self) -> impl Iterator<Item = LinkSummary> {
        Direction::BOTH.into_iter().map(|direction| {
            let counters = match &self.carrier {
                Some(carrier) => carrier.link(direction).counters(),
                None => &self.plain[direction.index()],
            };
            self.ledgers[direction.index()].summary(counters)
        })
    }

    pub(crate) fn sockets(&self) -> SocketSummary {
        let mut counts = self.counts.named(self.connections.len());
        let mut round_trips = None;
        if let Some((senders, trips)) = self.carrier.as_ref().and_then(Carrier::senders) {
            round_trips = (trips.count() > 0).then(|| trips.clone());
            let tcp::Counters { segments, retransmissions, timeouts, .. } = senders;
            counts.extend([
                ("segments", segments),
                ("retransmissions", retransmissions),
                ("timeouts", timeouts),
            ]);
        }
        SocketSummary {
            route: self.route.name.clone(),
            protocol: Transport::Tcp,
            counts,
            round_trips,
        }
    }
}
