//! The control API of a running proxy: Toxiproxy's, with more behind it.
//!
//! [`Server::start`] answers HTTP on threads of its own. It speaks to the proxy through
//! [`jostle_proxy::Control`] alone, so nothing that a client of the API does can hold up traffic.
//! What is configured stands in the [`Registry`]: proxies by name, with their toxics; each change
//! is carried out whole, or refused and nothing is different.

mod connection;
mod context;
mod course;
mod flows;
mod guard;
mod journal;
mod live;
mod openapi;
mod panel;
mod places;
mod profiles;
mod registry;
mod routes;
mod server;
mod settings;
mod toxiproxy;
mod watch;

pub use guard::{Token, TokenError};
pub use journal::{
    Event, History, Journal, JournalEnd, JournalError, Recorded, Replay, ReplayError,
};
pub use registry::{
    Change, Changed, Deed, Entry, Origin, Registry, ReloadError, Reloaded, Table, Watcher,
};
pub use server::{Server, ServerError};
pub use settings::{Patience, ServerSettings};
pub use watch::{BROKEN_AFTER, FileWatch, LOOK_EVERY, Look, SETTLES_AFTER, Sighting};
