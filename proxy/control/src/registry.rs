//! The configuration of a running proxy by name, and how it is changed.
//!
//! Whoever changes a proxy, the API or a file, does it here, one change after the other. What the
//! proxy refuses changes nothing here either.

use jostle_engine::profile::Profile;
use jostle_engine::route::{HostPort, Route, TcpMode, Transports};
use jostle_proxy::{Control, OrderError, RouteId, RouteState};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

/// The time for which an upstream's name is waited for when a proxy is created; after that its
/// clients are refused until it has an address.
const NAME_PATIENCE: Duration = Duration::from_secs(1);

/// Who asks for a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The routes that the proxy started with.
    Start,
    /// A client of the API.
    Api,
    /// The panel.
    Panel,
    /// The configuration file, read again.
    File,
    /// A key at the terminal.
    Key,
    /// A signal.
    Signal,
}

/// All proxies by name.
#[derive(Debug)]
pub struct Registry {
    control: Control,
    proxies: Mutex<BTreeMap<String, Entry>>,
}

/// A proxy as it is configured.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The text to listen on: as it was asked for while it is disabled, the bound address since it
    /// was enabled.
    pub listen: String,
    /// The text of the upstream, whatever it says.
    pub upstream: String,
    /// Its settings; where it listens and leads is only what they began with.
    pub route: Route,
    /// Its first listening address; `None` while it is disabled.
    pub bound: Option<SocketAddr>,
    /// The route that the proxy has of it: a disabled one is kept there only if it was configured
    /// so.
    pub id: Option<RouteId>,
}

impl Entry {
    /// Describes a proxy of the API, disabled as yet: the rules act on the stream as it is read, so
    /// that a delay delays bytes and no handshake.
    pub fn new(name: &str, listen: &str, upstream: &str) -> Self {
        let route = Route {
            name: name.to_owned(),
            transport: Transports::Tcp,
            listen: HostPort { host: String::new(), port: 0 },
            upstream: upstream_of(upstream),
            profile: Profile::default(),
            seed: None,
            paired: None,
            enabled: true,
            tcp: TcpMode::TOXIPROXY,
            follow: false,
            idle: None,
        };
        let (listen, upstream) = (listen.to_owned(), upstream.to_owned());
        Self { listen, upstream, route, bound: None, id: None }
    }

    /// Returns true if it listens.
    pub const fn is_enabled(&self) -> bool {
        self.bound.is_some()
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
        let mut proxies = BTreeMap::new();
        for state in routes {
            let bound = state.listeners.first().map(|listener| listener.address);
            let listen = bound.map_or_else(|| state.route.listen.to_string(), |at| at.to_string());
            let (name, upstream) = (state.route.name.clone(), state.route.upstream.to_string());
            let (route, id) = (state.route, Some(state.id));
            proxies.insert(name, Entry { listen, upstream, route, bound, id });
        }
        Self { control, proxies: Mutex::new(proxies) }
    }

    /// Returns the handle to the proxy, to look at what it does, or to change what is no
    /// configuration.
    pub const fn control(&self) -> &Control {
        &self.control
    }

    /// Locks the table for one change, or to look at it.
    pub fn open(&self, origin: Origin) -> Table<'_> {
        // A change that panicked was not carried out.
        let proxies = self.proxies.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        Table { control: &self.control, proxies, origin }
    }
}

/// The table of proxies, for one who changes it.
pub struct Table<'a> {
    control: &'a Control,
    proxies: MutexGuard<'a, BTreeMap<String, Entry>>,
    origin: Origin,
}

impl Table<'_> {
    /// Returns a proxy.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.proxies.get(name)
    }

    /// Returns all of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.proxies.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    /// Adds a proxy that does not listen yet, in place of one that has its name.
    pub fn put(&mut self, entry: Entry) -> Result<(), OrderError> {
        let name = entry.route.name.clone();
        self.disable(&name)?;
        self.changed(&name, "created");
        self.proxies.insert(name, entry);
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
        let entry = self.proxies.get_mut(name).expect("it is there");
        let upstream = upstream_of(&entry.upstream);
        let route = Route { listen, upstream, enabled: true, ..entry.route.clone() };
        let RouteState { id, listeners, .. } =
            self.control.add_patiently(route.clone(), NAME_PATIENCE)?;
        let bound = listeners.first().expect("an enabled route listens").address;
        *entry = Entry {
            listen: bound.to_string(),
            upstream: entry.upstream.clone(),
            route,
            bound: Some(bound),
            id: Some(id),
        };
        self.changed(name, "enabled");
        Ok(())
    }

    /// Closes a proxy's listener and all its connections. Does nothing if it has none.
    ///
    /// # Errors
    /// When the proxy has ended.
    pub fn disable(&mut self, name: &str) -> Result<(), OrderError> {
        let Some(entry) = self.proxies.get_mut(name) else { return Ok(()) };
        if let Some(id) = entry.id {
            match self.control.close(id) {
                // It may be gone already.
                Ok(()) | Err(OrderError::NoRoute(_)) => (entry.bound, entry.id) = (None, None),
                Err(error) => return Err(error),
            }
            self.changed(name, "disabled");
        }
        Ok(())
    }

    /// Sets the texts of a proxy that does not listen.
    pub fn set_texts(&mut self, name: &str, listen: &str, upstream: &str) {
        if let Some(entry) = self.proxies.get_mut(name) {
            entry.listen = listen.to_owned();
            entry.upstream = upstream.to_owned();
        }
    }

    /// Removes a proxy with its connections. Returns false if it is not there.
    ///
    /// # Errors
    /// When the proxy has ended.
    pub fn remove(&mut self, name: &str) -> Result<bool, OrderError> {
        self.disable(name)?;
        let removed = self.proxies.remove(name).is_some();
        if removed {
            self.changed(name, "removed");
        }
        Ok(removed)
    }

    /// Replaces the rules of a proxy, whether it listens or not.
    ///
    /// # Errors
    /// When a rule cannot act on it; nothing has changed then.
    pub fn set_profile(&mut self, name: &str, profile: Profile) -> Result<(), OrderError> {
        let Some(entry) = self.proxies.get_mut(name) else { return Ok(()) };
        let route = Route { profile, ..entry.route.clone() };
        route.check_rules().map_err(OrderError::Rules)?;
        if let Some(id) = entry.id {
            self.control.set_profile(id, route.profile.clone())?;
        }
        entry.route = route;
        self.changed(name, "profile");
        Ok(())
    }

    /// Tells of a change that was carried out.
    fn changed(&self, name: &str, what: &str) {
        log::info!("proxy {name}: {what} ({:?})", self.origin);
    }
}
