//! The UDP flows of a relay: found by client, by ordinal, and in the order in which they fell
//! silent.
//!
//! The list by silence runs through the flows themselves: each datagram moves its flow to the end,
//! and a linked hash map would look the client up once more for that.

use super::by_client::ByClient;
use crate::descriptors::{Sources, is_same_source};
use crate::flow::FlowCounts;
use crate::route_shared::{RoutePart, RouteShared};
use crate::table::{Table, lowest};
use jostle_common::time::Instant;
use jostle_forward::Target;
use jostle_forward::socks::datagram;
use mio::Token;
use mio::net::UdpSocket;
use slab::Slab;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// A flow's client. One that asks two of our addresses has two flows, as it would with two
/// servers; so has one that sends to two targets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FlowClient {
    /// Its address.
    pub(crate) address: SocketAddr,
    /// The listener it uses, by its place in the relay.
    pub(crate) listener: usize,
    /// Which of our addresses it asked, if the listener has many.
    pub(crate) asked: Option<IpAddr>,
    /// Where it wants to go, if it says so itself.
    pub(crate) target: Option<Arc<Target>>,
}

/// The exchange of one client with the upstream.
#[derive(Debug)]
pub(crate) struct Flow {
    /// From 1, in the order of appearance.
    pub(crate) ordinal: u32,
    pub(crate) client: FlowClient,
    /// The upstream's address that it was opened with.
    pub(crate) upstream: SocketAddr,
    /// The socket to the upstream, connected unless `peer` is set, and its token.
    pub(crate) socket: (UdpSocket, Token),
    /// The destination when answers may come from any port of the upstream's address: the port
    /// that answered last.
    peer: Option<Box<SocketAddr>>,
    /// The hops that what it sends may take, if that is known.
    pub(crate) hops: Option<u8>,
    /// How often it got a fresh socket.
    pub(crate) rebinds: u32,
    /// In front of each datagram to the client: nothing, unless it said where it wants to go.
    pub(crate) header: Box<[u8]>,
    /// Packets in the links, copies not counted.
    pub(crate) inside: u32,
    /// The size up to which the system takes datagrams as runs, per direction.
    pub(crate) segment_max: [u16; 2],
    /// The kernel's drop count of the socket when last told.
    pub(crate) missed: u32,
    /// Set once its client needs no further proof that it is there.
    pub(crate) is_proved: bool,
    /// Set while the relay waits to read the socket again.
    pub(crate) again: bool,
    /// What it did, up and down.
    pub(crate) counts: [FlowCounts; 2],
    /// The arrival of its first packet, once it has one.
    pub(crate) began: Instant,
    /// The next flow whose client has the same hash.
    pub(super) alike: Place,
    since: Instant,
    last: Instant,
    older: Place,
    newer: Place,
}

// There may be many, and most are silent.
const _: () = assert!(size_of::<Flow>() <= 280);

/// The place of a flow, or of none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(u32);

impl Place {
    /// The place of no flow.
    pub(super) const NONE: Self = Self(u32::MAX);

    /// Returns the place of the flow at `index`, which is below the most flows that there may be.
    pub(super) const fn of(index: usize) -> Self {
        Self(index as u32)
    }

    /// Returns its index.
    pub(super) const fn index(self) -> Option<usize> {
        if self.0 == u32::MAX { None } else { Some(self.0 as usize) }
    }
}

impl Flow {
    /// Returns where what comes from its client goes.
    pub(crate) fn receiver(&self) -> SocketAddr {
        self.peer().unwrap_or(self.upstream)
    }

    /// Returns the port that answered last, when answers may come from any port of the upstream's
    /// address.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.peer.as_deref().copied()
    }

    /// Notes another port that answered.
    pub(crate) fn set_peer(&mut self, from: SocketAddr) {
        if let Some(peer) = &mut self.peer {
            **peer = from;
        }
    }

    /// Returns when it appeared.
    pub(crate) const fn since(&self) -> Instant {
        self.since
    }

    /// Returns when it was last alive.
    pub(crate) const fn last(&self) -> Instant {
        self.last
    }
}

/// All flows of a relay.
#[derive(Debug)]
pub(crate) struct Flows {
    slab: Slab<Flow>,
    by_client: ByClient,
    by_ordinal: Table<u32, Place>,
    sources: Sources,
    /// What gives them their ordinals, and says when the time of the rules began.
    route_shared: RouteShared,
    /// The most that there may be.
    most: usize,
    /// The ends of the list by silence.
    oldest: Option<usize>,
    newest: Option<usize>,
}

/// The number of flows looked at for one that may be closed when there are too many.
const SEARCH_MAX: usize = 64;

