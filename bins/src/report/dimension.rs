//! What varies between rows, and which of it a report lays out: along the axis, as curves, as small multiples.

use super::book::{Book, level_of};
use super::key::{Key, Level};
use super::read::Record;
use crate::exit::Usage;
use std::collections::{BTreeMap, BTreeSet};

/// More curves than this nobody tells apart.
pub(super) const CURVES_MAX: usize = 8;

/// A parameter with the values that it has in the rows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Dimension {
    /// Its name.
    pub(super) name: &'static str,
    /// Whether the levels stand on an axis; categories otherwise.
    pub(super) is_ordered: bool,
    /// By value when ordered, by first appearance otherwise. A level "not set" comes first, and has no value.
    pub(super) levels: Vec<Level>,
    key: u8,
    places: BTreeMap<Option<u32>, usize>,
}

impl Dimension {
    fn new(book: &Book, records: &[Record], key: u8) -> Self {
        let mut found: Vec<Option<u32>> = Vec::new();
        let mut seen = BTreeSet::new();
        for record in records {
            let level = level_of(&record.levels, key);
            if seen.insert(level) {
                found.push(level);
            }
        }
        let mut levels: Vec<(Option<u32>, Level)> =
            found.into_iter().map(|level| (level, book.level(key, level))).collect();
        let units: BTreeSet<&str> =
            levels.iter().filter(|(place, _)| place.is_some()).map(|(_, level)| level.unit).collect();
        // Queues of packets and queues of milliseconds have no common order.
        let is_ordered = book.key(key).is_ordered() && units.len() == 1;
        if is_ordered {
            let value = |level: &Level| level.value.unwrap_or(f64::NEG_INFINITY);
            levels.sort_by(|(_, a), (_, b)| value(a).total_cmp(&value(b)));
        } else {
            levels.sort_by_key(|(place, _)| place.is_some());
        }
        let places = levels.iter().enumerate().map(|(place, (level, _))| (*level, place)).collect();
        let name = book.key(key).name();
        Self { name, is_ordered, levels: levels.into_iter().map(|(_, level)| level).collect(), key, places }
    }

    /// Which of its levels a row has.
    pub(super) fn place(&self, record: &Record) -> usize {
        self.places[&level_of(&record.levels, self.key)]
    }

    /// The unit of its values: `share`, `s`, `bytes`, `bit/s`, `packets`, or empty.
    pub(super) fn unit(&self) -> &'static str {
        self.levels.iter().find(|level| level.value.is_some()).map_or("", |level| level.unit)
    }

    fn varies(&self) -> bool {
        self.levels.len() > 1
    }

    fn is(&self, book: &Book, name: &str) -> bool {
        book.key_named(name) == Some(self.key)
    }
}

/// What is laid out how.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Layout {
    /// What has one value in all rows, as name and text.
    pub(super) fixed: Vec<(&'static str, String)>,
    /// Along the axis: a curve when ordered, bars otherwise.
    pub(super) x: Option<Dimension>,
    /// As curves or bars beside each other.
    pub(super) by: Option<Dimension>,
    /// As small multiples.
    pub(super) over: Option<Dimension>,
    /// What varies with those and only with those, such as the burst length that goes with a loss rate: the names.
    pub(super) follows: Vec<&'static str>,
    /// What varies within a point, and is thrown together there.
    pub(super) pooled: Vec<Dimension>,
}

/// What somebody wants to see where, by name.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted<'a> {
    /// `--x`
    pub(super) x: Option<&'a str>,
    /// `--by`
    pub(super) by: Option<&'a str>,
    /// `--over`
    pub(super) over: Option<&'a str>,
}

impl Layout {
    /// Finds out what varies, and lays out what nobody has decided.
    ///
    /// # Errors
    /// [`Usage`] when something is wanted that does not vary.
    pub(super) fn new(book: &Book, records: &[Record], wanted: Wanted<'_>) -> Result<Self, Usage> {
        let all: Vec<Dimension> = book.keys().map(|key| Dimension::new(book, records, key)).collect();
        let (varied, constant): (Vec<_>, Vec<_>) = all.into_iter().partition(Dimension::varies);
        let mut choice = Choosing { book, records, open: varied, taken: Vec::new() };
        let [x, by, over] = [("--x", wanted.x), ("--by", wanted.by), ("--over", wanted.over)]
            .map(|(option, name)| name.map(|name| choice.named(option, name)).transpose());
        let (mut x, mut by, mut over) = (x?, by?, over?);
        x = x.or_else(|| choice.axis());
        by = by.or_else(|| choice.curves());
        // Only protocols vary, say: they are the categories.
        if x.is_none() {
            x = by.take();
            by = choice.curves();
        }
        over = over.or_else(|| choice.multiples());
        let (pooled, follows): (Vec<_>, Vec<_>) =
            std::mem::take(&mut choice.open).into_iter().partition(|rest| choice.is_free(rest));
        let is_set = |dimension: &Dimension| dimension.places.keys().all(Option::is_some);
        let fixed = constant.iter().filter(|dimension| !dimension.levels.is_empty() && is_set(dimension));
        Ok(Self {
            fixed: fixed.map(|dimension| (dimension.name, dimension.levels[0].text.clone())).collect(),
            x,
            by,
            over,
            follows: follows.iter().map(|dimension| dimension.name).collect(),
            pooled,
        })
    }

