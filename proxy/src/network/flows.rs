//! The orders about single flows, passed to the relays of their route.

use super::Network;
use crate::flow::{FlowId, FlowPage, FlowState};
use crate::loop_state::LoopState;
use crate::orders::{OrderError, RouteId};
use crate::relay::Ending;

impl Network {
    /// Returns a page of a route's flows at a state: those with the lowest numbers above `after`,
    /// of both transports.
    pub(crate) fn flows(
        &self,
        route: RouteId,
        after: u32,
        loop_state: &LoopState,
    ) -> Result<FlowPage, OrderError> {
        let routes = self.routes.lock();
        let relays = routes.get(route)?.relays_at(loop_state.number);
        let pages =
            relays.map(|index| loop_state.fleet.at(index).flows(after, loop_state.turn.now));
        Ok(merge(pages.collect()))
    }

    /// Returns one flow of a route, if it is at this state.
    pub(crate) fn flow(
        &self,
        route: RouteId,
        flow: FlowId,
        loop_state: &LoopState,
    ) -> Result<FlowState, OrderError> {
        let relay = self.routes.lock().get(route)?.relay(loop_state.number, flow.transport);
        let found = relay
            .and_then(|index| loop_state.fleet.at(index).flow(flow.number, loop_state.turn.now));
        found.ok_or(OrderError::NoFlow(flow))
    }

    /// Ends one flow of a route, if it is at this state.
    pub(crate) fn end_flow(
        &self,
        route: RouteId,
        flow: FlowId,
        ending: Ending,
        loop_state: &mut LoopState,
    ) -> Result<(), OrderError> {
        let relay = self.routes.lock().get(route)?.relay(loop_state.number, flow.transport);
        let LoopState { fleet, turn, .. } = loop_state;
        let ended =
            relay.is_some_and(|index| fleet.touch(index).end_flow(flow.number, ending, turn));
        if ended { Ok(()) } else { Err(OrderError::NoFlow(flow)) }
    }
}

/// Makes one page of those of several relays, up to where each of them is complete.
pub(crate) fn merge(pages: Vec<FlowPage>) -> FlowPage {
    let next = pages.iter().filter_map(|page| page.next).min();
    let mut flows: Vec<FlowState> = pages.into_iter().flat_map(|page| page.flows).collect();
    if let Some(next) = next {
        flows.retain(|flow| flow.id.number <= next);
    }
    flows.sort_unstable_by_key(|flow| flow.id);
    FlowPage { flows, next }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jostle_common::transport::Transport;
    use std::time::Duration;

    fn page(transport: Transport, numbers: &[u32], next: Option<u32>) -> FlowPage {
        let state = |&number: &u32| FlowState {
            id: FlowId { number, transport },
            client: ([127, 0, 0, 1], 1).into(),
            target: None,
            upstream: None,
            local: None,
            rebinds: 0,
            age: Duration::ZERO,
            idle: Duration::ZERO,
            counts: Default::default(),
            round_trip: None,
        };
        FlowPage { flows: numbers.iter().map(state).collect(), next }
    }

    #[test]
    fn pages_of_two_transports_are_cut_where_both_are_complete() {
        let (udp, tcp) = (Transport::Udp, Transport::Tcp);
        let merged = |pages| {
            let FlowPage { flows, next } = merge(pages);
            (flows.iter().map(|flow| flow.id.number).collect::<Vec<_>>(), next)
        };
        assert_eq!(merged(vec![]), (vec![], None));
        let all = vec![page(udp, &[1, 3], None), page(tcp, &[1, 2], None)];
        assert_eq!(merged(all), (vec![1, 1, 2, 3], None));
        let some = vec![page(udp, &[1, 5, 9], Some(9)), page(tcp, &[2, 3, 5], Some(5))];
        assert_eq!(merged(some), (vec![1, 2, 3, 5, 5], Some(5)));
        // One that has ended meanwhile leaves a page that is empty, and not the last.
        assert_eq!(merged(vec![page(udp, &[], Some(4)), page(tcp, &[7], None)]), (vec![], Some(4)));
    }
}
