//! The table of routes, and the walk that finds those which lead to themselves.

use crate::alarm::Alarm;
use crate::associations::SharedAssociations;
use crate::listener::Listener;
use crate::orders::{Began, OrderError, RouteId, RouteState};
use crate::resolve::{Answer, Upstream};
use crate::route_shared::RouteShared;
use crate::settings::StartError;
use jostle_common::time::Instant;
use jostle_common::transport::Transport;
use jostle_engine::memory::Memory;
use jostle_engine::route::Route;
use slab::Slab;
use std::net::SocketAddr;
use std::ops::Range;

/// The routes of a proxy, which all its loops look at.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    entries: Slab<RouteEntry>,
    last_serial: u64,
}

/// A route and what was made of it.
#[derive(Debug)]
pub(crate) struct RouteEntry {
    pub(crate) id: RouteId,
    pub(crate) route: Route,
    /// The addresses of its upstream as they were last learned; none when it is disabled.
    pub(crate) upstream: Option<Upstream>,
    pub(crate) listeners: Vec<Listener>,
    /// Who may send datagrams to its relay, if clients ask for associations.
    pub(crate) associations: SharedAssociations,
    /// The loop that has it; of several the first.
    pub(crate) home: usize,
    /// How many loops have it, from that one on.
    pub(crate) loops: usize,
    /// Its relays.
    pub(crate) relays: Vec<RelayPlace>,
    /// What its relays have in common, by transport.
    pub(crate) route_shared: [RouteShared; 2],
    /// The memory that its relays' bytes are charged to.
    pub(crate) memory: Memory,
    /// Tells of addresses of its upstream that lead back to it.
    pub(crate) circles: Alarm,
}

/// The place of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RelayPlace {
    /// The number of the loop that has it.
    pub(crate) number: usize,
    pub(crate) transport: Transport,
    /// Its place in the fleet there.
    pub(crate) index: usize,
}

impl RouteEntry {
    /// Makes the entry of a route that these loops are to have, without relays.
    pub(crate) fn new(
        id: RouteId,
        route: Route,
        upstream: Option<Upstream>,
        listeners: Vec<Listener>,
        loops: Range<usize>,
        memory: Memory,
    ) -> Self {
        Self {
            id,
            route,
            upstream,
            listeners,
            associations: SharedAssociations::default(),
            home: loops.start,
            loops: loops.len(),
            relays: Vec::new(),
            route_shared: Default::default(),
            memory,
            circles: Alarm::default(),
        }
    }

    /// Returns the place of the relay of a transport in the fleet of a loop.
    pub(crate) fn relay(&self, number: usize, transport: Transport) -> Option<usize> {
        let is_it = |one: &&RelayPlace| one.number == number && one.transport == transport;
        self.relays.iter().find(is_it).map(|one| one.index)
    }

    /// Returns the places of its relays in the fleet of a loop.
    pub(crate) fn relays_at(&self, number: usize) -> impl Iterator<Item = usize> {
        self.relays.iter().filter(move |one| one.number == number).map(|one| one.index)
    }

    /// Returns the number of its listening sockets.
    pub(crate) const fn sockets(&self) -> usize {
        self.listeners.len() * self.loops
    }

    /// Returns the loops that have it.
    pub(crate) const fn loop_states(&self) -> Range<usize> {
        self.home..self.home + self.loops
    }

    /// Returns the addresses of its listening sockets.
    pub(crate) fn addresses(&self) -> Vec<(Transport, SocketAddr)> {
        self.listeners.iter().map(|listener| (listener.protocol, listener.address)).collect()
    }

    pub(crate) fn state(&self, began: Began) -> RouteState {
        let Self { id, route, listeners, .. } = self;
        RouteState { id: *id, route: route.clone(), listeners: listeners.clone(), began }
    }
}

/// The part of a route that a search for circles looks at.
#[derive(Clone, Copy)]
pub(crate) struct RouteNode<'a> {
    pub(crate) route: &'a Route,
    pub(crate) upstream: &'a Upstream,
    pub(crate) listeners: &'a [Listener],
}

impl Routes {
    /// Returns the identity of the route that is [added](Self::add) next.
    pub(crate) fn next_id(&self) -> RouteId {
        RouteId { index: self.entries.vacant_key(), serial: self.last_serial + 1 }
    }

    /// Adds the entry that was made with the [next identity](Self::next_id).
    pub(crate) fn add(&mut self, entry: RouteEntry) -> RouteId {
        let id = entry.id;
        debug_assert_eq!(id, self.next_id(), "it was made with the next identity");
        self.last_serial = id.serial;
        self.entries.insert(entry);
        id
    }

