//! The parameters that vary between rows, and the layout that a report gives them: along the axis,
//! as curves, as small multiples.

use super::interner::{Interner, level_of};
use super::key::{Key, Level};
use super::read::Record;
use jostle_console::exit::Usage;
use std::collections::{BTreeMap, BTreeSet};

/// More curves than this cannot be told apart.
pub(super) const CURVES_MAX: usize = 8;

/// A parameter with the values that it has in the rows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Dimension {
    /// Its name.
    pub(super) name: &'static str,
    /// True if the levels stand on an axis; categories otherwise.
    pub(super) is_ordered: bool,
    /// By value when ordered, by first appearance otherwise. A level "not set" comes first, and has
    /// no value.
    pub(super) levels: Vec<Level>,
    key: u8,
    places: BTreeMap<Option<u32>, usize>,
}

impl Dimension {
    fn new(interner: &Interner, records: &[Record], key: u8) -> Self {
        let mut found: Vec<Option<u32>> = Vec::new();
        let mut seen = BTreeSet::new();
        for record in records {
            let level = level_of(&record.levels, key);
            if seen.insert(level) {
                found.push(level);
            }
        }
        let mut levels: Vec<(Option<u32>, Level)> =
            found.into_iter().map(|level| (level, interner.level(key, level))).collect();
        let units: BTreeSet<&str> = levels
            .iter()
            .filter(|(place, _)| place.is_some())
            .map(|(_, level)| level.unit)
            .collect();
        // Queues of packets and queues of milliseconds have no common order.
        let is_ordered = interner.key(key).is_ordered() && units.len() == 1;
        if is_ordered {
            let value = |level: &Level| level.value.unwrap_or(f64::NEG_INFINITY);
            levels.sort_by(|(_, a), (_, b)| value(a).total_cmp(&value(b)));
        } else {
            levels.sort_by_key(|(place, _)| place.is_some());
        }
        let places = levels.iter().enumerate().map(|(place, (level, _))| (*level, place)).collect();
        let name = interner.key(key).name();
        Self {
            name,
            is_ordered,
            levels: levels.into_iter().map(|(_, level)| level).collect(),
            key,
            places,
        }
    }

    /// Returns the index of the level that a row has.
    pub(super) fn place(&self, record: &Record) -> usize {
        self.places[&level_of(&record.levels, self.key)]
    }

    /// Returns the unit of its values: `share`, `s`, `bytes`, `bit/s`, `packets`, or empty.
    pub(super) fn unit(&self) -> &'static str {
        self.levels.iter().find(|level| level.value.is_some()).map_or("", |level| level.unit)
    }

    fn varies(&self) -> bool {
        self.levels.len() > 1
    }

    fn is(&self, interner: &Interner, name: &str) -> bool {
        interner.key_named(name) == Some(self.key)
    }
}

/// The layout of a report.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Layout {
    /// The parameters that have one value in all rows, as name and text.
    pub(super) fixed: Vec<(&'static str, String)>,
    /// Along the axis: a curve when ordered, bars otherwise.
    pub(super) x: Option<Dimension>,
    /// As curves or bars next to each other.
    pub(super) by: Option<Dimension>,
    /// As small multiples.
    pub(super) over: Option<Dimension>,
    /// The names of the parameters that vary with those and only with those, such as the burst
    /// length that goes with a loss rate.
    pub(super) follows: Vec<&'static str>,
    /// The parameters that vary within a point, and are thrown together there.
    pub(super) pooled: Vec<Dimension>,
}

