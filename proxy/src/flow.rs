//! The single flows and connections of a route: what is told of them, and the orders about one.

use crate::control::Control;
use crate::network::merge;
use crate::orders::{Order, OrderError, Reply, RouteId};
use crate::relay::Ending;
use jostle_common::chance::Direction;
use jostle_common::transport::Transport;
use jostle_forward::Target;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// The most flows of a transport that are told in one go, so that traffic does not wait for the
/// list: to look through 16,384 flows for them takes about as long as to describe so many.
pub(crate) const FLOWS_PER_PAGE: usize = 256;

/// Identifies a flow among those of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId {
    /// Its number, as the event log has it: 1, 2, 3 … in the order of appearance. UDP and TCP count
    /// for themselves, and anew when their route is added or gets another stream of draws.
    pub number: u32,
    /// Its transport.
    pub transport: Transport,
}

impl fmt::Display for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.number, self.transport.name())
    }
}

/// A UDP flow or a TCP connection.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowState {
    /// Its identity.
    pub id: FlowId,
    /// Its client.
    pub client: SocketAddr,
    /// What its client asked for; `None` where all go to one upstream.
    pub target: Option<Target>,
    /// Where it leads; `None` as long as no address of the upstream is known.
    pub upstream: Option<SocketAddr>,
    /// The address from which a UDP flow leaves at present; `None` on TCP.
    pub local: Option<SocketAddr>,
    /// How often a rule let it leave from a fresh socket.
    pub rebinds: u32,
    /// The time since it appeared.
    pub age: Duration,
    /// The time since one of its sockets had something to say, or was written to.
    pub idle: Duration,
    /// What it did, up and down.
    pub counts: [FlowCounts; 2],
    /// The smoothed round-trip time that its modelled sender has; `None` without a model, and
    /// before the first sample.
    pub round_trip: Option<Duration>,
}

impl FlowState {
    /// Returns what it did in one direction.
    pub const fn counts(&self, direction: Direction) -> FlowCounts {
        self.counts[direction.index()]
    }
}

/// The counts of a flow in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowCounts {
    /// UDP: the datagrams that came. TCP: the segments or pieces that have left the links; without
    /// rules, the reads.
    pub packets: u64,
    /// The bytes that came from the sender.
    pub bytes: u64,
    /// The packets that left for their receiver, copies included.
    pub delivered: u64,
    /// The packets that ended here, copies included.
    pub discarded: u64,
}

impl FlowCounts {
    /// Counts datagrams that came, `refused` of which get no further.
    pub(crate) const fn came(&mut self, packets: u64, bytes: u64, refused: u64) {
        self.packets += packets;
        self.bytes += bytes;
        self.discarded += refused;
    }
}

/// Some of a route's flows, in the order of their numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FlowPage {
    /// The flows.
    pub flows: Vec<FlowState>,
    /// The number behind which the next page begins; `None`: there are no more.
    pub next: Option<u32>,
}

/// An order about the flows of a route.
pub(crate) enum FlowOrder {
    /// Tells those whose numbers are larger.
    List(u32, Reply<FlowPage>),
    /// Tells one.
    Find(FlowId, Reply<FlowState>),
    /// Ends one.
    End(FlowId, Ending, Reply<()>),
}

impl Control {
    /// Returns the flows and connections of a route whose numbers are larger than `after`: a page
    /// of them, at most 256 of each transport. Those that drain with a part of the route that was
    /// given up, or that are closing, are left out.
    ///
    /// # Errors
    /// When there is no such route, or the order could not be given.
    pub fn flows(&self, route: RouteId, after: u32) -> Result<FlowPage, OrderError> {
        let list =
            |loop_| self.order_at(loop_, |reply| Order::Flow(route, FlowOrder::List(after, reply)));
        let pages: Result<Vec<FlowPage>, _> = self.loops_of(route).map(list).collect();
        pages.map(merge)
    }

    /// Returns one flow or connection of a route.
    ///
    /// # Errors
    /// When there is no such route or flow, or not any more, or the order could not be given.
    pub fn flow(&self, route: RouteId, flow: FlowId) -> Result<FlowState, OrderError> {
        self.find(route, |reply| FlowOrder::Find(flow, reply))
    }

    /// Closes one connection: both sides get the end of the stream (FIN) behind what they were
    /// handed, and half a second to end too; what is in the links is gone. A UDP flow is forgotten:
    /// what its client sends next begins a new one.
    ///
    /// # Errors
    /// As for [`flow`](Self::flow).
    pub fn close_flow(&self, route: RouteId, flow: FlowId) -> Result<(), OrderError> {
        self.find(route, |reply| FlowOrder::End(flow, Ending::Close, reply))
    }

    /// Resets one connection towards both sides (RST), at once. A UDP flow, which has nothing to
    /// reset, is forgotten.
    ///
    /// # Errors
    /// As for [`flow`](Self::flow).
    pub fn reset_flow(&self, route: RouteId, flow: FlowId) -> Result<(), OrderError> {
        self.find(route, |reply| FlowOrder::End(flow, Ending::Reset, reply))
    }

    /// Gives an order about a flow to the loops that have its route, up to the one that has the
    /// flow.
    fn find<T>(
        &self,
        route: RouteId,
        order: impl Fn(Reply<T>) -> FlowOrder,
    ) -> Result<T, OrderError> {
        let mut loops = self.loops_of(route);
        loop {
            let Some(loop_) = loops.next() else { return Err(OrderError::NoRoute(route)) };
            let found = self.order_at(loop_, |reply| Order::Flow(route, order(reply)));
            match found {
                Err(OrderError::NoFlow(_)) if !loops.is_empty() => {}
                found => return found,
            }
        }
    }
}
