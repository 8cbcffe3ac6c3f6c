//! System 2, ping over UDP, on real sockets.
//!
//! ```
//! use jostle_console::stop::Stop;
//! use jostle_endpoints::ping;
//! use jostle_endpoints::protocol::ping::ClientSettings;
//!
//! let server = ping::Server::bind("127.0.0.1:0".parse()?, false)?;
//! let address = server.address();
//! let stop = Stop::new();
//! let stopped = stop.clone();
//! let serving = std::thread::spawn(move || server.run(&stopped));
//! let pinged = ping::ping(&[address], &ClientSettings::new(address, 1), &Stop::new(), |_, _, _| {})?;
//! assert!(pinged.ending.is_done());
//! assert_eq!((pinged.report.requests, pinged.report.received), (10, pinged.report.sent));
//! stop.request();
//! assert_eq!(serving.join().unwrap()?.answered, pinged.report.sent);
//! # anyhow::Ok(())
//! ```

pub mod command;
mod words;

use crate::datagrams::{Driver, Ended};
use crate::ending::Ending;
use crate::protocol::ping::{Client, ClientSettings, Event, Failure, PORT, Report};
use crate::protocol::reflector::{Reflector, ReflectorReport, ReflectorSettings};
use jostle_common::clock::Clock;
use jostle_common::time::Instant;
use jostle_console::stop::Stop;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// With `once`: after how long a silence the client is taken to be done; it says no goodbye.
pub const ONCE_SILENCE: Duration = Duration::from_secs(2);

/// A server with its socket.
#[derive(Debug)]
pub struct Server {
    driver: Driver,
    address: SocketAddr,
    machine: Reflector,
}

impl Server {
    /// A server on `listen`; port 0 lets the system pick one. With `once` it ends when its first
    /// clients have fallen silent.
    ///
    /// # Errors
    /// When the address cannot be taken.
    pub fn bind(listen: SocketAddr, once: bool) -> io::Result<Self> {
        let driver = Driver::bind(listen)?;
        let address = driver.address()?;
        let once = once.then_some(ONCE_SILENCE);
        let machine = Reflector::new(ReflectorSettings { port: address.port(), once, tell: false });
        Ok(Self { driver, address, machine })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` is requested, or until silence when it was bound so.
    ///
    /// # Errors
    /// When the system refuses to wait for events.
    pub fn run(mut self, stop: &Stop) -> io::Result<ReflectorReport> {
        self.driver.run(&mut self.machine, stop, &Clock::start(), |_| {})?;
        Ok(*self.machine.report())
    }
}

/// What a run of pings came to.
#[derive(Clone, Debug)]
pub struct Pinged {
    /// The address that answered, or the last that was tried.
    pub server: SocketAddr,
    /// The counts.
    pub report: Report,
    /// From the first datagram to the end.
    pub elapsed: Duration,
    /// How it ended: done means that something was answered.
    pub ending: Ending,
}

/// Pings the first of `servers` at which somebody listens; the address in `settings` is replaced.
/// `told` sees whom it asks, each event, and the counts.
///
/// # Errors
/// When there is no way to any server, or the system refuses to wait for events. Silence is an
/// [`Ending`].
pub fn ping(
    servers: &[SocketAddr],
    settings: &ClientSettings,
    stop: &Stop,
    mut told: impl FnMut(SocketAddr, Option<Event>, &Report),
) -> anyhow::Result<Pinged> {
    let clock = Clock::start();
    let mut addresses = servers.iter().copied().peekable();
    loop {
        let server = addresses.next().ok_or_else(|| anyhow::anyhow!("no address to ping"))?;
        let mut client = Client::new(ClientSettings { server, ..*settings });
        let run = Driver::connect(server).and_then(|mut driver| {
            driver.run(&mut client, stop, &clock, |client| {
                while let Some(event) = client.next_event() {
                    told(server, Some(event), client.report());
                }
                told(server, None, client.report());
            })
        });
        let (report, outcome) = client.into_parts();
        let is_unreachable = run.is_err() || matches!(outcome, Some(Err(Failure::Refused(_))));
        if is_unreachable && report.received == 0 && addresses.peek().is_some() {
            continue;
        }
        let (ending, ended) = match (run?, outcome) {
            (_, Some(Ok(()))) => (Ending::Done, report.ended),
            (_, Some(Err(failure))) => (Ending::Failed(failure.to_string()), report.ended),
            (Ended::Stopped | Ended::Finished, None) => (Ending::Stopped, Some(clock.now())),
        };
        let started = report.started.unwrap_or(Instant::START);
        let elapsed = ended.unwrap_or(started).since(started);
        return Ok(Pinged { server, report, elapsed, ending });
    }
}
