//! Datagrams that say where they go: who may send them, and which flow is theirs.
//!
//! Their header (RFC 1928, section 7) is taken off on the way in and put on again on the way out, so
//! that the links see what the two programs say to each other. Between them a flow is one client's
//! exchange with one target.

use super::UdpRelay;
use super::flows::FlowClient;
use super::intake::{IntakeTurn, ReadAt};
use super::waiting::{Waiting, WaitingDatagram};
use crate::associations::SharedAssociations;
use crate::fate::Loss;
use crate::look_ups::LookedUp;
use crate::own::may_reach;
use crate::resolve::leads_to;
use crate::turn::Turn;
use jostle_common::chance::Direction;
use jostle_forward::socks::Admission;
use jostle_forward::socks::datagram::{self, DatagramError};
use jostle_forward::{Allowed, Host, Target};
use jostle_sys::Received;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;

/// The part of a relay whose clients say where they want to go.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) allowed: Allowed,
    pub(super) associations: SharedAssociations,
    pub(super) waiting: Waiting,
}

/// The reason why a datagram has no flow now.
enum NoFlow {
    /// It never will.
    Lost(Loss),
    /// The name of its target is being looked up.
    Awaited,
}

impl From<Loss> for NoFlow {
    fn from(loss: Loss) -> Self {
        Self::Lost(loss)
    }
}

impl Asked {
    pub(super) fn new(allowed: Allowed, associations: SharedAssociations) -> Self {
        Self { allowed, associations, waiting: Waiting::default() }
    }
}

impl UdpRelay {
    /// Takes in what clients sent, each datagram with its target in front.
    pub(super) fn take_asked(&mut self, index: usize, at: ReadAt, turn: &mut Turn) {
        let (inbox, mut turn) = IntakeTurn::beside_inbox(turn, at.now);
        for received in inbox.received() {
            self.count_told(index, received);
            if let Some(address) = received.from {
                self.take_from(address, index, at, received, &mut turn);
            }
        }
    }

    /// Takes in a run of one sender, whose datagrams may go to several targets.
    fn take_from(
        &mut self,
        address: SocketAddr,
        listener: usize,
        at: ReadAt,
        received: Received<'_>,
        turn: &mut IntakeTurn<'_>,
    ) {
        let to = |target| {
            let target = Some(Arc::new(target));
            FlowClient { address, listener, asked: received.asked, target }
        };
        let Some(asked) = &self.asked else { return };
        if asked.associations.lock().list.admit(address) == Admission::Stranger {
            let all = received.datagrams();
            return self.refuse_some(at, received, all, Loss::NoAssociation, turn.sinks);
        }
        let mut run: Option<(Target, &[u8])> = None;
        let mut payloads = Vec::new();
        for range in received.datagrams() {
            let bytes = &received.bytes[range.clone()];
            // Those of one target have the same header, byte by byte.
            if run.as_ref().is_none_or(|(_, header)| !bytes.starts_with(header)) {
                if let Some((target, _)) = run.take() {
                    self.enter_asked(&to(target), at, received, &payloads, turn);
                }
                payloads.clear();
                match datagram::read(bytes) {
                    Ok((target, start)) => run = Some((target, &bytes[..start])),
                    Err(wrong) => {
                        let loss = match wrong {
                            DatagramError::Malformed => Loss::Malformed,
                            DatagramError::Fragment => Loss::Fragment,
                        };
                        let one = std::iter::once(range.clone());
                        self.refuse_some(at, received, one, loss, turn.sinks);
                        continue;
                    }
                }
            }
            let header = run.as_ref().map_or(0, |(_, header)| header.len());
            payloads.push(range.start + header..range.end);
        }
        if let Some((target, _)) = run {
            self.enter_asked(&to(target), at, received, &payloads, turn);
        }
    }

    /// Lets datagrams of one target enter, or wait, or be refused.
    fn enter_asked(
        &mut self,
        client: &FlowClient,
        at: ReadAt,
        received: Received<'_>,
        payloads: &[Range<usize>],
        turn: &mut IntakeTurn<'_>,
    ) {
        let payloads = payloads.iter().cloned();
        let loss = match self.flow_asked(client, received.hops, turn) {
            Ok(flow) => {
                return self.enter_some(flow, Direction::Up, at, received, payloads, turn.sinks);
            }
            Err(NoFlow::Lost(loss)) => loss,
            Err(NoFlow::Awaited) => return self.let_wait(client, at, received, payloads, turn),
        };
        self.refuse_some(at, received, payloads, loss, turn.sinks);
    }

    /// Lets datagrams wait for the name of their target.
    fn let_wait(
        &mut self,
        client: &FlowClient,
        at: ReadAt,
        received: Received<'_>,
        payloads: impl Iterator<Item = Range<usize>>,
        turn: &mut IntakeTurn<'_>,
    ) {
        let Received { bytes, hops, ecn, .. } = received;
        for range in payloads {
            let (client, payload) = (client.clone(), bytes[range.clone()].to_vec());
            let datagram = WaitingDatagram { client, hops, ecn, payload };
            let waiting = self.asked.as_mut().map(|asked| &mut asked.waiting);
            if !waiting.is_some_and(|waiting| waiting.add(at.now, datagram)) {
                let one = std::iter::once(range);
                self.refuse_some(at, received, one, Loss::NoRoom, turn.sinks);
            }
        }
    }

