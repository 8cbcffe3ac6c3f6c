//! The way in: from what a socket had to the link, with a flow for each client.

use super::flows::{Flow, FlowClient};
use super::joined::Joiner;
use super::stray::{self, Stray};
use super::{UdpPart, UdpRelay};
use crate::account::Refused;
use crate::client::{ClientHook, NewClient};
use crate::descriptors::Descriptors;
use crate::fate::Loss;
use crate::look_ups::LookUps;
use crate::observed::{Crossing, FlowEvent};
use crate::own::OwnAddresses;
use crate::reactor::{Owner, Reactor};
use crate::resolve::Names;
use crate::sinks::Sinks;
use crate::turn::{Datagrams, Turn};
use jostle_common::chance::Direction;
use jostle_common::clock::Clock;
use jostle_common::time::Instant;
use jostle_common::transport::Transport;
use jostle_engine::flow::FlowFacts;
use jostle_engine::route::Destination;
use jostle_sys::{
    DatagramOptions, Inbox, Received, is_out_of_descriptors, prepare_datagram_socket, set_hops,
};
use mio::Interest;
use mio::net::UdpSocket;
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// The most hops that are left to begin with: a circle is gone after so many datagrams.
const HOPS_MAX: u8 = 64;

/// The time of a read, on both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadAt {
    pub(super) now: Instant,
    /// The same moment as calendar time, in which the kernel stamps.
    wall: Duration,
}

impl ReadAt {
    /// A read of what was not stamped.
    pub(super) const fn unstamped(now: Instant) -> Self {
        Self { now, wall: Duration::ZERO }
    }

    /// Returns when a datagram arrived: at the kernel's stamp if there is one, never later than
    /// now. Calendar time may jump; both clocks are read together, so a jump can only move the
    /// datagrams that were under way.
    pub(super) fn arrival(self, stamp: Option<Duration>) -> Instant {
        let age = stamp.and_then(|stamp| self.wall.checked_sub(stamp));
        age.map_or(self.now, |age| self.now - age)
    }
}

/// The rest of a turn while its inbox is read.
pub(super) struct IntakeTurn<'a> {
    pub(super) reactor: &'a mut Reactor,
    pub(super) names: &'a mut Names,
    pub(super) asked: &'a mut LookUps,
    pub(super) descriptors: &'a mut Descriptors,
    pub(super) sinks: &'a mut Sinks,
    pub(super) own: &'a OwnAddresses,
    pub(super) on_client: &'a mut Option<ClientHook>,
    pub(super) joiner: &'a mut Joiner,
    pub(super) portable: bool,
    pub(super) now: Instant,
}

impl<'a> IntakeTurn<'a> {
    /// Takes a turn apart.
    pub(super) const fn beside_inbox(turn: &'a mut Turn, now: Instant) -> (&'a Inbox, Self) {
        let Turn { datagrams, reactor, names, descriptors, sinks, own, on_client, asked, .. } =
            turn;
        let (portable, Datagrams { inbox, joiner, .. }) = (turn.options.portable, datagrams);
        let beside = Self {
            reactor,
            names,
            asked,
            descriptors,
            sinks,
            own,
            on_client,
            joiner,
            portable,
            now,
        };
        (inbox, beside)
    }
}

impl UdpRelay {
    /// Takes in what was just read. Returns true if more is to be read: a draining relay takes in
    /// nothing that came after it began to drain.
    pub(super) fn take(&mut self, part: UdpPart, turn: &mut Turn) -> bool {
        let at = ReadAt { wall: Clock::wall(), now: turn.reactor.now() };
        let goes_on = self.draining.is_none_or(|since| {
            !turn.datagrams.inbox.received().any(|received| at.arrival(received.stamp) > since)
        });
        match part {
            UdpPart::Listener(index) if self.asked.is_some() => self.take_asked(index, at, turn),
            UdpPart::Listener(index) => self.take_from_clients(index, at, turn),
            UdpPart::Flow(index) => self.take_from_upstream(index, at, turn),
            UdpPart::Old(index) => self.take_from_old(index, at, turn),
            UdpPart::Stray => self.take_strays(at, turn),
        }
        goes_on
    }

