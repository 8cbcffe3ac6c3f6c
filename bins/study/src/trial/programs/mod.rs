//! A trial of anyone's programs: a server, a client that reaches it through the proxy, and a check
//! that judges what they did.
//!
//! Each is a line for the shell. They learn from their environment where the server listens
//! (`JOSTLE_SERVER`) and where the client finds it (`JOSTLE_PROXY`), and have a folder of the
//! trial's own (`JOSTLE_TEMP`). Nothing touches the server before the client. A server may run
//! already; then none is started.

mod descendants;
mod environment;
mod listening;
pub(crate) mod output;
mod port;
mod processes;
mod program;
mod proxy_thread;
mod run;

#[cfg(test)]
mod tests;

use super::real::{Relayed, host, load};
use crate::rows::{RouteCounts, Row};
use crate::trial::{Commands, ROUTE, Trial};
use jostle_common::clock::Clock;
use jostle_common::transport::Transport;
use jostle_console::stop::Stop;
use jostle_engine::route::Transports;
use jostle_proxy::Summary;
use run::{ProgramsOutcome, run_programs};
use serde_json::{Map, Value, json};

/// Runs the trial of `programs`.
///
/// # Errors
/// When the machine refuses, or the user stops it; that a program fails is a row.
pub(super) fn run(trial: &Trial, programs: &Commands, stop: &Stop) -> anyhow::Result<Row> {
    let (started, load) = (Clock::wall().as_secs(), load());
    let ProgramsOutcome { seconds, error, failed_at, measured, summary } =
        run_programs(trial, programs, stop)?;
    let mut row = Row { ok: error.is_none(), error, seconds, ..trial.row() };
    write_counts(&mut row, &relayed(&summary, trial.job.transport()));
    row.host = host_of(started, load, &relayed(&summary, trial.job.transport()));
    if let Some(failed_at) = failed_at {
        row.more.insert("failed_at".to_owned(), failed_at.into());
    }
    if let Some(measured) = measured {
        row.more.insert("measured".to_owned(), measured.into());
    }
    Ok(row)
}

/// Returns the proxy's account of each of the transports.
fn relayed(summary: &Summary, over: Transports) -> Vec<Relayed<'_>> {
    let udp = over.has_udp().then_some(Transport::Udp);
    let tcp = over.has_tcp().then_some(Transport::Tcp);
    udp.into_iter().chain(tcp).map(|protocol| Relayed { summary, route: ROUTE, protocol }).collect()
}

/// Writes the packets of all transports together into their row.
fn write_counts(row: &mut Row, relayed: &[Relayed<'_>]) {
    let (mut total, mut packets) = (RouteCounts::default(), 0);
    for one in relayed {
        one.write(row);
        if let Some(counts) = &row.proxy {
            total.up.add(&counts.up);
            total.down.add(&counts.down);
        }
        packets += row.packets.unwrap_or(0);
    }
    (row.proxy, row.packets) = (Some(total), Some(packets));
}

/// Returns the facts of this machine and moment. Of two transports the lateness stands apart: the
/// one sends what the other answers for.
fn host_of(started: u64, load: Value, relayed: &[Relayed<'_>]) -> Map<String, Value> {
    let mut host = host(started, ("load", load), &relayed[0]);
    if let [udp, tcp] = relayed {
        host.insert("lateness".to_owned(), json!({ "udp": udp.lateness(), "tcp": tcp.lateness() }));
    }
    host
}
