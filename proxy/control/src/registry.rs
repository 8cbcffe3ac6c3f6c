//! The configuration of a running proxy by name, and how it is changed.
//!
//! Whoever changes a proxy, the API or a file, does it here, one change after the other. What the
//! proxy refuses changes nothing here either. Those who watch are told of each change.

mod change;
mod reload;

pub use change::{Change, Changed, Deed, Origin, Watcher};
pub use reload::{ReloadError, Reloaded};

use jostle_common::time::Instant;
use jostle_engine::profile::Profile;
use jostle_engine::route::{
    Destination, HostPort, Listening, Route, RouteWorkers, TcpMode, Transports, parse_listen,
};
use jostle_proxy::{Began, Carried, Control, OrderError, RouteId, RouteState};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

/// All proxies by name.
#[derive(Debug)]
pub struct Registry {
    control: Control,
    state: Mutex<State>,
}

/// What is configured, and who is told when it changes.
#[derive(Default)]
struct State {
    proxies: BTreeMap<String, Entry>,
    /// The highest revision that a proxy had which is gone: no other proxy of its name has it
    /// again.
    revision_gone: u64,
    /// What the configuration file said when it was last taken over, by name.
    file: BTreeMap<String, Route>,
    watchers: Vec<Watcher>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("proxies", &self.proxies).finish_non_exhaustive()
    }
}

/// A proxy as it is configured.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The text to listen on: as it was asked for while it is disabled, the bound address since it
    /// was enabled.
    pub listen: String,
    /// The text of the upstream, whatever it says; empty where clients say where they want to go.
    pub upstream: String,
    /// Its settings; where it listens and leads is only what they began with.
    pub route: Route,
    /// Its first listening address; `None` while it is disabled.
    pub bound: Option<SocketAddr>,
    /// The route that the proxy has of it: a disabled one is kept there only if it was configured
    /// so.
    pub id: Option<RouteId>,
    /// Counts its changes, from 1; kept by the table.
    pub revision: u64,
    /// Set if nobody said what loss means on TCP: with the first rule that would break raw streams
    /// they are modelled.
    pub tcp_follows: bool,
}

impl Entry {
    /// Describes a proxy of the API, disabled as yet: the rules act on the stream as it is read, so
    /// that a delay delays bytes and no handshake.
    pub fn new(name: &str, listen: &str, upstream: &str) -> Self {
        let route = Route {
            name: name.to_owned(),
            transport: Transports::Tcp,
            listen: HostPort { host: String::new(), port: 0 },
            destination: upstream_of(upstream).into(),
            profile: Profile::default(),
            seed: None,
            paired: None,
            enabled: true,
            tcp: TcpMode::TOXIPROXY,
            follow: false,
            idle: None,
            listening: Listening::default(),
            workers: RouteWorkers::default(),
        };
        Self { tcp_follows: true, ..Self::of_route(route, listen, upstream) }
    }

    /// Describes a proxy by its route, disabled as yet; where it listens and leads is what the
    /// texts say.
    pub fn of_route(route: Route, listen: &str, upstream: &str) -> Self {
        Self {
            listen: listen.to_owned(),
            upstream: upstream.to_owned(),
            route: Route { destination: led_to(&route.destination, upstream), ..route },
            bound: None,
            id: None,
            revision: 0,
            tcp_follows: false,
        }
    }

    /// Describes a route that the proxy has.
    fn of(state: RouteState, revision: u64) -> Self {
        let RouteState { id, route, listeners, .. } = state;
        let bound = listeners.first().map(|listener| listener.address);
        let listen = bound.map_or_else(|| route.listen.to_string(), |at| at.to_string());
        let upstream = route.destination.upstream().map(HostPort::to_string).unwrap_or_default();
        // A route that reads as Toxiproxy's do was not asked for anything else.
        let is_plain = |mode| mode == TcpMode::TOXIPROXY;
        let tcp_follows = is_plain(route.tcp) && is_plain(TcpMode::for_rules(&route.profile));
        Self { listen, upstream, route, bound, id: Some(id), revision, tcp_follows }
    }

    /// Returns the route that it is now: where it listens and leads, and whether it does.
    pub fn as_route(&self) -> Route {
        let listen = match self.bound {
            Some(bound) => HostPort { host: bound.ip().to_string(), port: bound.port() },
            None => parse_listen(&self.listen)
                .map_or_else(|_| self.route.listen.clone(), |(_, listen)| listen),
        };
        let destination = led_to(&self.route.destination, &self.upstream);
        Route { listen, destination, enabled: self.is_enabled(), ..self.route.clone() }
    }