    fn take_from_clients(&mut self, index: usize, at: ReadAt, turn: &mut Turn) {
        let (inbox, mut turn) = IntakeTurn::beside_inbox(turn, at.now);
        self.upstream.refresh(self.id, at.now, turn.names);
        let mut inbox = inbox.received().peekable();
        while let Some(received) = inbox.next() {
            self.count_told(index, received);
            let Some(address) = received.from else { continue };
            let client =
                FlowClient { address, listener: index, asked: received.asked, target: None };
            let flow = match self.flows.find(&client) {
                // Whoever has a flow was no address of ours when it began, and no socket of ours can
                // be bound where its own is.
                Some(flow) => Ok(flow),
                // That may ask the system.
                None if turn.own.contain(address) => Err(Loss::Looped),
                None => {
                    let addresses = self.upstream.addresses(address);
                    self.begin(&client, addresses, received.hops, &mut turn)
                }
            };
            match flow {
                Ok(flow) if self.joins(Direction::Up, turn.sinks) => {
                    let received = turn.joiner.join(received, &mut inbox);
                    self.count_told(index, received);
                    self.hear(flow, at, received);
                    self.enter(flow, Direction::Up, at, received, turn.sinks);
                }
                Ok(flow) => {
                    self.hear(flow, at, received);
                    self.enter(flow, Direction::Up, at, received, turn.sinks);
                }
                Err(loss) => {
                    if loss == Loss::Looped {
                        self.alarms.tell_of_loop(&self.route.name, address, at.now);
                    }
                    self.refuse(0, Direction::Up, at, received, loss, turn.sinks);
                }
            }
        }
    }

    /// Counts what the kernel says that it dropped at a listener.
    pub(super) fn count_told(&mut self, index: usize, received: Received<'_>) {
        if let Some(listener) = self.listeners.get_mut(index)
            && (self.draining.is_none() || !listener.shared)
        {
            self.lanes[Direction::Up.index()].missed(&mut listener.missed, received.missed);
        }
    }

    /// Returns true if nothing tells apart when datagrams came that were read together: no rule, and
    /// nobody who is told of each.
    fn joins(&self, direction: Direction, sinks: &Sinks) -> bool {
        self.lanes[direction.index()].joins()
            && sinks.are_none()
            && self.rebinding.deadline().is_none()
    }

    /// Begins the flow of a new client, and tells of it.
    pub(super) fn begin(
        &mut self,
        client: &FlowClient,
        addresses: Vec<SocketAddr>,
        hops: Option<u8>,
        turn: &mut IntakeTurn<'_>,
    ) -> Result<usize, Loss> {
        let opened = one_less(hops).and_then(|hops| {
            if let Some(hook) = turn.on_client {
                let (route, address) = (&self.route.name, client.address);
                hook(NewClient { route, transport: Transport::Udp, address });
            }
            self.open(client.clone(), addresses, hops, turn)
        });
        if turn.sinks.are_observers() {
            self.tell_of_flow(&opened, client, turn.now, turn.sinks);
        }
        opened
    }

    /// Tells who observes flows where the one of `client` leads, or that there is none.
    fn tell_of_flow(
        &mut self,
        opened: &Result<usize, Loss>,
        client: &FlowClient,
        now: Instant,
        sinks: &mut Sinks,
    ) {
        let heard = self.listeners.get_mut(client.listener).map(|one| one.socket.local_addr());
        let Some(Ok(mut listener)) = heard else { return };
        if let Some(asked) = client.asked {
            listener.set_ip(asked);
        }
        let flow = opened.as_ref().ok().and_then(|index| self.flows.get_mut(*index));
        let ordinal = flow.as_ref().map_or(0, |flow| flow.ordinal);
        let ends = flow.and_then(|flow| Some((flow.socket.0.local_addr().ok()?, flow.receiver())));
        let account = &self.lanes[Direction::Up.index()].account;
        let crossing = Crossing::Pieces;
        let opened = FlowEvent::Opened { client: client.address, listener, crossing };
        account.observe(ordinal, now, opened, sinks);
        if let Some(target) = &client.target {
            account.observe(ordinal, now, FlowEvent::AskedFor(target), sinks);
        }
        if let Some((local, upstream)) = ends {
            account.observe(ordinal, now, FlowEvent::Reached { local, upstream }, sinks);
        }
    }

