//! The handle with which other threads change a running proxy.

use crate::loop_handles::LoopHandles;
use crate::network::Network;
use crate::orders::{Began, Carried, Order, OrderError, Prepared, Reply, RouteId, RouteState};
use crate::sinks::Sink;
use crate::snapshot::{Reading, Snapshot};
use crate::summary::Summary;
use jostle_common::chance::Direction;
use jostle_common::clock::Clock;
use jostle_common::time::Instant;
use jostle_engine::profile::{Profile, Rule};
use jostle_engine::route::Route;
use std::ops::Range;
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// The time that a stopping proxy goes on with what is open unless told otherwise.
const DRAIN: Duration = Duration::from_secs(2);

/// The most relays whose counters are read in one go: of one that has relayed something they are
/// 130 KB to be copied.
pub(crate) const PAGE_RELAYS: usize = 8;

/// The attempts to read the counters page by page, while relays go.
const READ_ATTEMPTS: usize = 3;

/// A handle to a proxy, for any thread but the one that runs it.
///
/// [`stop`](Self::stop) and [`toggle`](Self::toggle) always get through. The other methods put an
/// order into a bounded mailbox and wait until the loop has carried it out, between two turns and
/// whole or not at all; names are looked up before that, on the caller's thread. They wait for as
/// long as the proxy does not run yet. Of several loops those that have a part of what is ordered
/// carry it out, all at one moment.
#[derive(Clone, Debug)]
pub struct Control {
    loop_handles: Arc<LoopHandles>,
    network: Network,
    clock: Clock,
}

/// A route whose names are looked up.
#[derive(Clone, Debug)]
pub struct PreparedRoute(Prepared);

impl PreparedRoute {
    /// Returns the route.
    pub const fn route(&self) -> &Route {
        &self.0.route
    }

    /// Returns the same route on ports that the system picks: where it waits while another one
    /// takes its place.
    #[must_use]
    pub fn aside(&self) -> Self {
        Self(self.0.clone().on_any_port())
    }
}

impl Control {
    pub(crate) const fn new(
        loop_handles: Arc<LoopHandles>,
        network: Network,
        clock: Clock,
    ) -> Self {
        Self { loop_handles, network, clock }
    }

    /// Returns the seed of the run, for the routes that have none of their own.
    pub const fn seed(&self) -> u64 {
        self.network.seed()
    }

    /// Returns the time of the run, as the event log tells it.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Lets the proxy finish what is open, for two seconds at most, and end.
    pub fn stop(&self) {
        self.stop_within(DRAIN);
    }

    /// Lets the proxy finish what is open, for `drain` at most, and end: it takes no new connection
    /// and no new datagram, delivers what it holds, and waits for both sides of each connection to
    /// close it; then it cuts what is left. The time runs from the first call on, and of several
    /// calls the shortest counts.
    pub fn stop_within(&self, drain: Duration) {
        self.loop_handles.stop(drain);
    }

    /// Switches all rules off, or on again, and returns whether they are on now. What is inside
    /// keeps its times.
    pub fn toggle(&self) -> bool {
        let on = self.loop_handles.flags().toggle();
        self.loop_handles.wake_all();
        on
    }

    /// Switches all rules on or off, and tells when that was, and when the time of each route's
    /// rules began.
    ///
    /// # Errors
    /// When the order could not be given.
    pub fn switch_rules(&self, on: bool) -> Result<Carried<Vec<(RouteId, Began)>>, OrderError> {
        self.order(|reply| Order::Switch(on, reply))
    }

    /// Returns true unless the rules are switched off.
    pub fn rules_are_on(&self) -> bool {
        self.loop_handles.flags().rules_on()
    }

    /// Adds a route. A disabled one is kept, and does not listen.
    ///
    /// # Errors
    /// When it cannot listen, a name has no address, the route leads to itself, its name is taken,
    /// or the order could not be given.
    pub fn add(&self, route: Route) -> Result<RouteId, OrderError> {
        Ok(self.add_anew(prepare(route)?)?.outcome.id)
    }

    /// Adds a route without waiting for its upstream's name, which is looked up from then on: TCP
    /// clients that come meanwhile wait for the answer, no longer than for a connect; datagrams
    /// have no upstream until then. Returns where it listens, too. Does not block when it is to
    /// listen at an address or `localhost`.
    ///
    /// # Errors
    /// As for [`add`](Self::add), but for the upstream's name.
    pub fn add_promptly(&self, route: Route) -> Result<Carried<RouteState>, OrderError> {
        route.check_rules().map_err(OrderError::Rules)?;
        self.add_anew(Box::new(Prepared::promptly(route)?))
    }

