//! Reading rows: what of each is kept, and which rows are the same.
//!
//! - A line that stands in the files twice, word for word, counts once.
//! - A real cell that was run more than once gives more than one row, and all of them count: they
//!   are more measurements of the same thing.
//! - A cell in virtual time can have one outcome only. Two of them from one version contradict each
//!   other: that is an error.
//! - A last line that ends within a row was being written when its program was stopped: it is left
//!   out, and said so.

use super::interner::{Interner, Levels};
use super::origin::Origin;
use crate::rows::{ABOUT, Row};
use anyhow::Context as _;
use jostle_console::exit::Usage;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::PathBuf;
use std::sync::Arc;

/// More than any row has; a device or a pipe may never end a line.
const LINE_BYTES_MAX: u64 = 16 << 20;

/// The parts of a row that a report needs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    /// Its parameters.
    pub(super) levels: Levels,
    /// The repetition of the cell that it is.
    pub(super) repeat: u32,
    /// The seed of all chance in it.
    pub(super) seed: u64,
    /// True if time was virtual.
    pub(super) is_virtual: bool,
    /// True if the protocol did what it promises.
    pub(super) ok: bool,
    /// The reason why it did not.
    pub(super) error: Option<Arc<str>>,
    /// Its measured values, by the metric's place in the interner.
    pub(super) values: Vec<(u16, f64)>,
    /// The same for rows that say the same: all of a real row, all but the host of a virtual one.
    pub(super) digest: u64,
}

impl Record {
    /// Returns the parts that say which cell it is, to be completed.
    pub(super) const fn cell(&mut self) -> (&mut Levels, bool) {
        (&mut self.levels, self.is_virtual)
    }

    /// Returns its value of the metric at a place.
    pub(super) fn value(&self, metric: u16) -> Option<f64> {
        self.values.iter().find(|(own, _)| *own == metric).map(|(_, value)| *value)
    }
}

/// A file of rows.
pub(super) struct RowSource<'a> {
    name: String,
    lines: Box<dyn BufRead + 'a>,
}

impl<'a> RowSource<'a> {
    /// Creates a text with a name for messages.
    pub(super) fn new(name: impl Into<String>, lines: impl BufRead + 'a) -> Self {
        Self { name: name.into(), lines: Box::new(lines) }
    }

    /// Opens the files of a command line; `-` is stdin.
    ///
    /// # Errors
    /// When one cannot be opened, or stdin is named twice.
    pub(super) fn open(paths: &[PathBuf]) -> anyhow::Result<Vec<Self>> {
        let is_stdin = |path: &&PathBuf| path.as_os_str() == "-";
        if paths.iter().filter(is_stdin).count() > 1 {
            return Err(Usage::error("- is stdin, which can be read once; name it once"));
        }
        let open = |path: &PathBuf| {
            let name = path.display().to_string();
            if is_stdin(&path) {
                return Ok(Self::new("stdin", BufReader::new(io::stdin())));
            }
            let file = File::open(path).with_context(|| format!("cannot read {name}"))?;
            Ok(Self::new(name, BufReader::new(file)))
        };
        paths.iter().map(open).collect()
    }
}

/// The rows of one or more files.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    /// The names of the files.
    pub(super) sources: Vec<String>,
    /// The rows.
    pub(super) records: Vec<Record>,
    /// The files whose last line ends within a row, as `file:line`.
    pub(super) torn: Vec<String>,
    /// The number of rows that were left out as they stand in the files already.
    pub(super) identical: u64,
    /// The number of rows that are further runs of a real cell that has a row already.
    pub(super) again: u64,
    /// The rows' account of their making.
    pub(super) origin: Origin,
}

/// Reads files.
///
/// # Errors
/// [`Usage`] when a line is no row, or two contradict each other; another error when a file cannot
/// be read.
pub(super) fn load(sources: Vec<RowSource<'_>>, interner: &mut Interner) -> anyhow::Result<Loaded> {
    let mut loading = Loading::default();
    for source in sources {
        loading.read(source, interner)?;
    }
    Ok(loading.loaded)
}

/// The identity of a cell: its parameters with the version, repeat and seed.
type CellKey = (Levels, u32, u64);