    fn take_from_upstream(&mut self, index: usize, at: ReadAt, turn: &mut Turn) {
        let Turn { datagrams: Datagrams { inbox, joiner, .. }, reactor, descriptors, .. } = turn;
        let (sinks, own) = (&mut turn.sinks, &turn.own);
        let mut inbox = inbox.received().peekable();
        while let Some(received) = inbox.next() {
            let joins = self.joins(Direction::Down, sinks);
            let received = if joins { joiner.join(received, &mut inbox) } else { received };
            let Some(flow) = self.flows.get_mut(index) else { return };
            self.lanes[Direction::Down.index()].missed(&mut flow.missed, received.missed);
            if let Some(loss) = self.foreign(index, received.from, own) {
                let ordinal = self.flows.get(index).map_or(0, |flow| flow.ordinal);
                self.refuse_answer(ordinal, at, received, loss, sinks);
            } else {
                self.answered(reactor, descriptors);
                self.enter(index, Direction::Down, at, received, sinks);
            }
        }
    }

    /// Returns why what came from there is no answer to a flow; `None` if it is one. A socket that is
    /// not connected hears from everybody, and the port that answered last is the one that is asked.
    pub(super) fn foreign(
        &mut self,
        index: usize,
        from: Option<SocketAddr>,
        own: &OwnAddresses,
    ) -> Option<Loss> {
        let flow = self.flows.get_mut(index)?;
        let peer = flow.peer()?;
        match from {
            // A socket of ours at the upstream's address is no server's other port.
            Some(from) if !self.upstream.is_at(from) && own.contain(from) => Some(Loss::Looped),
            Some(from) if from.ip() == peer.ip() => {
                if from != peer {
                    flow.set_peer(from);
                }
                None
            }
            _ => Some(Loss::Foreign),
        }
    }

    /// Writes down what came to a flow and is no answer.
    pub(super) fn refuse_answer(
        &mut self,
        ordinal: u32,
        at: ReadAt,
        received: Received<'_>,
        loss: Loss,
        sinks: &mut Sinks,
    ) {
        if loss == Loss::Foreign {
            self.alarms.tell_of_foreign(&self.route, received.from, at.now);
        }
        self.refuse(ordinal, Direction::Down, at, received, loss, sinks);
    }

    /// Notes that the upstream has answered.
    pub(super) fn answered(&mut self, reactor: &mut Reactor, descriptors: &mut Descriptors) {
        self.alarms.clear();
        self.upstream_spoke = true;
        self.close_stray(reactor, descriptors);
    }

    /// Takes what came to a flow's port from elsewhere than its upstream. One look is enough.
    fn take_strays(&mut self, at: ReadAt, turn: &mut Turn) {
        let Turn { datagrams, reactor, descriptors, sinks, .. } = turn;
        let Some(flow) = self.stray.as_ref().map(|stray| stray.flow) else { return };
        let Some(ordinal) = self.flows.get_mut(flow).map(|flow| flow.ordinal) else { return };
        for received in datagrams.inbox.received() {
            self.alarms.tell_of_foreign(&self.route, received.from, at.now);
            self.refuse(ordinal, Direction::Down, at, received, Loss::Foreign, sinks);
        }
        self.upstream_spoke = true;
        self.close_stray(reactor, descriptors);
    }

