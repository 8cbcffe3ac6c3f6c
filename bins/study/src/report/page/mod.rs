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
use crate::page::{Figure, document, stacked};
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

/// Draws the figures of all metrics as one SVG that stands alone; `None` when there are none.
pub(super) fn figures(gathered: &Gathered) -> Option<String> {
    let mut figures: Vec<Figure> =
        (0..gathered.metrics.len()).filter_map(|metric| figure::figure(gathered, metric)).collect();
    let first = figures.first_mut()?;
    first.notes.extend(gathered.origin.abouts.iter().cloned());
    first.notes.push(gathered.opening());
    Some(stacked(&figures))
}

/// Returns the text with a capital letter at the beginning.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests;