    /// Returns the text of where it leads: its upstream, or what its clients may ask for.
    pub fn leads_to(&self) -> String {
        match self.route.destination {
            Destination::Upstream(_) => self.upstream.clone(),
            Destination::Asked(_) => self.route.destination.to_string(),
        }
    }

    /// Returns what its clients may ask for and the user that they must name, as people who may not
    /// know the password are told; nothing if it has an upstream.
    pub fn asked_for(&self) -> Vec<(&'static str, Value)> {
        let Some(forward) = self.route.destination.forward() else { return Vec::new() };
        let target: Value = match forward.allowed.is_any() {
            true => "any".into(),
            false => forward.allowed.written().into(),
        };
        let user = forward.user.as_ref().map(|user| ("user", user.user().into()));
        [("target", target)].into_iter().chain(user).collect()
    }

    /// Returns true if it listens.
    pub const fn is_enabled(&self) -> bool {
        self.bound.is_some()
    }
}

/// Returns where a proxy leads whose upstream has this text. Where clients say where they want to
/// go that does not matter.
fn led_to(destination: &Destination, upstream: &str) -> Destination {
    match destination {
        Destination::Upstream(_) => upstream_of(upstream).into(),
        Destination::Asked(_) => destination.clone(),
    }
}

/// Reads an upstream. What is no address becomes a name that nobody has: clients are refused.
fn upstream_of(text: &str) -> HostPort {
    let nobody = || HostPort { host: text.to_owned(), port: 0 };
    jostle_engine::route::parse_upstream(text).unwrap_or_else(|_| nobody())
}

impl Registry {
    /// Creates the registry of a proxy that has these routes.
    pub fn new(control: Control, routes: Vec<RouteState>) -> Self {
        let entry = |state: RouteState| (state.route.name.clone(), Entry::of(state, 1));
        let proxies = routes.into_iter().map(entry).collect();
        Self { control, state: Mutex::new(State { proxies, ..State::default() }) }
    }

    /// Returns the handle of the proxy, for what changes nothing that is configured.
    pub const fn control(&self) -> &Control {
        &self.control
    }

    /// Locks the table for one change, or to look at it.
    pub fn open(&self, origin: Origin) -> Table<'_> {
        // A change that panicked was not carried out.
        let state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        Table { control: &self.control, state, origin }
    }
}

/// The table of proxies, for one who changes it.
pub struct Table<'a> {
    control: &'a Control,
    state: MutexGuard<'a, State>,
    origin: Origin,
}