#[derive(Default)]
struct Loading {
    loaded: Loaded,
    /// The rows of each cell, as their digests and places.
    seen: BTreeMap<CellKey, Vec<(u64, String)>>,
    errors: BTreeMap<String, Arc<str>>,
}

impl Loading {
    fn read(&mut self, mut source: RowSource<'_>, interner: &mut Interner) -> anyhow::Result<()> {
        let mut line = Vec::new();
        for number in 1u64.. {
            line.clear();
            let place = format!("{}:{number}", source.name);
            let cannot = || format!("cannot read {place}");
            let read = source.lines.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
            let length = read.with_context(cannot)? as u64;
            if length == 0 {
                break;
            }
            let ended = line.last() == Some(&b'\n');
            if line.trim_ascii().is_empty() {
                continue;
            }
            match serde_json::from_slice::<Row>(line.trim_ascii()) {
                Ok(row) => self.take(place, row, interner)?,
                // The line may be as long as it likes: what is missing is its end.
                Err(error) if !ended && error.is_eof() && length < LINE_BYTES_MAX => {
                    self.loaded.torn.push(place);
                }
                Err(error) => return Err(no_row(&place, &error)),
            }
        }
        self.loaded.sources.push(source.name);
        Ok(())
    }

    fn take(&mut self, place: String, mut row: Row, interner: &mut Interner) -> anyhow::Result<()> {
        let levels = interner.levels(&row).map_err(|problem| {
            Usage::error(format!("{place}: {problem}; correct the line, or delete it"))
        })?;
        let about = row.host.remove(ABOUT);
        // The host is no part of a virtual result: every machine gives the same.
        if row.is_virtual {
            row.host = Map::new();
        }
        let digest = digest(&row);
        let identity = (levels.clone(), row.repeat, row.seed);
        let before = self.seen.entry(identity).or_default();
        if before.iter().any(|(own, _)| *own == digest) {
            self.loaded.identical += 1;
            return Ok(());
        }
        if let Some((_, other)) = before.first() {
            // A cell has one result in virtual time, and any number of them on real sockets.
            if row.is_virtual {
                return Err(contradiction(other, &place));
            }
            self.loaded.again += 1;
        }
        before.push((digest, place));
        self.loaded.origin.add(&row);
        self.loaded.origin.ask(about.as_ref().and_then(Value::as_str));
        // Many rows fail for the same reason, so its text is kept once.
        let error = row.error.take().map(|text| {
            let known = self.errors.entry(text);
            let text = Arc::from(known.key().as_str());
            Arc::clone(known.or_insert(text))
        });
        self.loaded.records.push(Record {
            levels,
            repeat: row.repeat,
            seed: row.seed,
            is_virtual: row.is_virtual,
            ok: row.ok,
            error,
            values: interner.values(&row),
            digest,
        });
        Ok(())
    }
}

fn digest(row: &Row) -> u64 {
    let mut hasher = DefaultHasher::new();
    serde_json::to_string(row).expect("a row that was read can be written").hash(&mut hasher);
    hasher.finish()
}

fn no_row(place: &str, error: &serde_json::Error) -> anyhow::Error {
    let problem = error.to_string();
    let at = format!(" at line {} column {}", error.line(), error.column());
    let problem = problem.strip_suffix(&at).unwrap_or(&problem);
    Usage::error(format!(
        "{place}: this is no result row: {problem} (column {}); give files that compare, trial or \
         sweep wrote, or an event log alone, or delete the line",
        error.column()
    ))
}

