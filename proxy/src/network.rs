//! The routes of a proxy and the relays made of them, and how they are changed: each change whole
//! or not at all.
//!
//! Here routes come and go, and their rules change; [`exchange`] puts one in the place of another,
//! and [`flows`] passes on what is asked of single flows.

mod exchange;
mod flows;

pub(crate) use flows::merge;

use crate::kinds;
use crate::listener::{Listener, ListeningSet, Opened};
use crate::loop_state::{LoopState, LoopStates};
use crate::orders::{Began, OrderError, Prepared, Reach, RouteId, RouteState};
use crate::relay::{Ending, Relay, RelayPlan};
use crate::resolve::{Answer, Upstream};
use crate::route_shared::RoutePart;
use crate::routes::{RelayPlace, RouteEntry, RouteNode, Routes};
use crate::settings::StartError;
use crate::shared::{Lock, Waits};
use crate::turn::Turn;
use crate::udp::check_addresses;
use jostle_common::chance::Direction;
use jostle_common::transport::Transport;
use jostle_engine::memory::Memory;
use jostle_engine::profile::{Profile, Rule};
use jostle_engine::route::{Forward, Route};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

/// This share of the process's memory is a route's: one of many flows is bounded by its lanes, one
/// of many connections by each one's share.
const ROUTE_SHARE: u64 = 2;

/// The routes of all loops, and how they are changed. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    seed: u64,
    /// How many loops there are.
    loops: usize,
    memory: Memory,
    routes: Lock<Routes>,
}

impl Network {
    /// A network without routes, for so many loops. `seed` is for the routes that have none of
    /// their own; what they hold is charged to `memory`.
    pub(crate) fn new(seed: u64, memory: Memory, loops: usize, waits: &Waits) -> Self {
        Self { seed, loops, memory, routes: Lock::new(Routes::default(), waits) }
    }

    /// Returns the loop that is to have the next route that one loop has.
    pub(crate) fn next_home(&self) -> usize {
        self.routes.lock().least_loaded(self.loops)
    }

    /// Returns the loops that have a route.
    pub(crate) fn sites_of(&self, id: RouteId) -> Result<Range<usize>, OrderError> {
        self.routes.lock().get(id).map(RouteEntry::loop_states)
    }

    /// Returns how many loops a route is to have.
    pub(crate) fn loops_of(&self, route: &Route) -> usize {
        route.workers.among(self.loops)
    }

    /// Adds a route that a proxy starts with, to the loop that has the fewest. Whether it leads to
    /// itself is for [`refuse_circles`](Self::refuse_circles) to say, once for all of them.
    pub(crate) fn start(
        &self,
        prepared: Prepared,
        loop_states: &mut LoopStates<'_>,
    ) -> Result<(), StartError> {
        let Prepared { route, reach } = prepared;
        let mut routes = self.routes.lock();
        let home = match self.loops_of(&route) {
            1 => routes.least_loaded(self.loops),
            _ => 0,
        };
        let (upstream, listening) = match reach {
            None => (None, ListeningSet::default()),
            Some(Reach { wanted, upstream }) => {
                let portable = loop_states.leader().turn.options.portable;
                let loops = self.loops_of(&route);
                (Some(upstream), wanted.open(&route, &[], portable, loops)?)
            }
        };
        loop_states.leader().turn.descriptors.charge(listening.opened.len());
        let entered = self.enter(&mut routes, route, home, upstream, listening, loop_states);
        entered.map(|_| ()).map_err(|error| match error {
            OrderError::Start(error) => error,
            error => io::Error::other(error).into(),
        })
    }

    /// Refuses routes that lead to themselves.
    pub(crate) fn refuse_circles(&self) -> Result<(), StartError> {
        self.routes.lock().refuse_circles()
    }

    /// Adds a route.
    pub(crate) fn add(
        &self,
        prepared: Prepared,
        loop_states: &mut LoopStates<'_>,
    ) -> Result<RouteId, OrderError> {
        let Prepared { route, reach } = prepared;
        let mut routes = self.routes.lock();
        routes.refuse_taken(&route.name, None)?;
        let (home, loops) = (loop_states.leader().number, self.loops_of(&route));
        let Some(Reach { wanted, upstream }) = reach else {
            return self.enter(
                &mut routes,
                route,
                home,
                None,
                ListeningSet::default(),
                loop_states,
            );
        };
        let portable = loop_states.leader().turn.options.portable;
        let listening = wanted.open(&route, &[], portable, loops)?;
        refuse_circle(&routes, &route, &upstream, &listening, None)?;
        let sockets = listening.opened.len();
        if !loop_states.leader().turn.descriptors.take(sockets) {
            return Err(OrderError::NoDescriptors);
        }
        self.enter(&mut routes, route, home, Some(upstream), listening, loop_states)
            .inspect_err(|_| loop_states.leader().turn.descriptors.give(sockets))
    }