impl Table<'_> {
    /// Returns a proxy.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.state.proxies.get(name)
    }

    /// Returns all of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.state.proxies.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    /// Returns true unless all rules are switched off.
    pub fn rules_are_on(&self) -> bool {
        self.control.rules_are_on()
    }

    /// Tells `watcher` of each change from now on, until it breaks off.
    pub fn watch(&mut self, watcher: Watcher) {
        self.state.watchers.push(watcher);
    }

    /// Adds a proxy that does not listen yet, in place of one that has its name.
    ///
    /// # Errors
    /// When the proxy has ended.
    pub fn put(&mut self, mut entry: Entry) -> Result<(), OrderError> {
        let name = entry.route.name.clone();
        self.disable(&name)?;
        entry.revision = self.revision_of(&name);
        self.state.proxies.insert(name.clone(), entry);
        self.done(&name, Deed::Created, self.control.now(), Began::default());
        Ok(())
    }

    /// Lets a proxy listen on `listen`, which its text says. Does nothing if it listens.
    ///
    /// # Errors
    /// When it cannot; it stays disabled then.
    pub fn enable(&mut self, name: &str, listen: HostPort) -> Result<(), OrderError> {
        if self.get(name).is_none_or(Entry::is_enabled) {
            return Ok(());
        }
        // What the proxy keeps of it would have its name.
        self.disable(name)?;
        let entry = self.state.proxies.get_mut(name).expect("it is there");
        let destination = led_to(&entry.route.destination, &entry.upstream);
        let route = Route { listen, destination, enabled: true, ..entry.route.clone() };
        let Carried { at, outcome } = self.control.add_promptly(route.clone())?;
        let RouteState { id, listeners, began, .. } = outcome;
        let bound = listeners.first().expect("an enabled route listens").address;
        (entry.listen, entry.route) = (bound.to_string(), route);
        (entry.bound, entry.id) = (Some(bound), Some(id));
        self.done(name, Deed::Enabled, at, began);
        Ok(())
    }

    /// Closes a proxy's listener and all its connections. Does nothing if it has none.
    ///
    /// # Errors
    /// When the proxy has ended.
    pub fn disable(&mut self, name: &str) -> Result<(), OrderError> {
        let Some(entry) = self.state.proxies.get_mut(name) else { return Ok(()) };
        let Some(id) = entry.id else { return Ok(()) };
        let (at, began) = match self.control.close(id) {
            Ok(Carried { at, outcome }) => (at, outcome),
            // It may be gone already.
            Err(OrderError::NoRoute(_)) => (self.control.now(), Began::default()),
            Err(error) => return Err(error),
        };
        let was_enabled = entry.is_enabled();
        (entry.bound, entry.id) = (None, None);
        // Its flows are gone, and others will have their numbers.
        entry.route.profile.remove_all_flow_rules();
        if was_enabled {
            self.done(name, Deed::Disabled, at, began);
        }
        Ok(())
    }

    /// Sets the texts of a proxy that does not listen.
    pub fn set_texts(&mut self, name: &str, listen: &str, upstream: &str) {
        let Some(entry) = self.state.proxies.get_mut(name) else { return };
        if (entry.listen.as_str(), entry.upstream.as_str()) == (listen, upstream) {
            return;
        }
        entry.listen = listen.to_owned();
        entry.upstream = upstream.to_owned();
        self.done(name, Deed::Moved, self.control.now(), Began::default());
    }

    /// Removes a proxy with its connections. Returns false if it is not there.
    ///
    /// # Errors
    /// When the proxy has ended.
    pub fn remove(&mut self, name: &str) -> Result<bool, OrderError> {
        self.disable(name)?;
        let Some(entry) = self.state.proxies.remove(name) else { return Ok(false) };
        self.state.revision_gone = self.state.revision_gone.max(entry.revision);
        self.done(name, Deed::Removed, self.control.now(), Began::default());
        Ok(true)
    }

    /// Replaces the rules of a proxy, whether it listens or not. The rules that it has already
    /// change nothing. One whose TCP was raw because nobody said anything models TCP from the first
    /// rule on that would break raw streams, and its connections are reset.
    ///
    /// # Errors
    /// When a rule cannot act on it; nothing has changed then.
    pub fn set_profile(&mut self, name: &str, profile: Profile) -> Result<(), OrderError> {
        let Some(entry) = self.state.proxies.get_mut(name) else { return Ok(()) };
        if entry.route.profile == profile {
            return Ok(());
        }
        let mut route = Route { profile, ..entry.route.clone() };
        if entry.tcp_follows && route.tcp == TcpMode::TOXIPROXY && route.transport.has_tcp() {
            route.tcp = TcpMode::for_rules(&route.profile);
        }
        route.check_rules().map_err(OrderError::Rules)?;
        let becomes_another = route.tcp != entry.route.tcp;
        let (at, began) = match entry.id {
            Some(id) if becomes_another => {
                // Its connections have to begin anew: no rule acts on those that stand.
                let route = Route { enabled: entry.is_enabled(), ..route.clone() };
                let Carried { at, outcome } =
                    self.control.replace_promptly(id, route, Duration::ZERO)?;
                (at, outcome.1)
            }
            Some(id) => {
                let Carried { at, outcome } =
                    self.control.set_profile(id, route.profile.clone())?;
                (at, outcome)
            }
            None => (self.control.now(), Began::default()),
        };
        entry.route = route;
        let deed = if becomes_another { Deed::Replaced } else { Deed::Profile };
        self.done(name, deed, at, began);
        Ok(())
    }

    /// Switches the rules of all proxies on or off. Does nothing if they are.
    ///
    /// # Errors
    /// When the proxy has ended.
    pub fn set_rules_on(&mut self, on: bool) -> Result<(), OrderError> {
        if self.rules_are_on() != on {
            let Carried { at, outcome: began } = self.control.switch_rules(on)?;
            log::info!("rules {} ({})", if on { "on" } else { "off" }, self.origin.name());
            self.tell(at, Changed::Rules { on, began: &began });
        }
        Ok(())
    }

    /// Returns the number that the next change of a proxy counts from.
    fn revision_of(&self, name: &str) -> u64 {
        self.get(name).map_or(self.state.revision_gone, |entry| entry.revision)
    }

    /// Counts a change that was carried out, and tells of it.
    fn done(&mut self, name: &str, deed: Deed, at: Instant, began: Began) {
        if let Some(entry) = self.state.proxies.get_mut(name) {
            entry.revision += 1;
        }
        log::info!("proxy {name}: {} ({})", deed.name(), self.origin.name());
        self.tell(at, Changed::Proxy { name, deed, began });
    }

    fn tell(&mut self, at: Instant, changed: Changed<'_>) {
        let (origin, rules_on) = (self.origin, self.rules_are_on());
        let State { proxies, watchers, .. } = &mut *self.state;
        let change = Change { at, origin, changed, proxies, rules_on };
        watchers.retain_mut(|watcher| watcher(&change).is_continue());
    }
}
