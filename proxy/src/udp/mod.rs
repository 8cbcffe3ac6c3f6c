//! The UDP relay of a route: a socket to the upstream for each client, one link per direction for
//! all of them.

mod counts;
mod flows;
mod send;

use crate::lane::Lane;
use crate::listener::Opened;
use crate::reactor::{Owner, Part, Reactor};
use crate::resolve::Upstream;
use crate::summary::{LinkSummary, SocketSummary};
use crate::turn::{Budget, Turn};
use bytes::Bytes;
use counts::Counts;
use flows::{Client, Flow, Flows};
use jostle_common::chance::Direction;
use jostle_common::clock::Clock;
use jostle_common::time::Instant;
use jostle_common::transport::Transport;
use jostle_engine::packet::Body;
use jostle_engine::profile::Timeline;
use jostle_engine::route::Route;
use jostle_engine::stage::{Output, Stage};
use jostle_sys::{DatagramOptions, Inbox, SLOTS, is_out_of_descriptors, prepare_datagram_socket};
use mio::net::UdpSocket;
use mio::{Interest, Token};
use send::{Sent, Way, send};
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The most flows of a relay: half the ports that its sockets can have.
const FLOWS_MAX: usize = 16_384;

/// How many full reads a socket gets before the others have their turn.
const READS_PER_TURN: usize = 4;

/// The UDP half of a route.
pub(crate) struct UdpRelay {
    index: usize,
    route: Route,
    listeners: Vec<Listening>,
    upstream: Upstream,
    lanes: [Lane; 2],
    flows: Flows,
    /// Flows with something staged.
    dirty: Vec<usize>,
    counts: Counts,
}

struct Listening {
    socket: UdpSocket,
    token: Token,
    missed: u32,
    again: bool,
}

impl UdpRelay {
    pub(crate) fn new(
        index: usize,
        route: Route,
        seed: u64,
        upstream: Upstream,
        opened: Vec<Opened>,
        reactor: &mut Reactor,
    ) -> io::Result<Self> {
        let mut listeners = Vec::new();
        for Opened { socket, .. } in opened {
            let mut socket = UdpSocket::from_std(socket.into());
            let owner = Owner { relay: index, part: Part::Listener(listeners.len()) };
            let token = reactor.add(&mut socket, owner, Interest::READABLE)?;
            listeners.push(Listening { socket, token, missed: 0, again: false });
        }
        let lanes = Direction::BOTH.map(|direction| Lane::new(&route, seed, direction));
        Ok(Self {
            index,
            route,
            listeners,
            upstream,
            lanes,
            flows: Flows::default(),
            dirty: Vec::new(),
            counts: Counts::default(),
        })
    }

    /// Takes the answer of the resolver.
    pub(crate) fn set_addresses(&mut self, addresses: Vec<SocketAddr>) {
        self.upstream.set_addresses(addresses);
    }

    /// Switches the rules off or on.
    pub(crate) fn switch(&mut self, now: Instant, on: bool) {
        let none = Timeline::default();
        for direction in Direction::BOTH {
            let timeline = if on { self.route.profile.timeline(direction) } else { &none };
            self.lanes[direction.index()].set_timeline(now, timeline);
        }
    }

    /// Reads a socket that has something, up to a fair share.
    pub(crate) fn read(&mut self, part: Part, turn: &mut Turn) {
        for _ in 0..READS_PER_TURN {
            let (socket, again) = match part {
                Part::Listener(index) => {
                    let listener = &mut self.listeners[index];
                    (&listener.socket, &mut listener.again)
                }
                Part::Flow(index) => {
                    let Some(flow) = self.flows.get_mut(index) else { return };
                    (&flow.socket, &mut flow.again)
                }
                Part::Client(_) | Part::Upstream(_) => {
                    unreachable!("a UDP relay has no connections")
                }
            };
            *again = false;
            match turn.inbox.receive(socket, SLOTS) {
                Ok(count) => {
                    let wall = Clock::wall();
                    let now = turn.reactor.now();
                    match part {
                        Part::Listener(index) => self.take_from_clients(index, now, wall, turn),
                        Part::Flow(index) => self.take_from_upstream(index, now, wall, &turn.inbox),
                        Part::Client(_) | Part::Upstream(_) => unreachable!("sorted out above"),
                    }
                    if count < SLOTS {
                        return;
                    }
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return,
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::ConnectionRefused => self.counts.refused += 1,
                    _ => {
                        log::debug!("route {}: receiving: {error}", self.route.name);
                        self.counts.receive_failed += 1;
                    }
                },
            }
        }
        self.ask_again(part, &mut turn.reactor);
    }

    /// Asks to be called for all sockets, for the last time.
    pub(crate) fn read_out(&mut self, reactor: &mut Reactor) {
        for index in 0..self.listeners.len() {
            self.ask_again(Part::Listener(index), reactor);
        }
        for index in self.flows.indices() {
            self.ask_again(Part::Flow(index), reactor);
        }
    }