    /// Makes the relays of a route whose sockets are open, on the loops from `home` on.
    fn enter(
        &self,
        routes: &mut Routes,
        route: Route,
        home: usize,
        upstream: Option<Upstream>,
        mut listening: ListeningSet,
        loop_states: &mut LoopStates<'_>,
    ) -> Result<RouteId, OrderError> {
        let listeners = listening.listeners(&route.name);
        let memory = self.memory.part(self.memory.limit() / ROUTE_SHARE);
        let loops = self.loops_of(&route);
        let (id, sites) = (routes.next_id(), home..home + loops);
        let mut entry = RouteEntry::new(id, route, upstream, listeners, sites, memory);
        for nth in 0..loops {
            for transport in Transport::ALL {
                let opened = listening.take(transport, nth);
                let upstream = entry.upstream.clone().filter(|_| !opened.is_empty());
                let Some(upstream) = upstream else { continue };
                let made = loop_states.at(home + nth).and_then(|loop_state| {
                    let made = self.make(transport, nth, &entry, upstream, opened, loop_state);
                    Ok((loop_state.number, made.map_err(StartError::from)?))
                });
                match made {
                    Ok((number, index)) => {
                        entry.relays.push(RelayPlace { number, transport, index });
                    }
                    Err(error) => {
                        for RelayPlace { number, index, .. } in entry.relays {
                            let LoopState { fleet, turn, .. } = loop_states.at(number)?;
                            fleet.remove(index, Ending::Reset, turn);
                        }
                        return Err(error);
                    }
                }
            }
        }
        let own = &mut loop_states.leader().turn.own;
        own_addresses(&entry.listeners).for_each(|address| own.add(address));
        warn_of_openness(&entry);
        Ok(routes.add(entry))
    }

    /// Makes the relay of a transport that is the `nth` part of a route.
    fn make(
        &self,
        transport: Transport,
        nth: usize,
        entry: &RouteEntry,
        upstream: Upstream,
        opened: Vec<Opened>,
        loop_state: &mut LoopState,
    ) -> io::Result<usize> {
        let LoopState { fleet, turn, rules_on, .. } = loop_state;
        let plan = RelayPlan {
            id: fleet.next_id(),
            route: &entry.route,
            seed: entry.route.seed.unwrap_or(self.seed),
            upstream,
            associations: &entry.associations,
            memory: &entry.memory,
            route_shared: &entry.route_shared[(transport == Transport::Tcp) as usize],
            part: RoutePart { nth, of: entry.loops },
            rules_on: *rules_on,
        };
        let relay = kinds::relay(transport, plan, opened, turn)?;
        turn.descriptors.add_relay(transport);
        Ok(fleet.add(relay, entry.id.serial))
    }

    /// Removes a route, whose relays drain for `drain` at most.
    pub(crate) fn remove(
        &self,
        id: RouteId,
        drain: Duration,
        loop_states: &mut LoopStates<'_>,
    ) -> Result<(), OrderError> {
        for RelayPlace { number, index, .. } in self.take_out(id, loop_states)?.relays {
            let LoopState { fleet, turn, .. } = loop_states.at(number)?;
            fleet.leave(index, turn.now + drain, turn);
        }
        loop_states.take_in();
        Ok(())
    }

    /// Removes a route and closes its connections.
    pub(crate) fn close(
        &self,
        id: RouteId,
        loop_states: &mut LoopStates<'_>,
    ) -> Result<(), OrderError> {
        for RelayPlace { number, index, .. } in self.take_out(id, loop_states)?.relays {
            let LoopState { fleet, turn, past, .. } = loop_states.at(number)?;
            past.add(fleet.remove(index, Ending::Close, turn));
        }
        Ok(())
    }

    /// Takes a route out of the table, if all loops that have it take part.
    fn take_out(
        &self,
        id: RouteId,
        loop_states: &mut LoopStates<'_>,
    ) -> Result<RouteEntry, OrderError> {
        let mut routes = self.routes.lock();
        are_there(&routes.get(id)?.relays, loop_states)?;
        let entry = routes.remove(id)?;
        let Turn { descriptors, own, .. } = &mut loop_states.leader().turn;
        descriptors.give(entry.sockets());
        own_addresses(&entry.listeners).for_each(|address| own.remove(address));
        Ok(entry)
    }

