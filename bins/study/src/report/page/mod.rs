//! The report as one HTML page that needs nothing but itself: no script, no network.

mod axes;
mod chart;
mod figure;
mod heat;
mod integrity;
mod maps;
mod names;
mod opening;
mod origin;
mod scale;
mod style;
mod table;
mod verdict;

use super::gate::Gate;
use super::gather::Gathered;
use crate::page::document;
use maud::html;

const STYLE: &str = include_str!("page.css");

/// Draws the page.
pub(super) fn draw(gathered: &Gathered, gate: Option<&Gate>) -> String {
    let title = gathered.title();
    let body = html! {
        (opening::section(gathered, gate, &title))
        @for metric in 0..gathered.metrics.len() { (figure::section(gathered, metric)) }
        @if gathered.metrics.is_empty() {
            p { "No row that did not fail has measured anything, so there is nothing to draw." }
        }
        (maps::section(gathered))
        (integrity::section(gathered))
        (origin::section(gathered))
    };
    document(&format!("{title} · jostle report"), STYLE, "img-src 'none'", &body)
}

/// Returns the text with a capital letter at the beginning.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests;