    /// Returns which of so many loops has the fewest routes that listen; of several the first.
    pub(crate) fn least_loaded(&self, loops: usize) -> usize {
        let mut counts = vec![0; loops];
        for entry in self.iter().filter(|entry| !entry.relays.is_empty()) {
            counts[entry.loop_states()].iter_mut().for_each(|count| *count += 1);
        }
        let least = counts.iter().enumerate().min_by_key(|(_, count)| **count);
        least.map_or(0, |(place, _)| place)
    }

    pub(crate) fn get(&self, id: RouteId) -> Result<&RouteEntry, OrderError> {
        let entry = self.entries.get(id.index).filter(|entry| entry.id == id);
        entry.ok_or(OrderError::NoRoute(id))
    }

    pub(crate) fn get_mut(&mut self, id: RouteId) -> Result<&mut RouteEntry, OrderError> {
        let entry = self.entries.get_mut(id.index).filter(|entry| entry.id == id);
        entry.ok_or(OrderError::NoRoute(id))
    }

    pub(crate) fn remove(&mut self, id: RouteId) -> Result<RouteEntry, OrderError> {
        self.get(id)?;
        Ok(self.entries.remove(id.index))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &RouteEntry> {
        self.entries.iter().map(|(_, entry)| entry)
    }

    /// Refuses a name that another route has.
    pub(crate) fn refuse_taken(&self, name: &str, own: Option<RouteId>) -> Result<(), OrderError> {
        let taken = self.iter().any(|entry| entry.route.name == name && Some(entry.id) != own);
        if taken { Err(OrderError::NameTaken(name.to_owned())) } else { Ok(()) }
    }

    /// Refuses routes that lead, perhaps through others, to themselves.
    pub(crate) fn refuse_circles(&self) -> Result<(), StartError> {
        let nodes: Vec<RouteNode<'_>> = self.nodes(None).collect();
        refuse_circle(&nodes, 0..nodes.len())
    }

    /// Refuses a new route that would lead to itself, in place of the route `own` if there is one.
    pub(crate) fn refuse_circle(
        &self,
        new: RouteNode<'_>,
        own: Option<RouteId>,
    ) -> Result<(), StartError> {
        let nodes: Vec<RouteNode<'_>> = self.nodes(own).chain([new]).collect();
        refuse_circle(&nodes, nodes.len() - 1..nodes.len())
    }

    /// Takes new addresses for the upstream of the route that one of its relays, of that loop,
    /// asked for. Returns those that do not lead back to it, or `None` if the route leads elsewhere
    /// by now.
    pub(crate) fn learn(
        &mut self,
        loop_state: usize,
        answer: Answer,
        now: Instant,
    ) -> Option<Vec<SocketAddr>> {
        let Answer { relay, target, addresses } = answer;
        let is_its =
            |entry: &&RouteEntry| entry.relays_at(loop_state).any(|index| index == relay.index);
        let Some(entry) = self.iter().find(is_its) else { return Some(addresses) };
        let (id, Some(known)) = (entry.id, &entry.upstream) else { return Some(addresses) };
        if !known.is_for(&target) {
            // It leads elsewhere since it asked.
            return None;
        }
        let leads_on = |address: &SocketAddr| {
            let RouteEntry { route, listeners, .. } = entry;
            let node = RouteNode { route, upstream: &known.at(*address), listeners };
            self.refuse_circle(node, Some(id)).is_ok()
        };
        let (kept, circles): (Vec<_>, Vec<_>) = addresses.into_iter().partition(leads_on);
        let Ok(entry) = self.get_mut(id) else { return Some(kept) };
        if let Some(upstream) = &mut entry.upstream {
            upstream.set_addresses(kept.clone());
        }
        match circles.first() {
            None => entry.circles.clear(),
            Some(circle) if entry.circles.raise(now) => log::warn!(
                "route {}: {} is {circle} now, which leads back to this route; it is not used",
                entry.route.name,
                entry.route.destination
            ),
            Some(_) => {}
        }
        Some(kept)
    }

    fn nodes(&self, except: Option<RouteId>) -> impl Iterator<Item = RouteNode<'_>> {
        self.iter().filter(move |entry| Some(entry.id) != except).filter_map(|entry| {
            let RouteEntry { route, upstream, listeners, .. } = entry;
            upstream.as_ref().map(|upstream| RouteNode { route, upstream, listeners })
        })
    }
}

