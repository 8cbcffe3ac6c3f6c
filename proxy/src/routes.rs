//! The table of routes, and the walk that finds those which lead to themselves.

use crate::listener::Listener;
use crate::orders::{OrderError, RouteId, RouteState};
use crate::resolve::Upstream;
use crate::settings::StartError;
use jostle_common::transport::Transport;
use jostle_engine::memory::Memory;
use jostle_engine::route::Route;
use slab::Slab;
use std::net::SocketAddr;

/// The routes of a proxy.
#[derive(Default)]
pub(crate) struct Routes {
    entries: Slab<RouteEntry>,
    last_serial: u64,
}

/// A route and what was made of it.
pub(crate) struct RouteEntry {
    pub(crate) id: RouteId,
    pub(crate) route: Route,
    /// The addresses of its upstream when it was added; none when it is disabled.
    pub(crate) upstream: Option<Upstream>,
    pub(crate) listeners: Vec<Listener>,
    /// Its relays, by their place in the fleet.
    pub(crate) relays: Vec<(Transport, usize)>,
    /// The memory that its relays' bytes are charged to.
    pub(crate) memory: Memory,
}

impl RouteEntry {
    /// Returns the place of the relay of a transport.
    pub(crate) fn relay(&self, transport: Transport) -> Option<usize> {
        self.relays.iter().find(|(of, _)| *of == transport).map(|(_, index)| *index)
    }

    /// Returns the addresses of its listening sockets.
    pub(crate) fn addresses(&self) -> Vec<(Transport, SocketAddr)> {
        self.listeners.iter().map(|listener| (listener.protocol, listener.address)).collect()
    }

    pub(crate) fn state(&self) -> RouteState {
        let Self { id, route, listeners, .. } = self;
        RouteState { id: *id, route: route.clone(), listeners: listeners.clone() }
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
    /// Adds an entry, made with its identity.
    pub(crate) fn add(&mut self, make: impl FnOnce(RouteId) -> RouteEntry) -> RouteId {
        self.last_serial += 1;
        let id = RouteId { index: self.entries.vacant_key(), serial: self.last_serial };
        self.entries.insert(make(id));
        id
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

    fn nodes(&self, except: Option<RouteId>) -> impl Iterator<Item = RouteNode<'_>> {
        self.iter().filter(move |entry| Some(entry.id) != except).filter_map(|entry| {
            let RouteEntry { route, upstream, listeners, .. } = entry;
            upstream.as_ref().map(|upstream| RouteNode { route, upstream, listeners })
        })
    }
}

/// Refuses a circle through one of `starts`: one packet would go round for ever, and open a flow
/// each time.
fn refuse_circle(
    nodes: &[RouteNode<'_>],
    starts: std::ops::Range<usize>,
) -> Result<(), StartError> {
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
                    let Route { name, upstream, .. } = nodes[start].route;
                    let (route, upstream) = (name.clone(), upstream.clone());
                    return Err(StartError::Circle { route, upstream });
                }
                at = to;
            }
        }
    }
    Ok(())
}
