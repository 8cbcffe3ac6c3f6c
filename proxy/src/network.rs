//! The routes of a proxy and the relays made of them, and how they are changed: each change whole
//! or not at all.
//!
//! Here routes come and go, and their rules change; [`exchange`] puts one in the place of another,
//! and [`flows`] passes on what is asked of single flows.

mod exchange;
mod flows;

use crate::alarm::Alarm;
use crate::associations::SharedAssociations;
use crate::fleet::Fleet;
use crate::kinds;
use crate::listener::{Listener, ListeningSet, Opened};
use crate::look_ups::NameFound;
use crate::orders::{Began, OrderError, Prepared, Reach, RouteId, RouteState};
use crate::past::Past;
use crate::relay::{Ending, RelayPlan};
use crate::resolve::{Answer, Upstream};
use crate::routes::{RouteEntry, RouteNode, Routes};
use crate::settings::StartError;
use crate::turn::Turn;
use crate::udp::check_addresses;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_common::transport::Transport;
use jostle_engine::memory::Memory;
use jostle_engine::profile::{Profile, Rule};
use jostle_engine::route::{Forward, Route};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

/// This share of the process's memory is a route's: one of many flows is bounded by its lanes, one
/// of many connections by each one's share.
const ROUTE_SHARE: u64 = 2;

/// What a route keeps while its relays come and go.
#[derive(Clone, Copy)]
struct Kept<'a> {
    route: &'a Route,
    memory: &'a Memory,
    associations: &'a SharedAssociations,
}

/// The routes and their relays.
pub(crate) struct Network {
    seed: u64,
    routes: Routes,
    pub(crate) fleet: Fleet,
    past: Past,
    memory: Memory,
    rules_on: bool,
}

impl Network {
    /// A network without routes. `seed` is for the routes that have none of their own; what they
    /// hold is charged to `memory`.
    pub(crate) fn new(seed: u64, memory: Memory) -> Self {
        Self {
            seed,
            routes: Routes::default(),
            fleet: Fleet::default(),
            past: Past::default(),
            memory,
            rules_on: true,
        }
    }

    /// Adds a route that a proxy starts with. Whether it leads to itself is for
    /// [`refuse_circles`](Self::refuse_circles) to say, once for all of them.
    pub(crate) fn start(&mut self, prepared: Prepared, turn: &mut Turn) -> Result<(), StartError> {
        let Prepared { route, reach } = prepared;
        let (upstream, listening) = match reach {
            None => (None, ListeningSet::default()),
            Some(Reach { wanted, upstream }) => {
                (Some(upstream), wanted.open(&route, &[], turn.options.portable)?)
            }
        };
        turn.descriptors.charge(listening.opened.len());
        self.enter(route, upstream, listening, turn)?;
        Ok(())
    }

    /// Refuses routes that lead to themselves.
    pub(crate) fn refuse_circles(&self) -> Result<(), StartError> {
        self.routes.refuse_circles()
    }

    /// Adds a route.
    pub(crate) fn add(
        &mut self,
        prepared: Prepared,
        turn: &mut Turn,
    ) -> Result<RouteId, OrderError> {
        let Prepared { route, reach } = prepared;
        self.routes.refuse_taken(&route.name, None)?;
        let Some(Reach { wanted, upstream }) = reach else {
            return Ok(self.enter(route, None, ListeningSet::default(), turn)?);
        };
        let listening = wanted.open(&route, &[], turn.options.portable)?;
        self.refuse_circle(&route, &upstream, &listening, None)?;
        let sockets = listening.opened.len();
        if !turn.descriptors.take(sockets) {
            return Err(OrderError::NoDescriptors);
        }
        Ok(self
            .enter(route, Some(upstream), listening, turn)
            .inspect_err(|_| turn.descriptors.give(sockets))?)
    }

    fn refuse_circle(
        &self,
        route: &Route,
        upstream: &Upstream,
        listening: &ListeningSet,
        own: Option<RouteId>,
    ) -> Result<(), StartError> {
        let listeners = listening.listeners(&route.name);
        self.routes.refuse_circle(RouteNode { route, upstream, listeners: &listeners }, own)
    }

