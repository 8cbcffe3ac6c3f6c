//! Changes of the configuration, as those who watch it are told of them.

use super::Entry;
use jostle_common::time::Instant;
use jostle_proxy::{Began, RouteId};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

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

impl Origin {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 6] =
        [Self::Start, Self::Api, Self::Panel, Self::File, Self::Key, Self::Signal];

    /// Returns the name in logs and in the journal.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Api => "api",
            Self::Panel => "panel",
            Self::File => "file",
            Self::Key => "key",
            Self::Signal => "signal",
        }
    }
}

/// What was done to a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It is there; one that had its name is gone.
    Created,
    /// It listens.
    Enabled,
    /// It listens no more, and its connections are closed.
    Disabled,
    /// It is asked to listen or to lead elsewhere.
    Moved,
    /// Its rules are others.
    Profile,
    /// It is another route of the same name: what is the same of it went on.
    Replaced,
    /// It is gone.
    Removed,
}

impl Deed {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 7] = [
        Self::Created,
        Self::Enabled,
        Self::Disabled,
        Self::Moved,
        Self::Profile,
        Self::Replaced,
        Self::Removed,
    ];

    /// Returns the name in logs and in the journal.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Moved => "moved",
            Self::Profile => "profile",
            Self::Replaced => "replaced",
            Self::Removed => "removed",
        }
    }
}

/// What was changed.
#[derive(Clone, Copy, Debug)]
pub enum Changed<'a> {
    /// One proxy.
    Proxy {
        /// Its name.
        name: &'a str,
        /// What was done to it.
        deed: Deed,
        /// When the time of its rules had begun: of those it had before, if it is gone or another.
        began: Began,
    },
    /// The rules of all proxies were switched on or off.
    Rules {
        /// Set if they are on now.
        on: bool,
        /// When the time of each one's rules had begun.
        began: &'a [(RouteId, Began)],
    },
}

/// A change that was carried out.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// The moment from which it holds, as the event log tells time.
    pub at: Instant,
    /// Who asked for it.
    pub origin: Origin,
    /// What was changed.
    pub changed: Changed<'a>,
    /// All proxies by name, as they are now.
    pub proxies: &'a BTreeMap<String, Entry>,
    /// Set unless all rules are switched off.
    pub rules_on: bool,
}

/// Is told of each change, one after the other, until it breaks off.
///
/// It is called while the registry is locked, so it must not open it, nor wait for anything.
pub type Watcher = Box<dyn FnMut(&Change<'_>) -> ControlFlow<()> + Send>;
