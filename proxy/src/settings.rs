//! The settings that a proxy is started with, and the reasons why it may not start.

use crate::client::ClientHook;
use crate::selection::Selection;
use crate::sinks::Sink;
use jostle_common::listening::CannotListen;
use jostle_engine::memory::LIMIT_DEFAULT;
use jostle_engine::route::Route;
use std::io::{self, Write};
use std::time::Duration;

/// The settings of a proxy.
pub struct Settings {
    /// The routes; disabled ones are left out.
    pub routes: Vec<Route>,
    /// The seed of the routes that have none of their own.
    pub seed: u64,
    /// Keep to mio alone, as on systems that are not Linux: a datagram per call, deadlines met to a
    /// millisecond. Arrivals are stamped when they are read, what the kernel dropped is not told,
    /// and a wildcard listener answers from the address that the system chooses.
    pub portable: bool,
    /// The event log: each packet's fate is written to it, a line each, on a thread of its own. A
    /// writer that says `WouldBlock`, or `NotConnected` while the run goes on, is tried again.
    pub events: Option<Box<dyn Write + Send>>,
    /// The fates that the event log has.
    pub events_only: Selection,
    /// Further sinks that are told of each packet's fate.
    pub sinks: Vec<Box<dyn Sink>>,
    /// Is told of each new client: a flow of UDP, a connection of TCP.
    pub on_client: Option<ClientHook>,
    /// The time to look for work without sleeping, before a deadline (up to four times as long where
    /// the wake-up takes longer), and after some work while more keeps coming. It costs processor
    /// time and spares the wake-up, which takes tens of microseconds. Zero: never.
    pub spin: Duration,
    /// The time that UDP datagrams may wait to be read together while they keep coming at more than
    /// 100,000 a second: many that are read at once cost a fraction of as many that are read one by
    /// one. Their times of arrival are the kernel's. Zero: never.
    pub coalesce: Duration,
    /// Let bulk transfers of TCP that no rule acts on and nobody observes pass inside the kernel,
    /// where it can do that (`splice`); otherwise they are read and written.
    pub splices: bool,
    /// The time that an upstream has to answer a TCP connect.
    pub connect_timeout: Duration,
    /// The time that a client of a forward listener has to say where it wants to go, and from its first
    /// byte on for each further request.
    pub negotiation_timeout: Duration,
    /// The most bytes that a UDP client gets per byte from it until it has shown that it is there,
    /// by sending something after it was answered; `None`: any number. Clients on loopback need not
    /// show it.
    pub amplification: Option<u32>,
    /// Warn in the log when an upstream cannot be reached, or answers from elsewhere. Whoever
    /// starts and ends the servers knows better.
    pub tells_of_upstreams: bool,
    /// The bytes that all routes together hold at most. What is over is `no_room` on UDP; on TCP
    /// senders wait.
    pub memory: u64,
    /// The most UDP flows, and TCP connections, of one address (of IPv6, a network of 64 bits);
    /// `None`: half of what the process may have open, while less than a quarter of that is free.
    pub per_source: Option<usize>,
    /// The event loops that the routes are spread over, each on a thread of its own, from 1.
    pub workers: usize,
    /// Let UDP datagrams that come as a run cross as one, and make runs of others where nothing
    /// tells them apart. One by one they meet the same fate, at several times the cost: that is for
    /// those who compare.
    pub runs: bool,
    /// Descriptors that no client of the relays gets, besides those that are open already: those of
    /// a control API, say.
    pub kept_descriptors: usize,
}

impl Settings {
    /// Longer than two lost SYNs take (1 s and 2 s more), shorter than people wait.
    pub const CONNECT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

    /// As long as a connect may take: longer than two lost segments of a greeting take.
    pub const NEGOTIATION_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

    /// The spin at which the median lateness of a 20 ms delay stops falling (30 µs without, 5 µs
    /// with it).
    pub const SPIN_DEFAULT: Duration = Duration::from_micros(50);

    /// The wait behind which more is saved by a longer one no more, by measurement.
    pub const COALESCE_DEFAULT: Duration = Duration::from_micros(50);

    /// What QUIC allows towards an address that is not validated (RFC 9000 §8.1).
    pub const AMPLIFICATION_DEFAULT: Option<u32> = Some(3);

    /// The bytes that all routes together hold at most.
    pub const MEMORY_DEFAULT: u64 = LIMIT_DEFAULT;

    /// The least that they may be bounded to: below it not even one connection gets on well.
    pub const MEMORY_LEAST: u64 = 16 << 20;

    /// The most event loops: each has megabytes of buffers, and beyond the cores none helps.
    pub const WORKERS_MAX: usize = 256;

    /// Settings with no more than the routes and the seed.
    pub const fn new(routes: Vec<Route>, seed: u64) -> Self {
        Self {
            routes,
            seed,
            portable: false,
            events: None,
            events_only: Selection::ALL,
            sinks: Vec::new(),
            on_client: None,
            spin: Self::SPIN_DEFAULT,
            coalesce: Self::COALESCE_DEFAULT,
            splices: true,
            connect_timeout: Self::CONNECT_TIMEOUT_DEFAULT,
            negotiation_timeout: Self::NEGOTIATION_TIMEOUT_DEFAULT,
            amplification: Self::AMPLIFICATION_DEFAULT,
            tells_of_upstreams: true,
            memory: Self::MEMORY_DEFAULT,
            per_source: None,
            workers: 1,
            runs: true,
            kept_descriptors: 0,
        }
    }
}

/// The reason why a proxy did not start. Nothing is left open then. The message has it all, so
/// there is no source behind it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener could not be opened.
    #[error("route {route}: cannot listen on {address}: {}", CannotListen(cause))]
    Listen {
        /// The route's name.
        route: String,
        /// The address that it was to listen on, with its scheme.
        address: String,
        /// The system's error.
        cause: io::Error,
    },
    /// A name has no address.
    #[error("route {route}: cannot resolve {address}: {cause}")]
    Resolve {
        /// The route's name.
        route: String,
        /// The name and port.
        address: String,
        /// The system's error.
        cause: io::Error,
    },
    /// A route leads to itself.
    #[error(
        "route {route}: what it sends to {upstream} comes back to it, for ever; \
         write the address of the server"
    )]
    Circle {
        /// The route's name.
        route: String,
        /// The upstream that leads back.
        upstream: String,
    },
    /// The process may not open as many sockets as one client needs.
    #[error(
        "{limit} open descriptors are too few: with the listeners, one client needs {needed}; \
         raise the limit (ulimit -n {needed})"
    )]
    Descriptors {
        /// The most that the process may have open.
        limit: usize,
        /// The least that it needs.
        needed: usize,
    },
    /// The event loop could not be set up.
    #[error("cannot set up the event loop: {cause}")]
    Loop {
        /// The system's error.
        cause: io::Error,
    },
}

impl From<io::Error> for StartError {
    fn from(cause: io::Error) -> Self {
        Self::Loop { cause }
    }
}