    /// Asks to be called for a socket in its turn.
    pub(crate) fn ask_again(&mut self, part: Part, reactor: &mut Reactor) {
        let (token, again) = match part {
            Part::Listener(index) => {
                (self.listeners[index].token, &mut self.listeners[index].again)
            }
            Part::Flow(index) => match self.flows.get_mut(index) {
                Some(flow) => (flow.token, &mut flow.again),
                None => return,
            },
            Part::Client(_) | Part::Upstream(_) => return,
        };
        if !std::mem::replace(again, true) {
            reactor.again(token);
        }
    }

    fn take_from_clients(&mut self, index: usize, now: Instant, wall: Duration, turn: &mut Turn) {
        let Turn { inbox, reactor, resolver, descriptors, portable, .. } = turn;
        if let Some(resolver) = resolver {
            self.upstream.refresh(self.index, now, resolver);
        }
        for received in inbox.received() {
            let missed = &mut self.listeners[index].missed;
            count_missed(missed, received.missed, &mut self.lanes[Direction::Up.index()]);
            let Some(address) = received.from else { continue };
            let client = Client { address, listener: index, asked: received.asked };
            let found = self.flows.find(&client);
            let opened = || self.open(client, now, reactor, descriptors, *portable);
            let Some(flow) = found.or_else(opened) else { continue };
            self.enter(
                flow,
                Direction::Up,
                now,
                arrival(received.stamp, now, wall),
                received.bytes,
                received.segment,
            );
        }
    }

    fn take_from_upstream(&mut self, index: usize, now: Instant, wall: Duration, inbox: &Inbox) {
        for received in inbox.received() {
            let Some(flow) = self.flows.get_mut(index) else { return };
            count_missed(
                &mut flow.missed,
                received.missed,
                &mut self.lanes[Direction::Down.index()],
            );
            if let Some(peer) = &mut flow.peer {
                match received.from {
                    Some(from) if from.ip() == peer.ip() => *peer = from,
                    _ => {
                        self.counts.foreign += 1;
                        continue;
                    }
                }
            }
            let stamp = arrival(received.stamp, now, wall);
            self.enter(index, Direction::Down, now, stamp, received.bytes, received.segment);
        }
    }

    /// Lets what was read enter the link: one datagram, or a run of them.
    fn enter(
        &mut self,
        index: usize,
        direction: Direction,
        now: Instant,
        stamp: Instant,
        bytes: &[u8],
        segment: Option<usize>,
    ) {
        self.flows.touch(index, now);
        let flow = self.flows.get_mut(index).expect("the caller just found it");
        // The first packet starts the clock of both directions.
        self.lanes.iter_mut().for_each(|lane| lane.link.begin(stamp));
        let lane = &mut self.lanes[direction.index()];
        let bytes = Bytes::copy_from_slice(bytes);
        let size = segment.unwrap_or(bytes.len());
        let mut start = 0usize;
        loop {
            let end = start.saturating_add(size).min(bytes.len());
            if lane.enter(flow.ordinal, stamp, bytes.slice(start..end)) {
                flow.inside += 1;
            } else {
                self.counts.no_room += 1;
            }
            start = end;
            if start >= bytes.len() {
                return;
            }
        }
    }

    /// Opens a flow for a new client, if need be in place of the one that has been silent for
    /// longest.
    fn open(
        &mut self,
        client: Client,
        now: Instant,
        reactor: &mut Reactor,
        descriptors: &mut Budget,
        portable: bool,
    ) -> Option<usize> {
        let mut room = self.flows.len() < FLOWS_MAX && descriptors.take(1);
        if !room && let Some(index) = self.flows.evictable() {
            self.close(index, reactor, descriptors);
            self.counts.evicted += 1;
            room = descriptors.take(1);
        }
        if !room {
            self.counts.no_room += 1;
            return None;
        }
        let owner = Owner { relay: self.index, part: Part::Flow(self.flows.next_index()) };
        for address in self.upstream.addresses(client.address) {
            match connect(address, self.route.follow, portable) {
                Ok(mut socket) => match reactor.add(&mut socket, owner, Interest::READABLE) {
                    Ok(token) => {
                        self.counts.opened += 1;
                        let peer = self.route.follow.then_some(address);
                        return Some(self.flows.add(client, socket, token, peer, now));
                    }
                    Err(error) => log::debug!("route {}: {error}", self.route.name),
                },
                Err(error) => {
                    log::debug!("route {}: a socket to {address}: {error}", self.route.name);
                    if is_out_of_descriptors(&error) {
                        break;
                    }
                }
            }
        }
        descriptors.give(1);
        self.counts.no_upstream += 1;
        None
    }

    fn close(&mut self, index: usize, reactor: &mut Reactor, descriptors: &mut Budget) {
        let Flow { mut socket, token, ordinal, .. } = self.flows.remove(index);
        self.lanes.iter_mut().for_each(|lane| lane.link.forget(ordinal));
        reactor.remove(&mut socket, token);
        descriptors.give(1);
    }

