//! A trial of `ping`: requests at an interval, none of them repeated.

use super::crossing::cross;
use super::{Ended, LOOPBACK, Stage};
use crate::rows::Row;
use anyhow::bail;
use jostle_endpoints::ending::Ending;
use jostle_endpoints::ping::{Pinged, ping, serve};
use jostle_endpoints::protocol::ping::PingReport;

/// Pings, and writes what came of it into the row.
///
/// # Errors
/// Faults of the machine.
pub(super) fn run(stage: &Stage<'_>, row: &mut Row) -> anyhow::Result<Ended> {
    let Stage { trial, interrupt, .. } = *stage;
    let server = serve(LOOPBACK, false)?;
    let crossed = cross(
        trial,
        server.address(),
        interrupt,
        |stop| server.run(stop, |_| {}),
        // The server is new, so there was no earlier run.
        |route, stop| ping(&route.into(), &trial.ping_client(route, 1), stop, |_, _, _| {}),
    )?;
    if let Err(error) = &crossed.server {
        bail!("the server has failed: {error}");
    }
    let Pinged { report, elapsed, ending, .. } = &crossed.client;
    // A client does not learn that it was stopped.
    let ended = report.started.map(|started| started + *elapsed);
    trial.write_ping(row, &PingReport { ended, ..report.clone() });
    let error = match ending {
        Ending::Failed(_) if report.refused == 0 => Some("nothing was answered".to_owned()),
        ending => crossed.failure(ending),
    };
    Ok(Ended { error, summary: crossed.summary })
}
