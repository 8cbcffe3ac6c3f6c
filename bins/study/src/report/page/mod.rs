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

use super::gather::Gathered;
use crate::page::{document, escape};

const STYLE: &str = include_str!("page.css");

/// Draws the page.
pub(super) fn draw(gathered: &Gathered) -> String {
    let title = escape(&gathered.title());
    let mut body = opening::section(gathered, &title);
    for metric in 0..gathered.metrics.len() {
        body.push_str(&figure::section(gathered, metric));
    }
    if gathered.metrics.is_empty() {
        body.push_str(
            "<p>No row that did not fail has measured anything, so there is nothing to draw.</p>\n",
        );
    }
    body.push_str(&maps::section(gathered));
    body.push_str(&integrity::section(gathered));
    body.push_str(&origin::section(gathered));
    document(&format!("{title} · jostle report"), STYLE, "img-src 'none'", &body)
}

/// With a capital letter at the beginning.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests;