    /// Does what is due, sends what has left the links, and says when something is due next.
    pub(crate) fn work(&mut self, turn: &mut Turn) -> Option<Instant> {
        for direction in Direction::BOTH {
            let _more = !self.lanes[direction.index()].poll(turn.now);
            self.flush(direction, turn);
        }
        while let Some((index, last)) = self.flows.oldest()
            && last + self.route.idle <= turn.now
        {
            let flow = self.flows.get_mut(index).expect("it is in the list");
            if flow.inside > 0 {
                // It is not silent: its packets have yet to come out.
                self.flows.touch(index, turn.now);
            } else {
                self.close(index, &mut turn.reactor, &mut turn.descriptors);
                self.counts.idle += 1;
            }
        }
        let links = self.lanes.iter().filter_map(|lane| lane.link.deadline());
        links.chain(self.flows.oldest().map(|(_, last)| last + self.route.idle)).min()
    }

    /// Sends what a link has let go, by flow, and writes the fates down.
    fn flush(&mut self, direction: Direction, turn: &mut Turn) {
        let mut outputs = std::mem::take(&mut self.lanes[direction.index()].outputs);
        if outputs.is_empty() {
            self.lanes[direction.index()].outputs = outputs;
            return;
        }
        for output in &mut outputs {
            self.stage(output, turn.now);
        }
        let mut total = Sent::default();
        for index in self.dirty.drain(..) {
            let flow = self
                .flows
                .get_mut(index)
                .expect("flows are not closed between staging and sending");
            let way = match direction {
                Direction::Up => Way { socket: &flow.socket, to: flow.peer, source: None },
                Direction::Down => {
                    let socket = &self.listeners[flow.client.listener].socket;
                    Way { socket, to: Some(flow.client.address), source: flow.client.asked }
                }
            };
            let sent = send(turn.outbox, way, &flow.staged, &mut flow.runs[direction.index()]);
            flow.staged.clear();
            total.bytes += sent.bytes;
            self.counts.refused += sent.refused;
            self.counts.no_buffer += sent.no_buffer;
            self.counts.too_big += sent.too_big;
            self.counts.send_failed += sent.failed;
        }
        let released = turn.reactor.now();
        let lane = &mut self.lanes[direction.index()];
        lane.ledger.bytes_out += total.bytes;
        for output in outputs.drain(..) {
            lane.ledger.record(&lane.link, &output, released, &mut turn.events);
        }
        lane.outputs = outputs;
    }

    /// Puts a delivered datagram with its flow.
    fn stage(&mut self, output: &mut Output, now: Instant) {
        let packet = output.packet();
        let Some(index) = self.flows.by_ordinal(packet.flow) else {
            // Only a copy can be late for its flow.
            self.counts.orphaned += 1;
            return;
        };
        self.flows.touch(index, now);
        let flow = self.flows.get_mut(index).expect("the table of ordinals is exact");
        if packet.copy == 0 {
            flow.inside -= 1;
        }
        if let Output::Deliver(packet) = output
            && let Body::Data(bytes) = &mut packet.body
        {
            if flow.staged.is_empty() {
                self.dirty.push(index);
            }
            flow.staged.push(std::mem::take(bytes));
        }
    }

    /// Whether nothing is inside.
    pub(crate) fn is_drained(&self) -> bool {
        self.lanes.iter().all(|lane| lane.link.held() == 0)
    }

    pub(crate) fn links(&self) -> impl Iterator<Item = LinkSummary> {
        self.lanes.iter().map(Lane::summary)
    }

    pub(crate) fn sockets(&self) -> SocketSummary {
        let counts = self.counts.named(self.flows.len());
        SocketSummary {
            route: self.route.name.clone(),
            protocol: Transport::Udp,
            counts,
            round_trips: None,
        }
    }
}

/// Opens a socket to the upstream. If answers may come from other ports it cannot be connected.
fn connect(address: SocketAddr, follow: bool, portable: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    let options = DatagramOptions { portable, asked_address: false, ipv6: address.is_ipv6() };
    prepare_datagram_socket(&socket, options)?;
    if follow {
        let any: IpAddr = if address.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
        socket.bind(&SocketAddr::new(any, 0).into())?;
    } else {
        socket.connect(&address.into())?;
    }
    Ok(UdpSocket::from_std(socket.into()))
}

/// When a datagram arrived: at the kernel's stamp if there is one, never later than now. Calendar
/// time may jump; `now` and `wall` are read together, so a jump can only move the datagrams that
/// were under way.
fn arrival(stamp: Option<Duration>, now: Instant, wall: Duration) -> Instant {
    stamp.and_then(|stamp| wall.checked_sub(stamp)).map_or(now, |age| now - age)
}

/// Adds what the kernel dropped on a socket since it last told.
fn count_missed(last: &mut u32, told: Option<u32>, lane: &mut Lane) {
    if let Some(told) = told {
        lane.ledger.missed_by_kernel += u64::from(told.wrapping_sub(*last));
        *last = told;
    }
}