    /// Makes the relays of a route whose sockets are open.
    fn enter(
        &mut self,
        route: Route,
        upstream: Option<Upstream>,
        mut listening: ListeningSet,
        turn: &mut Turn,
    ) -> Result<RouteId, StartError> {
        let listeners = listening.listeners(&route.name);
        let memory = self.memory.part(self.memory.limit() / ROUTE_SHARE);
        let associations = SharedAssociations::default();
        let kept = Kept { route: &route, memory: &memory, associations: &associations };
        let mut relays = Vec::new();
        for transport in Transport::ALL {
            let opened = listening.take(transport);
            let Some(upstream) = upstream.as_ref().filter(|_| !opened.is_empty()) else {
                continue;
            };
            let made = self.make(transport, kept, upstream.clone(), opened, turn);
            match made {
                Ok(index) => relays.push((transport, index)),
                Err(cause) => {
                    for (_, index) in relays {
                        self.fleet.remove(index, Ending::Reset, turn);
                    }
                    return Err(cause.into());
                }
            }
        }
        own_addresses(&listeners).for_each(|address| turn.own.add(address));
        warn_of_openness(&route, &listeners);
        let circles = Alarm::default();
        Ok(self.routes.add(|id| RouteEntry {
            id,
            route,
            upstream,
            listeners,
            relays,
            associations,
            memory,
            circles,
        }))
    }

    fn make(
        &mut self,
        transport: Transport,
        kept: Kept<'_>,
        upstream: Upstream,
        opened: Vec<Opened>,
        turn: &mut Turn,
    ) -> io::Result<usize> {
        let Kept { route, memory, associations } = kept;
        let seed = route.seed.unwrap_or(self.seed);
        let (id, rules_on) = (self.fleet.next_id(), self.rules_on);
        let plan = RelayPlan { id, route, seed, upstream, associations, memory, rules_on };
        let relay = kinds::relay(transport, plan, opened, turn)?;
        turn.descriptors.add_relay(transport);
        Ok(self.fleet.add(relay))
    }

    /// Removes a route, whose relays drain until `until`.
    pub(crate) fn remove(
        &mut self,
        id: RouteId,
        until: Instant,
        turn: &mut Turn,
    ) -> Result<(), OrderError> {
        let entry = self.routes.remove(id)?;
        turn.descriptors.give(entry.listeners.len());
        own_addresses(&entry.listeners).for_each(|address| turn.own.remove(address));
        for (_, index) in entry.relays {
            self.fleet.leave(index, until, turn);
        }
        Ok(())
    }

    /// Removes a route and closes its connections.
    pub(crate) fn close(&mut self, id: RouteId, turn: &mut Turn) -> Result<(), OrderError> {
        let entry = self.routes.remove(id)?;
        turn.descriptors.give(entry.listeners.len());
        own_addresses(&entry.listeners).for_each(|address| turn.own.remove(address));
        for (_, index) in entry.relays {
            self.past.add(self.fleet.remove(index, Ending::Close, turn));
        }
        Ok(())
    }

    /// Returns a route.
    pub(crate) fn state(&self, id: RouteId) -> Result<RouteState, OrderError> {
        self.routes.get(id).map(|entry| entry.state(self.began_of(entry)))
    }

    /// Returns when the time of a route's rules began.
    pub(crate) fn began(&self, id: RouteId) -> Result<Began, OrderError> {
        self.routes.get(id).map(|entry| self.began_of(entry))
    }

    /// Returns the same of all routes.
    pub(crate) fn all_began(&self) -> Vec<(RouteId, Began)> {
        self.routes.iter().map(|entry| (entry.id, self.began_of(entry))).collect()
    }

    fn began_of(&self, entry: &RouteEntry) -> Began {
        let of = |transport| self.fleet.began(entry.relay(transport)?);
        Began { udp: of(Transport::Udp), tcp: of(Transport::Tcp) }
    }

    /// Replaces the profile of a route.
    pub(crate) fn set_profile(
        &mut self,
        id: RouteId,
        profile: Profile,
        turn: &mut Turn,
    ) -> Result<(), OrderError> {
        let entry = self.routes.get_mut(id)?;
        let route = Route { profile, ..entry.route.clone() };
        route.check_rules().map_err(OrderError::Rules)?;
        check_addresses(&route).map_err(OrderError::Rules)?;
        entry.route = route;
        for &(_, index) in &entry.relays {
            self.fleet.touch(index).follow(&entry.route, self.rules_on, turn);
        }
        Ok(())
    }

