//! The relays of jostle: UDP and TCP sockets around the pure engine, on one event loop.
//!
//! [`Proxy::bind`] opens every listener or none; [`Proxy::run`] relays on the calling thread until
//! [`Control::stop`], drains, and returns the [`Summary`]. What happens to packets is decided in
//! `jostle-engine`; here are the sockets, the timer and the counters.
//!
//! Multicast and broadcast are not relayed.

mod account;
mod control;
mod event_log;
mod fate;
mod fleet;
mod lane;
mod lateness;
mod listener;
mod network;
mod orders;
mod past;
mod proxy;
mod reactor;
mod relay;
mod resolve;
mod routes;
mod settings;
mod sinks;
mod summary;
mod table;
mod tcp;
mod turn;
mod udp;

pub use control::Control;
pub use event_log::write_event;
pub use fate::{Fate, Loss, Settled};
pub use lateness::LatenessSummary;
pub use listener::Listener;
pub use orders::{OrderError, RouteId, RouteState};
pub use proxy::Proxy;
pub use settings::{Settings, StartError};
pub use sinks::Sink;
pub use summary::{LinkSummary, SocketSummary, Summary};