    /// Small multiple, curve and place on the axis of a row; 0 where there is no such dimension.
    pub(super) fn place(&self, record: &Record) -> (usize, usize, usize) {
        let place =
            |dimension: &Option<Dimension>| dimension.as_ref().map_or(0, |dimension| dimension.place(record));
        (place(&self.over), place(&self.by), place(&self.x))
    }
}

struct Choosing<'a> {
    book: &'a Book,
    records: &'a [Record],
    /// What varies and has no place yet.
    open: Vec<Dimension>,
    /// The keys of what has one.
    taken: Vec<u8>,
}

impl Choosing<'_> {
    fn take(&mut self, place: usize) -> Dimension {
        let taken = self.open.remove(place);
        self.taken.push(taken.key);
        taken
    }

    fn named(&mut self, option: &str, name: &str) -> Result<Dimension, Usage> {
        if let Some(place) = self.open.iter().position(|dimension| dimension.is(self.book, name)) {
            return Ok(self.take(place));
        }
        let names: Vec<&str> = self.open.iter().map(|dimension| dimension.name).collect();
        let there_are = match names.as_slice() {
            [] => "leave it out".to_owned(),
            names => format!("write one of {}", names.join(", ")),
        };
        let problem = match self.book.key_named(name) {
            Some(key) if self.taken.contains(&key) => "has a place already",
            Some(_) => "is the same in all rows",
            None => "is no parameter of rows",
        };
        Err(Usage(format!("{option}: \"{name}\" {problem}; {there_are}")))
    }

    /// Whether it varies among rows that are alike in all that has a place: then it says something of its own.
    fn is_free(&self, dimension: &Dimension) -> bool {
        self.varies_among(&self.taken, dimension)
    }

    fn varies_among(&self, alike: &[u8], dimension: &Dimension) -> bool {
        let mut levels = BTreeMap::new();
        self.records.iter().any(|record| {
            let group: Vec<_> = alike.iter().map(|key| level_of(&record.levels, *key)).collect();
            let level = level_of(&record.levels, dimension.key);
            *levels.entry(group).or_insert(level) != level
        })
    }

    /// The ordered parameter with the most values; one that only goes with the protocol, as a default size does, is none. Without any, a
    /// category other than the protocol.
    fn axis(&mut self) -> Option<Dimension> {
        let protocol = self.book.key_named("protocol").into_iter().filter(|key| !self.taken.contains(key));
        let alike: Vec<u8> = self.taken.iter().copied().chain(protocol).collect();
        let candidates = || {
            let free = |(_, dimension): &(usize, &Dimension)| self.varies_among(&alike, dimension);
            self.open.iter().enumerate().filter(free)
        };
        let values = |(place, dimension): &(usize, &Dimension)| (dimension.levels.len(), usize::MAX - place);
        let ordered = candidates().filter(|(_, dimension)| dimension.is_ordered).max_by_key(values);
        let category = || candidates().find(|(_, dimension)| self.is_parameter(dimension));
        let place = ordered.or_else(category)?.0;
        Some(self.take(place))
    }

    /// The protocol if it varies, or else whatever has few values, categories first.
    fn curves(&mut self) -> Option<Dimension> {
        let protocol = self.open.iter().position(|dimension| dimension.is(self.book, "protocol"));
        let place = protocol.filter(|place| self.is_free(&self.open[*place])).or_else(|| {
            let few = |dimension: &&Dimension| dimension.levels.len() <= CURVES_MAX;
            let free = |dimension: &&Dimension| self.is_free(dimension);
            let candidates = || self.open.iter().filter(few).filter(free);
            let category =
                candidates().find(|dimension| !dimension.is_ordered && self.is_parameter(dimension));
            let key = category.or_else(|| candidates().next())?.key;
            self.open.iter().position(|dimension| dimension.key == key)
        })?;
        Some(self.take(place))
    }

    /// Whatever is left with the fewest values.
    fn multiples(&mut self) -> Option<Dimension> {
        let free = self.open.iter().enumerate().filter(|(_, dimension)| self.is_free(dimension));
        let place = free.min_by_key(|(_, dimension)| dimension.levels.len())?.0;
        Some(self.take(place))
    }

    fn is_parameter(&self, dimension: &Dimension) -> bool {
        matches!(self.book.key(dimension.key), Key::Parameter(_))
    }
}
