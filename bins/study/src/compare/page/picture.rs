//! The picture of a file: a cell per chunk, in the order of the file, left to right and top to
//! bottom.

use super::super::finished::Chunk;
use jostle_common::words::{count, grouped};
use maud::{Markup, html};

/// More cells than this are not worth looking at one by one: then a cell stands for several chunks.
const CELLS_MAX: usize = 720;

/// Draws the chunks. Intact cells are bare, so that a page of whole files stays small.
pub(super) fn draw(chunks: &[Chunk]) -> Markup {
    let per_cell = chunks.len().div_ceil(CELLS_MAX).max(1);
    html! {
        div.picture.state role="img" aria-label=(legend(chunks)) {
            @for (place, cell) in chunks.chunks(per_cell).enumerate() {
                (draw_cell(place * per_cell, cell))
            }
        }
    }
}

fn draw_cell(first: usize, cell: &[Chunk]) -> Markup {
    let title = |state| format!("chunk {}: {state}", grouped(first as u64));
    html! {
        @match cell {
            cell if cell.iter().all(|chunk| *chunk == Chunk::Intact) => { i {} }
            [Chunk::Damaged] => { i.d title=(title("damaged")) {} }
            [_] => { i.m title=(title("missing")) {} }
            cell => { (mixed(first, cell)) }
        }
    }
}

/// Writes the sums, in words.
fn legend(chunks: &[Chunk]) -> String {
    let of = |kind| chunks.iter().filter(|chunk| **chunk == kind).count() as u64;
    format!(
        "{}: {} intact, {} missing, {} damaged",
        count(chunks.len() as u64, "chunk"),
        grouped(of(Chunk::Intact)),
        grouped(of(Chunk::Missing)),
        grouped(of(Chunk::Damaged))
    )
}

/// Draws a cell of several chunks: filled from below as far as they are intact, then as far as they
/// are damaged.
fn mixed(first: usize, cell: &[Chunk]) -> Markup {
    let part = |kind| 100 * cell.iter().filter(|chunk| **chunk == kind).count() / cell.len();
    let (intact, damaged) = (part(Chunk::Intact), part(Chunk::Damaged));
    let last = first + cell.len() - 1;
    let style = format!("--i:{intact}%;--d:{}%", intact + damaged);
    let places = format!("chunks {} to {}", grouped(first as u64), grouped(last as u64));
    html! { i.x style=(style) title={ (places) ": " (legend(cell)) } {} }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_has_its_cell() {
        let chunks = [Chunk::Intact, Chunk::Missing, Chunk::Damaged, Chunk::Intact];
        let html = draw(&chunks).into_string();
        assert_eq!(html.matches("<i").count(), 4);
        assert!(html.contains("4 chunks: 2 intact, 1 missing, 1 damaged"));
        assert!(html.contains(r#"<i class="m" title="chunk 1: missing">"#));
        assert!(html.contains(r#"<i class="d" title="chunk 2: damaged">"#));
    }

    #[test]
    fn a_large_file_shares_cells() {
        let mut chunks = vec![Chunk::Intact; 7200];
        chunks[7195] = Chunk::Missing;
        chunks[7196] = Chunk::Damaged;
        let html = draw(&chunks).into_string();
        assert_eq!(html.matches("<i").count(), 720);
        assert!(
            html.contains(
                r#"style="--i:80%;--d:90%" title="chunks 7,190 to 7,199: 10 chunks: 8 intact"#
            ),
            "{html}"
        );
    }
}