/// The most flows of a route: half the ports that its sockets can have.
const FLOWS_MAX: usize = 16_384;

impl Flows {
    /// No flows of a relay that is such a part of its route.
    pub(crate) fn new(route_shared: RouteShared, part: RoutePart) -> Self {
        Self {
            slab: Slab::new(),
            by_client: ByClient::default(),
            by_ordinal: Table::default(),
            sources: Sources::default(),
            route_shared,
            most: FLOWS_MAX / part.of,
            oldest: None,
            newest: None,
        }
    }

    /// Returns what they have in common with those of other loops.
    pub(crate) const fn route_shared(&self) -> &RouteShared {
        &self.route_shared
    }

    /// Returns true if there are as many as there may be.
    pub(crate) fn are_full(&self) -> bool {
        self.len() >= self.most
    }

    /// Returns how many there are.
    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    /// Returns the places of all flows.
    pub(crate) fn indices(&self) -> Vec<usize> {
        self.slab.iter().map(|(index, _)| index).collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Flow> {
        self.slab.iter().map(|(_, flow)| flow)
    }

    /// Returns true if one's socket is to be read again.
    pub(crate) fn any_again(&self) -> bool {
        self.slab.iter().any(|(_, flow)| flow.again)
    }

    /// Returns the flow of a client.
    pub(crate) fn find(&self, client: &FlowClient) -> Option<usize> {
        self.by_client.find(client, &self.slab)
    }

    /// Returns the flow at `index`, to look at it.
    pub(crate) fn get(&self, index: usize) -> Option<&Flow> {
        self.slab.get(index)
    }

    /// Returns the places of the flows with the lowest ordinals above `after`, at most `most` of
    /// them and in order, and whether there are more.
    pub(crate) fn lowest(&self, after: u32, most: usize) -> (Vec<(u32, usize)>, bool) {
        let (found, more) = lowest(&self.by_ordinal, after, most);
        let index = |(ordinal, place): (u32, Place)| Some((ordinal, place.index()?));
        (found.into_iter().filter_map(index).collect(), more)
    }

    /// Returns the flow with this ordinal, unless it was closed.
    pub(crate) fn by_ordinal(&self, ordinal: u32) -> Option<usize> {
        self.by_ordinal.get(&ordinal).and_then(|place| place.index())
    }

    /// Returns the flow at `index`, unless it was closed.
    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut Flow> {
        self.slab.get_mut(index)
    }

    /// Returns where the next flow will be.
    pub(crate) fn next_index(&self) -> usize {
        self.slab.vacant_key()
    }

    /// Adds the flow of `client`, which had none.
    pub(crate) fn add(
        &mut self,
        client: FlowClient,
        upstream: SocketAddr,
        socket: (UdpSocket, Token),
        peer: Option<SocketAddr>,
        now: Instant,
    ) -> usize {
        // Who asked for an association has done so on a connection, from the same address.
        let is_proved = client.target.is_some();
        let header = client.target.as_ref().map(|_| datagram::header(upstream).into());
        let address = client.address.ip();
        let ordinal = self.route_shared.next_number();
        let alike = self.by_client.insert(&client, self.slab.vacant_key());
        let index = self.slab.insert(Flow {
            ordinal,
            client,
            upstream,
            socket,
            peer: peer.map(Box::new),
            hops: None,
            rebinds: 0,
            header: header.unwrap_or_default(),
            inside: 0,
            segment_max: [u16::MAX; 2],
            missed: 0,
            is_proved,
            again: false,
            counts: Default::default(),
            since: now,
            last: now,
            began: now,
            alike,
            older: Place::NONE,
            newer: Place::NONE,
        });
        self.sources.add(address, 1);
        self.by_ordinal.insert(ordinal, Place::of(index));
        self.append(index);
        index
    }

    /// Notes that a flow is alive.
    pub(crate) fn touch(&mut self, index: usize, now: Instant) {
        self.slab[index].last = now;
        if self.newest != Some(index) {
            self.unlink(index);
            self.append(index);
        }
    }

    /// Removes a flow.
    pub(crate) fn remove(&mut self, index: usize) -> Flow {
        self.unlink(index);
        let flow = self.slab.remove(index);
        self.by_client.remove(index, &flow, &mut self.slab);
        self.sources.remove(flow.client.address.ip(), 1);
        self.by_ordinal.remove(&flow.ordinal);
        flow
    }

    /// Returns the longest-silent flow, and when it was last alive.
    pub(crate) fn oldest(&self) -> Option<(usize, Instant)> {
        self.oldest.map(|index| (index, self.slab[index].last))
    }

    /// Returns true if an address is to leave the rest of the flows to others.
    pub(crate) fn has_too_much(&self, source: IpAddr) -> bool {
        self.sources.has_too_much(source, self.len(), self.most)
    }

    /// Returns when a flow was last alive.
    pub(crate) fn last(&self, index: usize) -> Instant {
        self.slab[index].last
    }

    /// Returns the longest-silent flow that has no packets inside, among the first few; only those
    /// of an address if one is given.
    pub(crate) fn evictable(&self, of: Option<IpAddr>) -> Option<usize> {
        let next = |index: &usize| self.slab[*index].newer.index();
        let is_of = |flow: &Flow| {
            of.is_none_or(|address| is_same_source(flow.client.address.ip(), address))
        };
        std::iter::successors(self.oldest, next)
            .take(SEARCH_MAX)
            .find(|&index| self.slab[index].inside == 0 && is_of(&self.slab[index]))
    }

    fn append(&mut self, index: usize) {
        self.slab[index].older = self.newest.map_or(Place::NONE, Place::of);
        match self.newest {
            Some(newest) => self.slab[newest].newer = Place::of(index),
            None => self.oldest = Some(index),
        }
        self.newest = Some(index);
    }

    fn unlink(&mut self, index: usize) {
        let flow = &mut self.slab[index];
        let (older, newer) = (flow.older, flow.newer);
        (flow.older, flow.newer) = (Place::NONE, Place::NONE);
        match older.index() {
            Some(older) => self.slab[older].newer = newer,
            None => self.oldest = newer.index(),
        }
        match newer.index() {
            Some(newer) => self.slab[newer].older = older,
            None => self.newest = older.index(),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A client of its own port.
    pub(crate) fn client(port: u16) -> FlowClient {
        let address = ([127, 0, 0, 1], port).into();
        FlowClient { address, listener: 0, asked: None, target: None }
    }

    /// The flow of a client.
    pub(crate) fn flow(client: FlowClient) -> Flow {
        let mut flows = Flows::new(RouteShared::default(), RoutePart::WHOLE);
        let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let (upstream, at) = (([127, 0, 0, 1], 1).into(), Instant::START);
        let index = flows.add(client, upstream, (socket, Token(0)), None, at);
        flows.remove(index)
    }

    fn flows(count: u16) -> Flows {
        let mut flows = Flows::new(RouteShared::default(), RoutePart::WHOLE);
        for port in 1..=count {
            let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
            let at = Instant::from_millis(u64::from(port));
            flows.add(client(port), ([127, 0, 0, 1], 1).into(), (socket, Token(0)), None, at);
        }
        flows
    }

    fn order(flows: &Flows) -> Vec<u32> {
        std::iter::successors(flows.oldest, |&index| flows.slab[index].newer.index())
            .map(|index| flows.slab[index].ordinal)
            .collect()
    }

    #[test]
    fn the_longest_silent_is_first() {
        let mut flows = flows(4);
        assert_eq!(order(&flows), [1, 2, 3, 4]);
        let first = flows.by_ordinal(1).unwrap();
        flows.touch(first, Instant::from_millis(10));
        let third = flows.by_ordinal(3).unwrap();
        flows.touch(third, Instant::from_millis(11));
        flows.touch(third, Instant::from_millis(12));
        assert_eq!(order(&flows), [2, 4, 1, 3]);
        assert_eq!(flows.oldest().unwrap().1, Instant::from_millis(2));
    }

    #[test]
    fn removing_keeps_the_order_of_the_others() {
        let mut flows = flows(4);
        for (ordinal, left) in [(2, vec![1, 3, 4]), (4, vec![1, 3]), (1, vec![3]), (3, vec![])] {
            let index = flows.by_ordinal(ordinal).unwrap();
            let flow = flows.remove(index);
            assert_eq!(flow.ordinal, ordinal);
            assert_eq!(order(&flows), left);
            assert_eq!(flows.find(&flow.client), None);
            assert_eq!(flows.by_ordinal(ordinal), None);
        }
        assert_eq!(flows.oldest(), None);
    }

    #[test]
    fn flows_with_packets_inside_are_not_evicted() {
        let mut flows = flows(3);
        let first = flows.by_ordinal(1).unwrap();
        flows.get_mut(first).unwrap().inside = 1;
        assert_eq!(flows.evictable(None), flows.by_ordinal(2));
        for ordinal in 2..=3 {
            let index = flows.by_ordinal(ordinal).unwrap();
            flows.get_mut(index).unwrap().inside = 1;
        }
        assert_eq!(flows.evictable(None), None);
    }
}
