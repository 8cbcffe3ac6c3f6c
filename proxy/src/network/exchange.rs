//! The exchange of one route for another: what is the same goes on, what is not drains, and what
//! fails is undone.

use super::{Network, are_there, own_addresses, refuse_circle, touch, warn_of_openness};
use crate::listener::{ListeningSet, Opened, beside};
use crate::loop_state::{LoopState, LoopStates};
use crate::orders::{OrderError, Prepared, Reach, RouteId};
use crate::relay::Ending;
use crate::resolve::Upstream;
use crate::routes::{RelayPlace, RouteEntry, Routes};
use crate::settings::StartError;
use crate::turn::Turn;
use crate::udp::check_addresses;
use jostle_common::transport::Transport;
use jostle_engine::route::Route;
use std::ops::Range;
use std::time::Duration;

/// A route that is to take the place of another.
struct Successor {
    route: Route,
    upstream: Option<Upstream>,
    listening: ListeningSet,
    /// Second handles of the sockets that are kept, where the relays that have them do not go on.
    shared: Vec<(Transport, Opened)>,
    /// The loops that are to have it.
    loops: Range<usize>,
    /// Set if the relays and the flows of the old one go on.
    goes_on: bool,
}

impl Successor {
    /// Returns its entry, as yet without relays.
    fn entry(&self, old: &RouteEntry) -> RouteEntry {
        let listeners = self.listening.listeners(&self.route.name);
        let (route, upstream) = (self.route.clone(), self.upstream.clone());
        let (loops, memory) = (self.loops.clone(), old.memory.clone());
        let entry = RouteEntry::new(old.id, route, upstream, listeners, loops, memory);
        match self.goes_on {
            true => RouteEntry {
                associations: old.associations.clone(),
                route_shared: old.route_shared.clone(),
                ..entry
            },
            // With new relays there are new ones, and the old ones end with their connections.
            false => entry,
        }
    }
}

impl Network {
    /// Replaces a route; relays that are given up drain for `drain` at most.
    pub(crate) fn replace(
        &self,
        id: RouteId,
        prepared: Prepared,
        drain: Duration,
        loop_states: &mut LoopStates<'_>,
    ) -> Result<(), OrderError> {
        let Prepared { route, reach } = prepared;
        let mut routes = self.routes.lock();
        routes.refuse_taken(&route.name, Some(id))?;
        check_addresses(&route).map_err(OrderError::Rules)?;
        let (old, loops) = (routes.get(id)?, self.loops_of(&route));
        are_there(&old.relays, loop_states)?;
        let home = if loops == 1 { old.home } else { 0 };
        let (upstream, listening) = match reach {
            None => (None, ListeningSet::default()),
            Some(Reach { wanted, upstream }) => {
                let upstream = upstream.knowing(old.upstream.as_ref());
                let portable = loop_states.leader().turn.options.portable;
                let listening = wanted.open(&route, &old.addresses(), portable, loops)?;
                let upstream = upstream.or_as_known(old.upstream.as_ref());
                refuse_circle(&routes, &route, &upstream, &listening, Some(id))?;
                (Some(upstream), listening)
            }
        };
        let besides = listening.kept.len() * loops.saturating_sub(old.loops);
        let sockets = listening.opened.len() + besides;
        if !loop_states.leader().turn.descriptors.take(sockets) {
            return Err(OrderError::NoDescriptors);
        }
        let loops = home..home + loops;
        let goes_on = old.loop_states() == loops && is_same_stream(&old.route, &route);
        let new = Successor { route, upstream, listening, shared: Vec::new(), loops, goes_on };
        self.exchange(&mut routes, id, new, sockets, drain, loop_states)
            .inspect_err(|_| loop_states.leader().turn.descriptors.give(sockets))
    }

    /// Puts a route in the place of another; `sockets` were opened for it. What may fail comes
    /// first, and is undone if it does.
    fn exchange(
        &self,
        routes: &mut Routes,
        id: RouteId,
        mut new: Successor,
        sockets: usize,
        drain: Duration,
        loop_states: &mut LoopStates<'_>,
    ) -> Result<(), OrderError> {
        let old = routes.get(id)?;
        let mut entry = new.entry(old);
        let given_up = old.sockets() + sockets - entry.sockets();
        if !new.goes_on {
            new.shared = share_kept(old, &new, loop_states)?;
        }
        for nth in 0..entry.loops {
            for transport in Transport::ALL {
                match self.relay_in_place(old, &mut new, nth, transport, &entry, loop_states) {
                    Ok(place) => entry.relays.extend(place),
                    Err(error) => {
                        undo(old, &entry.relays, loop_states)?;
                        return Err(error);
                    }
                }
            }
        }
        // From here on nothing fails.
        let Turn { descriptors, own, .. } = &mut loop_states.leader().turn;
        descriptors.give(given_up);
        own_addresses(&old.listeners).for_each(|address| own.remove(address));
        own_addresses(&entry.listeners).for_each(|address| own.add(address));
        for place in &old.relays {
            if !entry.relays.contains(place) {
                let LoopState { fleet, turn, .. } = loop_states.at(place.number)?;
                fleet.leave(place.index, turn.now + drain, turn);
                continue;
            }
            let of_it = entry.listeners.iter().filter(|one| one.protocol == place.transport);
            let addresses: Vec<_> = of_it.map(|listener| listener.address).collect();
            touch(place, loop_states, |relay, rules_on, turn| {
                relay.listen_only(&addresses, turn);
                if let Some(upstream) = &entry.upstream {
                    relay.set_upstream(upstream.clone());
                }
                relay.follow(&entry.route, rules_on, turn);
            })?;
        }
        loop_states.take_in();
        warn_of_openness(&entry);
        *routes.get_mut(id)? = entry;
        Ok(())
    }

