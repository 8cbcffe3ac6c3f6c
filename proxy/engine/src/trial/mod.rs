//! A trial in virtual time: one cell in, one row out.
//!
//! The endpoints and the links are those of a trial on real sockets, with the same names, settings and draws; only the machine between
//! them is left out. So every byte of a row is a function of the trial and of what it carries, and no cell knows of another.
//!
//! ```
//! use jostle_common::trial::Trial;
//! use jostle_engine::trial::{Content, run};
//!
//! let mut trial = Trial { is_virtual: true, ..Trial::default() };
//! for (name, value) in [("protocol", "saw"), ("loss", "5%"), ("delay", "10ms"), ("size", "64KiB")] {
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

use crate::simulate::{End, Limits, Outcome, Simulation, StreamSimulation};
use jostle_common::profile::Profile;
use jostle_common::protocol::Endpoint;
use jostle_common::protocol::rtt::RoundTrips;
use jostle_common::protocol::storage::{Memory, Source};
use jostle_common::protocol::stream::StreamEndpoint;
use jostle_common::rows::{RouteCounts, Row, goodput_bps};
use jostle_common::trial::{Protocol, ROUTE, Trial};
use jostle_common::units::format_duration;
use std::fmt::Display;
use std::time::Duration;

/// The file that a trial carries; cells share its bytes, and its digest is computed once.
pub type Content = Memory;

/// How many packets a cell sends at the most: without delay, endless talk would take no time and never reach the limit.
const PACKETS_MAX: u64 = 5_000_000;

/// Runs a trial, virtual whether it says so or not. What cannot be done is told in the row's `error`. `content` is of use to the protocols
/// that carry a file.
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
    let found = match trial.job.protocol() {
        Some(Protocol::Tcp) => tcp::run(&cell),
        Some(Protocol::Udp) => udp::run(&cell),
        Some(Protocol::Saw) => saw::run(&cell),
        Some(Protocol::Ping) => ping::run(&cell),
        Some(Protocol::Messages) => messages::run(&cell),
        Some(Protocol::Http) | None => {
            row.error = Some(format!("{} runs on real sockets only", trial.job.name()));
            return row;
        }
    };
    found.write(&cell, &mut row);
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
        let mode = self.trial.tcp().mode();
        StreamSimulation::new(client, server, &self.profile, mode, self.trial.seed, ROUTE)
    }

    /// Why the cell is not done, if so.
    fn error(&self, found: &Found) -> Option<String> {
        match (&found.ending, found.outcome.end) {
            (Some(Ok(())), _) => None,
            (Some(Err(reason)), _) => Some(reason.clone()),
            (None, End::TimeOver) => Some(format!("not done after {}", format_duration(self.trial.limit()))),
            (None, End::PacketsOver) => {
                let millions = PACKETS_MAX / 1_000_000;
                Some(format!("not done after {millions} million packets, the most of a virtual trial"))
            }
            (None, End::Stalled | End::Finished) => Some("not done, and nobody has more to do".to_owned()),
        }
    }
}

/// How a client ended, if it has.
type Ending = Option<Result<(), String>>;

fn ending<E: Display>(outcome: Option<Result<(), E>>) -> Ending {
    outcome.map(|outcome| outcome.map_err(|failure| failure.to_string()))
}

/// What became of the units of a protocol: the chunks of a file, requests, messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Units {
    intact: u64,
    missing: u64,
    damaged: u64,
    /// The bytes of the intact.
    intact_bytes: u64,
}

/// What came of a cell. What was not measured is `None`.
struct Found {
    outcome: Outcome,
    ending: Ending,
    /// How long it took, if it is done.
    elapsed: Duration,
    units: Units,
    digest_equal: Option<bool>,
    doubled: Option<u64>,
    late: Option<u64>,
    retransmissions: Option<u64>,
    round_trips: Option<RoundTrips>,
}

impl Found {
    fn write(&self, cell: &Cell<'_>, row: &mut Row) {
        row.error = cell.error(self);
        row.ok = row.error.is_none();
        // What is not done has taken all the time there was.
        let elapsed = if row.ok { self.elapsed } else { self.outcome.elapsed };
        row.seconds = (!elapsed.is_zero()).then_some(elapsed.as_secs_f64());
        row.goodput_bps = row.seconds.and_then(|seconds| goodput_bps(self.units.intact_bytes, seconds));
        row.digest_equal = self.digest_equal;
        row.intact = Some(self.units.intact);
        row.missing = Some(self.units.missing);
        row.damaged = Some(self.units.damaged);
        row.doubled = self.doubled;
        row.late = self.late;
        row.retransmissions = self.retransmissions;
        row.rtt_ms = self.round_trips.as_ref().map(Into::into);
        let Outcome { up, down, .. } = &self.outcome;
        row.packets = Some(up.entered + down.entered);
        row.proxy = Some(RouteCounts { up: up.into(), down: down.into() });
    }
}
