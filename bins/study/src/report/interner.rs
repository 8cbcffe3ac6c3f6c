//! Every level and every metric once, by number, so that a million rows fit into memory and two
//! files can be compared.

use super::key::{Key, Level};
use super::metric::{self, Metric};
use crate::rows::Row;
use std::collections::BTreeMap;

/// More kinds of numbers than this are no measurement: a user's program writes names that never
/// repeat.
const METRICS_MAX: usize = 500;

/// The levels of all keys, and the metrics, of all rows that were read.
#[derive(Debug)]
pub(super) struct Interner {
    keys: Vec<KeyLevels>,
    metrics: Vec<Metric>,
    places: BTreeMap<String, usize>,
    /// The number of values that were left out as there were too many kinds.
    pub(super) left_out: u64,
}

/// The levels of one key, in the order of their appearance.
#[derive(Debug)]
struct KeyLevels {
    key: Key,
    levels: Vec<Level>,
    places: BTreeMap<String, u32>,
}

/// The levels of a row: the place of each key in the interner, and that of its level there. Keys
/// that the row does not have are left out.
pub(super) type Levels = Vec<(u8, u32)>;

impl Default for Interner {
    fn default() -> Self {
        let key_levels = |key| KeyLevels { key, levels: Vec::new(), places: BTreeMap::new() };
        Self {
            keys: Key::all().map(key_levels).collect(),
            metrics: Vec::new(),
            places: BTreeMap::new(),
            left_out: 0,
        }
    }
}

impl Interner {
    /// Takes in the levels of a row.
    ///
    /// # Errors
    /// When a parameter cannot have the value that it has.
    pub(super) fn levels(&mut self, row: &Row) -> Result<Levels, String> {
        let mut levels = Vec::new();
        for (place, key_levels) in self.keys.iter_mut().enumerate() {
            if let Some(level) = key_levels.key.level(row)? {
                let key = u8::try_from(place).expect("there are fewer than 256 keys");
                levels.push((key, key_levels.take(level)));
            }
        }
        Ok(levels)
    }

    /// Gives rows that leave a parameter to its default that level, if any row names one: what was
    /// written and what was left out are the same cell.
    /// A row is given by its levels and whether its time was virtual.
    pub(super) fn fill_in<'a>(&mut self, rows: impl Iterator<Item = (&'a mut Levels, bool)>) {
        let protocols = self.key_named("protocol").expect("rows have a protocol");
        let named: Vec<u8> =
            self.keys().filter(|key| !self.keys[usize::from(*key)].levels.is_empty()).collect();
        let mut known: BTreeMap<(u8, Option<u32>, bool), Option<u32>> = BTreeMap::new();
        for (levels, is_virtual) in rows {
            let protocol = level_of(levels, protocols);
            for &key in &named {
                if level_of(levels, key).is_some() {
                    continue;
                }
                let level = known.entry((key, protocol, is_virtual)).or_insert_with(|| {
                    let protocol = self.level(protocols, protocol).text;
                    let level = self.key(key).default_level(&protocol, is_virtual)?;
                    Some(self.keys[usize::from(key)].take(level))
                });
                levels.extend(level.map(|level| (key, level)));
            }
            levels.sort_unstable();
        }
    }

    /// Takes in the numbers of a row, by the place of their metric.
    pub(super) fn values(&mut self, row: &Row) -> Vec<(u16, f64)> {
        let mut values = Vec::new();
        metric::values(row, |name, value| match self.metric(name) {
            Some(place) => values.push((place, value)),
            None => self.left_out += 1,
        });
        values
    }

    fn metric(&mut self, name: &str) -> Option<u16> {
        if let Some(place) = self.places.get(name) {
            return u16::try_from(*place).ok();
        }
        if self.metrics.len() >= METRICS_MAX {
            return None;
        }
        self.metrics.push(Metric::named(name)?);
        self.places.insert(name.to_owned(), self.metrics.len() - 1);
        u16::try_from(self.metrics.len() - 1).ok()
    }

    /// Returns all metrics, with their places, in the order of reports.
    pub(super) fn metrics(&self) -> Vec<(u16, &Metric)> {
        let mut metrics: Vec<(u16, &Metric)> = (0..).zip(&self.metrics).collect();
        metrics.sort_by_key(|(_, metric)| metric.rank());
        metrics
    }

    /// Returns the place of the metric called `name`; `None` when no row has it.
    pub(super) fn metric_named(&self, name: &str) -> Option<u16> {
        self.places.get(name).and_then(|place| u16::try_from(*place).ok())
    }

    /// Returns the place of the key called `name`.
    pub(super) fn key_named(&self, name: &str) -> Option<u8> {
        let plain = name.replacen("drop", "loss", 1);
        self.keys().find(|key| self.key(*key).name() == plain)
    }

    /// Returns the places of all keys.
    pub(super) fn keys(&self) -> impl Iterator<Item = u8> + use<> {
        (0..).take(self.keys.len())
    }

    /// Returns the key at a place.
    pub(super) fn key(&self, place: u8) -> Key {
        self.keys[usize::from(place)].key
    }

    /// Returns a level of the key at a place; "not set" of none.
    pub(super) fn level(&self, key: u8, level: Option<u32>) -> Level {
        level.map_or_else(Level::unset, |level| {
            self.keys[usize::from(key)].levels[level as usize].clone()
        })
    }
}

impl KeyLevels {
    fn take(&mut self, level: Level) -> u32 {
        if let Some(place) = self.places.get(&level.text) {
            return *place;
        }
        let place = u32::try_from(self.levels.len()).expect("fewer rows than that fit into memory");
        self.places.insert(level.text.clone(), place);
        self.levels.push(level);
        place
    }
}

/// Returns the level of `key` among those of a row.
pub(super) fn level_of(levels: &Levels, key: u8) -> Option<u32> {
    levels.iter().find(|(own, _)| *own == key).map(|(_, level)| *level)
}