    /// Takes note of what a client sent, as long as it has to show that it is there.
    fn hear(&mut self, index: usize, at: ReadAt, received: Received<'_>) {
        let flow = self.flows.get_mut(index).expect("the caller just found it");
        if !flow.is_proved {
            let (bytes, stamp) = (received.bytes.len() as u64, at.arrival(received.stamp));
            flow.is_proved = self.proofs.hear(flow.client.address.ip(), bytes, stamp);
        }
    }

    /// Lets the time of the rules begin with a packet that comes at `first`, unless it has, here or
    /// on another loop.
    fn begin_time(&mut self, first: Instant) {
        if self.lanes.iter().all(|lane| lane.link.epoch().is_some()) {
            return;
        }
        let began = self.flows.route_shared().begin(first);
        self.lanes.iter_mut().for_each(|lane| lane.link.begin(began));
        self.rebinding.begin(began);
    }

    /// Lets what was read enter the link: one datagram, or a run of them.
    pub(super) fn enter(
        &mut self,
        index: usize,
        direction: Direction,
        at: ReadAt,
        received: Received<'_>,
        sinks: &mut Sinks,
    ) {
        let flow = self.flows.get(index).expect("the caller just found it");
        if direction == Direction::Down && !flow.is_proved {
            // Some of them may be too many for a client that has shown no more.
            return self.enter_some(index, direction, at, received, received.datagrams(), sinks);
        }
        let stamp = at.arrival(received.stamp);
        let ordinal = self.begin_entering(index, direction, stamp, at.now);
        let entered = self.lanes[direction.index()].enter(ordinal, stamp, received, sinks);
        let packets = received.datagrams().len() as u64;
        self.count_entered(index, direction, packets, received.bytes.len() as u64, entered);
    }

    /// Lets some of the datagrams that were read enter the link: ranges of their bytes.
    pub(super) fn enter_some(
        &mut self,
        index: usize,
        direction: Direction,
        at: ReadAt,
        received: Received<'_>,
        datagrams: impl ExactSizeIterator<Item = Range<usize>> + Clone,
        sinks: &mut Sinks,
    ) {
        let stamp = at.arrival(received.stamp);
        let ordinal = self.begin_entering(index, direction, stamp, at.now);
        let packets = datagrams.len() as u64;
        let bytes = datagrams.clone().map(|range| range.len() as u64).sum();
        let lane = &mut self.lanes[direction.index()];
        let entered = lane.enter_singly(ordinal, stamp, received, datagrams, sinks);
        self.count_entered(index, direction, packets, bytes, entered);
    }

    /// Notes that something of a flow is about to enter a link. Returns its ordinal.
    fn begin_entering(
        &mut self,
        index: usize,
        direction: Direction,
        stamp: Instant,
        now: Instant,
    ) -> u32 {
        self.flows.touch(index, now);
        // The first packet starts the clock of both directions.
        let first = self.lanes[direction.index()].arrival(stamp);
        self.begin_time(first);
        let flow = self.flows.get_mut(index).expect("the caller just found it");
        let ordinal = flow.ordinal;
        if direction == Direction::Up && flow.counts[direction.index()].packets == 0 {
            flow.began = first;
            if self.tells_facts {
                let facts = Arc::new(facts(flow, &self.route.destination));
                for lane in &mut self.lanes {
                    lane.link.tell(first, ordinal, &facts);
                }
                self.rebinding.open(ordinal, first, facts);
            }
        }
        ordinal
    }

    /// Tells what is known of the flows, as rules are about to come that may ask for it: without rules
    /// it would only take memory.
    pub(super) fn tell_facts(&mut self, now: Instant) {
        if std::mem::replace(&mut self.tells_facts, true) {
            return;
        }
        for flow in self.flows.iter() {
            if flow.counts[Direction::Up.index()].packets > 0 {
                let facts = Arc::new(facts(flow, &self.route.destination));
                for lane in &mut self.lanes {
                    lane.link.tell(now, flow.ordinal, &facts);
                }
                self.rebinding.recall(flow.ordinal, flow.began, facts);
            }
        }
    }