    /// Returns the relay of a transport that is the `nth` part of a route which replaces another:
    /// the same one, which listens on more sockets from now on, or a new one; none if it does not
    /// listen.
    fn relay_in_place(
        &self,
        old: &RouteEntry,
        new: &mut Successor,
        nth: usize,
        transport: Transport,
        entry: &RouteEntry,
        loop_states: &mut LoopStates<'_>,
    ) -> Result<Option<RelayPlace>, OrderError> {
        let kept = new.listening.kept(transport);
        let mut opened = new.listening.take(transport, nth);
        let upstream = entry.upstream.clone().filter(|_| kept.len() + opened.len() > 0);
        let (Some(upstream), number) = (upstream, entry.home + nth) else { return Ok(None) };
        let present = old.relay(number, transport);
        if let Some(index) = present.filter(|_| new.goes_on) {
            let LoopState { fleet, turn, .. } = loop_states.at(number)?;
            fleet.touch(index).listen(opened, turn).map_err(StartError::from)?;
            return Ok(Some(RelayPlace { number, transport, index }));
        }
        // Those that stay are shared until the old relays have drained.
        let is_its = |(of, one): &mut (Transport, Opened)| *of == transport && one.nth == nth;
        opened.extend(new.shared.extract_if(.., is_its).map(|(_, one)| one));
        let made = self.make(transport, nth, entry, upstream, opened, loop_states.at(number)?);
        let index = made.map_err(StartError::from)?;
        Ok(Some(RelayPlace { number, transport, index }))
    }
}

/// Returns second handles of the sockets at the addresses that are kept, dealt out to the parts of
/// a route that takes the place of another: all of them are read then, however many loops had the
/// old one. Where there are too few another one is opened beside them.
fn share_kept(
    old: &RouteEntry,
    new: &Successor,
    loop_states: &mut LoopStates<'_>,
) -> Result<Vec<(Transport, Opened)>, OrderError> {
    let portable = loop_states.leader().turn.options.portable;
    let mut all = Vec::new();
    for transport in Transport::ALL {
        for address in new.listening.kept(transport) {
            let mut shared = Vec::new();
            for place in old.relays.iter().filter(|place| place.transport == transport) {
                let more = touch(place, loop_states, |relay, _, _| relay.share(&[address]))?;
                shared.extend(more.map_err(StartError::from)?);
            }
            while shared.len() < new.loops.len()
                && let Some(one) = shared.first()
            {
                let one = beside(one, transport, portable).map_err(StartError::from)?;
                shared.push(one);
            }
            let dealt = shared.into_iter().enumerate();
            all.extend(
                dealt.map(|(place, one)| {
                    (transport, Opened { nth: place % new.loops.len(), ..one })
                }),
            );
        }
    }
    Ok(all)
}

/// Undoes what was done for `relays` of a route that was to replace another.
fn undo(
    old: &RouteEntry,
    relays: &[RelayPlace],
    loop_states: &mut LoopStates<'_>,
) -> Result<(), OrderError> {
    let addresses: Vec<_> = old.addresses().into_iter().map(|(_, address)| address).collect();
    for place in relays {
        if old.relays.contains(place) {
            touch(place, loop_states, |relay, _, turn| relay.listen_only(&addresses, turn))?;
        } else {
            let LoopState { fleet, turn, .. } = loop_states.at(place.number)?;
            fleet.remove(place.index, Ending::Reset, turn);
        }
    }
    Ok(())
}

/// Returns true if the draws and the carrier of the one are those of the other.
fn is_same_stream(old: &Route, new: &Route) -> bool {
    // A relay speaks one protocol with its clients.
    let key = |route: &Route| {
        let scheme = route.destination.forward().map(|forward| forward.protocol);
        (route.name.clone(), route.paired.clone(), route.seed, route.tcp, scheme)
    };
    key(old) == key(new)
}
