//! The metrics of rows: names, units, and how a value reads.

use crate::rows::Row;
use jostle_common::statistics::{Estimate, Interval};
use jostle_common::words;
use serde_json::Value;

/// The confidence of the intervals of means.
pub(super) const CONFIDENCE: f64 = 0.95;

/// The unit of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MetricUnit {
    /// Bits per second.
    BitsPerSecond,
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// A number of things.
    Count,
    /// A share of a whole, as a fraction.
    Share,
    /// A number that a user's program counts.
    Number,
}

impl MetricUnit {
    /// Returns the estimate without the values that the unit cannot have: Student's interval of a
    /// mean near nothing, or near all, reaches beyond it.
    pub(super) fn possible(self, estimate: Estimate) -> Estimate {
        let (least, most) = match self {
            Self::Share => (0.0, 1.0),
            Self::Number => return estimate,
            Self::BitsPerSecond | Self::Seconds | Self::Milliseconds | Self::Count => {
                (0.0, f64::INFINITY)
            }
        };
        let within = |Interval { low, high }| Interval {
            low: f64::max(low, least),
            high: f64::min(high, most),
        };
        Estimate { interval: estimate.interval.map(within), ..estimate }
    }

    /// Returns its sign, for headings: `bit/s`, `s`, `ms`, `share`, or empty.
    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::BitsPerSecond => "bit/s",
            Self::Seconds => "s",
            Self::Milliseconds => "ms",
            Self::Share => "share",
            Self::Count | Self::Number => "",
        }
    }

    /// Writes a value for people: `12.4 Mbit/s`.
    pub(super) fn words(self, value: f64) -> String {
        if !value.is_finite() {
            return value.to_string();
        }
        match self {
            // An interval may reach below nothing, where a rate cannot be.
            Self::BitsPerSecond if value < 0.0 => format!("-{}", self.words(-value)),
            Self::BitsPerSecond => words::rate(value.round() as u64),
            Self::Seconds => words::time(value),
            Self::Milliseconds => words::time(value / 1e3),
            Self::Share if value < 0.0 => format!("-{}", self.words(-value)),
            Self::Share => words::fine_percent(value),
            Self::Count | Self::Number => words::number(value),
        }
    }
}

/// The values of a metric that are good news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Better {
    /// Larger ones.
    More,
    /// Smaller ones.
    Less,
    /// Not known.
    Unknown,
}

impl Better {
    /// Returns `more`, `less` or `unknown`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::More => "more",
            Self::Less => "less",
            Self::Unknown => "unknown",
        }
    }
}

/// Something that rows measure.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Metric {
    /// On command lines: `goodput`, `rtt-p99`, `measured.fps`.
    pub(super) name: String,
    /// For people: `round trip, median`.
    pub(super) title: String,
    /// Its unit.
    pub(super) unit: MetricUnit,
    /// The values of a metric that are good news.
    pub(super) better: Better,
    /// True if its values spread over powers of ten, so that a logarithmic axis suits.
    pub(super) suits_log: bool,
    /// True if they do so in this report: then means are geometric, and so is its axis.
    pub(super) is_log: bool,
}

type Known = (&'static str, &'static str, MetricUnit, Better, bool);

/// The metrics of jostle's own rows, in the order of reports.
const KNOWN: [Known; 16] = [
    ("goodput", "goodput", MetricUnit::BitsPerSecond, Better::More, true),
    ("seconds", "time to completion", MetricUnit::Seconds, Better::Less, true),
    ("rtt", "round trip, median", MetricUnit::Milliseconds, Better::Less, true),
    ("rtt-mean", "round trip, mean", MetricUnit::Milliseconds, Better::Less, true),
    ("rtt-p90", "round trip, 90th percentile", MetricUnit::Milliseconds, Better::Less, true),
    ("rtt-p99", "round trip, 99th percentile", MetricUnit::Milliseconds, Better::Less, true),
    ("intact", "arrived intact", MetricUnit::Share, Better::More, false),
    ("missing", "missing", MetricUnit::Share, Better::Less, false),
    ("damaged", "damaged", MetricUnit::Share, Better::Less, false),
    ("doubled", "arrived twice", MetricUnit::Share, Better::Less, false),
    ("late", "arrived late", MetricUnit::Share, Better::Less, false),
    ("frames-lost", "MP3 frames lost", MetricUnit::Share, Better::Less, false),
    ("packets", "packets", MetricUnit::Count, Better::Less, true),
    ("retransmissions", "retransmissions", MetricUnit::Count, Better::Less, true),
    ("resent", "share of packets sent again", MetricUnit::Share, Better::Less, false),
    (
        "discarded",
        "share of packets that the proxy discarded",
        MetricUnit::Share,
        Better::Unknown,
        false,
    ),
];

