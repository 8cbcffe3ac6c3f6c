//! The words of a report: its title, what is fixed, an estimate, and what a reader has to know
//! before believing the figures.

use super::gather::Gathered;
use super::metric::{CONFIDENCE, Metric};
use jostle_common::statistics::Estimate;
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

/// Writes `8.30 Mbit/s (8.10 Mbit/s to 8.50 Mbit/s)`; `-` of nothing, and no interval of one value.
pub(super) fn estimate(metric: &Metric, estimate: Option<&Estimate>) -> String {
    let Some(estimate) = estimate else { return "-".to_owned() };
    let mean = metric.unit.words(estimate.mean);
    match estimate.interval {
        Some(interval) if interval.low < interval.high => {
            format!(
                "{mean} ({} to {})",
                metric.unit.words(interval.low),
                metric.unit.words(interval.high)
            )
        }
        _ => mean,
    }
}

/// Explains the figures in a table.
pub(super) fn legend() -> String {
    format!(
        "Means over the cells that did not fail, and in brackets their intervals of {}.",
        percent(CONFIDENCE)
    )
}
