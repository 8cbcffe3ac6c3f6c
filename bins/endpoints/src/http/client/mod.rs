//! The HTTP client: files over one connection, checked by length and digest, resumed when they
//! break off.
//!
//! It stands on the same hyper as the server, without a library of clients on top. What it promises
//! needs a hand on the connection: a wait that is bounded by progress in both directions (reqwest
//! bounds reads, and not a server that stops reading an upload), paths that are sent as they were
//! typed (the `url` crate resolves `..` and encoded dots), a count of connections, and one try
//! again when a kept connection was stale, which is not the user's retry (a pool repeats by
//! itself).

#![expect(clippy::disallowed_methods, reason = "hyper runs on tokio, and so do its waits")]

mod chained_body;
pub mod command;
mod connection;
mod content_range;
mod download;
mod failure;
mod head;
mod part;
mod reception;
mod report;
mod upload;
mod url;

pub use connection::HttpClientTotals;
pub use download::{DownloadTarget, download};
pub use head::head;
pub use report::{DigestCheck, Head, HttpReport};
pub use upload::{Sending, upload};
pub use url::Url;

use crate::way::SocksProxy;
use connection::HttpConnection;
use failure::HttpFailure;
use jostle_console::stop::Stop;
use jostle_console::terminal;
use std::time::Duration;

/// The patience of a client.
#[derive(Clone, Copy, Debug)]
pub struct HttpClientSettings {
    /// The time without any progress after which a connection is given up.
    pub timeout: Duration,
    /// The number of times to try again, for each file.
    pub retries: u32,
    /// The largest file that is fetched, in bytes.
    pub size_max: u64,
}

impl Default for HttpClientSettings {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(30), retries: 3, size_max: 64 << 30 }
    }
}

/// A client with its connection, which is kept between files.
#[derive(Debug)]
pub struct HttpClient {
    settings: HttpClientSettings,
    connection: HttpConnection,
}

impl HttpClient {
    /// Creates a client without a connection yet.
    pub fn new(settings: HttpClientSettings) -> Self {
        Self { settings, connection: HttpConnection::new(settings.timeout) }
    }

    /// The same client, which connects by a proxy if there is one.
    #[must_use]
    pub fn by_proxy(mut self, proxy: Option<SocksProxy>) -> Self {
        self.connection.proxy = proxy;
        self
    }

    /// Returns the totals.
    pub const fn totals(&self) -> HttpClientTotals {
        self.connection.totals
    }
}

/// Runs `job` to its end, or until `stop` is requested: then `None`.
///
/// # Errors
/// When the system gives no event loop.
pub fn run<T>(stop: &Stop, job: impl Future<Output = T>) -> std::io::Result<Option<T>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (stopping, mut is_stopping) = tokio::sync::watch::channel(false);
    let _attached = stop.attach_with(move || {
        stopping.send_replace(true);
    });
    let ended = runtime.block_on(async {
        tokio::select! {
            biased;
            _ = is_stopping.wait_for(|stopping| *stopping) => None,
            ended = job => Some(ended),
        }
    });
    runtime.shutdown_background();
    Ok(ended)
}

/// Returns the time to wait before trying again for the `n`-th time, from 1: 0.1 s, doubled up to
/// 3.2 s.
fn backoff(n: u32) -> Duration {
    Duration::from_millis(100) * 2_u32.pow(n.saturating_sub(1).min(5))
}

/// Repeats `attempt` until it is done, fails for good, or has been tried often enough. Counts the
/// repetitions, but for one at once when a kept connection was stale.
async fn persist<T>(
    retries: u32,
    count: &mut u32,
    mut attempt: impl AsyncFnMut() -> Result<T, HttpFailure>,
) -> Result<T, String> {
    let mut was_stale = false;
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(HttpFailure::Final(reason)) => return Err(reason),
            Err(HttpFailure::Stale(_)) if !was_stale => was_stale = true,
            Err(HttpFailure::Passing(reason) | HttpFailure::Stale(reason)) if *count >= retries => {
                let times = if *count == 1 { "retry" } else { "retries" };
                return Err(if *count == 0 {
                    reason
                } else {
                    format!("{reason} (after {count} {times})")
                });
            }
            Err(HttpFailure::Passing(reason) | HttpFailure::Stale(reason)) => {
                *count += 1;
                terminal::note(&format!("{}; trying again", terminal::escaped(&reason)));
                tokio::time::sleep(backoff(*count)).await;
            }
        }
    }
}