/// The parameters that the user has given a place, by name.
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
    /// Finds out what varies, and lays out what the user has not decided.
    ///
    /// # Errors
    /// [`Usage`] when something is wanted that does not vary.
    pub(super) fn new(
        interner: &Interner,
        records: &[Record],
        wanted: Wanted<'_>,
    ) -> Result<Self, Usage> {
        let all: Vec<Dimension> =
            interner.keys().map(|key| Dimension::new(interner, records, key)).collect();
        let has_profile = all.iter().any(|dimension| {
            dimension.name == "profile" && dimension.places.keys().any(Option::is_some)
        });
        let (varied, constant): (Vec<_>, Vec<_>) = all.into_iter().partition(Dimension::varies);
        let mut choice = Choosing { interner, records, open: varied, taken: Vec::new() };
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
        // What varies among rows of one point is pooled; the rest only goes with what has a place.
        let (pooled, follows): (Vec<_>, Vec<_>) =
            std::mem::take(&mut choice.open).into_iter().partition(|rest| choice.is_free(rest));
        let is_set = |dimension: &Dimension| dimension.places.keys().all(Option::is_some);
        // No loss in front of a profile says nothing of what the profile loses.
        let is_mute = |dimension: &Dimension| {
            let level = dimension.levels.first().map(|level| level.text.as_str());
            has_profile
                && [("loss", Some("0%")), ("delay", Some("0s"))].contains(&(dimension.name, level))
        };
        let fixed =
            constant.iter().filter(|dimension| !dimension.levels.is_empty() && is_set(dimension));
        let fixed = fixed.filter(|dimension| !is_mute(dimension));
        Ok(Self {
            fixed: fixed
                .map(|dimension| (dimension.name, dimension.levels[0].text.clone()))
                .collect(),
            x,
            by,
            over,
            follows: follows.iter().map(|dimension| dimension.name).collect(),
            pooled,
        })
    }

    /// Returns small multiple, curve and place on the axis of a row; 0 where there is no such
    /// dimension.
    pub(super) fn place(&self, record: &Record) -> (usize, usize, usize) {
        let place = |dimension: &Option<Dimension>| {
            dimension.as_ref().map_or(0, |dimension| dimension.place(record))
        };
        (place(&self.over), place(&self.by), place(&self.x))
    }
}

