//! The words of a report: its title, what is fixed, an estimate, and what a reader has to know
//! before believing the figures.

use super::estimate::{PointEstimate, REPEATS_MIN};
use super::gather::{Gathered, Point};
use super::metric::{CONFIDENCE, Metric, MetricUnit};
use jostle_common::statistics::Interval;
use jostle_common::words::{count, grouped, list, percent};

/// More reasons than this say no more.
const ERRORS_SHOWN: usize = 5;

/// More values of a parameter than this are a list that is not read.
const LEVELS_SHOWN: usize = 6;

impl Gathered {
    /// Names the metrics and the parameters that they are shown over: `Goodput and time to
    /// completion over loss, by protocol, for each delay`.
    pub(super) fn title(&self) -> String {
        let titles: Vec<String> =
            self.metrics.iter().take(3).map(|metric| metric.title.clone()).collect();
        let mut title = match self.metrics.len() {
            0 => "failed cells".to_owned(),
            1..=3 => list(&titles),
            _ => format!("{} and more", titles.join(", ")),
        };
        if let Some(x) = &self.layout.x {
            title += &format!("{}{}", if x.is_ordered { " over " } else { " by " }, x.name);
        }
        if let Some(by) = &self.layout.by {
            title += &format!(", by {}", by.name);
        }
        if let Some(over) = &self.layout.over {
            title += &format!(", for each {}", over.name);
        }
        let mut letters = title.chars();
        letters
            .next()
            .map(|first| first.to_uppercase().chain(letters).collect())
            .unwrap_or_default()
    }

    /// Describes the number of cells, and what all of them have in common.
    pub(super) fn opening(&self) -> String {
        let failed = match self.failed {
            0 => "none failed".to_owned(),
            failed => format!("{} failed", grouped(failed)),
        };
        let mut text =
            format!("{} from {}, {failed}.", count(self.rows, "cell"), self.sources.join(", "));
        if !self.layout.fixed.is_empty() {
            let words = |(name, value): &(&str, String)| match *name {
                "virtual" => format!("{value} time"),
                name => format!("{name} {value}"),
            };
            let fixed: Vec<String> = self.layout.fixed.iter().map(words).collect();
            text += &format!(" The same in all: {}.", fixed.join(", "));
        }
        if !self.layout.follows.is_empty() {
            let names: Vec<String> =
                self.layout.follows.iter().map(|name| (*name).to_owned()).collect();
            text += &format!(" What goes with those that vary: {}.", list(&names));
        }
        text
    }

    /// Lists the facts that a reader has to know before believing the figures, a sentence each.
    pub(super) fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.failed > 0 {
            let all = count(self.rows, "cell");
            let reasons = reasons(&self.errors);
            remarks.push(format!(
                "{} of {all} failed and are in no mean: {reasons}.",
                grouped(self.failed)
            ));
        }
        for pooled in &self.layout.pooled {
            let levels: Vec<&str> =
                pooled.levels.iter().take(LEVELS_SHOWN).map(|level| level.text.as_str()).collect();
            let more = if pooled.levels.len() > levels.len() { " …" } else { "" };
            remarks.push(format!(
                "{} varies too ({}{more}) and is thrown together in each point; show it with --x, \
                 --by or --over.",
                pooled.name,
                levels.join(", ")
            ));
        }
        remarks.extend(reading(self.identical, self.again, &self.torn));
        remarks
    }
}

/// Describes what became of rows before they were counted.
pub(super) fn reading(identical: u64, again: u64, torn: &[String]) -> Vec<String> {
    let mut remarks = Vec::new();
    if identical > 0 {
        let rows = number(identical, "row stands", "rows stand");
        remarks.push(format!("{rows} in the files twice, word for word, and counted once."));
    }
    if again > 0 {
        let rows = number(again, "row is a further run", "rows are further runs");
        remarks.push(format!("{rows} of a cell that has a row already; all of them count."));
    }
    if !torn.is_empty() {
        let (ends, those) = match torn.len() {
            1 => ("ends", "that row is"),
            _ => ("end", "those rows are"),
        };
        let places = list(torn);
        remarks.push(format!(
            "{places} {ends} within a row that was being written; {those} left out."
        ));
    }
    remarks
}

