//! Trials on real sockets: two endpoints of jostle and one proxy between them, all in this process.

mod crossing;
mod file;
mod host;
mod http;
mod judge;
mod messages;
mod ping;
mod relayed;
mod transfer;

#[cfg(test)]
mod tests;

pub(crate) use file::judge;
pub(crate) use host::{host, load};
pub(crate) use judge::STOPPED;
pub(crate) use relayed::Relayed;
pub(crate) use transfer::{FileProtocol, Outcome, Transfer, TransferSettings};

use crate::rows::Row;
use crate::subject::Subject;
use crate::trial::{Protocol, ROUTE, Trial};
use anyhow::{Context, bail};
use jostle_common::clock::Clock;
use jostle_common::transport::Transport;
use jostle_console::stop::Stop;
use jostle_proxy::Summary;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use tempfile::TempDir;

/// The address at which everything listens: on this machine alone, at a port that the system picks.
pub(crate) const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Runs a trial of one of our own protocols. Whatever the network and the limit do to it is in the
/// row; `subject` is what a file protocol carries ([`Subject::of`]). Nothing is left behind.
///
/// # Errors
/// When the trial is of programs, or its parameters do not fit together; faults of the machine;
/// when the user stops it before it is done.
pub(crate) fn run(trial: &Trial, subject: &Subject, stop: &Stop) -> anyhow::Result<Row> {
    run_in(&std::env::temp_dir(), trial, subject, stop)
}

fn run_in(
    temporary: &Path,
    trial: &Trial,
    subject: &Subject,
    interrupt: &Stop,
) -> anyhow::Result<Row> {
    trial.check()?;
    let protocol =
        trial.job.protocol().context("only a trial of a protocol has endpoints of ours")?;
    // The load is read before the trial adds to it.
    let (started, load) = (Clock::wall().as_secs(), load());
    let stage = Stage { trial, subject, interrupt, temporary };
    let mut row = trial.row();
    let ended = match protocol {
        Protocol::Tcp => file::carry(&stage, FileProtocol::Tcp, &mut row)?,
        Protocol::Udp => file::carry(&stage, FileProtocol::Udp, &mut row)?,
        Protocol::Saw => file::carry(&stage, FileProtocol::Saw, &mut row)?,
        Protocol::Ping => ping::run(&stage, &mut row)?,
        Protocol::Messages => messages::run(&stage, &mut row)?,
        Protocol::Http => http::fetch(&stage, &mut row)?,
    };
    if ended.error.as_deref() == Some(STOPPED) {
        bail!("stopped before the trial was done");
    }
    let carrier = if trial.job.transport().has_udp() { Transport::Udp } else { Transport::Tcp };
    let relayed = Relayed { summary: &ended.summary, route: ROUTE, protocol: carrier };
    row.host = host(started, ("load", load), &relayed);
    conclude(&mut row, &relayed, ended.error);
    Ok(row)
}

/// Writes into a row what the proxy knows, and whether the protocol has done what it promises.
pub(crate) fn conclude(row: &mut Row, relayed: &Relayed<'_>, error: Option<String>) {
    relayed.write(row);
    (row.ok, row.error) = (error.is_none(), error);
}

/// The trial and all that its run needs.
#[derive(Clone, Copy)]
struct Stage<'a> {
    trial: &'a Trial,
    subject: &'a Subject,
    /// The user's wish to stop.
    interrupt: &'a Stop,
    /// The folder in which temporary folders are made.
    temporary: &'a Path,
}

impl Stage<'_> {
    /// Creates a new folder that removes itself.
    fn folder(&self) -> anyhow::Result<TempDir> {
        let made = tempfile::Builder::new().prefix("jostle-trial-").tempdir_in(self.temporary);
        made.with_context(|| format!("cannot make a folder in {}", self.temporary.display()))
    }
}

/// The end of a trial.
struct Ended {
    /// The reason why the protocol did not do what it promises, if so.
    error: Option<String>,
    summary: Summary,
}
