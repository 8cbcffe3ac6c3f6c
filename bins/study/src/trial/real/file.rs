//! A trial of `tcp`, `udp` or `saw`: a file between two endpoints.

use super::crossing::cross;
use super::judge::{Judged, failure};
use super::transfer::{FileProtocol, Outcome, Transfer, TransferSettings};
use super::{Ended, Stage};
use crate::rows::Row;
use crate::subject::Subject;
use crate::trial::Trial;

/// Carries the file, and writes what came of it into the row.
///
/// # Errors
/// Faults of the machine.
pub(super) fn carry(
    stage: &Stage<'_>,
    protocol: FileProtocol,
    row: &mut Row,
) -> anyhow::Result<Ended> {
    let Stage { trial, subject, interrupt, .. } = *stage;
    let settings = TransferSettings::of(trial, protocol);
    let folder = stage.folder()?;
    let transfer = Transfer::open(settings, subject, folder.path().to_owned())?;
    let address = transfer.address();
    // The transfer has its server with it.
    let serve = |_: &_| ();
    let crossed =
        cross(trial, address, interrupt, serve, |route, stop| transfer.run(route, stop, |_| {}))?;
    let (outcome, interrupted) = (&crossed.client, crossed.interrupted);
    let (_, error) = judge(trial, protocol, subject, outcome, interrupted, row)?;
    Ok(Ended { error, summary: crossed.summary })
}

/// Judges what arrived and writes it into the row of its trial. Returns it with the reason why the
/// protocol has not done what it promises, if so.
///
/// # Errors
/// When what arrived cannot be read.
pub(crate) fn judge(
    trial: &Trial,
    protocol: FileProtocol,
    subject: &Subject,
    outcome: &Outcome,
    interrupted: bool,
    row: &mut Row,
) -> anyhow::Result<(Judged, Option<String>)> {
    let judged = Judged::read(subject, outcome)?;
    judged.write(row);
    let failure = failure(&outcome.ending, interrupted, trial.limit());
    let error = match protocol {
        // Plain UDP promises an account of the file and nothing more.
        FileProtocol::Udp => failure,
        FileProtocol::Tcp | FileProtocol::Saw => failure.or_else(|| judged.difference()),
    };
    Ok((judged, error))
}