fn number(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// Writes `it took longer than 60s (3), refused (1)`.
pub(super) fn reasons(errors: &[(String, u64)]) -> String {
    let shown = errors.iter().take(ERRORS_SHOWN);
    let mut texts: Vec<String> =
        shown.map(|(text, times)| format!("{text} ({})", grouped(*times))).collect();
    let rest: u64 = errors.iter().skip(ERRORS_SHOWN).map(|(_, times)| times).sum();
    if rest > 0 {
        texts.push(format!("other reasons ({})", grouped(rest)));
    }
    texts.join(", ")
}

/// Writes `8.30 Mbit/s (8.10 to 8.50 Mbit/s)`; `-` of nothing, and no interval of few values.
pub(super) fn estimate(metric: &Metric, found: Option<&PointEstimate>) -> String {
    let Some(centre) = found.map(|found| found.centre(metric)) else { return "-".to_owned() };
    let mean = metric.unit.words(centre.mean);
    match centre.interval {
        Some(interval) => with_range(metric.unit, mean, interval),
        None => mean,
    }
}

/// Adds a range in brackets, unless both of its ends read alike.
fn with_range(unit: MetricUnit, text: String, interval: Interval) -> String {
    if unit.words(interval.low) == unit.words(interval.high) {
        return text;
    }
    format!("{text} ({})", range(unit, interval))
}

/// Writes the median and the tenths, `8.35 Mbit/s (8.00 to 8.70 Mbit/s)`; of few values the values,
/// and nothing of one or none.
pub(super) fn middle(metric: &Metric, found: Option<&PointEstimate>) -> String {
    let Some(found) = found.filter(|found| found.count() > 1) else { return String::new() };
    let median = metric.unit.words(found.median);
    match found.middle() {
        Some((_, tenths)) => with_range(metric.unit, median, tenths),
        None => median,
    }
}

/// Writes `3 of 10 failed`.
pub(super) fn failed(point: &Point) -> String {
    format!("{} of {} failed", grouped(point.failed), grouped(point.rows))
}

/// Writes `8.68 to 9.05 Mbit/s`: a unit that both ends have stands once.
pub(super) fn range(unit: MetricUnit, interval: Interval) -> String {
    let (low, high) = (unit.words(interval.low), unit.words(interval.high));
    match (low.split_once(' '), high.split_once(' ')) {
        (Some((number, unit)), Some((_, other))) if unit == other => format!("{number} to {high}"),
        _ => format!("{low} to {high}"),
    }
}

/// Explains the figures in a table.
pub(super) fn legend(gathered: &Gathered) -> String {
    let geometric: Vec<String> = gathered
        .metrics
        .iter()
        .filter(|metric| metric.is_log)
        .map(|metric| metric.title.clone())
        .collect();
    let mut text = "Means over the cells that did not fail".to_owned();
    if !geometric.is_empty() {
        text +=
            &format!(" (geometric ones of {}, which spread over powers of ten)", list(&geometric));
    }
    text += &format!(
        ", and in brackets their intervals of {}, from {REPEATS_MIN} values on",
        percent(CONFIDENCE)
    );
    if gathered.repeats > 1 {
        text += "; behind a median the values between which eight tenths of all lie";
    }
    text + "."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_that_both_ends_have_stands_once() {
        let range = |unit, low, high| range(unit, Interval { low, high });
        assert_eq!(range(MetricUnit::BitsPerSecond, 8.68e6, 9.05e6), "8.68 to 9.05 Mbit/s");
        assert_eq!(range(MetricUnit::BitsPerSecond, 9e5, 1.1e6), "900 kbit/s to 1.10 Mbit/s");
        assert_eq!(range(MetricUnit::Share, 0.05, 0.06), "5% to 6%");
        assert_eq!(range(MetricUnit::Count, 5.0, 6.0), "5 to 6");
    }
}