/// The metrics that a report shows unless asked for others: results before causes.
pub(super) const SHOWN: [&str; 9] =
    ["goodput", "seconds", "rtt", "intact", "missing", "damaged", "doubled", "late", "frames-lost"];

const MEASURED: &str = "measured.";
const DISCARDED: &str = "discarded.";

/// Objects of a user's program are followed this far.
const DEPTH_MAX: usize = 5;

impl Metric {
    /// Returns the metric called `name`: one of our own, or of anybody's.
    pub(super) fn named(name: &str) -> Option<Self> {
        if let Some((name, title, unit, better, suits_log)) =
            KNOWN.into_iter().find(|known| known.0 == name)
        {
            let (name, title) = (name.to_owned(), title.to_owned());
            return Some(Self { name, title, unit, better, suits_log, is_log: false });
        }
        if [MEASURED, DISCARDED].contains(&name) {
            return None;
        }
        let (title, unit) = if let Some(path) = name.strip_prefix(MEASURED) {
            (path.to_owned(), MetricUnit::Number)
        } else {
            let reason = name.strip_prefix(DISCARDED)?;
            (format!("share of packets discarded: {}", reason.replace('_', " ")), MetricUnit::Share)
        };
        Some(Self {
            name: name.to_owned(),
            title,
            unit,
            better: Better::Unknown,
            suits_log: false,
            is_log: false,
        })
    }

    /// Returns the names of our own.
    pub(super) fn known() -> impl Iterator<Item = &'static str> {
        KNOWN.iter().map(|known| known.0)
    }

    /// Returns true if a row of any kind may have it: it is one of our own.
    pub(super) fn is_known(name: &str) -> bool {
        KNOWN.iter().any(|known| known.0 == name)
    }

    /// Returns the place in a report: our own in their order, then anybody's by name.
    pub(super) fn rank(&self) -> (usize, &str) {
        let place = KNOWN.iter().position(|known| known.0 == self.name);
        (place.unwrap_or(KNOWN.len()), &self.name)
    }

    /// Returns the beginning of its columns in a table for machines: `goodput_bps`, `rtt_ms`,
    /// `missing_share`.
    pub(super) fn column(&self) -> String {
        let name = self.name.replace('-', "_");
        match self.unit {
            MetricUnit::BitsPerSecond => format!("{name}_bps"),
            MetricUnit::Milliseconds => format!("{name}_ms"),
            MetricUnit::Share => format!("{name}_share"),
            MetricUnit::Seconds | MetricUnit::Count | MetricUnit::Number => name,
        }
    }
}

/// Passes every finite number that a row has measured to `put`, by the metric's name.
pub(super) fn values(row: &Row, mut put: impl FnMut(&str, f64)) {
    let mut put = |name: &str, value: Option<f64>| {
        if let Some(value) = value.filter(|value| value.is_finite()) {
            put(name, value);
        }
    };
    let float = |number: u64| number as f64;
    put("goodput", row.goodput_bps.map(float));
    put("seconds", row.seconds);
    if let Some(rtt) = &row.rtt_ms {
        for (name, time) in
            [("rtt", rtt.p50), ("rtt-mean", rtt.mean), ("rtt-p90", rtt.p90), ("rtt-p99", rtt.p99)]
        {
            put(name, time);
        }
    }
    let of = |part: Option<u64>, whole: Option<u64>| match (part, whole) {
        (Some(part), Some(whole)) if whole > 0 => Some(part as f64 / whole as f64),
        _ => None,
    };
    let units = match (row.intact, row.missing, row.damaged) {
        (Some(intact), Some(missing), Some(damaged)) => Some(intact + missing + damaged),
        _ => None,
    };
    for (name, part) in [
        ("intact", row.intact),
        ("missing", row.missing),
        ("damaged", row.damaged),
        ("doubled", row.doubled),
        ("late", row.late),
    ] {
        put(name, of(part, units));
    }
    let more = |key: &str| row.more.get(key).and_then(Value::as_u64);
    put("frames-lost", of(more("frames_lost"), more("frames")));
    put("packets", row.packets.map(float));
    put("retransmissions", row.retransmissions.map(float));
    put("resent", of(row.retransmissions, row.packets));
    if let Some(route) = &row.proxy {
        let links = [&route.up, &route.down];
        let all = Some(links.iter().map(|link| link.entered + link.copies).sum());
        put("discarded", of(Some(links.iter().map(|link| link.discarded_total()).sum()), all));
        let reasons = links.iter().flat_map(|link| link.discarded.keys());
        for reason in reasons.collect::<std::collections::BTreeSet<_>>() {
            let count = links.iter().filter_map(|link| link.discarded.get(reason)).sum();
            put(&format!("{DISCARDED}{reason}"), of(Some(count), all));
        }
    }
    if let Some(measured) = row.more.get("measured") {
        numbers(MEASURED.trim_end_matches('.'), measured, 0, &mut put);
    }
}

