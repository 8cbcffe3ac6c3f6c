//! The exchange of one route for another: what is the same goes on, what is not drains, and what
//! fails is undone.

use super::{Kept, Network, own_addresses, warn_of_openness};
use crate::alarm::Alarm;
use crate::associations::SharedAssociations;
use crate::listener::ListeningSet;
use crate::orders::{OrderError, Prepared, Reach, RouteId};
use crate::relay::Ending;
use crate::resolve::Upstream;
use crate::routes::RouteEntry;
use crate::settings::StartError;
use crate::turn::Turn;
use crate::udp::check_addresses;
use jostle_common::time::Instant;
use jostle_common::transport::Transport;
use jostle_engine::route::Route;
use std::io;

impl Network {
    /// Replaces a route; relays that are given up drain until `until`.
    pub(crate) fn replace(
        &mut self,
        id: RouteId,
        prepared: Prepared,
        until: Instant,
        turn: &mut Turn,
    ) -> Result<(), OrderError> {
        let Prepared { route, reach } = prepared;
        self.routes.refuse_taken(&route.name, Some(id))?;
        check_addresses(&route).map_err(OrderError::Rules)?;
        let old = self.routes.get(id)?;
        let (upstream, listening) = match reach {
            None => (None, ListeningSet::default()),
            Some(Reach { wanted, upstream }) => {
                let upstream = upstream.knowing(old.upstream.as_ref());
                let listening = wanted.open(&route, &old.addresses(), turn.options.portable)?;
                let upstream = upstream.or_as_known(old.upstream.as_ref());
                self.refuse_circle(&route, &upstream, &listening, Some(id))?;
                (Some(upstream), listening)
            }
        };
        let sockets = listening.opened.len();
        if !turn.descriptors.take(sockets) {
            return Err(OrderError::NoDescriptors);
        }
        self.exchange(id, route, upstream, listening, until, turn)
            .inspect_err(|_| turn.descriptors.give(sockets))
    }

    /// Puts a route in the place of another. What may fail comes first, and is undone if it does.
    fn exchange(
        &mut self,
        id: RouteId,
        route: Route,
        upstream: Option<Upstream>,
        mut listening: ListeningSet,
        until: Instant,
        turn: &mut Turn,
    ) -> Result<(), OrderError> {
        let listeners = listening.listeners(&route.name);
        let old = self.routes.get(id)?;
        let (memory, before) = (old.memory.clone(), old.relays.clone());
        // With new relays there are new ones, and the old ones end with their connections.
        let associations = match is_same_stream(&old.route, &route) {
            true => old.associations.clone(),
            false => SharedAssociations::default(),
        };
        let kept = Kept { route: &route, memory: &memory, associations: &associations };
        let given_up = old.listeners.len() + listening.opened.len() - listeners.len();
        let mut relays = Vec::new();
        for transport in Transport::ALL {
            let made = self.relay_in_place(id, transport, kept, &upstream, &mut listening, turn);
            match made {
                Ok(index) => relays.extend(index.map(|index| (transport, index))),
                Err(cause) => {
                    self.undo(id, &relays, turn)?;
                    return Err(StartError::from(cause).into());
                }
            }
        }
        // From here on nothing fails.
        turn.descriptors.give(given_up);
        own_addresses(&self.routes.get(id)?.listeners).for_each(|address| turn.own.remove(address));
        own_addresses(&listeners).for_each(|address| turn.own.add(address));
        for (transport, index) in before {
            if !relays.contains(&(transport, index)) {
                self.fleet.leave(index, until, turn);
                continue;
            }
            let of_it = listeners.iter().filter(|listener| listener.protocol == transport);
            let addresses: Vec<_> = of_it.map(|listener| listener.address).collect();
            let relay = self.fleet.touch(index);
            relay.listen_only(&addresses, turn);
            if let Some(upstream) = &upstream {
                relay.set_upstream(upstream.clone());
            }
            relay.follow(&route, self.rules_on, turn);
        }
        warn_of_openness(&route, &listeners);
        let circles = Alarm::default();
        *self.routes.get_mut(id)? =
            RouteEntry { id, route, upstream, listeners, relays, associations, memory, circles };
        Ok(())
    }

    /// Returns the relay of a transport for a route that replaces another: the same one, which
    /// listens on more sockets from now on, or a new one; none if it does not listen.
    fn relay_in_place(
        &mut self,
        id: RouteId,
        transport: Transport,
        keep: Kept<'_>,
        upstream: &Option<Upstream>,
        listening: &mut ListeningSet,
        turn: &mut Turn,
    ) -> io::Result<Option<usize>> {
        let (kept, mut opened) = (listening.kept(transport), listening.take(transport));
        let Some(upstream) = upstream.clone().filter(|_| kept.len() + opened.len() > 0) else {
            return Ok(None);
        };
        let old = self.routes.get(id).expect("the caller has found it");
        let present = old.relay(transport);
        if let Some(index) = present.filter(|_| is_same_stream(&old.route, keep.route)) {
            self.fleet.touch(index).listen(opened, turn)?;
            return Ok(Some(index));
        }
        // The sockets that stay are shared until the old relay has drained.
        if let Some(index) = present {
            opened.extend(self.fleet.touch(index).share(&kept)?);
        }
        self.make(transport, keep, upstream, opened, turn).map(Some)
    }

    /// Undoes what [`relay_in_place`](Self::relay_in_place) did for `relays`.
    fn undo(
        &mut self,
        id: RouteId,
        relays: &[(Transport, usize)],
        turn: &mut Turn,
    ) -> Result<(), OrderError> {
        let old = self.routes.get(id)?;
        let addresses: Vec<_> = old.addresses().into_iter().map(|(_, address)| address).collect();
        for relay in relays {
            if old.relays.contains(relay) {
                self.fleet.touch(relay.1).listen_only(&addresses, turn);
            } else {
                self.fleet.remove(relay.1, Ending::Reset, turn);
            }
        }
        Ok(())
    }
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