    /// Counts datagrams that came for a link, and those of them that entered.
    fn count_entered(
        &mut self,
        index: usize,
        direction: Direction,
        packets: u64,
        bytes: u64,
        entered: u32,
    ) {
        let flow = self.flows.get_mut(index).expect("the caller just found it");
        flow.inside += entered;
        flow.counts[direction.index()].came(packets, bytes, packets - u64::from(entered));
    }

    /// Writes down what was read and goes no further.
    pub(super) fn refuse(
        &mut self,
        flow: u32,
        direction: Direction,
        at: ReadAt,
        received: Received<'_>,
        loss: Loss,
        sinks: &mut Sinks,
    ) {
        let stamp = at.arrival(received.stamp);
        if let Some(flow) = self.flows.by_ordinal(flow).and_then(|one| self.flows.get_mut(one)) {
            let packets = received.datagrams().count() as u64;
            let counts = &mut flow.counts[direction.index()];
            counts.came(packets, received.bytes.len() as u64, packets);
        }
        for range in received.datagrams() {
            let payload = &received.bytes[range];
            let refused = Refused { flow, at: stamp, ecn: received.ecn, payload };
            self.lanes[direction.index()].refuse(refused, loss, sinks);
        }
    }

    /// Writes down datagrams of clients without a flow, which go no further: ranges of what was read.
    pub(super) fn refuse_some(
        &mut self,
        at: ReadAt,
        received: Received<'_>,
        datagrams: impl Iterator<Item = Range<usize>>,
        loss: Loss,
        sinks: &mut Sinks,
    ) {
        let stamp = at.arrival(received.stamp);
        for range in datagrams {
            let payload = &received.bytes[range];
            let refused = Refused { flow: 0, at: stamp, ecn: received.ecn, payload };
            self.lanes[Direction::Up.index()].refuse(refused, loss, sinks);
        }
    }

    /// Opens a flow for a new client, if need be in place of the one that has been silent for
    /// longest.
    fn open(
        &mut self,
        client: FlowClient,
        addresses: Vec<SocketAddr>,
        hops: Option<u8>,
        turn: &mut IntakeTurn<'_>,
    ) -> Result<usize, Loss> {
        let IntakeTurn { reactor, descriptors, portable, now, .. } = turn;
        let (portable, now) = (*portable, *now);
        if addresses.is_empty() {
            return Err(Loss::NoUpstream);
        }
        // One address must not take all places: when it has many, a flow of its own makes room.
        let source = client.address.ip();
        let has_share = self.flows.has_too_much(source)
            || !descriptors.may_have_another(Transport::Udp, source);
        let is_free =
            !has_share && !self.flows.are_full() && descriptors.take_for(Transport::Udp, now);
        if !is_free {
            let Some(index) = self.flows.evictable(has_share.then_some(source)) else {
                if !has_share {
                    descriptors.warn("new UDP clients are refused");
                }
                return Err(Loss::NoRoom);
            };
            self.close(index, reactor, descriptors);
            self.counts.evicted += 1;
            descriptors.take_in_place(Transport::Udp);
        }
        let mut loss = Loss::NoUpstream;
        let part = UdpPart::Flow(self.flows.next_index());
        let owner = Owner { relay: self.id.index, socket: part.key() };
        for address in addresses {
            let opening = Opening {
                upstream: address,
                from: None,
                follow: self.route.follow,
                hops,
                portable,
            };
            match opening.open() {
                Ok(mut socket) => match reactor.add(&mut socket, owner, Interest::READABLE) {
                    Ok(token) => {
                        self.counts.opened += 1;
                        descriptors.add_client(Transport::Udp, source);
                        let peer = self.route.follow.then_some(address);
                        let is_asked = client.target.is_some();
                        let index = self.flows.add(client, address, (socket, token), peer, now);
                        self.flows.get_mut(index).expect("it was just added").hops = hops;
                        if peer.is_none() && !is_asked && !portable && !self.upstream_spoke {
                            self.look_for_strays(index, reactor, descriptors);
                        }
                        return Ok(index);
                    }
                    Err(error) => log::debug!("route {}: {error}", self.route.name),
                },
                Err(error) => {
                    log::debug!("route {}: a socket to {address}: {error}", self.route.name);
                    if is_out_of_descriptors(&error) {
                        descriptors.warn("new UDP clients are refused");
                        loss = Loss::NoRoom;
                        break;
                    }
                }
            }
        }
        descriptors.give_for(Transport::Udp);
        Err(loss)
    }