/// Passes the numbers of an object to `put`, by their path. Lists are left out: their places are no
/// names.
fn numbers(path: &str, value: &Value, depth: usize, put: &mut impl FnMut(&str, Option<f64>)) {
    match value {
        Value::Number(number) => put(path, number.as_f64()),
        Value::Object(fields) if depth < DEPTH_MAX => {
            for (name, field) in fields {
                numbers(&format!("{path}.{name}"), field, depth + 1, put);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::row;
    use super::*;
    use crate::rows::{LinkCounts, RouteCounts};
    use serde_json::json;
    use std::collections::BTreeMap;

    fn all(row: &Row) -> BTreeMap<String, f64> {
        let mut found = BTreeMap::new();
        values(row, |name, value| {
            assert!(found.insert(name.to_owned(), value).is_none(), "{name}")
        });
        found
    }

    #[test]
    fn intervals_end_where_values_do() {
        let estimate =
            |low, high| Estimate { mean: 0.98, count: 5, interval: Some(Interval { low, high }) };
        let ends = |unit: MetricUnit| {
            unit.possible(estimate(-0.2, 1.1)).interval.map(|Interval { low, high }| (low, high))
        };
        assert_eq!(ends(MetricUnit::Share), Some((0.0, 1.0)));
        assert_eq!(ends(MetricUnit::Seconds), Some((0.0, 1.1)));
        assert_eq!(ends(MetricUnit::Number), Some((-0.2, 1.1)));
        let alone = Estimate { interval: None, ..estimate(0.0, 0.0) };
        assert_eq!(MetricUnit::Share.possible(alone), alone);
    }

    #[test]
    fn a_row_gives_each_number_once() {
        let mut row = row().goodput(8_000_000).seconds(0.5).chunks(12, 3, 1).build();
        row.packets = Some(40);
        row.retransmissions = Some(10);
        row.late = Some(4);
        let up = LinkCounts {
            entered: 30,
            copies: 2,
            discarded: BTreeMap::from([("drop".to_owned(), 8)]),
            ..LinkCounts::default()
        };
        let down = LinkCounts { entered: 8, ..up.clone() };
        row.proxy = Some(RouteCounts { up, down });
        row.more.insert(
            "measured".to_owned(),
            json!({ "fps": 24, "end": { "lost": 2.5, "list": [1], "text": "9" } }),
        );
        let expected = [
            ("damaged", 0.0625),
            ("discarded", 16.0 / 42.0),
            ("discarded.drop", 16.0 / 42.0),
            ("goodput", 8e6),
            ("intact", 0.75),
            ("late", 0.25),
            ("measured.end.lost", 2.5),
            ("measured.fps", 24.0),
            ("missing", 0.1875),
            ("packets", 40.0),
            ("resent", 0.25),
            ("retransmissions", 10.0),
            ("seconds", 0.5),
        ];
        assert_eq!(all(&row), expected.map(|(name, value)| (name.to_owned(), value)).into());
    }

    #[test]
    fn what_was_not_measured_is_not_nothing() {
        assert!(all(&row().build()).is_empty());
        let nothing_sent = row().chunks(0, 0, 0).build();
        assert!(all(&nothing_sent).is_empty());
    }

    #[test]
    fn every_name_leads_to_its_metric() {
        for (name, ..) in KNOWN {
            assert_eq!(Metric::named(name).unwrap().name, name);
        }
        assert!(SHOWN.iter().all(|name| Metric::is_known(name)));
        assert_eq!(
            Metric::named("discarded.queue_full").unwrap().column(),
            "discarded.queue_full_share"
        );
        assert_eq!(Metric::named("rtt-p99").unwrap().column(), "rtt_p99_ms");
        assert_eq!(Metric::named("measured.fps").unwrap().title, "fps");
        assert_eq!(Metric::named("speed"), None);
    }

    #[test]
    fn values_read_with_their_units() {
        assert_eq!(MetricUnit::BitsPerSecond.words(1.24e7), "12.4 Mbit/s");
        assert_eq!(MetricUnit::BitsPerSecond.words(-2e6), "-2.00 Mbit/s");
        assert_eq!(MetricUnit::Milliseconds.words(12.5), "12.5 ms");
        assert_eq!(MetricUnit::Share.words(0.0511), "5.11%");
        assert_eq!(
            [1234.5, 0.000_12, 7.0, -0.5].map(|value| MetricUnit::Number.words(value)),
            ["1,234", "1.20e-4", "7", "-0.5"]
        );
    }
}
