//! A trial of anyone's programs: a server, a client that reaches it through the proxy, and a check that judges what they did.
//!
//! Each is a line for the shell. They learn from their environment where to listen (`JOSTLE_LISTEN`) and where to connect
//! (`JOSTLE_SERVER`, the proxy), and have a folder of the trial's own (`JOSTLE_TEMP`). Nobody touches the server before the client.

mod family;
mod listening;
pub(crate) mod output;
mod play;
mod port;
mod program;
mod relay;
mod stage;

#[cfg(test)]
mod tests;

use crate::stop::Stop;
use jostle_common::rows::Row;
use jostle_common::trial::{Commands, Trial};
use play::{Played, play};

/// Runs the trial of `programs`.
///
/// # Errors
/// When the machine refuses, or the user stops it; that a program fails is a row.
pub(super) fn run(trial: &Trial, programs: &Commands, stop: &Stop) -> anyhow::Result<Row> {
    let Played { seconds, error, measured, summary: _ } = play(trial, programs, stop)?;
    let mut row = Row { ok: error.is_none(), error, seconds, ..trial.row() };
    if let Some(measured) = measured {
        row.more.insert("measured".to_owned(), measured.into());
    }
    Ok(row)
}