    /// Sets one rule of a route.
    pub(crate) fn set_rule(
        &mut self,
        id: RouteId,
        direction: Direction,
        rule: &Rule,
        turn: &mut Turn,
    ) -> Result<(), OrderError> {
        let mut profile = self.routes.get(id)?.route.profile.clone();
        let timeline = profile.timeline_mut(direction);
        let has = timeline.rules().any(|one| one.key == rule.key);
        for phase in &mut timeline.phases {
            match phase.rules.iter_mut().find(|one| one.key == rule.key) {
                Some(one) => *one = rule.clone(),
                None if has => {}
                None => phase.rules.push(rule.clone()),
            }
        }
        self.set_profile(id, profile, turn)
    }

    /// Removes one rule of a route.
    pub(crate) fn remove_rule(
        &mut self,
        id: RouteId,
        direction: Direction,
        key: &str,
        turn: &mut Turn,
    ) -> Result<(), OrderError> {
        let entry = self.routes.get(id)?;
        let mut profile = entry.route.profile.clone();
        let timeline = profile.timeline_mut(direction);
        if !timeline.rules().any(|rule| rule.key == key) {
            let (route, key) = (entry.route.name.clone(), key.to_owned());
            return Err(OrderError::NoRule { route, key, direction });
        }
        for phase in &mut timeline.phases {
            phase.rules.retain(|rule| rule.key != key);
        }
        self.set_profile(id, profile, turn)
    }

    /// Switches the rules of all routes off or on.
    pub(crate) fn switch(&mut self, on: bool, turn: &mut Turn) {
        if std::mem::replace(&mut self.rules_on, on) == on {
            return;
        }
        log::info!("rules {}", if on { "on" } else { "off" });
        for entry in self.routes.iter() {
            for &(_, index) in &entry.relays {
                self.fleet.touch(index).follow(&entry.route, on, turn);
            }
        }
    }

    /// Takes what the resolver found for a relay, which may be gone. An address that leads back to
    /// the relay's route is left out.
    pub(crate) fn learn(&mut self, answer: Answer, turn: &mut Turn) {
        let relay = answer.relay;
        if !self.fleet.has(relay) {
            return;
        }
        if let Some(addresses) = self.routes.learn(answer, turn.now) {
            self.fleet.set_addresses(relay, addresses, turn);
        }
    }

    /// Tells the relays that asked for a name what was found; some may be gone.
    pub(crate) fn pass_on(&mut self, found: &NameFound, turn: &mut Turn) {
        for &relay in &found.relays {
            self.fleet.take_name(relay, found, turn);
        }
    }

    /// Does what is due.
    pub(crate) fn work(&mut self, turn: &mut Turn) {
        let Self { fleet, past, .. } = self;
        fleet.work(turn, |report| past.add(report));
        if turn.descriptors.tcp_waits() {
            fleet.make_room(turn);
        }
    }

    /// Returns the sockets that the routes listen on, route by route, UDP first.
    pub(crate) fn listeners(&self) -> Vec<Listener> {
        self.routes.iter().flat_map(|entry| entry.listeners.iter().cloned()).collect()
    }

    /// Returns the routes.
    pub(crate) fn states(&self) -> Vec<RouteState> {
        self.routes.iter().map(|entry| entry.state(self.began_of(entry))).collect()
    }

    /// Returns what relays did that are gone.
    pub(crate) const fn past(&self) -> &Past {
        &self.past
    }

    /// Returns the bytes that each route holds, by name.
    pub(crate) fn held_bytes(&self) -> BTreeMap<String, u64> {
        self.routes.iter().map(|entry| (entry.route.name.clone(), entry.memory.used())).collect()
    }

    /// Returns the memory that all routes share.
    pub(crate) const fn memory(&self) -> &Memory {
        &self.memory
    }

    pub(crate) const fn seed(&self) -> u64 {
        self.seed
    }
}

/// Warns of a route that anybody may go through.
fn warn_of_openness(route: &Route, listeners: &[Listener]) {
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
