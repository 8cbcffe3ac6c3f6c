//! `jostle sweep`: a trial for every combination of what varies, a row each.
//!
//! The plan is what is run here, checked before the first cell; the output tells what is there
//! already; the run fills it. Cells in virtual time run on threads and their rows stand in the
//! order of the plan; cells on real sockets are processes, and their rows come as they end.

use super::contents::Contents;
use super::identity::Identity;
use super::options::SweepArgs;
use super::output::RowOutput;
use super::plan::SweepPlan;
use super::resume::{self, Found};
use super::run::{Tally, Work};
use anyhow::Context;
use jostle_common::chance::fresh_seed;
use jostle_common::clock::Clock;
use jostle_common::words::{count, grouped, seconds};
use jostle_console::exit::Usage;
use jostle_console::stop::Stop;
use jostle_console::terminal;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

impl SweepArgs {
    /// Runs the sweep, or the rest of it. Returns true when every cell has its row; with `--strict`
    /// only when none is a failed one.
    ///
    /// # Errors
    /// Wrong usage; a file that cannot be read; an output that cannot be written; a fault of the
    /// machine.
    pub fn run(&self, stop: &Stop) -> anyhow::Result<bool> {
        let clock = Clock::start();
        let plan = SweepPlan::new(self)?;
        if self.plan {
            return print(&plan);
        }
        let contents = Arc::new(Contents::new(&plan)?);
        let path = self.output.as_deref();
        let Some(mut output) = RowOutput::open(path, !plan.part.is_whole(), self.retry_failed)?
        else {
            return self.finished(path.expect("what is finished has a name"), &plan, &contents);
        };
        let (mut found, remarks) = output.read()?;
        remarks.iter().for_each(|remark| terminal::note(remark));
        let known = match plan.seed {
            Some(seed) => Some(seed),
            None => found.seed(path.unwrap_or_else(|| Path::new("")))?,
        };
        let seed = known.unwrap_or_else(fresh_seed);
        if known.is_none() {
            terminal::note(&format!("seed {seed}"));
        }
        let there = ExistingCells::of(&plan, seed, &contents, &found, self.retry_failed);
        if found.count() > there.cells {
            let others = count(found.count() - there.cells, "row");
            terminal::note(&format!("kept {others} of other cells in {}", output.name()));
        }
        output.remove_failed(&there.again)?;
        found.forget(&there.again);
        let skipped = there.cells - there.again.len() as u64;
        let left = plan.count() - skipped;
        let jobs = self.jobs(&plan);
        let work = Work { plan, seed, contents, found: Arc::new(found), left, jobs };
        let tally = work.run(&mut output, stop)?;
        let is_complete = tally.ran == left;
        if is_complete {
            output.finish()?;
        }
        let time = clock.now().as_secs_f64();
        terminal::note(&last_line(tally, skipped, left, seed, time));
        // A program that waits for the sweep must not take a part of it for the whole.
        let was_ended = stop.is_requested() && !is_complete;
        Ok(!was_ended && (!self.strict || tally.failed + there.failed == 0))
    }

    /// Ends with the rows that are there, if they are all that was asked for.
    fn finished(&self, path: &Path, plan: &SweepPlan, contents: &Contents) -> anyhow::Result<bool> {
        let name = path.display();
        let mut file = std::fs::File::open(path).with_context(|| format!("cannot read {name}"))?;
        let (found, _) = resume::read(&mut file, path)?;
        let seed = plan.seed.map_or_else(|| found.seed(path), |seed| Ok(Some(seed)))?;
        let there = ExistingCells::of(plan, seed.unwrap_or_default(), contents, &found, false);
        if there.cells < plan.count() {
            let missing = grouped(plan.count() - there.cells);
            return Err(Usage::error(format!(
                "{name} is there and lacks {missing} of the {} asked for: it is of another sweep \
                 or part; name another file with -o",
                count(plan.count(), "cell")
            )));
        }
        terminal::note(&format!("{name} is there: nothing to run"));
        Ok(!self.strict || there.failed == 0)
    }

    /// Returns the number of cells that run at once.
    fn jobs(&self, plan: &SweepPlan) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let is_virtual = plan.sweep.base.is_virtual;
        let jobs = self.jobs.map_or(if is_virtual { cores } else { 1 }, usize::from);
        if !is_virtual && jobs > 1 && jobs > cores / 2 {
            terminal::note(&format!(
                "{jobs} cells at once on {cores} cores disturb each other: their times say less \
                 about the network"
            ));
        }
        jobs
    }
}

/// The rows of this sweep that exist already.
struct ExistingCells {
    /// The number of cells that have a row.
    cells: u64,
    /// The number of cells that have a failed row that is kept.
    failed: u64,
    /// Those that are run again.
    again: BTreeSet<Identity>,
}

impl ExistingCells {
    fn of(
        plan: &SweepPlan,
        seed: u64,
        contents: &Contents,
        found: &Found,
        retry_failed: bool,
    ) -> Self {
        let mut there = Self { cells: 0, failed: 0, again: BTreeSet::new() };
        if found.is_empty() {
            return there;
        }
        for trial in plan.trials(seed) {
            let identity = Identity::of(&contents.row(&trial));
            there.cells += u64::from(found.has(identity));
            if found.has_failed(identity) && retry_failed {
                there.again.insert(identity);
            } else {
                there.failed += u64::from(found.has_failed(identity));
            }
        }
        there
    }
}

fn last_line(tally: Tally, skipped: u64, left: u64, seed: u64, time: f64) -> String {
    let mut words = vec![format!("{} run in {}", count(tally.ran, "cell"), seconds(time))];
    if tally.failed > 0 {
        words.push(format!("{} failed", grouped(tally.failed)));
    }
    if skipped > 0 {
        words.push(format!("{} skipped that were there", grouped(skipped)));
    }
    if tally.ran < left {
        words.push(format!("{} left: the same command goes on", grouped(left - tally.ran)));
    }
    format!("{}; seed {seed}", words.join(", "))
}

/// Prints the cells and runs nothing.
fn print(plan: &SweepPlan) -> anyhow::Result<bool> {
    let seed = plan.seed.ok_or_else(|| {
        Usage::error(
            "--seed: cells that are run elsewhere need a seed that they share; write --seed 7, say",
        )
    })?;
    let mut output = RowOutput::open(None, false, false)?.expect("stdout is never finished");
    for (cell, trial) in plan.cells().zip(plan.trials(seed)) {
        let mut object = Map::from_iter([("index".to_owned(), json!(cell.index))]);
        object.extend(trial.parameters());
        object.insert("repeat".to_owned(), trial.repeat.into());
        object.insert("seed".to_owned(), trial.seed.into());
        object.insert("virtual".to_owned(), trial.is_virtual.into());
        object.insert("arguments".to_owned(), trial.arguments().into());
        match output.write(&format!("{}\n", Value::Object(object))) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => break,
            written => written?,
        }
    }
    Ok(true)
}
