//! The rows that stand in an output already: what they say is not run again.

use super::identity::Identity;
use crate::rows::Row;
use anyhow::Context;
use jostle_console::exit::Usage;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, Write};
use std::path::Path;

/// No row is longer, in bytes.
const LINE_BYTES_MAX: u64 = 4 << 20;
/// The beginning of every row; a line that begins otherwise was not written by a sweep, and is left
/// alone.
const BEGINNING: &[u8] = b"{\"protocol\":";

/// The cells of the rows in an output.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// Sorted, each once.
    cells: Vec<Identity>,
    /// Those of which all rows are failed ones.
    failed: BTreeSet<Identity>,
    /// The seeds of first repetitions, which are those of their sweeps; two are enough to know that
    /// they differ.
    seeds: BTreeSet<u64>,
}

impl Found {
    /// Returns true if there is no row.
    pub(super) const fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Returns the number of cells that have a row.
    pub(super) fn count(&self) -> u64 {
        self.cells.len() as u64
    }

    /// Returns true if the cell has a row.
    pub(super) fn has(&self, cell: Identity) -> bool {
        self.cells.binary_search(&cell).is_ok()
    }

    /// Returns true if the cell has failed rows alone.
    pub(super) fn has_failed(&self, cell: Identity) -> bool {
        self.failed.contains(&cell)
    }

    /// Takes in the cells of failed rows, one for each, and brings all in order.
    fn sort(&mut self, mut failures: Vec<Identity>) {
        self.cells.sort_unstable();
        failures.sort_unstable();
        let rows = |cells: &[Identity], cell| {
            cells.partition_point(|other| *other <= cell)
                - cells.partition_point(|other| *other < cell)
        };
        let all_failed = |cell: &Identity| rows(&self.cells, *cell) == rows(&failures, *cell);
        self.failed = failures.iter().copied().filter(all_failed).collect();
        self.cells.dedup();
    }

    /// Forgets cells, whose rows are gone.
    pub(super) fn forget(&mut self, cells: &BTreeSet<Identity>) {
        self.cells.retain(|cell| !cells.contains(cell));
        self.failed.retain(|cell| !cells.contains(cell));
    }

    /// Returns the seed of the sweep that made the rows; `None` when there is no row.
    ///
    /// # Errors
    /// Wrong usage, when the rows do not tell.
    pub(super) fn seed(&self, path: &Path) -> anyhow::Result<Option<u64>> {
        let problem = match (self.seeds.len(), self.is_empty()) {
            (1, _) => return Ok(self.seeds.first().copied()),
            (_, true) => return Ok(None),
            (0, _) => "no row of a first repetition tells",
            _ => "rows of several sweeps make it uncertain",
        };
        let path = path.display();
        Err(Usage::error(format!(
            "--seed: {problem} which seed the rows in {path} were made with; write it"
        )))
    }
}

/// Reads the rows of `file`, and repairs its end: a line that was torn when its writer was killed
/// is cut off. The remarks are for people.
///
/// # Errors
/// When it cannot be read, or holds something else than rows; then nothing was changed.
pub(super) fn read(file: &mut File, path: &Path) -> anyhow::Result<(Found, Vec<String>)> {
    let cannot_read = || format!("cannot read {}", path.display());
    let (mut found, mut remarks) = (Found::default(), Vec::new());
    let (mut failures, mut end) = (Vec::new(), 0);
    let mut lines = Lines::new(file.try_clone().with_context(cannot_read)?);
    while let Some(line) = lines.next().with_context(cannot_read)? {
        let torn = !line.ends_with(b"\n");
        match serde_json::from_slice::<Row>(line) {
            Ok(row) => {
                let identity = Identity::of(&row);
                found.cells.push(identity);
                failures.extend((!row.ok).then_some(identity));
                // The first repetition has the sweep's own seed; two of them are as uncertain as
                // more.
                if row.repeat == 1 && found.seeds.len() < 2 {
                    found.seeds.insert(row.seed);
                }
                end += line.len() as u64;
                // The row is whole; only the end of its line is missing.
                if torn {
                    file.write_all(b"\n")
                        .with_context(|| format!("cannot write {}", path.display()))?;
                }
            }
            Err(_) if line.trim_ascii().is_empty() && !torn => end += line.len() as u64,
            // Only what begins as a row is cut off: the file may belong to another program.
            Err(_) if torn && begins_as_row(line) => {
                file.set_len(end).with_context(|| format!("cannot write {}", path.display()))?;
                remarks.push(format!("the last row in {} was torn; it is cut off", path.display()));
            }
            Err(error) => {
                let (path, number) = (path.display(), lines.number);
                return Err(Usage::error(format!(
                    "{path}: line {number} is no row of a sweep: {error}; write another -o"
                )));
            }
        }
    }
    found.sort(failures);
    Ok((found, remarks))
}

fn begins_as_row(line: &[u8]) -> bool {
    let length = line.len().min(BEGINNING.len());
    line[..length] == BEGINNING[..length]
}

/// Copies the rows of `from` to `to`, but for failed ones of `cells`.
///
/// # Errors
/// When one of them cannot be read or written.
pub(super) fn copy_without(from: &File, to: &File, cells: &BTreeSet<Identity>) -> io::Result<()> {
    let mut lines = Lines::new(from.try_clone()?);
    let mut to = BufWriter::new(to);
    while let Some(line) = lines.next()? {
        let row: Option<Row> = serde_json::from_slice(line).ok();
        if !row.is_some_and(|row| !row.ok && cells.contains(&Identity::of(&row))) {
            to.write_all(line)?;
        }
    }
    to.flush()
}

/// The lines of a file from its beginning, each up to a size.
struct Lines {
    reader: BufReader<File>,
    line: Vec<u8>,
    number: u64,
}

impl Lines {
    fn new(file: File) -> Self {
        Self { reader: BufReader::new(file), line: Vec::new(), number: 0 }
    }

    /// Returns the next line, with its end if it has one.
    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        if self.number == 0 {
            self.reader.rewind()?;
        }
        self.line.clear();
        io::Read::take(&mut self.reader, LINE_BYTES_MAX).read_until(b'\n', &mut self.line)?;
        self.number += 1;
        Ok((!self.line.is_empty()).then_some(&self.line))
    }
}
