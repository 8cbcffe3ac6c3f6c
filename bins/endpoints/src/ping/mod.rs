//! Ping over UDP, on real sockets.
//!
//! ```
//! use jostle_console::stop::Stop;
//! use jostle_endpoints::ping;
//! use jostle_endpoints::protocol::ping::PingClientSettings;
//!
//! let server = ping::serve("127.0.0.1:0".parse()?, false)?;
//! let address = server.address();
//! let stop = Stop::new();
//! let stopped = stop.clone();
//! let serving = std::thread::spawn(move || server.run(&stopped, |_| {}));
//! let settings = PingClientSettings::new(address, 1);
//! let pinged = ping::ping(&address.into(), &settings, &Stop::new(), |_, _, _| {})?;
//! assert!(pinged.ending.is_done());
//! assert_eq!((pinged.report.requests, pinged.report.received), (10, pinged.report.sent));
//! stop.request();
//! assert_eq!(serving.join().unwrap()?.report().answered, pinged.report.sent);
//! # anyhow::Ok(())
//! ```

pub mod command;
mod output;

use crate::datagrams::{DatagramServer, talk};
use crate::ending::Ending;
use crate::protocol::ping::{PORT, PingClient, PingClientSettings, PingEvent, PingReport};
use crate::protocol::reflector::{Reflector, ReflectorSettings};
use crate::way::Way;
use anyhow::Context as _;
use jostle_common::time::Instant;
use jostle_console::stop::Stop;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// With `once`: the silence after which the client is taken to be done; it says no goodbye.
pub const ONCE_SILENCE: Duration = Duration::from_secs(2);

/// Listens on `listen` with a server that answers anything with itself; port 0 lets the system pick
/// one. With `once` it ends when its first clients have fallen silent.
///
/// # Errors
/// When the address cannot be taken.
pub fn serve(listen: SocketAddr, once: bool) -> io::Result<DatagramServer<Reflector>> {
    let once = once.then_some(ONCE_SILENCE);
    DatagramServer::bind(listen, |address| {
        Reflector::new(ReflectorSettings { port: address.port(), once, tell: false })
    })
}

/// The result of a run of pings.
#[derive(Clone, Debug)]
pub struct Pinged {
    /// The address that answered, or the last that was tried.
    pub server: SocketAddr,
    /// The counts.
    pub report: PingReport,
    /// From the first datagram to the end.
    pub elapsed: Duration,
    /// The ending: done means that something was answered.
    pub ending: Ending,
}

/// Pings the first of `servers` at which a server listens; the address in `settings` is replaced.
/// `told` sees the server that is asked, each event, and the counts.
///
/// # Errors
/// When there is no way to any server, or the system refuses to wait for events. Silence is an
/// [`Ending`].
pub fn ping(
    servers: &Way,
    settings: &PingClientSettings,
    stop: &Stop,
    mut told: impl FnMut(SocketAddr, Option<PingEvent>, &PingReport),
) -> anyhow::Result<Pinged> {
    let server = *servers.first().context("no address to ping")?;
    let client = PingClient::new(PingClientSettings { server, ..*settings });
    let talk = talk(servers, client, stop, |server, client: &mut PingClient| {
        while let Some(event) = client.next_event() {
            told(server, Some(event), client.report());
        }
        told(server, None, client.report());
    })?;
    let (server, (report, outcome)) = (talk.server, talk.client.into_parts());
    let started = report.started.unwrap_or(Instant::START);
    // The client does not learn that it was stopped.
    let ended = if outcome.is_some() { report.ended.unwrap_or(started) } else { talk.ended };
    let (elapsed, ending) = (ended.since(started), Ending::of(outcome));
    Ok(Pinged { server, report, elapsed, ending })
}
