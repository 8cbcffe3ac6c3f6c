//! The orders about single flows, passed to the relays of their route.

use super::Network;
use crate::flow::{FlowId, FlowPage, FlowState};
use crate::orders::{OrderError, RouteId};
use crate::relay::Ending;
use crate::site::Site;

impl Network {
    /// Returns a page of a route's flows at a site: those with the lowest numbers above `after`, of
    /// both transports.
    pub(crate) fn flows(
        &self,
        route: RouteId,
        after: u32,
        site: &Site,
    ) -> Result<FlowPage, OrderError> {
        let routes = self.routes.lock();
        let relays = routes.get(route)?.relays_at(site.number);
        let pages = relays.map(|index| site.fleet.at(index).flows(after, site.turn.now));
        Ok(merge(pages.collect()))
    }

    /// Returns one flow of a route, if it is at this site.
    pub(crate) fn flow(
        &self,
        route: RouteId,
        flow: FlowId,
        site: &Site,
    ) -> Result<FlowState, OrderError> {
        let relay = self.routes.lock().get(route)?.relay(site.number, flow.transport);
        let found = relay.and_then(|index| site.fleet.at(index).flow(flow.number, site.turn.now));
        found.ok_or(OrderError::NoFlow(flow))
    }

    /// Ends one flow of a route, if it is at this site.
    pub(crate) fn end_flow(
        &self,
        route: RouteId,
        flow: FlowId,
        ending: Ending,
        site: &mut Site,
    ) -> Result<(), OrderError> {
        let relay = self.routes.lock().get(route)?.relay(site.number, flow.transport);
        let Site { fleet, turn, .. } = site;
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
