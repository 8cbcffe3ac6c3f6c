//! New rows against old ones: which points got worse, by more than chance.
//!
//! A point is one combination of parameters. Its new rows are paired with the old ones of the same
//! repetition and seed, and each condition is judged at a confidence that keeps all verdicts
//! together at [`CONFIDENCE`]: with many points a few would fail by chance alone. More failed cells
//! than before make a point worse, whatever the others measured.

mod condition;
mod evidence;
mod judgement;
mod pairs;

pub(super) use condition::Condition;
pub(super) use evidence::Basis;
pub(super) use judgement::failing_table;

use super::dimension::{Dimension, Layout};
use super::interner::Interner;
use super::metric::CONFIDENCE;
use super::read::{Loaded, Record};
use evidence::Evidence;
use jostle_common::statistics::{Interval, Verdict, confidence_of_each};
use jostle_console::exit::Usage;
use pairs::{Pair, Pairs};

/// The outcome of a comparison with older rows.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    /// The names of the files of old rows.
    pub(super) sources: Vec<String>,
    /// The fate of old rows before they were counted, a sentence each.
    pub(super) old_remarks: Vec<String>,
    /// The conditions, which say what may not happen.
    pub(super) conditions: Vec<Condition>,
    /// The number of pairs of cells.
    pub(super) pairs: u64,
    /// The number of points that they make.
    pub(super) points: u64,
    /// The number of new cells without an old one.
    pub(super) new_alone: u64,
    /// The number of old cells without a new one.
    pub(super) old_alone: u64,
    /// The number of pairs that are one and the same run on real sockets: then a file was compared
    /// with itself.
    pub(super) same_runs: u64,
    /// The number of verdicts that could be wrong by chance.
    pub(super) chances: u64,
    /// The confidence of each of those.
    pub(super) confidence: f64,
    /// The points that met a condition.
    pub(super) worse: Vec<Finding>,
    /// The points with too few or too noisy pairs to tell.
    pub(super) unclear: Vec<Finding>,
    /// The number of verdicts that nothing got worse.
    pub(super) sound: u64,
    /// The points of which more cells failed than before.
    pub(super) failing: Vec<Failing>,
    /// The outcome of it all.
    pub(super) outcome: GateOutcome,
}

/// The verdict of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GateOutcome {
    /// Nothing got worse, as far as could be told.
    Passed,
    /// Something got worse.
    Worse,
    /// Something is unclear, which was not to be.
    Unclear,
    /// Old cells have no new one, which was not to be.
    Gone,
    /// Nothing could be judged.
    Nothing,
}

/// The place of a point.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PointPlace {
    /// The parameters that vary, with their values here.
    pub(super) levels: Vec<(&'static str, String)>,
    /// The `over`, `by` and `x` of the report's point that it is in.
    pub(super) place: (usize, usize, usize),
}

/// A condition that was judged at a point.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    /// The place of the point.
    pub(super) spot: PointPlace,
    /// The index of the condition.
    pub(super) condition: usize,
    /// The number of pairs that have a ratio.
    pub(super) pairs: u64,
    /// The number of pairs of cells that were done and have none, as a side does not have the
    /// metric.
    pub(super) unusable: u64,
    /// The mean of the pairs' old values; no number without any.
    pub(super) old_mean: f64,
    /// The mean of their new values.
    pub(super) new_mean: f64,
    /// New / old. May be 0 or infinite.
    pub(super) ratio: f64,
    /// The interval that holds the true ratio, at the confidence of each verdict.
    pub(super) interval: Option<Interval>,
    /// The basis of the verdict.
    pub(super) basis: Basis,
}

/// A point of which more cells failed than before.
#[derive(Clone, Debug)]
pub(super) struct Failing {
    /// The place of the point.
    pub(super) spot: PointPlace,
    /// The number of pairs.
    pub(super) pairs: u64,
    /// The number of cells that failed before.
    pub(super) old_failed: u64,
    /// The number of cells that fail now.
    pub(super) new_failed: u64,
}