struct Choosing<'a> {
    interner: &'a Interner,
    records: &'a [Record],
    /// The parameters that vary and have no place yet.
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
        if let Some(place) =
            self.open.iter().position(|dimension| dimension.is(self.interner, name))
        {
            return Ok(self.take(place));
        }
        let names: Vec<&str> = self.open.iter().map(|dimension| dimension.name).collect();
        let there_are = match names.as_slice() {
            [] => "leave it out".to_owned(),
            names => format!("write one of {}", names.join(", ")),
        };
        let problem = match self.interner.key_named(name) {
            Some(key) if self.taken.contains(&key) => "has a place already",
            Some(_) => "is the same in all rows",
            None => "is no parameter of rows",
        };
        Err(Usage(format!("{option}: \"{name}\" {problem}; {there_are}")))
    }

    /// Returns true if it varies among rows that are alike in all that has a place: then it says
    /// something of its own.
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

    /// Takes the ordered parameter with the most values; one that only goes with the protocol, as a
    /// default size does, is none. Without any, takes a category other than the protocol.
    fn axis(&mut self) -> Option<Dimension> {
        let protocol =
            self.interner.key_named("protocol").into_iter().filter(|key| !self.taken.contains(key));
        let alike: Vec<u8> = self.taken.iter().copied().chain(protocol).collect();
        let candidates = || {
            let free = |(_, dimension): &(usize, &Dimension)| self.varies_among(&alike, dimension);
            self.open.iter().enumerate().filter(free)
        };
        let values =
            |(place, dimension): &(usize, &Dimension)| (dimension.levels.len(), usize::MAX - place);
        let ordered = candidates().filter(|(_, dimension)| dimension.is_ordered).max_by_key(values);
        let category = || candidates().find(|(_, dimension)| self.is_parameter(dimension));
        let place = ordered.or_else(category)?.0;
        Some(self.take(place))
    }

    /// Takes the protocol if it varies, or else whatever has few values, categories first.
    fn curves(&mut self) -> Option<Dimension> {
        let protocol =
            self.open.iter().position(|dimension| dimension.is(self.interner, "protocol"));
        let place = protocol.filter(|place| self.is_free(&self.open[*place])).or_else(|| {
            let few = |dimension: &&Dimension| dimension.levels.len() <= CURVES_MAX;
            let free = |dimension: &&Dimension| self.is_free(dimension);
            let candidates = || self.open.iter().filter(few).filter(free);
            let category = candidates()
                .find(|dimension| !dimension.is_ordered && self.is_parameter(dimension));
            let key = category.or_else(|| candidates().next())?.key;
            self.open.iter().position(|dimension| dimension.key == key)
        })?;
        Some(self.take(place))
    }

    /// Takes the parameter with the fewest values among those left.
    fn multiples(&mut self) -> Option<Dimension> {
        let free = self.open.iter().enumerate().filter(|(_, dimension)| self.is_free(dimension));
        let place = free.min_by_key(|(_, dimension)| dimension.levels.len())?.0;
        Some(self.take(place))
    }

    fn is_parameter(&self, dimension: &Dimension) -> bool {
        matches!(self.interner.key(dimension.key), Key::Parameter(_))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{RowBuilder, loaded, row, sweep};
    use super::*;

    fn layout(rows: &[RowBuilder], wanted: Wanted<'_>) -> Result<Layout, Usage> {
        let mut interner = Interner::default();
        let loaded = loaded(&mut interner, "rows", rows);
        Layout::new(&interner, &loaded.records, wanted)
    }

    /// Returns the names of x, by and over, of what goes with them, and of what is thrown together.
    fn places(rows: &[RowBuilder], wanted: Wanted<'_>) -> [String; 5] {
        let layout = layout(rows, wanted).unwrap();
        let [x, by, over] = [&layout.x, &layout.by, &layout.over].map(|place| {
            place.as_ref().map_or_else(|| "-".to_owned(), |dimension| dimension.name.to_owned())
        });
        let pooled: Vec<_> = layout.pooled.iter().map(|dimension| dimension.name).collect();
        [x, by, over, layout.follows.join(" "), pooled.join(" ")]
    }

    #[test]
    fn what_varies_finds_its_place() {
        let every = |name: &str, values: &[&str], rows: Vec<RowBuilder>| -> Vec<RowBuilder> {
            let with = |value: &&str| {
                rows.iter().map(|row| row.clone().with(name, *value)).collect::<Vec<_>>()
            };
            values.iter().flat_map(with).collect()
        };
        let one = vec![row().with("size", 65_536)];
        let protocols = every("protocol", &["saw", "udp"], one.clone());
        let timeouts = every("timeout", &["adaptive", "fixed:50ms"], one.clone());
        let delays = every("delay", &["5ms", "10ms", "1s"], one.clone());
        let rates = every("rate", &["1Mbit/s", "2Mbit/s"], delays.clone());
        let both = every("profile", &["a", "b"], protocols.clone());
        let all = every(
            "tcp",
            &["reno", "cubic"],
            every("protocol", &["tcp", "messages"], rates.clone()),
        );
        let versions = every("version", &["0.1.0", "0.2.0"], delays.clone());
        for (rows, expected) in [
            (one, ["-", "-", "-", "", ""]),
            (protocols, ["protocol", "-", "-", "", ""]),
            (timeouts, ["timeout", "-", "-", "", ""]),
            (delays, ["delay", "-", "-", "", ""]),
            (rates, ["delay", "rate", "-", "", ""]),
            (both, ["profile", "protocol", "-", "", ""]),
            (all, ["delay", "protocol", "rate", "", "tcp"]),
            (versions, ["delay", "version", "-", "", ""]),
            (sweep(&[0.0, 0.1], &["5ms"]), ["loss", "protocol", "-", "", ""]),
            (sweep(&[0.0, 0.1], &["5ms", "10ms", "1s"]), ["delay", "protocol", "loss", "", ""]),
        ] {
            assert_eq!(places(&rows, Wanted::default()), expected.map(str::to_owned));
        }
    }

    #[test]
    fn what_goes_with_another_is_no_dimension_of_its_own() {
        let pair = |loss: f64, burst: f64| row().with("loss", loss).with("burst", burst);
        let paired = [pair(0.1, 2.0), pair(0.2, 4.0), pair(0.3, 8.0)];
        assert_eq!(places(&paired, Wanted::default())[0], "loss");
        assert_eq!(places(&paired, Wanted::default())[3], "burst");
        let wanted = Wanted { x: Some("burst"), ..Wanted::default() };
        assert_eq!(places(&paired, wanted), ["burst", "-", "-", "loss", ""].map(str::to_owned));
        // A datagram of ping is smaller than a file: that is no range of sizes.
        let sizes = [("ping", 56), ("saw", 65_536)];
        let rows =
            sizes.map(|(protocol, size)| row().with("protocol", protocol).with("size", size));
        assert_eq!(
            places(&rows, Wanted::default()),
            ["protocol", "-", "-", "size", ""].map(str::to_owned)
        );
    }

    #[test]
    fn places_can_be_chosen() {
        let rows = sweep(&[0.0, 0.1], &["5ms", "10ms", "1s"]);
        let wanted = Wanted { x: Some("loss"), by: Some("delay"), over: None };
        assert_eq!(places(&rows, wanted), ["loss", "delay", "protocol", "", ""].map(str::to_owned));
        let wanted = Wanted { x: Some("drop"), by: None, over: Some("protocol") };
        assert_eq!(places(&rows, wanted), ["loss", "delay", "protocol", "", ""].map(str::to_owned));
        for (name, words) in [
            ("speed", "--by: \"speed\" is no parameter of rows; write one of protocol, delay"),
            ("size", "--by: \"size\" is the same in all rows; write one of"),
            ("loss", "--by: \"loss\" has a place already; write one of protocol, delay"),
        ] {
            let wanted = Wanted { x: Some("loss"), by: Some(name), over: None };
            let error = layout(&rows, wanted).unwrap_err().to_string();
            assert!(error.starts_with(words), "{error}");
        }
        let error =
            layout(&rows[..1], Wanted { x: Some("loss"), ..Wanted::default() }).unwrap_err();
        assert_eq!(error.to_string(), "--x: \"loss\" is the same in all rows; leave it out");
    }

    #[test]
    fn levels_stand_in_their_order() {
        let texts = |rows: &[RowBuilder]| -> (bool, Vec<String>) {
            let x = layout(rows, Wanted::default()).unwrap().x.unwrap();
            (x.is_ordered, x.levels.into_iter().map(|level| level.text).collect())
        };
        let of = |name: &str, values: &[&str]| -> Vec<RowBuilder> {
            let with =
                |value: &&str| if value.is_empty() { row() } else { row().with(name, *value) };
            values.iter().map(with).collect()
        };
        let owned =
            |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            texts(&of("rate", &["10Mbit/s", "9kbit/s", ""])),
            (true, owned(&["not set", "9kbit/s", "10Mbit/s"]))
        );
        assert_eq!(texts(&of("queue", &["1s", "50ms"])), (true, owned(&["50ms", "1s"])));
        assert_eq!(
            texts(&of("queue", &["1s", "", "9 packets"])),
            (false, owned(&["not set", "1s", "9 packets"]))
        );
        assert_eq!(texts(&of("profile", &["z", "a"])), (false, owned(&["z", "a"])));
    }

    #[test]
    fn what_all_rows_have_is_said_once() {
        let rows = sweep(&[0.0, 0.1], &["5ms"]);
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let expected = [
            ("delay", "5ms".to_owned()),
            ("size", "940KiB".to_owned()),
            ("virtual", "real".to_owned()),
            ("version", version),
        ];
        assert_eq!(layout(&rows, Wanted::default()).unwrap().fixed, expected);
    }

    #[test]
    fn a_profile_speaks_for_itself() {
        let names = |rows: &[RowBuilder]| {
            let fixed = layout(rows, Wanted::default()).unwrap().fixed;
            fixed
                .into_iter()
                .map(|(name, _)| name)
                .filter(|name| ["loss", "delay"].contains(name))
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&[row()]), ["loss", "delay"]);
        let profiles = ["starlink", "geo-satellite"].map(|name| row().with("profile", name));
        assert_eq!(names(&profiles), [""; 0]);
        assert_eq!(names(&profiles.map(|row| row.with("loss", 0.05))), ["loss"]);
    }
}
