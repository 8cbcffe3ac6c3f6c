//! Stop-and-wait over UDP, on real sockets.
//!
//! ```
//! use jostle_console::stop::Stop;
//! use jostle_endpoints::saw;
//! use jostle_endpoints::protocol::storage::Memory;
//!
//! let server = saw::serve("127.0.0.1:0".parse()?, Memory::new(vec![7; 10_000]), false)?;
//! let address = server.address();
//! let stop = Stop::new();
//! let stopped = stop.clone();
//! let serving = std::thread::spawn(move || server.run(&stopped, |_| {}));
//! let settings = saw::FetchSettings::new(vec![address]);
//! let (fetched, bytes) = saw::fetch(&settings, Vec::new(), &Stop::new(), |_| {})?;
//! assert!(fetched.ending.is_done());
//! assert_eq!(bytes.len(), 10_000);
//! stop.request();
//! assert_eq!(serving.join().unwrap()?.report().requests, 3);
//! # anyhow::Ok(())
//! ```

pub mod command;

use crate::datagrams::{DatagramServer, talk};
use crate::ending::Ending;
use crate::protocol::saw::{SawClient, SawClientSettings, SawReport, SawServer};
use crate::protocol::storage::{Sink, Source};
use crate::protocol::timer::Timing;
use crate::way::Way;
use anyhow::Context as _;
use jostle_console::stop::Stop;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// The port unless told otherwise.
pub const PORT: u16 = 9001;
/// With `once`: the silence behind a request for the last packet after which the client is taken to
/// have it. Its thanks, if they arrive, end the server sooner.
const ONCE_SILENCE: Duration = Duration::from_secs(5);

/// Listens on `listen` with a server of `source`; port 0 lets the system pick one. With `once` it
/// ends when one client has the whole file.
///
/// # Errors
/// When the address cannot be taken.
pub fn serve<F: Source>(
    listen: SocketAddr,
    source: F,
    once: bool,
) -> io::Result<DatagramServer<SawServer<F>>> {
    DatagramServer::bind(listen, |_| SawServer::new(source, once.then_some(ONCE_SILENCE)))
}

/// The settings for fetching a file.
#[derive(Clone, Debug)]
pub struct FetchSettings {
    /// The way to the server.
    pub server: Way,
    /// The rule by which timeouts are found.
    pub timing: Timing,
    /// The time without any valid answer after which it gives up; never when `None`.
    pub patience: Option<Duration>,
    /// The least number of times that a packet is asked for before giving up.
    pub attempts_min: u32,
    /// The largest file that is accepted, in bytes.
    pub size_max: u64,
}

impl FetchSettings {
    /// Returns the defaults for a server.
    pub fn new(server: impl Into<Way>) -> Self {
        Self {
            server: server.into(),
            timing: Timing::Adaptive,
            patience: Some(SawClientSettings::PATIENCE),
            attempts_min: SawClientSettings::ATTEMPTS_MIN,
            size_max: SawClientSettings::SIZE_MAX,
        }
    }
}

/// The result of fetching a file.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The address that answered, or the last that was tried.
    pub server: SocketAddr,
    /// The counts.
    pub report: SawReport,
    /// The ending.
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
    sink: S,
    stop: &Stop,
    mut each_turn: impl FnMut(&SawReport),
) -> anyhow::Result<(Fetched, S)> {
    let server = *settings.server.first().context("no address to ask")?;
    let FetchSettings { timing, patience, attempts_min, size_max, .. } = *settings;
    let asking = SawClientSettings { server, timing, patience, attempts_min, size_max };
    let client = SawClient::new(asking, sink);
    let talk = talk(&settings.server, client, stop, |_: SocketAddr, client: &mut SawClient<S>| {
        each_turn(client.report())
    })?;
    let (mut report, sink, outcome) = talk.client.into_parts();
    // The client does not learn that it was stopped.
    report.ended.get_or_insert(talk.ended);
    let ending = Ending::of(outcome);
    Ok((Fetched { server: talk.server, report, ending }, sink))
}