    /// Looks up where a route is to listen, so that an order that is given later does not; its
    /// upstream's name is looked up as [`add_promptly`](Self::add_promptly) does.
    ///
    /// # Errors
    /// When the name to listen at has no address, or a rule cannot act on the route.
    pub fn prepare(&self, route: Route) -> Result<PreparedRoute, OrderError> {
        route.check_rules().map_err(OrderError::Rules)?;
        Ok(PreparedRoute(Prepared::promptly(route)?))
    }

    /// Adds a route that was prepared.
    ///
    /// # Errors
    /// As for [`add`](Self::add), but for names.
    pub fn add_prepared(&self, route: &PreparedRoute) -> Result<Carried<RouteState>, OrderError> {
        self.add_anew(Box::new(route.0.clone()))
    }

    /// Adds a route to the loop that has the fewest.
    fn add_anew(&self, route: Box<Prepared>) -> Result<Carried<RouteState>, OrderError> {
        let home = self.network.next_home();
        self.order_at(home, |reply| Order::Add(route, reply))
    }

    /// Replaces a route by one that was prepared, as [`replace`](Self::replace) does.
    ///
    /// # Errors
    /// As for [`replace`](Self::replace), but for names.
    pub fn replace_prepared(
        &self,
        id: RouteId,
        route: &PreparedRoute,
        drain: Duration,
    ) -> Result<Carried<(RouteState, Began)>, OrderError> {
        let prepared = Box::new(route.0.clone());
        self.order_about(id, |reply| Order::Replace(id, prepared, drain, reply))
    }

    /// Replaces a route. What is the same goes on: the sockets of the same listening addresses with
    /// their flows and connections, under the new rules at once. Another upstream is for new flows
    /// and connections. Another name, seed or TCP mode, or another protocol of the clients, makes a
    /// new route in place of the old one, which drains for `drain` at most, as does a transport
    /// that is given up. Returns the route as it is then, and when the time of the rules that it
    /// had before began.
    ///
    /// # Errors
    /// As for [`add`](Self::add), or when there is no such route.
    pub fn replace(
        &self,
        id: RouteId,
        route: Route,
        drain: Duration,
    ) -> Result<Carried<(RouteState, Began)>, OrderError> {
        let prepared = prepare(route)?;
        self.order_about(id, |reply| Order::Replace(id, prepared, drain, reply))
    }

    /// Replaces a route as [`replace`](Self::replace) does, and waits for its upstream's name no
    /// more than [`add_promptly`](Self::add_promptly).
    ///
    /// # Errors
    /// As for [`add_promptly`](Self::add_promptly), or when there is no such route.
    pub fn replace_promptly(
        &self,
        id: RouteId,
        route: Route,
        drain: Duration,
    ) -> Result<Carried<(RouteState, Began)>, OrderError> {
        route.check_rules().map_err(OrderError::Rules)?;
        let prepared = Box::new(Prepared::promptly(route)?);
        self.order_about(id, |reply| Order::Replace(id, prepared, drain, reply))
    }

    /// Removes a route: it takes no new connection and no new datagram from now on. What is inside
    /// gets out, and connections go on, for `drain` at most; then they are cut. What it did stays
    /// in the [`Summary`] under its name.
    ///
    /// # Errors
    /// When there is no such route, or the order could not be given.
    pub fn remove(&self, id: RouteId, drain: Duration) -> Result<Carried<Began>, OrderError> {
        self.order_about(id, |reply| Order::Remove(id, drain, reply))
    }

    /// Removes a route at once: its listeners and connections are closed (FIN), and what is inside
    /// is gone.
    ///
    /// # Errors
    /// As for [`remove`](Self::remove).
    pub fn close(&self, id: RouteId) -> Result<Carried<Began>, OrderError> {
        self.order_about(id, |reply| Order::Close(id, reply))
    }

    /// Replaces a route's profile. Rules of the same key live on with new parameters.
    ///
    /// # Errors
    /// When there is no such route, a rule cannot act on it, or the order could not be given.
    pub fn set_profile(&self, id: RouteId, profile: Profile) -> Result<Carried<Began>, OrderError> {
        self.order_about(id, |reply| Order::SetProfile(id, Box::new(profile), reply))
    }

