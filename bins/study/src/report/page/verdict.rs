//! What came of the comparison with older rows: the verdict and the points that got worse.

use super::super::gate::{Gate, Outcome, failing_table};
use super::super::table::Table;
use crate::page::escape;
use jostle_common::words::count;
use std::fmt::Write as _;

/// More lines than this are counted, not shown.
const LINES_SHOWN: usize = 200;

/// The section of the page.
pub(super) fn section(gate: &Gate) -> String {
    let class = match gate.outcome {
        Outcome::Passed => "good",
        Outcome::Worse => "bad",
        Outcome::Unclear | Outcome::Gone | Outcome::Nothing => "unclear",
    };
    let mut html = format!(
        "<section class=\"notice {class}\">\n<h2>Against {}</h2>\n<p><b>{}</b></p>\n",
        escape(&gate.sources.join(", ")),
        escape(&gate.verdict())
    );
    if !gate.worse.is_empty() {
        html.push_str(&lines(&gate.table(&gate.worse)));
    }
    if !gate.failing.is_empty() {
        html.push_str(&lines(&failing_table(&gate.failing)));
    }
    if !gate.unclear.is_empty() {
        let _ = write!(
            html,
            "<details><summary>Too few or too noisy pairs to tell: {}</summary>\n{}</details>\n",
            count(gate.unclear.len() as u64, "verdict"),
            lines(&gate.table(&gate.unclear))
        );
    }
    for remark in gate.remarks() {
        let _ = writeln!(html, "<p class=\"soft\">{}</p>", escape(&remark));
    }
    html.push_str("</section>\n");
    html
}

fn lines(table: &Table) -> String {
    let mut html =
        format!("<div class=\"wide\"><table class=\"names-{}\">\n<thead><tr>", table.names);
    for head in &table.heads {
        let _ = write!(html, "<th>{}</th>", escape(head));
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for row in table.rows.iter().take(LINES_SHOWN) {
        let cells: String = row.iter().map(|cell| format!("<td>{}</td>", escape(cell))).collect();
        let _ = writeln!(html, "<tr>{cells}</tr>");
    }
    html.push_str("</tbody></table></div>\n");
    if let Some(more) = table.rows.len().checked_sub(LINES_SHOWN).filter(|more| *more > 0) {
        let _ = writeln!(html, "<p class=\"soft\">… and {} more.</p>", count(more as u64, "line"));
    }
    html
}
