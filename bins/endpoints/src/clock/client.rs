//! The client: asks on one connection.

use crate::ending::Ending;
use crate::protocol::clock::{ClockAnswer, ClockClient, ClockClientSettings, ClockReport};
use crate::streams::Connection;
use crate::way::Way;
use anyhow::Context as _;
use jostle_common::clock::Clock;
use jostle_console::stop::Stop;
use std::net::SocketAddr;
use std::time::Duration;

/// The settings for asking a clock.
#[derive(Clone, Debug)]
pub struct ClockSettings {
    /// The way to the server.
    pub server: Way,
    /// The number of questions.
    pub count: u64,
    /// The least time from one question to the next.
    pub interval: Duration,
    /// The time without an answer after which it gives up.
    pub patience: Duration,
}

impl ClockSettings {
    /// Returns the defaults for a server.
    pub fn new(server: impl Into<Way>) -> Self {
        Self {
            server: server.into(),
            count: 5,
            interval: Duration::ZERO,
            patience: Duration::from_secs(30),
        }
    }
}

/// The answers, and the ending.
#[derive(Clone, Debug)]
pub struct ClockAsked {
    /// The address that was connected to, or the last that was tried.
    pub server: SocketAddr,
    /// The answers.
    pub report: ClockReport,
    /// The ending.
    pub ending: Ending,
}

/// Asks a clock; `told` sees each answer.
///
/// # Errors
/// When there is no address, or the system refuses to wait for events. An answer that does not come
/// is an [`Ending`].
pub fn ask(
    settings: &ClockSettings,
    stop: &Stop,
    mut told: impl FnMut(&ClockAnswer),
) -> anyhow::Result<ClockAsked> {
    let ClockSettings { server: servers, count, interval, patience } = settings;
    let mut server = *servers.first().context("no address to ask")?;
    let (clock, patience) = (Clock::start(), *patience);
    let asking =
        ClockClientSettings { count: *count, interval: *interval, patience, wall: Clock::wall };
    let mut client = ClockClient::new(asking);
    let opened = Connection::open(servers, patience, Some(patience), stop, clock, &mut server);
    let failed = match opened {
        Ok(mut connection) => {
            connection.drive(&mut client, |_, client| {
                while let Some(answer) = client.next_answer() {
                    told(&answer);
                }
                None
            })?;
            None
        }
        Err(ending) => Some(ending),
    };
    let (report, outcome) = client.into_parts();
    Ok(ClockAsked { server, report, ending: failed.unwrap_or_else(|| Ending::of(outcome)) })
}