impl Gate {
    /// Compares. With `strict`, anything that is unclear, or was there before and is gone, is a
    /// reason to fail.
    ///
    /// # Errors
    /// [`Usage`] when a condition is about a number that no row has.
    pub(super) fn new(
        interner: &Interner,
        layout: &Layout,
        (new, old): (&Loaded, &Loaded),
        conditions: &[Condition],
        strict: bool,
    ) -> Result<Self, Usage> {
        let metrics = conditions
            .iter()
            .map(|condition| metric_of(interner, condition))
            .collect::<Result<Vec<_>, _>>()?;
        let pairs = Pairs::new(interner, &new.records, &old.records);
        let all = || pairs.points.iter().flatten();
        let is_same = |pair: &&Pair<'_>| !pair.new.is_virtual && pair.new.digest == pair.old.digest;
        let mut gate = Self {
            sources: old.sources.clone(),
            old_remarks: super::summary::reading(old.identical, old.again, &old.torn),
            conditions: conditions.to_vec(),
            pairs: pairs.count(),
            points: pairs.points.len() as u64,
            new_alone: pairs.new_alone,
            old_alone: pairs.old_alone,
            same_runs: all().filter(is_same).count() as u64,
            chances: 0,
            confidence: CONFIDENCE,
            worse: Vec::new(),
            unclear: Vec::new(),
            sound: 0,
            failing: pairs.points.iter().filter_map(|pairs| failing(layout, pairs)).collect(),
            outcome: GateOutcome::Nothing,
        };
        gate.judge(layout, &pairs, &metrics);
        gate.outcome = gate.outcome(strict);
        Ok(gate)
    }

    /// Returns true if nothing got worse, as far as could be told.
    pub(super) fn passed(&self) -> bool {
        self.outcome == GateOutcome::Passed
    }

    fn judge(&mut self, layout: &Layout, pairs: &Pairs<'_>, metrics: &[Option<u16>]) {
        let mut evidence = Vec::new();
        for pairs in &pairs.points {
            for (condition, metric) in metrics.iter().enumerate() {
                let found = metric.and_then(|metric| Evidence::new(pairs, metric));
                evidence.extend(found.map(|found| (spot(layout, pairs[0].new), condition, found)));
            }
        }
        // All evidence comes first: how sure each verdict has to be depends on their number.
        self.chances =
            evidence.iter().filter(|(_, _, evidence)| evidence.has_chance()).count() as u64;
        self.confidence = confidence_of_each(CONFIDENCE, self.chances);
        for (spot, condition, evidence) in evidence {
            let judged = evidence.judge(&self.conditions[condition], self.confidence);
            let finding = Finding {
                spot,
                condition,
                pairs: evidence.pairs() as u64,
                unusable: evidence.unusable,
                old_mean: evidence.old_mean,
                new_mean: evidence.new_mean,
                ratio: judged.ratio,
                interval: judged.interval,
                basis: evidence.basis,
            };
            match judged.verdict {
                Verdict::Yes => self.worse.push(finding),
                Verdict::No => self.sound += 1,
                Verdict::Unclear => self.unclear.push(finding),
            }
        }
    }

    fn outcome(&self, strict: bool) -> GateOutcome {
        // One real pair says nothing: were there no others, the test would pass whatever happened.
        let says_something = |finding: &Finding| finding.pairs > 1;
        let has_judged = self.sound > 0 || self.unclear.iter().any(says_something);
        match () {
            () if !self.worse.is_empty() || !self.failing.is_empty() => GateOutcome::Worse,
            () if !has_judged => GateOutcome::Nothing,
            () if strict && !self.unclear.is_empty() => GateOutcome::Unclear,
            () if strict && self.old_alone > 0 => GateOutcome::Gone,
            () => GateOutcome::Passed,
        }
    }
}

/// Returns the place of a condition's metric in the interner; `None` when it is one of our own and
/// no row has it, as when all cells failed.
fn metric_of(interner: &Interner, condition: &Condition) -> Result<Option<u16>, Usage> {
    let metrics = interner.metrics();
    let found =
        metrics.iter().find(|(_, metric)| metric.name == condition.metric).map(|(place, _)| *place);
    if found.is_none() && !super::metric::Metric::is_known(&condition.metric) {
        let names: Vec<&str> = metrics.iter().map(|(_, metric)| metric.name.as_str()).collect();
        let problem =
            format!("no row has \"{}\"; the rows measured {}", condition.metric, names.join(", "));
        return Err(Usage(format!("--fail-if '{condition}': {problem}")));
    }
    Ok(found)
}

fn failing(layout: &Layout, pairs: &[Pair<'_>]) -> Option<Failing> {
    let count =
        |failed: fn(&Pair<'_>) -> bool| pairs.iter().filter(|pair| failed(pair)).count() as u64;
    let (new_failed, old_failed) = (count(|pair| !pair.new.ok), count(|pair| !pair.old.ok));
    let spot = spot(layout, pairs[0].new);
    (new_failed > old_failed).then_some(Failing {
        spot,
        pairs: pairs.len() as u64,
        old_failed,
        new_failed,
    })
}

fn spot(layout: &Layout, record: &Record) -> PointPlace {
    let laid_out = [&layout.over, &layout.by, &layout.x].into_iter().flatten();
    let level = |dimension: &Dimension| {
        (dimension.name, dimension.levels[dimension.place(record)].text.clone())
    };
    PointPlace {
        levels: laid_out.chain(&layout.pooled).map(level).collect(),
        place: layout.place(record),
    }
}

#[cfg(test)]
mod tests;
