//! The UDP relay of a route: a socket to the upstream for each client, one link per direction for
//! all of them.

mod counts;
mod flows;
mod listening;
mod send;

use crate::fate::{Fate, Loss};
use crate::lane::Lane;
use crate::listener::Opened;
use crate::reactor::{Owner, Reactor, Readiness, SocketKey};
use crate::relay::{Plan, Relay, RelayId, RelayReport};
use crate::resolve::Upstream;
use crate::sinks::Sinks;
use crate::turn::{Descriptors, Transmit, Turn};
use bytes::Bytes;
use counts::Counts;
use flows::{Client, Flow, Flows};
use jostle_common::chance::Direction;
use jostle_common::clock::Clock;
use jostle_common::time::Instant;
use jostle_common::transport::Transport;
use jostle_engine::profile::Timeline;
use jostle_engine::route::Route;
use jostle_engine::stage::Output;
use jostle_engine::stage::Stage;
use jostle_sys::{
    DatagramOptions, Inbox, Received, SLOTS, is_out_of_descriptors, prepare_datagram_socket,
};
use listening::Listeners;
use mio::Interest;
use mio::net::UdpSocket;
use send::{Way, send};
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
    id: RelayId,
    route: Route,
    listeners: Listeners,
    upstream: Upstream,
    lanes: [Lane; 2],
    flows: Flows,
    /// Flows with something staged.
    dirty: Vec<usize>,
    /// The fates of the outputs in the current pass; kept for its memory.
    fates: Vec<Fate>,
    counts: Counts,
    /// Since when it takes in nothing new.
    draining: Option<Instant>,
}

/// A socket of the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// A listening socket.
    Listener(usize),
    /// The socket to the upstream of a flow.
    Flow(usize),
}

impl Part {
    const fn key(self) -> SocketKey {
        SocketKey(match self {
            Self::Listener(index) => 2 * index,
            Self::Flow(index) => 2 * index + 1,
        })
    }

    const fn of(SocketKey(key): SocketKey) -> Self {
        if key.is_multiple_of(2) { Self::Listener(key / 2) } else { Self::Flow(key / 2) }
    }
}

/// When what was just read had come.
#[derive(Clone, Copy, Debug)]
struct ReadAt {
    now: Instant,
    /// The same moment as calendar time, in which the kernel stamps.
    wall: Duration,
}

impl ReadAt {
    /// When a datagram arrived: at the kernel's stamp if there is one, never later than now.
    /// Calendar time may jump; both clocks are read together, so a jump can only move the datagrams
    /// that were under way.
    fn arrival(self, stamp: Option<Duration>) -> Instant {
        let age = stamp.and_then(|stamp| self.wall.checked_sub(stamp));
        age.map_or(self.now, |age| self.now - age)
    }
}

impl UdpRelay {
    pub(crate) fn new(plan: Plan<'_>, opened: Vec<Opened>, turn: &mut Turn) -> io::Result<Self> {
        let Plan { id, route, seed, upstream, memory, rules_on } = plan;
        let mut listeners = Listeners::default();
        listeners.add(opened, id.index, &mut turn.reactor)?;
        let none = Timeline::default();
        let lanes = Direction::BOTH.map(|direction| {
            let timeline = if rules_on { route.profile.timeline(direction) } else { &none };
            Lane::new(route, timeline, seed, direction, memory)
        });
        Ok(Self {
            id,
            route: route.clone(),
            listeners,
            upstream,
            lanes,
            flows: Flows::default(),
            dirty: Vec::new(),
            fates: Vec::new(),
            counts: Counts::default(),
            draining: None,
        })
    }

    /// Asks to be called for a socket in its turn.
    fn ask_again(&mut self, part: Part, reactor: &mut Reactor) {
        let (token, again) = match part {
            Part::Listener(index) => match self.listeners.get_mut(index) {
                Some(listener) => (listener.token, &mut listener.again),
                None => return,
            },
            Part::Flow(index) => match self.flows.get_mut(index) {
                Some(flow) => (flow.token, &mut flow.again),
                None => return,
            },
        };
        if !std::mem::replace(again, true) {
            reactor.again(token);
        }
    }

