//! Cells in virtual time, which run in this process.

use crate::sweep::contents::Contents;
use jostle_common::rows::Row;
use jostle_common::trial::Trial;

/// Runs the trial of a cell.
pub(super) fn run(trial: &Trial, contents: &Contents) -> Row {
    let error = Some("this protocol does not run in virtual time yet".to_owned());
    Row { error, ..contents.row(trial) }
}
