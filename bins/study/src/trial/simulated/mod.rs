//! A trial in virtual time: one cell in, one row out.
//!
//! The endpoints and the links are those of a trial on real sockets, with the same names, settings
//! and draws; only the machine between them is left out. So every byte of a row is a function of
//! the trial and of what it carries, and no cell knows of another.
//!
//! ```
//! use jostle_study::trial::Trial;
//! use jostle_study::trial::simulated::{Content, run};
//!
//! let mut trial = Trial { is_virtual: true, ..Trial::default() };
//! let parameters = [("protocol", "saw"), ("loss", "5%"), ("delay", "10ms"), ("size", "64KiB")];
//! for (name, value) in parameters {
//!     trial.set(name, &value.into(), &|file| Err(format!("no file {file}")))?;
//! }
//! let row = run(&trial, &Content::generated(64 << 10));
//! assert!(row.ok && row.digest_equal == Some(true));
//! assert!(row.seconds.is_some_and(|seconds| seconds > 16.0 * 0.02));
//! # Ok::<(), jostle_common::setting::SettingError>(())
//! ```

mod messages;
mod ping;
mod received;
mod saw;
mod tcp;
mod udp;

use crate::rows::{RouteCounts, Row};
use crate::trial::{Protocol, ROUTE, Trial};
use crate::virtual_time::{End, Limits, Outcome, Simulation, StreamSimulation};
use jostle_common::units::format_duration;
use jostle_endpoints::protocol::Endpoint;
use jostle_endpoints::protocol::storage::{Memory, Source};
use jostle_endpoints::protocol::stream::StreamEndpoint;
use jostle_engine::profile::Profile;
use std::fmt::Display;
use std::time::Duration;

/// The file that a trial carries; cells share its bytes, and its digest is computed once.
pub type Content = Memory;

/// The most packets that a cell sends: without delay, endless talk would take no time and never
/// reach the limit.
const PACKETS_MAX: u64 = 5_000_000;

/// Runs a trial, virtual whether it says so or not. What cannot be done is told in the row's
/// `error`. `content` is of use to the protocols that carry a file.
pub fn run(trial: &Trial, content: &Content) -> Row {
    if !trial.is_virtual {
        return run(&Trial { is_virtual: true, ..trial.clone() }, content);
    }
    let mut row = trial.row();
    if trial.file.is_some() {
        row.more.insert("size".to_owned(), content.size().into());
    }
    let profile = match trial.weather() {
        Ok(profile) => profile,
        Err(error) => {
            row.error = Some(error.to_string());
            return row;
        }
    };
    let cell = Cell { trial, content, profile };
    let end = match trial.job.protocol() {
        Some(Protocol::Tcp) => tcp::run(&cell, &mut row),
        Some(Protocol::Udp) => udp::run(&cell, &mut row),
        Some(Protocol::Saw) => saw::run(&cell, &mut row),
        Some(Protocol::Ping) => ping::run(&cell, &mut row),
        Some(Protocol::Messages) => messages::run(&cell, &mut row),
        Some(Protocol::Http) | None => {
            row.error = Some(format!("{} runs on real sockets only", trial.job.name()));
            return row;
        }
    };
    row.error = end.error(trial);
    row.ok = row.error.is_none();
    let Outcome { up, down, .. } = &end.outcome;
    row.packets = Some(up.entered + down.entered);
    row.proxy = Some(RouteCounts { up: up.into(), down: down.into() });
    row
}

/// A trial, and what it means.
struct Cell<'a> {
    trial: &'a Trial,
    content: &'a Content,
    profile: Profile,
}

impl Cell<'_> {
    fn limits(&self) -> Limits {
        Limits { time: self.trial.limit(), packets: PACKETS_MAX }
    }

    fn simulate(&self, client: &mut dyn Endpoint, server: &mut dyn Endpoint) -> Outcome {
        let simulation = Simulation::new(client, server, &self.profile, self.trial.seed, ROUTE);
        simulation.run(self.limits(), |_, _| {})
    }

    fn stream<'a>(
        &self,
        client: &'a mut dyn StreamEndpoint,
        server: &'a mut dyn StreamEndpoint,
    ) -> StreamSimulation<'a> {
        let mode = self.trial.tcp();
        StreamSimulation::new(client, server, &self.profile, mode, self.trial.seed, ROUTE)
    }
}

/// The end of a cell.
struct Ended {
    outcome: Outcome,
    /// The client's account of its end, if it came to one.
    client: Option<Result<(), String>>,
}

impl Ended {
    fn new<E: Display>(outcome: Outcome, client: Option<Result<(), E>>) -> Self {
        Self { outcome, client: client.map(|client| client.map_err(|failure| failure.to_string())) }
    }

    /// Returns the time that it took: `own` when it is done. A cell that is not done has taken all
    /// the time there was.
    const fn elapsed(&self, own: Duration) -> Duration {
        if matches!(self.client, Some(Ok(()))) { own } else { self.outcome.elapsed }
    }

    /// Returns the reason why the cell is not done, if so.
    fn error(&self, trial: &Trial) -> Option<String> {
        match (&self.client, self.outcome.end) {
            (Some(Ok(())), _) => None,
            (Some(Err(reason)), _) => Some(reason.clone()),
            (None, End::TimeOver) => {
                Some(format!("not done after {}", format_duration(trial.limit())))
            }
            (None, End::PacketsOver) => {
                let millions = PACKETS_MAX / 1_000_000;
                Some(format!(
                    "not done after {millions} million packets, the most of a virtual trial"
                ))
            }
            (None, End::Stalled | End::Finished) => {
                Some("not done, and nobody has more to do".to_owned())
            }
        }
    }
}
