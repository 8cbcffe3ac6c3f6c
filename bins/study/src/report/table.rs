//! A table as text: for people who read Markdown, and for programs that read comma-separated
//! values.

use jostle_console::terminal::escaped;
use std::fmt::Write as _;

/// Heads and rows, with as many cells each.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    /// The headings of the columns.
    pub(super) heads: Vec<String>,
    /// The number of first columns that are names; the others are numbers, and end at their right.
    pub(super) names: usize,
    /// The cells.
    pub(super) rows: Vec<Vec<String>>,
}

impl Table {
    /// Writes the table in Markdown, with columns of one width.
    pub(super) fn markdown(&self) -> String {
        let harmless = |cells: &Vec<String>| -> Vec<String> {
            cells.iter().map(|cell| escaped(cell).replace('|', "\\|")).collect()
        };
        let lines: Vec<Vec<String>> =
            [&self.heads].into_iter().chain(&self.rows).map(harmless).collect();
        let width = |column: usize| {
            let widths = lines.iter().map(|line| line[column].chars().count());
            widths.max().unwrap_or(0).max(3)
        };
        let widths: Vec<usize> = (0..self.heads.len()).map(width).collect();
        let mut text = String::new();
        for (number, line) in lines.iter().enumerate() {
            for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
                let _ = match column < self.names {
                    true => write!(text, "| {cell:<width$} "),
                    false => write!(text, "| {cell:>width$} "),
                };
            }
            text.push_str("|\n");
            if number == 0 {
                for (column, width) in widths.iter().enumerate() {
                    let dashes = "-".repeat(width + 1);
                    let _ = match column < self.names {
                        true => write!(text, "|{dashes}-"),
                        false => write!(text, "|{dashes}:"),
                    };
                }
                text.push_str("|\n");
            }
        }
        text
    }

    /// Writes the table as comma-separated values (RFC 4180), with lines that end as on this side
    /// of the world.
    pub(super) fn csv(&self) -> String {
        let mut text = String::new();
        for line in [&self.heads].into_iter().chain(&self.rows) {
            let cells: Vec<String> = line.iter().map(|cell| quoted(cell)).collect();
            text.push_str(&cells.join(","));
            text.push('\n');
        }
        text
    }
}

/// Puts a cell in quotes if it needs them.
fn quoted(cell: &str) -> String {
    match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let texts = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        Table {
            heads: texts(["what", "how many"]),
            names: 1,
            rows: vec![texts(["a|b", "1"]), texts(["say \"no\", or\n\u{1b}", "12,345"])],
        }
    }

    #[test]
    fn markdown_lines_up_and_stays_in_its_cells() {
        let text = concat!(
            "| what                        | how many |\n",
            "|-----------------------------|---------:|\n",
            "| a\\|b                        |        1 |\n",
            "| say \"no\", or\\n\\u{1b}         |   12,345 |\n",
        );
        assert_eq!(
            table().markdown().replace(' ', ""),
            text.replace(' ', "")
                .replace("-----------------------------", "----------------------")
        );
        let widths: Vec<usize> =
            table().markdown().lines().map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{widths:?}");
    }

    #[test]
    fn values_with_commas_quotes_and_newlines_are_quoted() {
        assert_eq!(
            table().csv(),
            "what,how many\na|b,1\n\"say \"\"no\"\", or\n\u{1b}\",\"12,345\"\n"
        );
    }
}
