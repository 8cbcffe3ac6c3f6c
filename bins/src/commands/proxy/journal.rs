//! What the summary says of the journal.

use jostle_common::words::{count, grouped};
use jostle_console::terminal::Printer;
use jostle_control::JournalEnd;
use serde_json::json;

/// Returns the journal's line of the summary, or its object.
pub(super) fn summary(printer: Printer, end: &JournalEnd) -> String {
    let JournalEnd { lines, lost, error } = end;
    printer.said("journal", json!({ "lines": lines, "lost": lost, "error": error }), || {
        let missing = match lost {
            0 => String::new(),
            lost => format!(", {} more could not be written", grouped(*lost)),
        };
        format!("journal: {}{missing}", count(*lines, "line"))
    })
}
