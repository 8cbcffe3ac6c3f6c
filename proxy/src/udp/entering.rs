//! What enters the links, and what is refused before it does.

use super::UdpRelay;
use super::flows::Flow;
use super::intake::ReadAt;
use crate::account::Refused;
use crate::fate::Loss;
use crate::sinks::Sinks;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_engine::flow::FlowFacts;
use jostle_engine::route::Destination;
use jostle_sys::Received;
use std::ops::Range;
use std::sync::Arc;

impl UdpRelay {
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

    /// Tells what is known of the flows, as rules are about to come that may ask for it: without
    /// rules it would only take memory.
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

    /// Writes down datagrams of clients without a flow, which go no further: ranges of what was
    /// read.
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
