//! The pairs of new and old rows: the same parameters, repetition and seed, whatever the version.

use super::super::interner::{Interner, Levels};
use super::super::read::Record;
use std::collections::BTreeMap;

/// A new row and the old one of the same cell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair<'a> {
    pub(super) new: &'a Record,
    pub(super) old: &'a Record,
}

/// The pairs of two lots of rows.
#[derive(Debug, Default)]
pub(super) struct Pairs<'a> {
    /// By parameters: the repetitions of a point.
    pub(super) points: Vec<Vec<Pair<'a>>>,
    /// New rows without an old one.
    pub(super) new_alone: u64,
    /// Old rows without a new one.
    pub(super) old_alone: u64,
}

type PairKey = (Levels, u32, u64);

impl<'a> Pairs<'a> {
    /// Pairs rows that were read into one interner. Several runs of one cell are paired in their
    /// order.
    pub(super) fn new(interner: &Interner, new: &'a [Record], old: &'a [Record]) -> Self {
        let version = interner.key_named("version");
        let cell = |record: &Record| -> PairKey {
            let levels = record.levels.iter().filter(|(key, _)| Some(*key) != version);
            (levels.copied().collect(), record.repeat, record.seed)
        };
        let mut waiting: BTreeMap<PairKey, Vec<&'a Record>> = BTreeMap::new();
        // Backwards, so that the first is the next to be taken.
        for record in old.iter().rev() {
            waiting.entry(cell(record)).or_default().push(record);
        }
        let mut pairs = Self { old_alone: old.len() as u64, ..Self::default() };
        let mut places: BTreeMap<Levels, usize> = BTreeMap::new();
        for record in new {
            let cell = cell(record);
            let Some(old) = waiting.get_mut(&cell).and_then(Vec::pop) else {
                pairs.new_alone += 1;
                continue;
            };
            pairs.old_alone -= 1;
            let place = *places.entry(cell.0).or_insert(pairs.points.len());
            if place == pairs.points.len() {
                pairs.points.push(Vec::new());
            }
            pairs.points[place].push(Pair { new: record, old });
        }
        pairs
    }

    /// Returns the number of pairs.
    pub(super) fn count(&self) -> u64 {
        self.points.iter().map(|pairs| pairs.len() as u64).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::fixtures::{loaded, row};
    use super::*;

    #[test]
    fn rows_meet_by_parameters_repetition_and_seed() {
        let mut interner = Interner::default();
        let cell = |loss: f64, repeat: u32| row().with("loss", loss).repeat(repeat);
        let old: Vec<_> = [cell(0.1, 1), cell(0.1, 2), cell(0.2, 1), cell(0.3, 1)]
            .map(|row| row.with("version", "0.0.9").seconds(1.0))
            .into();
        let new = [cell(0.2, 1), cell(0.1, 2), cell(0.2, 2), cell(0.1, 1).with("virtual", true)];
        let (new, old) = (loaded(&mut interner, "new", &new), loaded(&mut interner, "old", &old));
        let pairs = Pairs::new(&interner, &new.records, &old.records);
        let found: Vec<_> = pairs
            .points
            .iter()
            .map(|pairs| pairs.iter().map(|pair| pair.new.repeat).collect::<Vec<_>>())
            .collect();
        assert_eq!(found, [vec![1], vec![2]]);
        assert_eq!((pairs.count(), pairs.new_alone, pairs.old_alone), (2, 2, 2));
    }

    #[test]
    fn several_runs_of_a_cell_are_paired_in_their_order() {
        let mut interner = Interner::default();
        let runs = |seconds: &[f64]| {
            seconds.iter().map(|seconds| row().seconds(*seconds)).collect::<Vec<_>>()
        };
        let old = loaded(&mut interner, "old", &runs(&[1.0, 2.0, 3.0]));
        let new = loaded(&mut interner, "new", &runs(&[4.0, 5.0]));
        let pairs = Pairs::new(&interner, &new.records, &old.records);
        let seconds = |record: &Record| record.values[0].1;
        let found: Vec<_> =
            pairs.points[0].iter().map(|pair| (seconds(pair.new), seconds(pair.old))).collect();
        assert_eq!(found, [(4.0, 1.0), (5.0, 2.0)]);
        assert_eq!((pairs.new_alone, pairs.old_alone), (0, 1));
    }
}
