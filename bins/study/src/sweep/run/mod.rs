//! The run: cells in their order, on threads or in processes, and their rows into the output.

mod pool;
mod processes;

use super::contents::Contents;
use super::identity::Identity;
use super::output::RowOutput;
use super::plan::SweepPlan;
use super::resume::Found;
use crate::rows::{ABOUT, Row};
use crate::trial::Trial;
use crate::trial::simulated;
use anyhow::Context;
use indicatif::ProgressBar;
use jostle_common::words::count;
use jostle_console::progress;
use jostle_console::stop::Stop;
use pool::{Pool, ResultOrder};
use processes::Processes;
use std::io;
use std::sync::Arc;

/// The cells that are run, and what is known about them.
#[derive(Clone, Debug)]
pub(super) struct Work {
    pub(super) plan: SweepPlan,
    pub(super) seed: u64,
    pub(super) contents: Arc<Contents>,
    /// Cells that are not run again.
    pub(super) found: Arc<Found>,
    /// The number of cells that are left.
    pub(super) left: u64,
    /// The number of cells that run at once.
    pub(super) jobs: usize,
}

/// The outcome.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// Rows that were written.
    pub(super) ran: u64,
    /// The number of those that are failed ones.
    pub(super) failed: u64,
}

/// A row as it is written.
struct Line {
    text: String,
    ok: bool,
}

impl Line {
    /// Writes a row, with the question that its sweep answers.
    fn new(mut row: Row, about: &str) -> Self {
        if !about.is_empty() {
            row.host.insert(ABOUT.to_owned(), about.into());
        }
        let text = serde_json::to_string(&row).expect("a row has no keys but texts");
        Self { text: text + "\n", ok: row.ok }
    }
}

impl Work {
    /// Runs the cells until all have their row or `stop` is requested.
    ///
    /// # Errors
    /// When a row cannot be written, or the machine refuses a thread or a process.
    pub(super) fn run(&self, output: &mut RowOutput, stop: &Stop) -> anyhow::Result<Tally> {
        let about = self.plan.sweep.about.clone();
        if self.plan.sweep.base.is_virtual {
            let contents = self.contents.clone();
            let run = move |trial: Trial| {
                Ok(Some(Line::new(simulated::run(&trial, &contents.of(&trial)), &about)))
            };
            let pool = Pool::start(self.trials(stop), self.jobs, ResultOrder::OfItems, run);
            // A cell in virtual time cannot be interrupted: it ends with this process.
            return self.collect(&mut pool.context("cannot start a thread")?, output, stop);
        }
        let processes = Processes::new(self.contents.clone(), self.jobs, stop.clone())?;
        let run = move |trial: Trial| {
            processes.run(&trial).map(|row| row.map(|row| Line::new(row, &about)))
        };
        let pool = Pool::start(self.trials(stop), self.jobs, ResultOrder::OfResults, run);
        let mut pool = pool.context("cannot start a thread")?;
        let tally = self.collect(&mut pool, output, stop);
        if tally.is_err() {
            stop.request();
        }
        pool.join();
        tally
    }

    /// Returns the trials that are left to be run.
    fn trials(&self, stop: &Stop) -> impl Iterator<Item = Trial> + Send + use<> {
        let (contents, found, stop) = (self.contents.clone(), self.found.clone(), stop.clone());
        let is_left =
            move |trial: &Trial| found.is_empty() || !found.has(Identity::of(&contents.row(trial)));
        self.plan.trials(self.seed).take_while(move |_| !stop.is_requested()).filter(is_left)
    }

    fn collect<I>(
        &self,
        pool: &mut Pool<I, anyhow::Result<Option<Line>>>,
        output: &mut RowOutput,
        stop: &Stop,
    ) -> anyhow::Result<Tally>
    where
        I: Iterator<Item = Trial> + Send + 'static,
    {
        let bar = progress::cells(self.left);
        let mut tally = Tally::default();
        let taken = pool.give(stop, |line| {
            let Some(line) = line? else { return Ok(()) };
            match output.write(&line.text) {
                // The reader of the rows has gone, so the others are not wanted.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => stop.request(),
                written => {
                    written.with_context(|| format!("cannot write {}", output.name()))?;
                    tally.add(&line, &bar);
                }
            }
            Ok(())
        });
        bar.finish_and_clear();
        taken.map(|()| tally)
    }
}

impl Tally {
    fn add(&mut self, line: &Line, bar: &ProgressBar) {
        self.ran += 1;
        if !line.ok {
            self.failed += 1;
            bar.set_message(format!(", {}", count(self.failed, "failure")));
        }
        bar.inc(1);
    }
}
