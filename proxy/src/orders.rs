//! The orders that a running proxy takes, and how they are answered.

use crate::flow::{FlowId, FlowOrder};
use crate::listener::{Listener, Wanted};
use crate::resolve::Upstream;
use crate::settings::StartError;
use crate::sinks::Sink;
use crate::snapshot::{Page, Reading};
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_engine::profile::{Profile, Rule};
use jostle_engine::route::Route;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

/// The most orders that wait for the loop.
pub(crate) const ORDERS_MAX: usize = 64;

/// Identifies a route of a running proxy. No other route will ever have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId {
    /// Its place in the table of routes.
    pub(crate) index: usize,
    /// Its number among all routes that ever were.
    pub(crate) serial: u64,
}

impl fmt::Display for RouteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serial.fmt(f)
    }
}

/// A route of a running proxy.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteState {
    /// Its identity.
    pub id: RouteId,
    /// Its settings.
    pub route: Route,
    /// Its listening sockets; a disabled route has none.
    pub listeners: Vec<Listener>,
    /// When the time of its rules began.
    pub began: Began,
}

/// The moments at which the time of a route's rules began to count: with the first packet that
/// crossed its links, or with the run. `None`: not yet, or there are no such links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Began {
    /// Of the UDP links.
    pub udp: Option<Instant>,
    /// Of the TCP links, which there are from the first rule on.
    pub tcp: Option<Instant>,
}

/// An order that was carried out.
#[derive(Clone, Debug, PartialEq)]
pub struct Carried<T> {
    /// The moment, as the event log tells time: what enters a link from now on meets what was
    /// ordered, and what entered before met what was there before.
    pub at: Instant,
    /// What came of it.
    pub outcome: T,
}

/// The reason why an order was not carried out. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// A listener could not be opened, a name has no address, or the route leads to itself.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Another route has this name.
    #[error("there is a route \"{0}\" already; choose another name, or replace that one")]
    NameTaken(String),
    /// The route is not there, or not any more.
    #[error("there is no route {0}; it may have been removed")]
    NoRoute(RouteId),
    /// The route has no such rule.
    #[error("route \"{route}\" has no rule \"{key}\" {direction}")]
    NoRule {
        /// The route's name.
        route: String,
        /// The rule's key.
        key: String,
        /// The direction in which it was looked for.
        direction: Direction,
    },
    /// The route has no such flow, or not any more.
    #[error("there is no flow {0}; it may have ended")]
    NoFlow(FlowId),
    /// A rule cannot act on what the route relays.
    #[error("{0}")]
    Rules(String),
    /// The process may not open as many sockets.
    #[error("no descriptors are left for the listeners; raise the limit (ulimit -n)")]
    NoDescriptors,
    /// Too many orders wait.
    #[error("{ORDERS_MAX} orders wait already; try again later")]
    Full,
    /// The proxy has ended.
    #[error("the proxy has ended")]
    Ended,
}

/// The channel that the answer to an order goes to.
pub(crate) type Reply<T> = SyncSender<Result<T, OrderError>>;

/// A route with its names looked up, so that the loop need not.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub(crate) route: Route,
    /// `None` when it is disabled.
    pub(crate) reach: Option<Reach>,
}

/// The addresses of a route.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    pub(crate) wanted: Wanted,
    pub(crate) upstream: Upstream,
}

impl Prepared {
    /// Looks up the names of a route; may block.
    pub(crate) fn new(route: Route) -> Result<Self, StartError> {
        Self::with(route, |route, cause| {
            let (route, address) = (route.name.clone(), route.destination.to_string());
            Err(StartError::Resolve { route, address, cause })
        })
    }

    /// The same for one of the routes that a proxy starts with: one without an upstream does not
    /// keep the others from starting.
    pub(crate) fn at_start(route: Route) -> Result<Self, StartError> {
        Self::with(route, |route, cause| {
            let Route { name, destination, .. } = route;
            log::warn!(
                "route {name}: {destination} has no address ({cause}); its clients are refused \
                 until it has one"
            );
            Ok(destination.upstream().map_or_else(Upstream::asked_for, Upstream::without_address))
        })
    }

    /// Returns the same on a port that the system picks, whatever it listens on already.
    pub(crate) fn on_any_port(mut self) -> Self {
        self.route.listen.port = 0;
        self.reach = self
            .reach
            .map(|Reach { wanted, upstream }| Reach { wanted: wanted.afresh(), upstream });
        self
    }

    /// The same without looking up the upstream's name, which the route's relays ask for.
    pub(crate) fn promptly(route: Route) -> Result<Self, StartError> {
        if !route.enabled {
            return Ok(Self { route, reach: None });
        }
        let wanted = Wanted::new(&route)?;
        let upstream =
            route.destination.upstream().map_or_else(Upstream::asked_for, Upstream::unasked);
        Ok(Self { route, reach: Some(Reach { wanted, upstream }) })
    }

