//! System 1, stop-and-wait over UDP, on real sockets.
//!
//! ```
//! use jostle_console::stop::Stop;
//! use jostle_endpoints::saw;
//! use jostle_endpoints::protocol::storage::Memory;
//!
//! let server = saw::Server::bind("127.0.0.1:0".parse()?, Memory::new(vec![7; 10_000]), false)?;
//! let address = server.address();
//! let stop = Stop::new();
//! let stopped = stop.clone();
//! let serving = std::thread::spawn(move || server.run(&stopped, |_| {}));
//! let (fetched, bytes) = saw::fetch(&saw::FetchSettings::new(vec![address]), Vec::new(), &Stop::new(), |_| {})?;
//! assert!(fetched.ending.is_done());
//! assert_eq!(bytes.len(), 10_000);
//! stop.request();
//! assert_eq!(serving.join().unwrap()?.requests, 3);
//! # anyhow::Ok(())
//! ```

pub mod command;

use crate::datagrams::{Driver, Ended};
use crate::ending::Ending;
use crate::protocol::saw::{Client, ClientSettings, Failure, Report, ServerReport};
use crate::protocol::storage::{Sink, Source};
use crate::protocol::{saw as protocol, timer::Timing};
use jostle_common::clock::Clock;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use jostle_console::stop::Stop;

/// The port unless told otherwise.
pub const PORT: u16 = 9001;
/// With `once`: after how long a silence behind a request for the last packet the client is taken
/// to have it. Its thanks, if they arrive, end the server sooner.
const ONCE_SILENCE: Duration = Duration::from_secs(5);

/// A server with its socket.
#[derive(Debug)]
pub struct Server<F> {
    driver: Driver,
    address: SocketAddr,
    machine: protocol::Server<F>,
}

impl<F: Source> Server<F> {
    /// A server of `source` on `listen`; port 0 lets the system pick one. With `once` it ends when
    /// one client has the whole file.
    ///
    /// # Errors
    /// When the address cannot be taken.
    pub fn bind(listen: SocketAddr, source: F, once: bool) -> io::Result<Self> {
        let driver = Driver::bind(listen)?;
        let address = driver.address()?;
        let machine = protocol::Server::new(source, once.then_some(ONCE_SILENCE));
        Ok(Self { driver, address, machine })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The file it serves.
    pub const fn source(&self) -> &F {
        self.machine.source()
    }

    /// Serves until `stop` is requested, or until one client is served when it was bound so.
    /// `each_turn` sees the counts as they grow.
    ///
    /// # Errors
    /// When the system refuses to wait for events.
    pub fn run(
        mut self,
        stop: &Stop,
        mut each_turn: impl FnMut(&ServerReport),
    ) -> io::Result<ServerReport> {
        self.driver
            .run(&mut self.machine, stop, &Clock::start(), |machine| each_turn(machine.report()))?;
        Ok(*self.machine.report())
    }
}

/// How a file is fetched.
#[derive(Clone, Debug)]
pub struct FetchSettings {
    /// The server's addresses; the next is tried when nobody listens at one.
    pub server: Vec<SocketAddr>,
    /// How timeouts are found.
    pub timing: Timing,
    /// After how long without any valid answer to give up; never when `None`.
    pub patience: Option<Duration>,
    /// How often a packet is asked for at the least before giving up.
    pub attempts_min: u32,
    /// The largest file that is accepted, in bytes.
    pub size_max: u64,
}

impl FetchSettings {
    /// The defaults for a server.
    pub const fn new(server: Vec<SocketAddr>) -> Self {
        Self {
            server,
            timing: Timing::Adaptive,
            patience: Some(ClientSettings::PATIENCE),
            attempts_min: ClientSettings::ATTEMPTS_MIN,
            size_max: ClientSettings::SIZE_MAX,
        }
    }
}

/// What was fetched.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The address that answered, or the last that was tried.
    pub server: SocketAddr,
    /// The counts.
    pub report: Report,
    /// How it ended.
    pub ending: Ending,
}

/// Fetches the server's file into `sink`, which is given back with the report. `each_turn` sees the
/// counts as they grow.
///
/// # Errors
/// When there is no way to the server, or the system refuses to wait for events. A file that does
/// not arrive is an [`Ending`].
pub fn fetch<S: Sink>(
    settings: &FetchSettings,
    mut sink: S,
    stop: &Stop,
    mut each_turn: impl FnMut(&Report),
) -> anyhow::Result<(Fetched, S)> {
    let clock = Clock::start();
    let mut addresses = settings.server.iter().copied().peekable();
    loop {
        let server = addresses.next().ok_or_else(|| anyhow::anyhow!("no address to ask"))?;
        let FetchSettings { timing, patience, attempts_min, size_max, .. } = *settings;
        let asking = ClientSettings { server, timing, patience, attempts_min, size_max };
        let mut client = Client::new(asking, sink);
        let run = Driver::connect(server).and_then(|mut driver| {
            driver.run(&mut client, stop, &clock, |client| each_turn(client.report()))
        });
        let (mut report, used, outcome) = client.into_parts();
        // The client does not learn that it was stopped.
        report.ended.get_or_insert_with(|| clock.now());
        sink = used;
        let is_unreachable = run.is_err() || matches!(outcome, Some(Err(Failure::Refused(_))));
        if is_unreachable && report.file.is_none() && addresses.peek().is_some() {
            continue;
        }
        let ending = match (run?, outcome) {
            (_, Some(Ok(()))) => Ending::Done,
            (_, Some(Err(failure))) => Ending::Failed(failure.to_string()),
            (Ended::Stopped | Ended::Finished, None) => Ending::Stopped,
        };
        return Ok((Fetched { server, report, ending }, sink));
    }
}
