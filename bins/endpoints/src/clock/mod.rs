//! System 3, the clock service over TCP, on real sockets.
//!
//! ```
//! use jostle_console::stop::Stop;
//! use jostle_endpoints::clock;
//!
//! let server = clock::Server::bind("127.0.0.1:0".parse()?, clock::ServerSettings::default())?;
//! let address = server.address();
//! let stop = Stop::new();
//! let stopped = stop.clone();
//! let serving = std::thread::spawn(move || server.run(&stopped));
//! let asked = clock::ask(&clock::AskSettings::new(vec![address]), &Stop::new(), |_| {})?;
//! assert!(asked.ending.is_done());
//! let best = asked.best.unwrap();
//! assert!(best.estimate.interval().0 <= 0 && best.estimate.interval().1 >= 0, "it is the same clock");
//! stop.request();
//! assert_eq!(serving.join().unwrap()?.answered, 5);
//! # anyhow::Ok(())
//! ```

mod client;
pub mod command;

pub use client::{AskSettings, Asked, Told, ask};

use crate::lines;
use crate::protocol::clock::{ERROR, LINE_BYTES_MAX, TimeFormat, answer};
use crate::protocol::lines::Overlong;
use jostle_common::clock::Clock;
use jostle_console::stop::Stop;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// How a [`Server`] answers.
#[derive(Clone, Copy, Debug)]
pub struct ServerSettings {
    /// How it writes the time.
    pub format: TimeFormat,
    /// How many clients may be connected at once; further ones wait.
    pub clients_max: usize,
    /// After how long a silence a connection is closed.
    pub idle: Duration,
    /// Whether it ends after one client.
    pub once: bool,
}

impl Default for ServerSettings {
    fn default() -> Self {
        let (format, idle) = (TimeFormat::default(), Duration::from_secs(600));
        Self { format, clients_max: 1000, idle, once: false }
    }
}

/// What a server has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerReport {
    /// Connections that were taken.
    pub connections: u64,
    /// Questions answered with the time.
    pub answered: u64,
    /// Lines that asked something else.
    pub errors: u64,
}

/// A server with its listener.
#[derive(Debug)]
pub struct Server {
    server: lines::Server,
    format: TimeFormat,
}

impl Server {
    /// A server on `listen`; port 0 lets the system pick one.
    ///
    /// # Errors
    /// When the address cannot be taken.
    pub fn bind(listen: SocketAddr, settings: ServerSettings) -> io::Result<Self> {
        let ServerSettings { format, clients_max, idle, once } = settings;
        let (line_bytes_max, overlong) = (LINE_BYTES_MAX, Overlong::Skip);
        let settings = lines::ServerSettings { line_bytes_max, overlong, clients_max, idle, once };
        Ok(Self { server: lines::Server::bind(listen, settings)?, format })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Answers until `stop` is requested, or until one client has gone when it was set so.
    ///
    /// # Errors
    /// When the system refuses to wait for events.
    pub fn run(self, stop: &Stop) -> io::Result<ServerReport> {
        let Self { server, format } = self;
        let mut answered = 0;
        let totals = server.run(stop, |_, line, answers| {
            let time = answer(line, Clock::wall(), format);
            answered += u64::from(time.is_some());
            answers.extend_from_slice(time.as_deref().unwrap_or(ERROR).as_bytes());
            answers.push(b'\n');
        })?;
        Ok(ServerReport {
            connections: totals.connections,
            answered,
            errors: totals.lines - answered,
        })
    }
}