    fn with(
        route: Route,
        without_address: impl FnOnce(&Route, io::Error) -> Result<Upstream, StartError>,
    ) -> Result<Self, StartError> {
        if !route.enabled {
            return Ok(Self { route, reach: None });
        }
        let wanted = Wanted::new(&route)?;
        let upstream =
            route.destination.upstream().map_or_else(|| Ok(Upstream::asked_for()), Upstream::new);
        let upstream = upstream.or_else(|cause| without_address(&route, cause))?;
        Ok(Self { route, reach: Some(Reach { wanted, upstream }) })
    }
}

/// An order to the loop.
pub(crate) enum Order {
    Add(Box<Prepared>, Reply<Carried<RouteState>>),
    Replace(RouteId, Box<Prepared>, Duration, Reply<Carried<(RouteState, Began)>>),
    Remove(RouteId, Duration, Reply<Carried<Began>>),
    Close(RouteId, Reply<Carried<Began>>),
    SetProfile(RouteId, Box<Profile>, Reply<Carried<Began>>),
    SetRule(RouteId, Direction, Box<Rule>, Reply<Carried<Began>>),
    RemoveRule(RouteId, Direction, String, Reply<Carried<Began>>),
    Switch(bool, Reply<Carried<Vec<(RouteId, Began)>>>),
    Routes(Reply<Vec<RouteState>>),
    /// Reads the counters, of so many relays.
    Read(usize, Reply<Reading>),
    /// Reads those of the relays from a place on.
    ReadOn(usize, Reply<Page>),
    Flow(RouteId, FlowOrder),
    AddSink(Box<dyn Sink>, Reply<()>),
}

impl Order {
    /// Answers it with an error.
    pub(crate) fn refuse(self, error: OrderError) {
        // A caller that does not wait any more needs no answer.
        let _ = match self {
            Self::Add(_, reply) => reply.try_send(Err(error)).is_ok(),
            Self::Replace(_, _, _, reply) => reply.try_send(Err(error)).is_ok(),
            Self::Remove(_, _, reply)
            | Self::Close(_, reply)
            | Self::SetProfile(_, _, reply)
            | Self::SetRule(_, _, _, reply)
            | Self::RemoveRule(_, _, _, reply) => reply.try_send(Err(error)).is_ok(),
            Self::Switch(_, reply) => reply.try_send(Err(error)).is_ok(),
            Self::Routes(reply) => reply.try_send(Err(error)).is_ok(),
            Self::Read(_, reply) => reply.try_send(Err(error)).is_ok(),
            Self::ReadOn(_, reply) => reply.try_send(Err(error)).is_ok(),
            Self::Flow(_, FlowOrder::List(_, reply)) => reply.try_send(Err(error)).is_ok(),
            Self::Flow(_, FlowOrder::Find(_, reply)) => reply.try_send(Err(error)).is_ok(),
            Self::Flow(_, FlowOrder::End(_, _, reply)) | Self::AddSink(_, reply) => {
                reply.try_send(Err(error)).is_ok()
            }
        };
    }
}

/// Requests that need no answer and always get through: read by the loops in every turn.
#[derive(Debug)]
pub(crate) struct Flags {
    /// The nanoseconds of the run at which it began to relay.
    started: AtomicU64,
    /// The nanoseconds to drain for before the end; `u64::MAX`: go on.
    stop: AtomicU64,
    rules_on: AtomicBool,
}

impl Flags {
    pub(crate) const fn new() -> Self {
        let (started, stop) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
        Self { started, stop, rules_on: AtomicBool::new(true) }
    }

    /// Notes that it begins to relay.
    pub(crate) fn start(&self, at: Instant) {
        self.started.store(at.as_nanos(), Ordering::Relaxed);
    }

    /// Returns when it began to relay.
    pub(crate) fn started(&self) -> Instant {
        Instant::START.plus_nanos(self.started.load(Ordering::Relaxed))
    }

    /// Ends the run after draining for at most `drain`; of several the shortest counts.
    pub(crate) fn stop(&self, drain: Duration) {
        let nanos = u64::try_from(drain.as_nanos()).unwrap_or(u64::MAX).min(u64::MAX - 1);
        self.stop.fetch_min(nanos, Ordering::Relaxed);
    }

    /// Returns how long to drain if the run is to end.
    pub(crate) fn stopped(&self) -> Option<Duration> {
        let nanos = self.stop.load(Ordering::Relaxed);
        (nanos != u64::MAX).then(|| Duration::from_nanos(nanos))
    }

    /// Switches the rules and returns whether they are on now.
    pub(crate) fn toggle(&self) -> bool {
        !self.rules_on.fetch_xor(true, Ordering::Relaxed)
    }

    /// Switches the rules on or off.
    pub(crate) fn switch(&self, on: bool) {
        self.rules_on.store(on, Ordering::Relaxed);
    }

    pub(crate) fn rules_on(&self) -> bool {
        self.rules_on.load(Ordering::Relaxed)
    }
}
