//! A sweep: a trial, the parameters that vary, and repetitions; which cells there are, in which
//! order they run, and with which seeds.
//!
//! All of it is a function of the sweep alone, so any number of machines can run a part each
//! without talking to each other.
//!
//! ```
//! use jostle_engine::profile::no_files;
//! use jostle_study::sweep::Sweep;
//!
//! let sweep = Sweep::from_json(
//!     r#"{ "repeat": 10, "set": { "protocol": "saw" },
//!          "vary": { "loss": "0..20%:1%", "delay": ["10ms", "50ms"] } }"#,
//!     &no_files,
//! )?;
//! assert_eq!(sweep.cells(), 10 * 21 * 2);
//! let first = sweep.order().next().unwrap();
//! assert_eq!(
//!     sweep.trial(&first, 7).arguments().join(" "),
//!     "--protocol saw --loss 0% --delay 10ms --repeat 1 --seed 7"
//! );
//! # Ok::<(), jostle_common::setting::SettingError>(())
//! ```

mod axis;
mod command;
mod contents;
mod identity;
mod options;
mod order;
mod output;
mod plan;
mod range;
mod raw;
mod resume;
mod run;
mod shard;

pub use axis::Axis;
pub use options::SweepArgs;
pub use shard::Shard;

use crate::trial::{Parameter, Setting, Trial};
use jostle_common::chance::derived_seed;
use jostle_common::setting::SettingError;
use jostle_engine::profile::ReadFile;
use order::{Combinations, Ranks};
use serde_json::Value;

/// More cells than this are surely a mistake.
const CELLS_MAX: u64 = 1 << 40;

/// A sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// The question that it answers, for people.
    pub about: String,
    /// The seed of all its chance.
    pub seed: Option<u64>,
    /// The number of times that each combination is run, each time with another seed.
    pub repeat: u32,
    /// The settings that all cells have in common.
    pub base: Trial,
    axes: Vec<Axis>,
}

impl Default for Sweep {
    fn default() -> Self {
        Self {
            about: String::new(),
            seed: None,
            repeat: 1,
            base: Trial::default(),
            axes: Vec::new(),
        }
    }
}

/// A cell of a sweep: a point of every axis, and a repetition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepCell {
    /// Its place in the order in which cells run, from 0.
    pub index: u64,
    /// The repetition, from 1.
    pub repeat: u32,
    /// The point of each axis.
    points: Vec<u32>,
}

impl Sweep {
    /// Creates a sweep over one cell, until something varies.
    pub fn new(base: Trial) -> Self {
        Self { base, ..Self::default() }
    }

    /// Sets a parameter for all cells; it no longer varies. `read` finds profiles that are files.
    ///
    /// # Errors
    /// When there is no such parameter, or it cannot have this value.
    pub fn fix(
        &mut self,
        name: &str,
        value: &Value,
        read: ReadFile<'_>,
    ) -> Result<(), SettingError> {
        let parameter = Parameter::named(name)?;
        self.put(parameter, parameter.read(value, read)?);
        Ok(())
    }

    /// Sets a parameter for all cells to a value that was read; it no longer varies.
    ///
    /// # Panics
    /// When the value is not of [`Parameter::kind`].
    pub fn put(&mut self, parameter: Parameter, setting: Setting) {
        parameter.put(&mut self.base, setting);
        self.axes.retain(|axis| axis.parameters().all(|varied| varied != parameter));
    }

    /// Varies what `axis` varies, in place of an axis that varies the same parameters.
    ///
    /// # Errors
    /// When another axis varies one of them together with others.
    pub fn vary(&mut self, axis: Axis) -> Result<(), SettingError> {
        let names = |axis: &Axis| axis.parameters().collect::<Vec<_>>();
        match self
            .axes
            .iter_mut()
            .find(|other| axis.parameters().any(|varied| names(other).contains(&varied)))
        {
            None => self.axes.push(axis),
            Some(same) if names(same) == names(&axis) => *same = axis,
            Some(other) => {
                let twice = axis.parameters().find(|varied| names(other).contains(varied));
                let name = twice.expect("the axes have one in common").name();
                return Err(SettingError::new(name, "it is varied twice; vary it once"));
            }
        }
        Ok(())
    }

