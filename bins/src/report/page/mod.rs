//! The page: curves, integrity and tables.

use super::gather::Gathered;
use crate::page::{document, escape};

/// Draws the page.
pub(super) fn draw(gathered: &Gathered) -> String {
    let sources = escape(&gathered.sources.join(", "));
    document("jostle report", "", "", &format!("<main><h1>{sources}</h1></main>\n"))
}
