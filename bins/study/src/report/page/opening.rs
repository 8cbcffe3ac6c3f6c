//! The beginning of the page: what was asked, how many cells there are, what failed, and what a
//! reader has to know first.

use super::super::dimension::Dimension;
use super::super::gate::Gate;
use super::super::gather::Gathered;
use super::names::dimensions;
use super::verdict;
use jostle_common::words::{count, grouped};
use maud::{Markup, html};
use std::collections::BTreeSet;

/// More kinds of errors than this are counted, not shown.
const ERRORS_SHOWN: usize = 30;
/// Values of a parameter that are named one by one.
const LEVELS_SHOWN: usize = 6;

/// Writes the header, the verdict on older rows, and the remarks.
pub(super) fn section(gathered: &Gathered, gate: Option<&Gate>, title: &str) -> Markup {
    html! {
        header {
            @if gathered.origin.abouts.is_empty() {
                h1 { (title) }
            } @else {
                // What was asked comes first, then what is shown.
                h1 { (list(&gathered.origin.abouts)) }
                p.subtitle { (title) }
            }
            p.lead { (summary(gathered)) }
            dl.facts {
                @for (name, text) in facts(gathered) { dt { (name) } dd { (text) } }
            }
        }
        @if let Some(gate) = gate { (verdict::section(gate)) }
        (remarks(gathered))
    }
}

/// Writes the questions behind each other.
fn list(abouts: &BTreeSet<String>) -> String {
    abouts.iter().cloned().collect::<Vec<_>>().join(" · ")
}

/// Describes the amount of rows, in a sentence or two.
fn summary(gathered: &Gathered) -> String {
    let origin = &gathered.origin;
    let time = match (origin.virtual_rows, origin.real_rows) {
        (_, 0) => ", all in virtual time".to_owned(),
        (0, _) => ", all on real sockets".to_owned(),
        (computed, _) => format!(", {} of them in virtual time", grouped(computed)),
    };
    let failed = match gathered.failed {
        0 => "None failed.".to_owned(),
        failed if failed == gathered.rows => "All of them failed.".to_owned(),
        failed => format!("{} failed.", grouped(failed)),
    };
    let repeats = match gathered.repeats {
        0 | 1 => String::new(),
        more => format!(", up to {} each", count(u64::from(more), "repeat")),
    };
    format!(
        "{} at {}{time}{repeats}. {failed}",
        count(gathered.rows, "row"),
        count(gathered.points.len() as u64, "point"),
    )
}

/// Returns the parameters that vary and those that do not.
fn facts(gathered: &Gathered) -> Vec<(&str, String)> {
    let layout = &gathered.layout;
    let varied = [&layout.x, &layout.by, &layout.over].into_iter().flatten();
    let mut facts: Vec<(&str, String)> =
        varied.map(|dimension| (dimension.name, levels(dimension))).collect();
    if !layout.follows.is_empty() {
        let with = dimensions(&[&layout.x, &layout.by, &layout.over]);
        facts.push((
            "goes along",
            format!("{} (varies with {with} and only so)", layout.follows.join(", ")),
        ));
    }
    // Which time it was, the summary says.
    let fixed = layout.fixed.iter().filter(|(name, _)| *name != "virtual");
    let fixed: Vec<String> = fixed.map(|(name, text)| format!("{name} {text}")).collect();
    if !fixed.is_empty() {
        facts.push(("the same in all", fixed.join(" · ")));
    }
    facts
}

/// Writes `tcp, udp, saw`, or `0% to 20% in 21 values`.
fn levels(dimension: &Dimension) -> String {
    let texts: Vec<&str> = dimension.levels.iter().map(|level| level.text.as_str()).collect();
    match texts.as_slice() {
        few if few.len() <= LEVELS_SHOWN => few.join(", "),
        [first, .., last] if dimension.is_ordered => {
            format!("{first} to {last} in {} values", texts.len())
        }
        many => {
            format!("{} and {} more", many[..LEVELS_SHOWN].join(", "), many.len() - LEVELS_SHOWN)
        }
    }
}

fn remarks(gathered: &Gathered) -> Markup {
    let remarks = gathered.remarks();
    html! {
        @if !remarks.is_empty() {
            section.notice {
                h2 { "Before you read on" }
                ul { @for remark in &remarks { li { (remark) } } }
                @if !gathered.errors.is_empty() { (errors(gathered)) }
            }
        }
    }
}

/// Lists every reason why rows failed, the most frequent first.
fn errors(gathered: &Gathered) -> Markup {
    let errors = &gathered.errors;
    let rest: u64 = errors.iter().skip(ERRORS_SHOWN).map(|(_, times)| times).sum();
    html! {
        details {
            summary { "Why rows failed: " (count(errors.len() as u64, "reason")) }
            ul {
                @for (text, times) in errors.iter().take(ERRORS_SHOWN) {
                    li { (count(*times, "time")) ": " (text) }
                }
                @if rest > 0 { li { (count(rest, "time")) ": other reasons" } }
            }
        }
    }
}
