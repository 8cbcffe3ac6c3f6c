//! The orders about single flows: telling of them, and forgetting one.

use super::UdpRelay;
use super::flows::Flow;
use crate::flow::{FLOWS_PER_PAGE, FlowId, FlowPage, FlowState};
use crate::turn::Turn;
use jostle_common::time::Instant;
use jostle_common::transport::Transport;

impl UdpRelay {
    /// Returns a page of the flows whose ordinals are larger than `after`.
    pub(super) fn page(&self, after: u32, now: Instant) -> FlowPage {
        let (found, more) = self.flows.lowest(after, FLOWS_PER_PAGE);
        let next = found.last().filter(|_| more).map(|(ordinal, _)| *ordinal);
        let flows = found.iter().filter_map(|(_, index)| self.flows.get(*index));
        FlowPage { flows: flows.map(|flow| state(flow, now)).collect(), next }
    }

    /// Returns the flow with this ordinal.
    pub(super) fn state(&self, ordinal: u32, now: Instant) -> Option<FlowState> {
        let index = self.flows.by_ordinal(ordinal)?;
        self.flows.get(index).map(|flow| state(flow, now))
    }

    /// Forgets the flow with this ordinal: its packets in the links find nobody. Returns false if
    /// there is none.
    pub(super) fn forget(&mut self, ordinal: u32, turn: &mut Turn) -> bool {
        let Some(index) = self.flows.by_ordinal(ordinal) else { return false };
        self.close(index, &mut turn.reactor, &mut turn.descriptors);
        self.counts.closed_by_hand += 1;
        true
    }
}

fn state(flow: &Flow, now: Instant) -> FlowState {
    FlowState {
        id: FlowId { number: flow.ordinal, transport: Transport::Udp },
        client: flow.client.address,
        target: flow.client.target.as_deref().cloned(),
        upstream: Some(flow.receiver()),
        local: flow.socket.0.local_addr().ok(),
        rebinds: flow.rebinds,
        age: now.since(flow.since()),
        idle: now.since(flow.last()),
        counts: flow.counts,
        round_trip: None,
    }
}