    /// Takes in what was just read. Returns true if more is to be read: a draining relay takes in
    /// nothing that came after it began to drain.
    fn take(&mut self, part: Part, turn: &mut Turn) -> bool {
        let at = ReadAt { wall: Clock::wall(), now: turn.reactor.now() };
        let late = |received: Received<'_>| {
            self.draining.is_some_and(|since| at.arrival(received.stamp) > since)
        };
        let goes_on = !turn.datagrams.inbox.received().any(late);
        match part {
            Part::Listener(index) => self.take_from_clients(index, at, turn),
            Part::Flow(index) => {
                self.take_from_upstream(index, at, &turn.datagrams.inbox, &mut turn.sinks);
            }
        }
        goes_on
    }

    fn take_from_clients(&mut self, index: usize, at: ReadAt, turn: &mut Turn) {
        let Turn { datagrams, reactor, names, descriptors, options, sinks, .. } = turn;
        self.upstream.refresh(self.id, at.now, names);
        for received in datagrams.inbox.received() {
            let Some(listener) = self.listeners.get_mut(index) else { return };
            self.lanes[Direction::Up.index()].missed(&mut listener.missed, received.missed);
            let Some(address) = received.from else { continue };
            let client = Client { address, listener: index, asked: received.asked };
            let flow = match self.flows.find(&client) {
                Some(flow) => Ok(flow),
                None => self.open(client, at.now, reactor, descriptors, options.portable),
            };
            match flow {
                Ok(flow) => self.enter(flow, Direction::Up, at, received, sinks),
                Err(loss) => self.refuse(0, Direction::Up, at, received, loss, sinks),
            }
        }
    }

    fn take_from_upstream(&mut self, index: usize, at: ReadAt, inbox: &Inbox, sinks: &mut Sinks) {
        for received in inbox.received() {
            let Some(flow) = self.flows.get_mut(index) else { return };
            self.lanes[Direction::Down.index()].missed(&mut flow.missed, received.missed);
            if let Some(peer) = &mut flow.peer {
                match received.from {
                    Some(from) if from.ip() == peer.ip() => *peer = from,
                    _ => {
                        let ordinal = flow.ordinal;
                        self.refuse(ordinal, Direction::Down, at, received, Loss::Foreign, sinks);
                        continue;
                    }
                }
            }
            self.enter(index, Direction::Down, at, received, sinks);
        }
    }

    /// Lets what was read enter the link: one datagram, or a run of them.
    fn enter(
        &mut self,
        index: usize,
        direction: Direction,
        at: ReadAt,
        received: Received<'_>,
        sinks: &mut Sinks,
    ) {
        self.flows.touch(index, at.now);
        let flow = self.flows.get_mut(index).expect("the caller just found it");
        let stamp = at.arrival(received.stamp);
        // The first packet starts the clock of both directions.
        self.lanes.iter_mut().for_each(|lane| lane.link.begin(stamp));
        let lane = &mut self.lanes[direction.index()];
        // The datagrams of a run share one copy.
        let bytes = Bytes::copy_from_slice(received.bytes);
        for range in received.datagrams() {
            if lane.enter(flow.ordinal, stamp, bytes.slice(range), sinks) {
                flow.inside += 1;
            }
        }
    }

    /// Writes down what was read and goes no further.
    fn refuse(
        &mut self,
        flow: u32,
        direction: Direction,
        at: ReadAt,
        received: Received<'_>,
        loss: Loss,
        sinks: &mut Sinks,
    ) {
        let stamp = at.arrival(received.stamp);
        for range in received.datagrams() {
            let payload = &received.bytes[range];
            self.lanes[direction.index()].refuse(flow, stamp, payload, loss, sinks);
        }
    }

    /// Opens a flow for a new client, if need be in place of the one that has been silent for
    /// longest.
    fn open(
        &mut self,
        client: Client,
        now: Instant,
        reactor: &mut Reactor,
        descriptors: &mut Descriptors,
        portable: bool,
    ) -> Result<usize, Loss> {
        let mut room = self.flows.len() < FLOWS_MAX && descriptors.take(1);
        if !room && let Some(index) = self.flows.evictable() {
            self.close(index, reactor, descriptors);
            self.counts.evicted += 1;
            room = descriptors.take(1);
        }
        if !room {
            return Err(Loss::NoRoom);
        }
        let part = Part::Flow(self.flows.next_index());
        let owner = Owner { relay: self.id.index, socket: part.key() };
        for address in self.upstream.addresses(client.address) {
            match connect(address, self.route.follow, portable) {
                Ok(mut socket) => match reactor.add(&mut socket, owner, Interest::READABLE) {
                    Ok(token) => {
                        self.counts.opened += 1;
                        let peer = self.route.follow.then_some(address);
                        return Ok(self.flows.add(client, socket, token, peer, now));
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
        Err(Loss::NoUpstream)
    }

    fn close(&mut self, index: usize, reactor: &mut Reactor, descriptors: &mut Descriptors) {
        let Flow { mut socket, token, ordinal, .. } = self.flows.remove(index);
        self.lanes.iter_mut().for_each(|lane| lane.link.forget(ordinal));
        reactor.remove(&mut socket, token);
        descriptors.give(1);
    }

    /// Closes the flows that have been silent for longer than the route's idle time.
    fn close_idle(&mut self, turn: &mut Turn) {
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
    }

    /// Closes the flows of retired listeners that have nothing inside, and the listeners that have
    /// no flows.
    fn close_retired(&mut self, turn: &mut Turn) {
        for listener in self.listeners.retired() {
            let mut left = false;
            for index in self.flows.indices() {
                let flow = self.flows.get_mut(index).expect("it is one of the indices");
                if flow.client.listener != listener {
                    continue;
                }
                if flow.inside > 0 {
                    left = true;
                } else {
                    self.close(index, &mut turn.reactor, &mut turn.descriptors);
                }
            }
            if !left {
                self.listeners.remove(listener);
            }
        }
    }

    /// Sends what a link has let go, by flow, and then writes each one's fate down.
    fn flush(&mut self, direction: Direction, turn: &mut Turn) {
        let mut outputs = std::mem::take(&mut self.lanes[direction.index()].outputs);
        if !outputs.is_empty() {
            self.fates.clear();
            for (place, output) in outputs.iter().enumerate() {
                let fate = self.stage(place, output, turn.now);
                self.fates.push(fate);
            }
            self.send_staged(direction, &outputs, &*turn.datagrams.outbox);
            let released = turn.reactor.now();
            let Lane { link, account, .. } = &mut self.lanes[direction.index()];
            for (output, &fate) in outputs.iter().zip(&self.fates) {
                let packet = output.packet();
                if fate == Fate::Delivered {
                    account.written(packet.body.size() as usize);
                }
                account.settle(link, packet, fate, released, &mut turn.sinks);
            }
            outputs.clear();
        }
        self.lanes[direction.index()].outputs = outputs;
    }

    /// Puts a delivered datagram with its flow. Returns its fate if nothing happens to it on the
    /// way out.
    fn stage(&mut self, place: usize, output: &Output, now: Instant) -> Fate {
        let fate = Fate::of(output);
        let packet = output.packet();
        let Some(index) = self.flows.by_ordinal(packet.flow) else {
            // Only a copy can be late for its flow.
            let orphaned = Fate::Discarded(Loss::Orphaned);
            return if fate == Fate::Delivered { orphaned } else { fate };
        };
        self.flows.touch(index, now);
        let flow = self.flows.get_mut(index).expect("the table of ordinals is exact");
        if packet.copy == 0 {
            flow.inside -= 1;
        }
        if fate == Fate::Delivered {
            if flow.staged.is_empty() {
                self.dirty.push(index);
            }
            flow.staged.push(place);
        }
        fate
    }

    /// Sends what is staged, and corrects the fates of what the system did not take.
    fn send_staged(&mut self, direction: Direction, outputs: &[Output], outbox: &dyn Transmit) {
        for index in self.dirty.drain(..) {
            let flow = self
                .flows
                .get_mut(index)
                .expect("flows are not closed between staging and sending");
            let way = match direction {
                Direction::Up => Way { socket: &flow.socket, to: flow.peer, source: None },
                Direction::Down => {
                    let listener = self.listeners.get_mut(flow.client.listener);
                    let socket = &listener.expect("it outlives its flows").socket;
                    Way { socket, to: Some(flow.client.address), source: flow.client.asked }
                }
            };
            let runs = &mut flow.runs[direction.index()];
            let fates = &mut self.fates;
            let lost = |place: usize, loss| fates[place] = Fate::Discarded(loss);
            self.counts.refused += send(outbox, way, outputs, &flow.staged, runs, lost);
            flow.staged.clear();
        }
    }
}

impl Relay for UdpRelay {
    fn note(&mut self, socket: SocketKey, _: Readiness, turn: &mut Turn) -> bool {
        if self.draining.is_some() {
            return false;
        }
        self.ask_again(Part::of(socket), &mut turn.reactor);
        true
    }

    /// Reads a socket that has something, up to a fair share.
    fn serve(&mut self, socket: SocketKey, turn: &mut Turn) {
        let part = Part::of(socket);
        for _ in 0..READS_PER_TURN {
            let (socket, again) = match part {
                Part::Listener(index) => match self.listeners.get_mut(index) {
                    Some(listener) => (&listener.socket, &mut listener.again),
                    None => return,
                },
                Part::Flow(index) => match self.flows.get_mut(index) {
                    Some(flow) if self.listeners.is_retired(flow.client.listener) => {
                        flow.again = false;
                        return;
                    }
                    Some(flow) => (&flow.socket, &mut flow.again),
                    None => return,
                },
            };
            *again = false;
            match turn.datagrams.inbox.receive(socket, SLOTS) {
                Ok(count) => {
                    if !self.take(part, turn) || count < SLOTS {
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

    fn work(&mut self, turn: &mut Turn) -> Option<Instant> {
        for direction in Direction::BOTH {
            self.lanes[direction.index()].poll(turn.now);
            self.flush(direction, turn);
        }
        self.close_idle(turn);
        if self.draining.is_none() {
            self.close_retired(turn);
        }
        let links = self.lanes.iter().filter_map(|lane| lane.link.deadline());
        links.chain(self.flows.oldest().map(|(_, last)| last + self.route.idle)).min()
    }

    fn follow(&mut self, route: &Route, rules_on: bool, turn: &mut Turn) {
        self.route = route.clone();
        let none = Timeline::default();
        for direction in Direction::BOTH {
            let timeline = if rules_on { route.profile.timeline(direction) } else { &none };
            self.lanes[direction.index()].set_timeline(turn.now, timeline);
        }
    }

    fn set_upstream(&mut self, upstream: Upstream) {
        self.upstream = upstream;
    }

    fn set_addresses(&mut self, addresses: Vec<SocketAddr>) {
        self.upstream.set_addresses(addresses);
    }

    fn listen(&mut self, opened: Vec<Opened>, turn: &mut Turn) -> io::Result<()> {
        self.listeners.add(opened, self.id.index, &mut turn.reactor)
    }

    fn share(&self, addresses: &[SocketAddr]) -> io::Result<Vec<Opened>> {
        self.listeners.share(addresses)
    }

    fn listen_only(&mut self, addresses: &[SocketAddr], turn: &mut Turn) {
        self.listeners.retire_others(addresses, &mut turn.reactor);
    }

    fn drain(&mut self, turn: &mut Turn) {
        if self.draining.is_some() {
            return;
        }
        self.draining = Some(turn.now);
        // What has come so far is read; then the listeners are only there to answer from.
        for index in self.listeners.indices() {
            self.ask_again(Part::Listener(index), &mut turn.reactor);
        }
        for index in self.flows.indices() {
            self.ask_again(Part::Flow(index), &mut turn.reactor);
        }
    }

    fn is_quiet(&self) -> bool {
        self.lanes.iter().all(Lane::is_empty)
    }

    fn is_over(&self) -> bool {
        let unread = self.listeners.any_again() || self.flows.any_again();
        self.draining.is_some() && !unread && self.is_quiet()
    }

    fn cut(&mut self, turn: &mut Turn) {
        self.counts.open_at_end = self.flows.len();
        for index in self.flows.indices() {
            self.close(index, &mut turn.reactor, &mut turn.descriptors);
        }
        self.listeners.close(&mut turn.reactor);
    }

    fn report(&self) -> RelayReport {
        let lost = |loss| self.lanes.iter().map(|lane| lane.account.lost(loss)).sum();
        let open = self.flows.len().max(self.counts.open_at_end);
        RelayReport {
            route: self.route.name.clone(),
            transport: Transport::Udp,
            links: self.lanes.each_ref().map(Lane::report),
            counts: self.counts.named(open, lost),
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