/// Refuses a circle through one of `starts`: one packet would go round for ever, and open a flow
/// each time.
fn refuse_circle(nodes: &[RouteNode<'_>], starts: Range<usize>) -> Result<(), StartError> {
    for transport in Transport::ALL {
        let listens =
            |node: &RouteNode<'_>| node.listeners.iter().any(|one| one.protocol == transport);
        // Where each one's packets go next is looked for once.
        let mut next: Vec<Option<Option<usize>>> = vec![None; nodes.len()];
        let mut follow = |from: usize| {
            *next[from].get_or_insert_with(|| {
                let upstream = nodes[from].upstream;
                nodes.iter().position(|node| {
                    let mut sockets = node.listeners.iter().filter(|one| one.protocol == transport);
                    sockets.any(|one| upstream.leads_to(one.address))
                })
            })
        };
        for start in starts.clone().filter(|&start| listens(&nodes[start])) {
            let mut at = start;
            for _ in 0..nodes.len() {
                let Some(to) = follow(at) else { break };
                if to == start {
                    let Route { name, destination, .. } = nodes[start].route;
                    let (route, upstream) = (name.clone(), destination.to_string());
                    return Err(StartError::Circle { route, upstream });
                }
                at = to;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::RelayId;
    use jostle_engine::route::{Configuration, HostPort};

    /// A route that listens at an address, with one relay, and whose upstream has an address.
    fn entry(id: RouteId, name: &str, listen: &str, upstream: &str, relay: usize) -> RouteEntry {
        let text = format!(
            r#"{{ "proxies": [ {{ "name": "{name}", "listen": "udp://{listen}",
                "upstream": "name.invalid:1" }} ] }}"#
        );
        let no_files = |name: &str| Err(format!("{name}: tests read no files"));
        let route = Configuration::from_json(&text, &no_files).unwrap().routes.remove(0);
        let mut known = Upstream::without_address(route.destination.upstream().unwrap());
        known.set_addresses(vec![upstream.parse().unwrap()]);
        RouteEntry {
            id,
            upstream: Some(known),
            listeners: vec![Listener {
                route: name.into(),
                protocol: Transport::Udp,
                address: listen.parse().unwrap(),
            }],
            home: 0,
            loops: 1,
            relays: vec![RelayPlace { number: 0, transport: Transport::Udp, index: relay }],
            route_shared: Default::default(),
            associations: SharedAssociations::default(),
            memory: Memory::default(),
            circles: Alarm::default(),
            route,
        }
    }

    #[test]
    fn a_name_that_comes_to_lead_back_is_not_followed() {
        let mut routes = Routes::default();
        let id = routes.next_id();
        routes.add(entry(id, "a", "0.0.0.0:7001", "198.51.100.1:53", 4));
        let id = routes.next_id();
        routes.add(entry(id, "b", "127.0.0.1:7002", "127.0.0.1:7001", 5));
        let now = Instant::from_secs(1);
        let mut ask = |relay, host: &str, addresses: &[&str]| -> Option<Vec<String>> {
            let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
            let target = HostPort { host: host.into(), port: 1 };
            let relay = RelayId { index: relay, serial: 1 };
            let kept = routes.learn(0, Answer { relay, target, addresses }, now)?;
            Some(kept.iter().map(SocketAddr::to_string).collect())
        };
        let late = ask(4, "before.invalid", &["198.51.100.9:1"]);
        assert_eq!(late, None, "an answer about where it led before");
        let mut learn = |relay, addresses: &[&str]| ask(relay, "name.invalid", addresses).unwrap();
        assert!(learn(4, &["127.0.0.1:7001"]).is_empty(), "to itself");
        assert!(learn(4, &["127.9.9.9:7001"]).is_empty(), "its wildcard hears all that is ours");
        assert!(learn(4, &["127.0.0.1:7002"]).is_empty(), "by way of the other");
        let good = ["198.51.100.2:7001", "127.0.0.1:7003"];
        assert_eq!(learn(4, &["127.0.0.1:7002", good[0], good[1]]), good);
        // The other one may lead to this one as long as that leads on.
        assert_eq!(learn(5, &["127.0.0.5:7001"]), ["127.0.0.5:7001"]);
        assert_eq!(learn(9, &["127.0.0.1:7001"]), ["127.0.0.1:7001"], "no relay of a route");
    }

    #[test]
    fn a_route_comes_to_the_first_loop_that_has_the_fewest() {
        let mut routes = Routes::default();
        let mut homes = Vec::new();
        for name in ["a", "b", "c", "d"] {
            let (id, home) = (routes.next_id(), routes.least_loaded(3));
            let made = entry(id, name, "127.0.0.1:7001", "198.51.100.1:53", 0);
            routes.add(RouteEntry { home, ..made });
            homes.push((home, id));
        }
        assert_eq!(homes.iter().map(|(home, _)| *home).collect::<Vec<_>>(), [0, 1, 2, 0]);
        routes.remove(homes[1].1).unwrap();
        assert_eq!(routes.least_loaded(3), 1);
        // One that does not listen is no load.
        routes.get_mut(homes[2].1).unwrap().relays.clear();
        routes.get_mut(homes[3].1).unwrap().relays.clear();
        assert_eq!((routes.least_loaded(3), routes.least_loaded(1)), (1, 0));
    }
}