    /// Returns the axes along which it varies.
    pub fn axes(&self) -> &[Axis] {
        &self.axes
    }

    /// Returns the number of cells.
    pub fn cells(&self) -> u64 {
        let points = self.axes.iter().map(|axis| u64::from(axis.points()));
        points.fold(u64::from(self.repeat), u64::saturating_mul)
    }

    /// Returns every cell, in the order in which they run: a whole repetition after the other, and
    /// in each the whole range coarsely first.
    pub fn order(&self) -> impl Iterator<Item = SweepCell> + Send + use<> {
        let ranks: Vec<Ranks> =
            self.axes.iter().map(|axis| Ranks::new(axis.points(), axis.is_ordered())).collect();
        let mut index = 0;
        (1..=self.repeat)
            .flat_map(move |repeat| {
                Combinations::new(ranks.clone()).map(move |points| (repeat, points))
            })
            .map(move |(repeat, points)| {
                index += 1;
                SweepCell { index: index - 1, repeat, points }
            })
    }

    /// Returns the trial that is run in a cell, in a sweep with this seed.
    pub fn trial(&self, cell: &SweepCell, seed: u64) -> Trial {
        let mut trial = self.base.clone();
        for (axis, point) in self.axes.iter().zip(&cell.points) {
            axis.put(&mut trial, *point);
        }
        trial.repeat = cell.repeat;
        trial.seed = repeat_seed(seed, cell.repeat);
        trial
    }

    /// Checks that every cell can be run.
    ///
    /// # Errors
    /// When one cannot; the error names its parameters.
    pub fn check(&self) -> Result<(), SettingError> {
        if self.repeat == 0 {
            return Err(SettingError::new("repeat", "write at least 1"));
        }
        if self.cells() > CELLS_MAX {
            return Err(SettingError::new("vary", "there are too many cells; write fewer values"));
        }
        let varies_job = self
            .axes
            .iter()
            .any(|axis| axis.parameters().any(|varied| varied.name() == "protocol"));
        // Repetitions differ in their seeds alone, so the first stands for all.
        let combinations = self.cells() / u64::from(self.repeat);
        for cell in self.order().take(usize::try_from(combinations).unwrap_or(usize::MAX)) {
            let trial = self.trial(&cell, 0);
            let place = |error: SettingError| match self.axes.is_empty() {
                true => error,
                false => SettingError::new(
                    error.place,
                    format!("{} (where {})", error.problem, self.words(&trial)),
                ),
            };
            trial.check().map_err(place)?;
            // Where the protocol varies, a parameter need not be of use to all of its values.
            if let Some(useless) = trial.useless_parameter().filter(|_| !varies_job) {
                let problem = format!("{} does nothing with it; leave it out", trial.job.name());
                return Err(SettingError::new(useless.name(), problem));
            }
        }
        Ok(())
    }

    /// Describes the parameters that vary, as they are in a trial: `loss 5%, delay 10ms`.
    pub fn words(&self, trial: &Trial) -> String {
        let varied = self.axes.iter().flat_map(Axis::parameters);
        let words = varied
            .filter_map(|parameter| Some(format!("{} {}", parameter.name(), parameter.of(trial)?)));
        words.collect::<Vec<_>>().join(", ")
    }
}

/// Returns the seed of a repetition: of the first it is the sweep's own. Nothing else enters it, so
/// that within a repetition all cells meet the same chances: what is lost at a low rate is lost at
/// every higher one.
pub fn repeat_seed(seed: u64, repeat: u32) -> u64 {
    if repeat <= 1 { seed } else { derived_seed(seed, &format!("repeat {repeat}")) }
}

#[cfg(test)]
mod tests;
