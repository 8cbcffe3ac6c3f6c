//! The clock service over TCP, on real sockets.
//!
//! ```
//! use jostle_console::stop::Stop;
//! use jostle_endpoints::clock;
//!
//! let settings = clock::ClockServerSettings::default();
//! let server = clock::ClockServer::bind("127.0.0.1:0".parse()?, settings)?;
//! let address = server.address();
//! let stop = Stop::new();
//! let stopped = stop.clone();
//! let serving = std::thread::spawn(move || server.run(&stopped));
//! let asked = clock::ask(&clock::ClockSettings::new(vec![address]), &Stop::new(), |_| {})?;
//! assert!(asked.ending.is_done());
//! let best = asked.report.best.unwrap();
//! let (least, most) = best.estimate.interval();
//! assert!(least <= 0 && most >= 0, "it is the same clock");
//! stop.request();
//! assert_eq!(serving.join().unwrap()?.answered, 5);
//! # anyhow::Ok(())
//! ```

mod client;
pub mod command;

pub use client::{ClockAsked, ClockSettings, ask};

use crate::protocol::clock::{ClockService, TimeFormat};
use crate::protocol::line_server::LineServer;
use crate::streams::{StreamServer, StreamServerSettings};
use jostle_common::clock::Clock;
use jostle_console::stop::Stop;
use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::time::Duration;

/// The settings of a [`ClockServer`].
#[derive(Clone, Copy, Debug)]
pub struct ClockServerSettings {
    /// The format in which it writes the time.
    pub format: TimeFormat,
    /// The number of clients that may be connected at once; further ones wait.
    pub clients_max: usize,
    /// The silence after which a connection is closed.
    pub idle: Duration,
    /// True if it ends after one client.
    pub once: bool,
}

impl Default for ClockServerSettings {
    fn default() -> Self {
        let (format, idle) = (TimeFormat::default(), Duration::from_secs(600));
        Self { format, clients_max: 1000, idle, once: false }
    }
}

/// The totals of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockServerReport {
    /// Connections that were taken.
    pub connections: u64,
    /// Questions answered with the time.
    pub answered: u64,
    /// Lines that asked something else.
    pub errors: u64,
    /// Connections that had long been silent and gave their place to another.
    pub yielded: u64,
}

/// A server with its listener.
#[derive(Debug)]
pub struct ClockServer {
    settings: ClockServerSettings,
    server: StreamServer,
}

impl ClockServer {
    /// Listens on `listen`; port 0 lets the system pick one.
    ///
    /// # Errors
    /// When the address cannot be taken.
    pub fn bind(listen: SocketAddr, settings: ClockServerSettings) -> io::Result<Self> {
        let ClockServerSettings { clients_max, idle, once, .. } = settings;
        let clients_max = if once { 1 } else { clients_max };
        let listening = StreamServerSettings { clients_max, patience: Some(idle), yields: !once };
        Ok(Self { settings, server: StreamServer::bind(listen, listening)? })
    }

    /// Returns the address that it listens on.
    pub const fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Answers until `stop` is requested, or until one client has gone when it was set so.
    ///
    /// # Errors
    /// When the system refuses to wait for events.
    pub fn run(self, stop: &Stop) -> io::Result<ClockServerReport> {
        let ClockServerSettings { format, idle, once, .. } = self.settings;
        let mut report = ClockServerReport::default();
        let open = |now| LineServer::new(ClockService::new(format, Clock::wall), now, idle);
        let served = self.server.run(stop, open, |visit| {
            if !visit.is_over {
                return ControlFlow::Continue(());
            }
            let service = visit.endpoint.service();
            report.connections += 1;
            report.answered += service.answered();
            report.errors += service.errors();
            if once { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(ClockServerReport { yielded: served.yielded, ..report })
    }
}