    /// Returns a route that one of the states has.
    pub(crate) fn state(
        &self,
        id: RouteId,
        loop_states: &mut LoopStates<'_>,
    ) -> Result<RouteState, OrderError> {
        let routes = self.routes.lock();
        let entry = routes.get(id)?;
        Ok(entry.state(began(entry, loop_states.at(entry.home)?)))
    }

    /// Returns when the time of the rules of such a route began.
    pub(crate) fn began(
        &self,
        id: RouteId,
        loop_states: &mut LoopStates<'_>,
    ) -> Result<Began, OrderError> {
        let routes = self.routes.lock();
        let entry = routes.get(id)?;
        Ok(began(entry, loop_states.at(entry.home)?))
    }

    /// Returns the same of all routes of these states.
    pub(crate) fn all_began(&self, loop_states: &mut LoopStates<'_>) -> Vec<(RouteId, Began)> {
        let routes = self.routes.lock();
        let of = |entry: &RouteEntry| {
            let loop_state = loop_states.at(entry.home).ok()?;
            Some((entry.id, began(entry, loop_state)))
        };
        routes.iter().filter_map(of).collect()
    }

    /// Replaces the profile of a route.
    pub(crate) fn set_profile(
        &self,
        id: RouteId,
        profile: Profile,
        loop_states: &mut LoopStates<'_>,
    ) -> Result<(), OrderError> {
        self.change_profile(id, loop_states, |route| {
            route.profile = profile;
            Ok(())
        })
    }

    /// Changes the profile of a route, if the change succeeds and the route can have what comes of
    /// it.
    fn change_profile(
        &self,
        id: RouteId,
        loop_states: &mut LoopStates<'_>,
        change: impl FnOnce(&mut Route) -> Result<(), OrderError>,
    ) -> Result<(), OrderError> {
        let mut routes = self.routes.lock();
        let entry = routes.get_mut(id)?;
        let mut route = entry.route.clone();
        change(&mut route)?;
        route.check_rules().map_err(OrderError::Rules)?;
        check_addresses(&route).map_err(OrderError::Rules)?;
        are_there(&entry.relays, loop_states)?;
        entry.route = route;
        for place in &entry.relays {
            let route = &entry.route;
            touch(place, loop_states, |relay, on, turn| relay.follow(route, on, turn))?;
        }
        Ok(())
    }

    /// Sets one rule of a route.
    pub(crate) fn set_rule(
        &self,
        id: RouteId,
        direction: Direction,
        rule: &Rule,
        loop_states: &mut LoopStates<'_>,
    ) -> Result<(), OrderError> {
        self.change_profile(id, loop_states, |route| {
            let timeline = route.profile.timeline_mut(direction);
            let has = timeline.rules().any(|one| one.key == rule.key);
            for phase in &mut timeline.phases {
                match phase.rules.iter_mut().find(|one| one.key == rule.key) {
                    Some(one) => *one = rule.clone(),
                    None if has => {}
                    None => phase.rules.push(rule.clone()),
                }
            }
            Ok(())
        })
    }

    /// Removes one rule of a route.
    pub(crate) fn remove_rule(
        &self,
        id: RouteId,
        direction: Direction,
        key: &str,
        loop_states: &mut LoopStates<'_>,
    ) -> Result<(), OrderError> {
        self.change_profile(id, loop_states, |route| {
            let timeline = route.profile.timeline_mut(direction);
            if !timeline.rules().any(|rule| rule.key == key) {
                let (route, key) = (route.name.clone(), key.to_owned());
                return Err(OrderError::NoRule { route, key, direction });
            }
            for phase in &mut timeline.phases {
                phase.rules.retain(|rule| rule.key != key);
            }
            Ok(())
        })
    }

    /// Switches the rules of all routes off or on, at one state.
    pub(crate) fn switch(&self, on: bool, loop_state: &mut LoopState) {
        if std::mem::replace(&mut loop_state.rules_on, on) == on {
            return;
        }
        if loop_state.number == 0 {
            log::info!("rules {}", if on { "on" } else { "off" });
        }
        for entry in self.routes.lock().iter() {
            for index in entry.relays_at(loop_state.number) {
                loop_state.fleet.touch(index).follow(&entry.route, on, &mut loop_state.turn);
            }
        }
    }

