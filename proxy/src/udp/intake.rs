//! The way in: from what a socket had to the link, with a flow for each client.

use super::flows::FlowClient;
use super::joined::Joiner;
use super::{UdpPart, UdpRelay};
use crate::client::ClientHook;
use crate::descriptors::Descriptors;
use crate::fate::Loss;
use crate::look_ups::LookUps;
use crate::own::OwnAddresses;
use crate::reactor::Reactor;
use crate::resolve::Names;
use crate::sinks::Sinks;
use crate::turn::{Datagrams, Turn};
use jostle_common::chance::Direction;
use jostle_common::clock::Clock;
use jostle_common::time::Instant;
use jostle_sys::{Inbox, Received};
use std::net::SocketAddr;
use std::time::Duration;

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
        let may_join = self.may_join(Direction::Up, turn.sinks);
        let mut inbox = inbox.received().peekable();
        while let Some(received) = inbox.next() {
            self.count_told(index, received);
            let Some(address) = received.from else { continue };
            let client =
                FlowClient { address, listener: index, asked: received.asked, target: None };
            let flow = match self.flows.find(&client) {
                // Whoever has a flow was no address of ours when it began, and no socket of ours
                // can be bound where its own is.
                Some(flow) => Ok(flow),
                // That may ask the system.
                None if turn.own.contain(address) => Err(Loss::Looped),
                None => {
                    let addresses = self.upstream.addresses(address);
                    self.begin(&client, addresses, received.hops, &mut turn)
                }
            };
            match flow {
                Ok(flow) if may_join && self.rebinding.deadline().is_none() => {
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

    /// Returns true if datagrams that are read together may be joined: no rule tells them apart,
    /// and nobody is told of each. They may not while a flow is to get a fresh socket.
    fn may_join(&self, direction: Direction, sinks: &Sinks) -> bool {
        self.lanes[direction.index()].joins() && sinks.are_none()
    }

    fn take_from_upstream(&mut self, index: usize, at: ReadAt, turn: &mut Turn) {
        let Turn { datagrams: Datagrams { inbox, joiner, .. }, reactor, descriptors, .. } = turn;
        let (sinks, own) = (&mut turn.sinks, &turn.own);
        let joins = self.may_join(Direction::Down, sinks) && self.rebinding.deadline().is_none();
        let mut inbox = inbox.received().peekable();
        while let Some(received) = inbox.next() {
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

    /// Returns why what came from there is no answer to a flow; `None` if it is one. A socket that
    /// is not connected hears from everybody, and the port that answered last is the one that is
    /// asked.
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
}