    /// Replaces the rule of the same key in one direction, in each phase that has it; a new one
    /// comes last in every phase.
    ///
    /// # Errors
    /// As for [`set_profile`](Self::set_profile).
    pub fn set_rule(
        &self,
        id: RouteId,
        direction: Direction,
        rule: Rule,
    ) -> Result<Carried<Began>, OrderError> {
        self.order_about(id, |reply| Order::SetRule(id, direction, Box::new(rule), reply))
    }

    /// Removes the rule with this key from one direction.
    ///
    /// # Errors
    /// When there is no such route or rule, or the order could not be given.
    pub fn remove_rule(
        &self,
        id: RouteId,
        direction: Direction,
        key: &str,
    ) -> Result<Carried<Began>, OrderError> {
        self.order_about(id, |reply| Order::RemoveRule(id, direction, key.to_owned(), reply))
    }

    /// Returns the routes, without those that drain.
    ///
    /// # Errors
    /// When the order could not be given.
    pub fn routes(&self) -> Result<Vec<RouteState>, OrderError> {
        let mut all = Vec::new();
        for loop_ in 0..self.loop_handles.len() {
            all.append(&mut self.order_at(loop_, Order::Routes)?);
        }
        all.sort_by_key(|state| state.id.index);
        Ok(all)
    }

    /// Returns what the proxy did so far, with the routes that are gone.
    ///
    /// # Errors
    /// When the order could not be given.
    pub fn counters(&self) -> Result<Summary, OrderError> {
        Ok(self.read()?.summary())
    }

    /// Returns the same with the distributions of times, and what the proxy is doing now. Sinks are
    /// told that the counters were read.
    ///
    /// # Errors
    /// When the order could not be given.
    pub fn snapshot(&self) -> Result<Snapshot, OrderError> {
        self.read().map(Reading::into_snapshot)
    }

    /// Reads the counters of all loops, one after the other.
    fn read(&self) -> Result<Reading, OrderError> {
        let mut reading = self.read_at(0)?;
        for loop_ in 1..self.loop_handles.len() {
            reading.join(self.read_at(loop_)?);
        }
        Ok(reading)
    }

    /// Reads the counters of a loop, of a few relays at a time: of thousands it takes milliseconds,
    /// which nobody's packets shall wait for.
    fn read_at(&self, loop_: usize) -> Result<Reading, OrderError> {
        for _ in 0..READ_ATTEMPTS {
            let mut reading = self.order_at(loop_, |reply| Order::Read(PAGE_RELAYS, reply))?;
            if self.read_on(loop_, &mut reading)? {
                return Ok(reading);
            }
        }
        self.order_at(loop_, |reply| Order::Read(usize::MAX, reply))
    }

    /// Reads the rest; false if a relay has gone meanwhile, which would be counted twice or not at
    /// all.
    fn read_on(&self, loop_: usize, reading: &mut Reading) -> Result<bool, OrderError> {
        while let Some(from) = reading.page.rest {
            let page = self.order_at(loop_, |reply| Order::ReadOn(from, reply))?;
            if !reading.go_on_with(page) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Tells `sink` of every fate from now on.
    ///
    /// # Errors
    /// When the order could not be given.
    pub fn add_sink(&self, sink: Box<dyn Sink>) -> Result<(), OrderError> {
        self.order(|reply| Order::AddSink(sink, reply))
    }

    /// Gives an order that any loop can carry out, and waits for the answer.
    fn order<T>(&self, order: impl FnOnce(Reply<T>) -> Order) -> Result<T, OrderError> {
        self.order_at(0, order)
    }

    /// Gives an order about a route to the first loop that has it.
    fn order_about<T>(
        &self,
        id: RouteId,
        order: impl FnOnce(Reply<T>) -> Order,
    ) -> Result<T, OrderError> {
        self.order_at(self.loops_of(id).start, order)
    }

    /// Returns the loops that have a route; of one that is not there the first says so.
    pub(crate) fn loops_of(&self, id: RouteId) -> Range<usize> {
        self.network.sites_of(id).unwrap_or(0..1)
    }

    /// Puts an order into the mailbox of a loop and waits for the answer.
    pub(crate) fn order_at<T>(
        &self,
        loop_: usize,
        order: impl FnOnce(Reply<T>) -> Order,
    ) -> Result<T, OrderError> {
        let (reply, answer) = mpsc::sync_channel(1);
        self.loop_handles.send(loop_, order(reply)).map_err(|unsent| unsent.1)?;
        answer.recv().unwrap_or(Err(OrderError::Ended))
    }
}

fn prepare(route: Route) -> Result<Box<Prepared>, OrderError> {
    route.check_rules().map_err(OrderError::Rules)?;
    Ok(Box::new(Prepared::new(route)?))
}
