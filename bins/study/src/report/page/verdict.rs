//! The outcome of the comparison with older rows: the verdict and the points that got worse.

use super::super::gate::{Gate, GateOutcome, failing_table};
use super::super::table::Table;
use jostle_common::words::count;
use maud::{Markup, html};

/// More lines than this are counted, not shown.
const LINES_SHOWN: usize = 200;

/// Writes the section of the page.
pub(super) fn section(gate: &Gate) -> Markup {
    let class = match gate.outcome {
        GateOutcome::Passed => "good",
        GateOutcome::Worse => "bad",
        GateOutcome::Unclear | GateOutcome::Gone | GateOutcome::Nothing => "unclear",
    };
    html! {
        section.notice.(class) {
            h2 { "Against " (gate.sources.join(", ")) }
            p { b { (gate.verdict()) } }
            @if !gate.worse.is_empty() { (lines(&gate.table(&gate.worse))) }
            @if !gate.failing.is_empty() { (lines(&failing_table(&gate.failing))) }
            @if !gate.unclear.is_empty() {
                details {
                    summary {
                        "Too few or too noisy pairs to tell: "
                        (count(gate.unclear.len() as u64, "verdict"))
                    }
                    (lines(&gate.table(&gate.unclear)))
                }
            }
            @for remark in gate.remarks() { p.soft { (remark) } }
        }
    }
}

fn lines(table: &Table) -> Markup {
    let more = table.rows.len().saturating_sub(LINES_SHOWN) as u64;
    html! {
        div.wide {
            table.{ "names-" (table.names) } {
                thead { tr { @for head in &table.heads { th { (head) } } } }
                tbody {
                    @for row in table.rows.iter().take(LINES_SHOWN) {
                        tr { @for cell in row { td { (cell) } } }
                    }
                }
            }
        }
        @if more > 0 { p.soft { "… and " (count(more, "line")) " more." } }
    }
}
