//! The relays of jostle: UDP and TCP sockets around the pure engine, on one event loop.
//!
//! [`Proxy::bind`] opens every listener or none; [`Proxy::run`] relays on the calling thread until
//! [`Control::stop`], drains, and returns the [`Summary`]. What happens to packets is decided in
//! `jostle-engine`; here are the sockets, the timer and the counters.
//!
//! [`Control`] changes a running proxy from other threads: routes come and go, and their rules
//! change, without disturbing the others.
//!
//! ```
//! use jostle_engine::profile::Profile;
//! use jostle_engine::route::Configuration;
//! use jostle_proxy::{Proxy, Settings};
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let proxy = Proxy::bind(Settings::new(Vec::new(), 7))?;
//! let control = proxy.control();
//! let running = std::thread::spawn(move || proxy.run());
//! let text = r#"{ "proxies": [ { "listen": "udp://127.0.0.1:0", "upstream": "127.0.0.1:9" } ] }"#;
//! let route = Configuration::from_json(text, &|_| Err("no files".into()))?.routes.remove(0);
//! let id = control.add(route)?;
//! let profile = Profile::from_json(r#"{ "up": [ { "rule": "drop", "chance": "5%" } ] }"#)?;
//! control.set_profile(id, profile)?;
//! assert_eq!(control.routes()?[0].listeners.len(), 1);
//! control.remove(id, Duration::from_secs(1))?;
//! control.stop();
//! assert_eq!(running.join().expect("it does not panic").links.len(), 2);
//! # Ok(())
//! # }
//! ```
//!
//! A packet has one [`Fate`], from socket to socket. The counters of the [`Summary`], the event log
//! and every [`Sink`] are told the same of it.
//!
//! Multicast and broadcast are not relayed.

mod account;
mod alarm;
mod associations;
mod buffers;
pub mod capture;
mod client;
mod control;
mod delays;
mod descriptors;
mod distribution;
mod event_log;
mod fate;
mod fleet;
mod flow;
mod kinds;
mod lane;
mod lateness;
mod listener;
mod look_ups;
mod loop_handles;
mod loop_state;
mod margin;
mod network;
mod observed;
mod orders;
mod own;
mod pace;
mod past;
mod pause;
mod pipes;
mod proxy;
mod reactor;
mod relay;
mod resolve;
mod rest;
mod route_shared;
mod routes;
mod selection;
mod settings;
mod shared;
mod sinks;
mod snapshot;
mod spool;
mod summary;
mod table;
mod tcp;
mod turn;
mod udp;
mod worker;

pub use client::{ClientHook, NewClient};
pub use control::{Control, PreparedRoute};
pub use delays::DelaySummary;
pub use distribution::Distribution;
pub use event_log::write_event;
pub use fate::{Fate, Loss, Settled};
pub use flow::{FlowCounts, FlowId, FlowPage, FlowState};
pub use jostle_forward::Target;
pub use lateness::LatenessSummary;
pub use listener::Listener;
pub use observed::{Crossing, FlowEvent, Observed};
pub use orders::{Began, Carried, OrderError, RouteId, RouteState};
pub use proxy::Proxy;
pub use selection::Selection;
pub use settings::{Settings, StartError};
pub use shared::Contended;
pub use sinks::Sink;
pub use snapshot::{EventLines, LinkTimes, Snapshot};
pub use spool::{Spool, SpoolEnd};
pub use summary::{LinkSummary, MemorySummary, SocketSummary, Summary};
