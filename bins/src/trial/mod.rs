//! `jostle trial`: one cell of a sweep, run once, which gives one row.

mod command;
mod commands;
pub mod options;
pub(crate) mod real;

pub use command::TrialArgs;

use crate::stop::Stop;
use crate::subject::Subject;
use jostle_common::rows::Row;
use jostle_common::trial::{Job, Trial};
use jostle_engine::trial::Content;

/// Runs a trial that has been checked.
///
/// # Errors
/// When the machine refuses, or the user stops it: then there is no row. A trial that fails is a row.
pub(crate) fn run(trial: &Trial, stop: &Stop) -> anyhow::Result<Row> {
    match &trial.job {
        Job::Commands(programs) => commands::run(trial, programs, stop),
        Job::Protocol(_) if trial.is_virtual => {
            Ok(jostle_engine::trial::run(trial, &Content::new(Subject::of(trial)?.bytes)))
        }
        Job::Protocol(_) => real::run(trial, &Subject::of(trial)?, stop),
    }
}
