//! The interface between the event loop and a relay, and the one place that knows the kinds of
//! relays.
//!
//! A relay is the sockets of one transport of one route. The loop tells it about events, time and
//! orders; it never blocks.

use crate::account::LinkReport;
use crate::associations::SharedAssociations;
use crate::flow::{FlowPage, FlowState};
use crate::listener::Opened;
use crate::reactor::{Readiness, RelayId, SocketKey};
use crate::resolve::Upstream;
use crate::route_shared::{RoutePart, RouteShared};
use crate::turn::Turn;
use jostle_common::statistics::RoundTrips;
use jostle_common::time::Instant;
use jostle_common::transport::Transport;
use jostle_engine::memory::Memory;
use jostle_engine::route::Route;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// The parts that a relay is made of.
pub(crate) struct RelayPlan<'a> {
    pub(crate) id: RelayId,
    pub(crate) route: &'a Route,
    pub(crate) seed: u64,
    pub(crate) upstream: Upstream,
    /// What its clients may send by, if they ask for associations.
    pub(crate) associations: &'a SharedAssociations,
    /// The process's memory for what is held.
    pub(crate) memory: &'a Memory,
    /// What it has in common with the relays of the same transport on other loops.
    pub(crate) route_shared: &'a RouteShared,
    /// Which of these it is.
    pub(crate) part: RoutePart,
    pub(crate) rules_on: bool,
}

/// The sockets of one transport of one route.
///
/// After each of `serve`, `follow`, `drain`, `listen`, `set_addresses`
/// and `take_name` the loop calls `work` in the same turn.
pub(crate) trait Relay: Send {
    /// Notes an event and asks the reactor for a turn; the work is done in `serve`.
    fn note(&mut self, socket: SocketKey, readiness: Readiness, turn: &mut Turn);

    /// Lets a socket have its turn.
    fn serve(&mut self, socket: SocketKey, turn: &mut Turn);

    /// Does what is due, and returns when something is due next.
    fn work(&mut self, turn: &mut Turn) -> Option<Instant>;

    /// Takes over what its route says now; what only a new relay can change stays as it was. Rules
    /// are in force if `rules_on`.
    fn follow(&mut self, route: &Route, rules_on: bool, turn: &mut Turn);

    /// Sets the upstream of new flows and connections.
    fn set_upstream(&mut self, upstream: Upstream);

    /// Takes the resolver's answer, and serves those who waited for it.
    fn set_addresses(&mut self, addresses: Vec<SocketAddr>, turn: &mut Turn);

    /// Takes the addresses of a name that its clients asked for; none if it has none.
    fn take_name(&mut self, _name: &str, _addresses: &[IpAddr], _: &mut Turn) {}

    /// Listens on more sockets, on all of them or none.
    fn listen(&mut self, opened: Vec<Opened>, turn: &mut Turn) -> io::Result<()>;

    /// Returns second handles of the listening sockets at these addresses.
    fn share(&mut self, addresses: &[SocketAddr]) -> io::Result<Vec<Opened>>;

    /// Closes the listening sockets at all other addresses.
    fn listen_only(&mut self, addresses: &[SocketAddr], turn: &mut Turn);

    /// Takes in what has come so far and nothing new after it.
    fn drain(&mut self, turn: &mut Turn);

    /// Returns true if a draining relay has nothing left to do: nothing is held, and no connection
    /// is open.
    fn is_over(&self) -> bool;

    /// Returns since when the longest-silent flow is idle that may be closed for another client's
    /// sake; `None`: there is none.
    fn idle_since(&self) -> Option<Instant> {
        None
    }

    /// Closes that flow.
    fn close_idlest(&mut self, _: &mut Turn) {}

    /// Returns a page of its flows or connections: those with the lowest numbers above `after`.
    fn flows(&self, after: u32, now: Instant) -> FlowPage;

    /// Returns the flow or connection with this number, unless it has ended.
    fn flow(&self, number: u32, now: Instant) -> Option<FlowState>;

    /// Ends a flow or connection. Returns false if it has ended already.
    fn end_flow(&mut self, number: u32, ending: Ending, turn: &mut Turn) -> bool;

    /// Closes everything at once.
    fn cut(&mut self, ending: Ending, turn: &mut Turn);

    /// Returns when the time of its rules began to count; `None`: it has not.
    fn began(&self) -> Option<Instant>;

    /// Returns what it did so far.
    fn report(&self) -> RelayReport;
}

/// The way in which connections end that are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Torn down (RST): a FIN would tell the receivers that they had got everything.
    Reset,
    /// Closed (FIN), as a program that ends its sockets does: what somebody asked for by hand.
    Close,
}

/// The numbers of a relay.
#[derive(Clone, Debug)]
pub(crate) struct RelayReport {
    pub(crate) route: String,
    pub(crate) transport: Transport,
    /// Up and down.
    pub(crate) links: [LinkReport; 2],
    /// Counts of events at its sockets, by name.
    pub(crate) counts: BTreeMap<&'static str, u64>,
    /// The round-trip times that modelled senders sampled, if any.
    pub(crate) round_trips: Option<RoundTrips>,
}

impl RelayReport {
    /// Adds what another relay of the same name did.
    pub(crate) fn absorb(&mut self, other: &Self) {
        for (link, more) in self.links.iter_mut().zip(&other.links) {
            link.absorb(more);
        }
        for (&name, count) in &other.counts {
            *self.counts.entry(name).or_default() += count;
        }
        match (&mut self.round_trips, &other.round_trips) {
            (Some(trips), Some(more)) => trips.merge(more),
            (trips @ None, more) => *trips = more.clone(),
            (Some(_), None) => {}
        }
    }
}