    /// Takes what the resolver found for a relay of a state, which may be gone. An address that
    /// leads back to the relay's route is left out.
    pub(crate) fn learn(&self, answer: Answer, loop_state: &mut LoopState) {
        let relay = answer.relay;
        let LoopState { fleet, turn, number, .. } = loop_state;
        if !fleet.has(relay) {
            return;
        }
        let learned = self.routes.lock().learn(*number, answer, turn.now);
        if let Some(addresses) = learned {
            fleet.set_addresses(relay, addresses, turn);
        }
    }

    /// Returns the sockets that the routes listen on, route by route, UDP first.
    pub(crate) fn listeners(&self) -> Vec<Listener> {
        let routes = self.routes.lock();
        routes.iter().flat_map(|entry| entry.listeners.iter().cloned()).collect()
    }

    /// Returns the routes of these states.
    pub(crate) fn states(&self, loop_states: &mut LoopStates<'_>) -> Vec<RouteState> {
        let routes = self.routes.lock();
        let state = |entry: &RouteEntry| {
            let loop_state = loop_states.at(entry.home).ok()?;
            Some(entry.state(began(entry, loop_state)))
        };
        routes.iter().filter_map(state).collect()
    }

    /// Returns the routes before anything has crossed them.
    pub(crate) fn states_at_start(&self) -> Vec<RouteState> {
        self.routes.lock().iter().map(|entry| entry.state(Began::default())).collect()
    }

    /// Returns the bytes that each route holds, by name.
    pub(crate) fn held_bytes(&self) -> BTreeMap<String, u64> {
        let routes = self.routes.lock();
        routes.iter().map(|entry| (entry.route.name.clone(), entry.memory.used())).collect()
    }

    /// Returns the memory that all routes share.
    pub(crate) const fn memory(&self) -> &Memory {
        &self.memory
    }

    pub(crate) const fn seed(&self) -> u64 {
        self.seed
    }
}

/// Returns when the time of a route's rules began, which its first loop knows.
fn began(entry: &RouteEntry, loop_state: &LoopState) -> Began {
    let of = |transport: Transport| {
        let began = loop_state.fleet.began(entry.relay(loop_state.number, transport)?);
        // It may have begun on another loop.
        let route_shared = &entry.route_shared[(transport == Transport::Tcp) as usize];
        began.or_else(|| route_shared.began().filter(|_| entry.loops > 1))
    };
    Began { udp: of(Transport::Udp), tcp: of(Transport::Tcp) }
}

/// Checks that all loops take part that have these relays.
fn are_there(relays: &[RelayPlace], loop_states: &mut LoopStates<'_>) -> Result<(), OrderError> {
    relays.iter().try_for_each(|place| loop_states.at(place.number).map(|_| ()))
}

/// Changes something about a relay, which is looked at in this turn of its loop.
fn touch<R>(
    place: &RelayPlace,
    loop_states: &mut LoopStates<'_>,
    change: impl FnOnce(&mut dyn Relay, bool, &mut Turn) -> R,
) -> Result<R, OrderError> {
    let LoopState { fleet, turn, rules_on, .. } = loop_states.at(place.number)?;
    Ok(change(fleet.touch(place.index), *rules_on, turn))
}

fn refuse_circle(
    routes: &Routes,
    route: &Route,
    upstream: &Upstream,
    listening: &ListeningSet,
    own: Option<RouteId>,
) -> Result<(), StartError> {
    let listeners = listening.listeners(&route.name);
    routes.refuse_circle(RouteNode { route, upstream, listeners: &listeners }, own)
}

/// Warns of a route that anybody may go through.
fn warn_of_openness(entry: &RouteEntry) {
    let RouteEntry { route, listeners, .. } = entry;
    let Some(Forward { protocol, user: None, .. }) = route.destination.forward() else { return };
    let is_open = |listener: &&Listener| !listener.address.ip().to_canonical().is_loopback();
    if let Some(listener) = listeners.iter().find(is_open) {
        log::warn!(
            "route {}: whoever reaches {}://{} goes through it to any public address; set a user \
             (--user), or listen on 127.0.0.1",
            route.name,
            protocol.scheme(),
            listener.address
        );
    }
}

/// Returns those of a route's listeners that datagrams could claim to come from.
fn own_addresses(listeners: &[Listener]) -> impl Iterator<Item = SocketAddr> {
    let udp = listeners.iter().filter(|listener| listener.protocol == Transport::Udp);
    udp.map(|listener| listener.address)
}
