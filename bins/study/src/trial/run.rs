//! Runs a trial, by whichever way it asks for.

use super::{programs, real, simulated};
use crate::rows::Row;
use crate::subject::Subject;
use crate::trial::{Job, Trial};
use anyhow::{Context, bail};
use jostle_console::stop::Stop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc;

/// Runs a trial that has been checked.
///
/// # Errors
/// When the machine refuses, or the user stops it: then there is no row. A trial that fails is a
/// row.
pub(crate) fn run(trial: &Trial, stop: &Stop) -> anyhow::Result<Row> {
    match &trial.job {
        Job::Commands(commands) => programs::run(trial, commands, stop),
        Job::Protocol(_) if trial.is_virtual => simulate(trial.clone(), stop),
        Job::Protocol(_) => {
            let subject = Subject::of(trial)?;
            // What is made up is no music.
            let is_file = trial.file.is_some();
            real::run(trial, &if is_file { subject.with_music() } else { subject }, stop)
        }
    }
}

/// Runs a trial in virtual time, on a thread of its own: a simulation does not look up, and the
/// user need not wait for its end.
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
        // The receiver may have gone by now.
        let _ = sender.send(Some(row));
    };
    std::thread::Builder::new().name("trial".into()).spawn(run).context("cannot start a thread")?;
    match outcome.recv().expect("whoever stops it can always say so") {
        Some(Ok(row)) => Ok(row),
        Some(Err(panic)) => resume_unwind(panic),
        None => bail!("stopped before the trial was done"),
    }
}
