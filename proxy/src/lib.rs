//! The relays of jostle: UDP and TCP sockets around the pure engine, on one event loop.
//!
//! [`Proxy::bind`] opens every listener or none; [`Proxy::run`] relays on the calling thread until
//! [`Control::stop`], drains, and returns the [`Summary`]. What happens to packets is decided in
//! `jostle-engine`; here are the sockets, the timer and the counters.
//!
//! Multicast and broadcast are not relayed.

mod control;
mod events;
mod lane;
mod lateness;
mod ledger;
mod listener;
mod proxy;
mod reactor;
mod resolve;
mod settings;
mod summary;
mod table;
mod tcp;
mod turn;
mod udp;

pub use control::Control;
pub use events::write_event;
pub use lateness::LatenessSummary;
pub use listener::Listener;
pub use proxy::Proxy;
pub use settings::{Settings, StartError};
pub use summary::{LinkSummary, SocketSummary, Summary};