    /// Returns the flow of a client, which is opened if it is new.
    fn flow_asked(
        &mut self,
        client: &FlowClient,
        hops: Option<u8>,
        turn: &mut IntakeTurn<'_>,
    ) -> Result<usize, NoFlow> {
        if let Some(flow) = self.flows.find(client) {
            return Ok(flow);
        }
        let addresses = self.addresses_asked(client, turn)?;
        if turn.own.contain(client.address) {
            return Err(Loss::Looped.into());
        }
        Ok(self.begin(client, addresses, hops, turn)?)
    }

    /// Returns the addresses of a client's target that may be reached, at least one.
    fn addresses_asked(
        &self,
        client: &FlowClient,
        turn: &mut IntakeTurn<'_>,
    ) -> Result<Vec<SocketAddr>, NoFlow> {
        let (Some(asked), Some(target)) = (&self.asked, &client.target) else {
            return Err(Loss::NoUpstream.into());
        };
        asked.allowed.judge(target).map_err(|_| Loss::NotAllowed)?;
        let found = match &target.host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => match turn.asked.look_up(name, self.id, turn.now) {
                LookedUp::Found(addresses) => addresses,
                LookedUp::Awaited => return Err(NoFlow::Awaited),
                LookedUp::Busy => return Err(Loss::NoRoom.into()),
            },
        };
        if found.is_empty() {
            return Err(Loss::NoUpstream.into());
        }
        let may = |address: &IpAddr| may_reach(&asked.allowed, target, *address);
        let allowed = found.into_iter().filter(may);
        let mut addresses: Vec<SocketAddr> =
            allowed.map(|address| SocketAddr::new(address, target.port)).collect();
        if addresses.is_empty() {
            return Err(Loss::NotAllowed.into());
        }
        let leads_back = |address: &SocketAddr| {
            self.listeners.iter().any(|listener| leads_to(*address, listener.address()))
        };
        addresses.retain(|address| !leads_back(address));
        if addresses.is_empty() {
            return Err(Loss::Looped.into());
        }
        addresses.sort_by_key(|address| address.is_ipv4() != client.address.is_ipv4());
        Ok(addresses)
    }

    /// Serves the datagrams that waited for a name.
    pub(super) fn serve_waiting(&mut self, name: &str, turn: &mut Turn) {
        let waiting = self.asked.as_mut().map(|asked| asked.waiting.take(name));
        let now = turn.now;
        let (_, mut turn) = IntakeTurn::beside_inbox(turn, now);
        for datagram in waiting.into_iter().flatten() {
            let WaitingDatagram { client, hops, .. } = &datagram;
            let loss = match self.flow_asked(client, *hops, &mut turn) {
                Ok(flow) => {
                    self.enter_late(flow, &datagram, &mut turn);
                    continue;
                }
                Err(NoFlow::Lost(loss)) => loss,
                // It was looked up just now; it has no second turn.
                Err(NoFlow::Awaited) => Loss::NoUpstream,
            };
            self.refuse_late(&datagram, loss, &mut turn);
        }
    }

    /// Gives up the datagrams that have waited too long.
    pub(super) fn give_up_late(&mut self, turn: &mut Turn) {
        let late = self.asked.as_mut().map(|asked| asked.waiting.take_late(turn.now));
        let now = turn.now;
        let (_, mut turn) = IntakeTurn::beside_inbox(turn, now);
        for datagram in late.into_iter().flatten() {
            self.refuse_late(&datagram, Loss::NoUpstream, &mut turn);
        }
    }

    /// Gives up all datagrams that wait.
    pub(super) fn give_up_waiting(&mut self, turn: &mut Turn) {
        let all = self.asked.as_mut().map(|asked| asked.waiting.take_all());
        let now = turn.now;
        let (_, mut turn) = IntakeTurn::beside_inbox(turn, now);
        for datagram in all.into_iter().flatten() {
            self.refuse_late(&datagram, Loss::NoUpstream, &mut turn);
        }
    }

    fn enter_late(&mut self, flow: usize, datagram: &WaitingDatagram, turn: &mut IntakeTurn<'_>) {
        let (at, received) = datagram.as_received(turn.now);
        self.enter_some(flow, Direction::Up, at, received, received.datagrams(), turn.sinks);
    }

    fn refuse_late(&mut self, datagram: &WaitingDatagram, loss: Loss, turn: &mut IntakeTurn<'_>) {
        let (at, received) = datagram.as_received(turn.now);
        self.refuse_some(at, received, received.datagrams(), loss, turn.sinks);
    }

    /// Closes the flows of those whose associations have ended.
    pub(super) fn end_associations(&mut self, turn: &mut Turn) {
        let Some(asked) = &self.asked else { return };
        let ended: BTreeSet<SocketAddr> =
            asked.associations.lock().list.take_ended().into_iter().collect();
        if ended.is_empty() {
            return;
        }
        let canonical =
            |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        for index in self.flows.indices() {
            let flow = self.flows.get(index).expect("it is one of the indices");
            if ended.contains(&canonical(flow.client.address)) {
                self.close(index, &mut turn.reactor, &mut turn.descriptors);
                self.counts.dissociated += 1;
            }
        }
    }
}
