//! The origin of rows: their seeds, whether time was virtual, and the machines of the real ones.

use crate::rows::Row;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// More seeds or machines than this are not read.
const KEPT_MAX: usize = 1000;
/// The numbers that a machine tells of itself, and the name of each for people.
const NUMBERS: [(&str, &str); 4] = [
    ("cpus", "processors"),
    ("load", "load"),
    ("jobs", "cells at once"),
    ("rows_at_once", "rows at once"),
];

/// The origin of the rows of a report.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Origin {
    /// The questions that the sweeps of the rows answer.
    pub(super) abouts: BTreeSet<String>,
    /// The number of rows of virtual time.
    pub(super) virtual_rows: u64,
    /// The number of rows of real sockets.
    pub(super) real_rows: u64,
    /// The seeds of first repetitions; those of the others follow from them.
    pub(super) seeds: BTreeSet<u64>,
    /// The systems of the real ones.
    pub(super) systems: BTreeSet<String>,
    /// The least and the most of each number that machines say: `processors`, `load`.
    pub(super) numbers: BTreeMap<&'static str, (f64, f64)>,
}

impl Origin {
    /// Takes in the question that a row's sweep answers.
    pub(super) fn ask(&mut self, about: Option<&str>) {
        if let Some(about) = about.filter(|about| !about.is_empty())
            && self.abouts.len() < KEPT_MAX
            && !self.abouts.contains(about)
        {
            self.abouts.insert(about.to_owned());
        }
    }

    /// Takes in what a row says.
    pub(super) fn add(&mut self, row: &Row) {
        if row.repeat <= 1 && self.seeds.len() < KEPT_MAX {
            self.seeds.insert(row.seed);
        }
        if row.is_virtual {
            self.virtual_rows += 1;
            return;
        }
        self.real_rows += 1;
        if let Some(system) = row.host.get("os").and_then(Value::as_str)
            && self.systems.len() < KEPT_MAX
        {
            self.systems.insert(system.to_owned());
        }
        for (key, name) in NUMBERS {
            if let Some(number) = row.host.get(key).and_then(Value::as_f64) {
                let (least, most) = self.numbers.entry(name).or_insert((number, number));
                (*least, *most) = (least.min(number), most.max(number));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::row;
    use super::*;
    use serde_json::json;

    #[test]
    fn rows_say_where_they_come_from() {
        let mut origin = Origin::default();
        let mut real = row().build();
        for (load, repeat) in [(0.5, 1), (1.5, 2)] {
            real.repeat = repeat;
            real.seed = 7 + u64::from(repeat);
            real.host = [("cpus", json!(2)), ("load", json!(load)), ("os", json!("linux"))]
                .map(|(key, value)| (key.to_owned(), value))
                .into_iter()
                .collect();
            origin.add(&real);
        }
        origin.add(&row().with("virtual", true).build());
        assert_eq!((origin.real_rows, origin.virtual_rows), (2, 1));
        assert_eq!(
            origin.numbers,
            BTreeMap::from([("processors", (2.0, 2.0)), ("load", (0.5, 1.5))])
        );
        assert_eq!(origin.seeds, BTreeSet::from([7, 8]));
        assert_eq!(origin.systems, BTreeSet::from(["linux".to_owned()]));
    }
}