    /// Lets a second socket listen on the port of a flow, unless there is one.
    fn look_for_strays(
        &mut self,
        flow: usize,
        reactor: &mut Reactor,
        descriptors: &mut Descriptors,
    ) {
        if self.stray.is_some() || !descriptors.take(1) {
            return;
        }
        let owner = Owner { relay: self.id.index, socket: UdpPart::Stray.key() };
        let connected = &self.flows.get_mut(flow).expect("it was just added").socket.0;
        let opened = stray::beside(connected).and_then(|mut socket| {
            let token = reactor.add(&mut socket, owner, Interest::READABLE)?;
            Ok(Stray { socket, token, flow, again: false })
        });
        match opened {
            Ok(stray) => self.stray = Some(stray),
            Err(error) => {
                descriptors.give(1);
                log::debug!("route {}: a second socket: {error}", self.route.name);
            }
        }
    }
}

/// Returns what is known of a flow that has begun, on a route that leads there.
fn facts(flow: &Flow, destination: &Destination) -> FlowFacts {
    let facts = FlowFacts::since(flow.began).with_client(flow.client.address);
    let facts = match (&flow.client.target, destination.upstream()) {
        (Some(target), _) => facts.with_target(&target.host.to_plain(), target.port),
        (None, Some(upstream)) => facts.with_target(&upstream.host, upstream.port),
        (None, None) => facts,
    };
    facts.with_address(flow.upstream.ip())
}

/// Returns how many hops a flow's datagrams may take if its client's had so many left: one less, as
/// behind a router. So whatever goes round a circle of proxies dies out, though each of them takes it
/// for something new.
pub(super) fn one_less(hops: Option<u8>) -> Result<Option<u8>, Loss> {
    match hops {
        None => Ok(None),
        Some(0 | 1) => Err(Loss::Looped),
        Some(hops) => Ok(Some(hops.min(HOPS_MAX) - 1)),
    }
}

/// A socket to the upstream that is to be opened.
pub(super) struct Opening {
    pub(super) upstream: SocketAddr,
    /// The address that it leaves from; the system chooses one unless stated.
    pub(super) from: Option<IpAddr>,
    /// True if answers may come from other ports: then it cannot be connected.
    pub(super) follow: bool,
    pub(super) hops: Option<u8>,
    pub(super) portable: bool,
}

impl Opening {
    pub(super) fn open(&self) -> io::Result<UdpSocket> {
        let Self { upstream, from, follow, hops, portable } = *self;
        let socket = Socket::new(Domain::for_address(upstream), Type::DGRAM, None)?;
        let ipv6 = upstream.is_ipv6();
        let options = DatagramOptions { portable, asked_address: false, ipv6, hops: false };
        prepare_datagram_socket(&socket, options)?;
        if let Some(hops) = hops {
            set_hops(&socket, ipv6, hops)?;
        }
        let any: IpAddr = if ipv6 { [0; 16].into() } else { [0; 4].into() };
        if follow || from.is_some() {
            socket.bind(&SocketAddr::new(from.unwrap_or(any), 0).into())?;
        }
        if !follow {
            socket.connect(&upstream.into())?;
        }
        Ok(UdpSocket::from_std(socket.into()))
    }
}