fn contradiction(first: &str, second: &str) -> anyhow::Error {
    Usage::error(format!(
        "{first} and {second} are one cell in virtual time with two outcomes, which cannot be; \
         were they made by different builds of one version? Compare those with --against"
    ))
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{lines, row};
    use super::*;

    fn read(texts: &[(&str, String)]) -> anyhow::Result<Loaded> {
        let sources =
            texts.iter().map(|(name, text)| RowSource::new(*name, text.as_bytes())).collect();
        load(sources, &mut Interner::default())
    }

    #[test]
    fn rows_of_several_files_are_one() {
        let first = lines(&[row().with("loss", 0.05).seconds(2.0), row().failed("refused")]);
        let second = format!("\n{}\r\n", lines(&[row().with("loss", 0.1)]).trim_end());
        let loaded = read(&[("a", first), ("b", second)]).unwrap();
        assert_eq!(loaded.sources, ["a", "b"]);
        let found: Vec<_> =
            loaded.records.iter().map(|row| (row.ok, row.error.as_deref())).collect();
        assert_eq!(found, [(true, None), (false, Some("refused")), (true, None)]);
        assert_eq!((loaded.torn.len(), loaded.identical, loaded.again), (0, 0, 0));
    }

    #[test]
    fn a_line_that_was_being_written_is_left_out_and_said() {
        let whole = lines(&[row(), row().repeat(2)]);
        for cut in [1, 2, 40] {
            let loaded = read(&[("a", whole[..whole.len() - cut].to_owned())]).unwrap();
            // Only the newline is missing: the row is whole.
            let (rows, torn) = if cut == 1 { (2, vec![]) } else { (1, vec!["a:2"]) };
            assert_eq!(
                (loaded.records.len(), loaded.torn),
                (rows, torn.into_iter().map(str::to_owned).collect())
            );
        }
    }

    #[test]
    fn a_broken_line_is_refused_with_its_place() {
        let good = row().line();
        for (text, message) in [
            (
                format!("{good}{{\"a\":1}}\n"),
                "a:2: this is no result row: missing field `protocol`",
            ),
            (
                format!("{good}{}\n{good}", &good[..40]),
                "a:2: this is no result row: EOF while parsing",
            ),
            ("loss,delay\n".to_owned(), "a:1: this is no result row: expected value"),
            (good.replace("\"delay\":\"0s\"", "\"delay\":\"5\""), "a:1: this is no result row: "),
            (row().with("rate", "fast").line(), "a:1: rate: "),
        ] {
            let error = read(&[("a", text)]).unwrap_err();
            assert!(error.to_string().starts_with(message), "{error}");
            assert!(error.to_string().contains("delete"), "{error}");
            assert!(error.is::<Usage>(), "{error}");
        }
    }

    #[test]
    fn the_same_line_counts_once_and_the_same_real_cell_twice() {
        let cell = || row().with("loss", 0.05);
        let first = lines(&[cell().seconds(2.0)]);
        let loaded =
            read(&[("a", first.clone()), ("b", first + &cell().seconds(3.0).line())]).unwrap();
        assert_eq!((loaded.records.len(), loaded.identical, loaded.again), (2, 1, 1));
    }

    #[test]
    fn a_virtual_cell_has_one_outcome() {
        let cell = || row().with("virtual", true).seconds(2.0);
        let mut elsewhere = cell().build();
        elsewhere.host.insert("cpus".to_owned(), 2.into());
        let elsewhere = serde_json::to_string(&elsewhere).unwrap();
        let loaded = read(&[("a", cell().line()), ("b", elsewhere)]).unwrap();
        assert_eq!((loaded.records.len(), loaded.identical), (1, 1));
        let error = read(&[("a", cell().line()), ("b", cell().seconds(3.0).line())]).unwrap_err();
        assert!(
            error.is::<Usage>() && error.to_string().starts_with("a:1 and b:1 are one cell"),
            "{error}"
        );
        let newer = cell().seconds(3.0).with("version", "9.9.9");
        assert_eq!(read(&[("a", cell().line()), ("b", newer.line())]).unwrap().records.len(), 2);
    }

    #[test]
    fn what_never_ends_is_refused() {
        let endless =
            RowSource::new("zero", BufReader::new(io::repeat(b' ').take(LINE_BYTES_MAX + 5)));
        assert!(load(vec![endless], &mut Interner::default()).unwrap().records.is_empty());
        let endless =
            RowSource::new("x", BufReader::new(io::repeat(b'[').take(LINE_BYTES_MAX + 5)));
        assert!(
            load(vec![endless], &mut Interner::default())
                .unwrap_err()
                .to_string()
                .starts_with("x:1: ")
        );
    }
}
