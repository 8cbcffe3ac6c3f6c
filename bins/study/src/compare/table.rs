//! The comparison as a table for a terminal of 80 to 100 columns.

use super::finished::{Comparison, FinishedRow};
use comfy_table::{Attribute, Cell, CellAlignment, Color, Table, presets};
use jostle_common::words::{grouped, percent, rate, seconds};

/// The columns that a narrow terminal leaves out first: intact follows from missing and damaged;
/// the page has all. Goodput is what a comparison is run for, and goes last.
const DISPENSABLE: [&str; 5] = ["intact", "resent", "music lost", "damaged", "goodput"];

/// Draws the table for a terminal of `columns`, or for a file.
pub(super) fn draw(comparison: &Comparison, columns: Option<usize>) -> String {
    let width = columns.unwrap_or(usize::MAX);
    let fits = |left_out: &&[&str]| {
        let text = draw_without(comparison, left_out, false);
        text.lines().all(|line| line.chars().count() <= width)
    };
    let left_out = (0..DISPENSABLE.len())
        .map(|count| &DISPENSABLE[..count])
        .find(fits)
        .unwrap_or(&DISPENSABLE);
    draw_without(comparison, left_out, columns.is_some())
}

fn draw_without(comparison: &Comparison, left_out: &[&str], coloured: bool) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if coloured {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    let heads = columns(comparison);
    let shown = |place: usize| !left_out.contains(&heads[place]);
    let kept = |cells: Vec<Cell>| {
        cells
            .into_iter()
            .enumerate()
            .filter(|(place, _)| shown(*place))
            .map(|(_, cell)| cell)
            .collect::<Vec<_>>()
    };
    table.set_header(kept(
        heads.iter().map(|head| Cell::new(head).add_attribute(Attribute::Bold)).collect(),
    ));
    let mut loss_before = None;
    for finished in &comparison.rows {
        let loss = finished.row.loss;
        // A loss rate is written once, with a gap above: the three rows below it belong together.
        let first = loss_before != Some(loss);
        if first && loss_before.is_some() {
            table.add_row([""]);
        }
        loss_before = Some(loss);
        let mut cells = vec![
            Cell::new(if first { percent(loss.as_f64()) } else { String::new() }),
            Cell::new(finished.protocol.title()),
            arrived(finished),
        ];
        cells.extend(
            numbers(finished, comparison.music_seconds.is_some()).into_iter().map(Cell::new),
        );
        table.add_row(kept(cells));
    }
    let last = table.column_count().saturating_sub(1);
    for (place, column) in table.column_iter_mut().enumerate() {
        // A space behind the last would be one beyond the terminal.
        column.set_padding((0, if place == last { 0 } else { 2 }));
        if place == 0 || place > 2 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn columns(comparison: &Comparison) -> Vec<&'static str> {
    let mut heads = vec![
        "loss", "over", "arrived", "time", "goodput", "intact", "missing", "damaged", "resent",
    ];
    if comparison.music_seconds.is_some() {
        heads.push("music lost");
    }
    heads
}

fn arrived(finished: &FinishedRow) -> Cell {
    let state = finished.state();
    let color = match state {
        "whole" => Color::Green,
        "damaged" | "with holes" => Color::Yellow,
        _ => Color::Red,
    };
    Cell::new(state).fg(color)
}

fn numbers(finished: &FinishedRow, music: bool) -> Vec<String> {
    let row = &finished.row;
    let known = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), grouped);
    let mut numbers = vec![
        row.seconds.map_or_else(|| "-".to_owned(), seconds),
        row.goodput_bps.map_or_else(|| "-".to_owned(), rate),
        known(row.intact),
        known(row.missing),
        known(row.damaged),
        known(row.retransmissions),
    ];
    if music {
        numbers.push(
            finished.audit.map_or_else(|| "-".to_owned(), |audit| seconds(audit.seconds_lost)),
        );
    }
    numbers
}
