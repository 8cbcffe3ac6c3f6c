//! A trial of `tcp`, `udp` or `saw`: a file between two endpoints.

use super::crossing::cross;
use super::judge::Judged;
use super::transfer::{Transfer, TransferSettings, Transport};
use super::{Ended, Stage};
use crate::rows::Row;

/// Carries the file, and writes what came of it into the row.
///
/// # Errors
/// Faults of the machine.
pub(super) fn carry(
    stage: &Stage<'_>,
    transport: Transport,
    row: &mut Row,
) -> anyhow::Result<Ended> {
    let Stage { trial, subject, interrupt, .. } = *stage;
    let settings = TransferSettings {
        transport,
        pace: trial.pace(),
        timing: trial.timeout(),
        limit: trial.limit(),
    };
    let folder = stage.folder()?;
    let transfer = Transfer::open(settings, subject, folder.path().to_owned())?;
    let address = transfer.address();
    // The transfer has its server with it.
    let serve = |_: &_| ();
    let crossed =
        cross(trial, address, interrupt, serve, |route, stop| transfer.run(route, stop, |_| {}))?;
    let judged = Judged::read(subject, &crossed.client)?;
    judged.result.write(row);
    let failure = crossed.failure(&crossed.client.ending);
    // Plain UDP promises an account of the file and nothing more.
    let error =
        if transport == Transport::Udp { failure } else { failure.or_else(|| judged.difference()) };
    Ok(Ended { error, summary: crossed.summary })
}
