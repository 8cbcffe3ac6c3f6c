//! `jostle trial`: one cell of a sweep, run once, which gives one row.

mod command;
pub(crate) mod commands;
pub mod options;
pub(crate) mod real;

pub use command::TrialArgs;

use crate::stop::Stop;
use crate::subject::Subject;
use anyhow::{Context, bail};
use jostle_common::rows::Row;
use jostle_common::trial::{Job, Trial};
use jostle_engine::trial as simulated;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc;

/// Runs a trial that has been checked.
///
/// # Errors
/// When the machine refuses, or the user stops it: then there is no row. A trial that fails is a row.
pub(crate) fn run(trial: &Trial, stop: &Stop) -> anyhow::Result<Row> {
    match &trial.job {
        Job::Commands(programs) => commands::run(trial, programs, stop),
        Job::Protocol(_) if trial.is_virtual => simulate(trial.clone(), stop),
        Job::Protocol(_) => real::run(trial, &Subject::of(trial)?, stop),
    }
}

/// Runs a trial in virtual time, on a thread of its own: a simulation does not look up, and the user need not wait for its end.
fn simulate(trial: Trial, stop: &Stop) -> anyhow::Result<Row> {
    let content = Subject::of(&trial)?.content;
    let (sender, outcome) = mpsc::channel();
    let stopped = sender.clone();
    let _attached = stop.attach_with(move || {
        // Its outcome may be there already.
        let _ = stopped.send(None);
    });
    let run = move || {
        let row = catch_unwind(AssertUnwindSafe(|| simulated::run(&trial, &content)));
        // Nobody may want to know any more.
        let _ = sender.send(Some(row));
    };
    std::thread::Builder::new().name("trial".into()).spawn(run).context("cannot start a thread")?;
    match outcome.recv().expect("whoever stops it can always say so") {
        Some(Ok(row)) => Ok(row),
        Some(Err(panic)) => resume_unwind(panic),
        None => bail!("stopped before the trial was done"),
    }
}
