//! `jostle-server file` and `jostle-client file`.

mod receive;
mod send;

pub use receive::FileReceiveArgs;
pub use send::FileSendArgs;

use crate::protocol::file::{ChunkCounts, ChunkFate, ChunkState};
use serde_json::{Value, json};

fn counts_json(counts: &ChunkCounts) -> Value {
    let ChunkCounts { chunks, intact, missing, damaged, doubled, late, unknown } = *counts;
    json!({ "chunks": chunks, "intact": intact, "missing": missing, "damaged": damaged,
        "doubled": doubled, "late": late,
        "unknown": unknown })
}

fn counts_text(counts: &ChunkCounts) -> String {
    let ChunkCounts { chunks, intact, missing, damaged, doubled, late, unknown } = *counts;
    let share = if chunks == 0 { 100.0 } else { 100.0 * f64::from(intact) / f64::from(chunks) };
    let mut text = format!(
        "chunks {chunks} intact {intact} ({share:.1} %) missing {missing} damaged {damaged} \
         doubled {doubled} late {late}"
    );
    if unknown > 0 {
        text.push_str(&format!(" unknown {unknown}"));
    }
    text
}

/// Returns half a byte per chunk as a hex digit: 0 missing, 1 intact, 2 damaged; +4 late, +8
/// doubled.
fn map_text(cells: impl Iterator<Item = ChunkFate>) -> String {
    cells.map(|cell| char::from_digit(cell.code().into(), 16).unwrap_or('?')).collect()
}

/// Returns the chunks that have this state, as ranges, at most `ranges_max` of them: `3-5, 9, …`.
fn ranges(cells: &[ChunkFate], state: ChunkState, ranges_max: usize) -> String {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for place in (0..cells.len()).filter(|place| cells[*place].state == state) {
        match found.last_mut() {
            Some((_, end)) if *end + 1 == place => *end = place,
            _ => found.push((place, place)),
        }
    }
    let mut parts: Vec<_> = found
        .iter()
        .take(ranges_max)
        .map(|range| match range {
            (start, end) if start == end => start.to_string(),
            (start, end) => format!("{start}-{end}"),
        })
        .collect();
    if found.len() > ranges_max {
        parts.push("…".to_owned());
    }
    parts.join(", ")
}

/// Returns the bits per second, 0 when no time has passed.
fn goodput(bytes: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { bytes as f64 * 8.0 / seconds } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_and_ranges_read_alike() {
        let cells: Vec<_> = [1, 0, 0, 2, 1, 0, 9].map(ChunkFate::from_code).into();
        assert_eq!(map_text(cells.iter().copied()), "1002109");
        assert_eq!(ranges(&cells, ChunkState::Missing, 9), "1-2, 5");
        assert_eq!(ranges(&cells, ChunkState::Missing, 1), "1-2, …");
        assert_eq!(ranges(&cells, ChunkState::Damaged, 9), "3");
        assert_eq!(ranges(&[], ChunkState::Intact, 9), "");
    }
}
