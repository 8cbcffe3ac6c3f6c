//! `jostle report`: rows of `compare`, `trial` and `sweep` as a page, as tables, and as a judgement
//! on older rows.
//!
//! Rows are read into an interner of levels and metrics; what varies is laid out along an axis, as
//! curves and as small multiples; the rows of a point become estimates. The formats and the page
//! say what was gathered and add nothing to it.

mod dimension;
mod estimate;
mod formats;
mod gate;
mod gather;
mod interner;
mod key;
mod metric;
mod options;
mod origin;
mod page;
mod read;
mod repeat;
mod summary;
mod table;

#[cfg(test)]
mod fixtures;

pub use options::ReportArgs;

use crate::simulate::{LiveRun, is_event_log};
use anyhow::Context as _;
use gate::Gate;
use gather::{Gathered, gather};
use interner::Interner;
use jostle_console::exit::Usage;
use jostle_console::terminal::{self, escaped};
use options::{ReportFormat, ReportTarget};
use read::{Record, RowSource, load};
use std::path::Path;

impl ReportArgs {
    /// Reports. Returns true unless something got worse than in older rows, or nothing could be
    /// compared with them.
    ///
    /// # Errors
    /// Wrong usage; a file that cannot be read or written; no rows.
    pub fn run(&self) -> anyhow::Result<bool> {
        let target = self.target()?;
        if let [only] = self.rows.as_slice()
            && self.against.is_empty()
            && is_event_log(only)
        {
            return live(only, target.as_ref()).map(|()| true);
        }
        let mut interner = Interner::default();
        // Stdin may be one of both, but only once.
        let all: Vec<_> = self.rows.iter().chain(&self.against).cloned().collect();
        let mut sources = RowSource::open(&all)?;
        let old = sources.split_off(self.rows.len());
        let mut rows = load(sources, &mut interner)?;
        let mut old = load(old, &mut interner)?;
        interner.fill_in(rows.records.iter_mut().map(Record::cell));
        interner.fill_in(old.records.iter_mut().map(Record::cell));
        let mut gathered = gather(&interner, &rows, &self.choice())?;
        gathered.command = crate::page::command_line();
        let gate = if self.against.is_empty() {
            None
        } else {
            let sets = (&rows, &old);
            Some(Gate::new(&interner, &gathered.layout, sets, &self.fail_if, self.strict)?)
        };
        if interner.left_out > 0 {
            log::warn!(
                "{} numbers of too many different names in \"measured\" are left out",
                interner.left_out
            );
        }
        write(&gathered, gate.as_ref(), target.as_ref())?;
        Ok(gate.is_none_or(|gate| gate.passed()))
    }
}

/// Draws the event log of a live run as a simulation draws its own.
fn live(log: &Path, target: Option<&ReportTarget>) -> anyhow::Result<()> {
    let run = LiveRun::read(log, &crate::page::command_line())?;
    let format = target.map_or(ReportFormat::Md, |target| target.format);
    let text = match format {
        ReportFormat::Html => run.page(),
        ReportFormat::Md => run.text(),
        _ => {
            return Err(Usage::error(
                "an event log is drawn as a page, or as a table; write -o NAME.html, or nothing",
            ));
        }
    };
    match target.and_then(|target| target.file.as_ref()) {
        Some(file) => {
            let cannot = || format!("cannot write {}", file.display());
            std::fs::write(file, text).with_context(cannot)?;
            terminal::note(&escaped(&format!("written: {}", file.display())));
        }
        None => terminal::text(&text)?,
    }
    Ok(())
}

/// Writes the report, and says of it what the target does not: remarks on stderr, the judgement
/// wherever people look.
fn write(
    gathered: &Gathered,
    gate: Option<&Gate>,
    target: Option<&ReportTarget>,
) -> anyhow::Result<()> {
    let judgement = gate.map(Gate::text);
    let on_stdout = target.is_some_and(|target| target.file.is_none());
    if let Some(target) = target {
        let contents = drawn(gathered, gate, target.format)?;
        match (&target.file, std::str::from_utf8(&contents)) {
            (Some(file), _) => {
                std::fs::write(file, contents)
                    .with_context(|| format!("cannot write {}", file.display()))?;
            }
            (None, Ok(text)) => terminal::text(text)?,
            (None, Err(_)) => {
                return Err(Usage::error("a PNG is no text; write it with -o FIGURE.png"));
            }
        }
    }
    let format = target.map(|target| target.format);
    let says_all = on_stdout && matches!(format, Some(ReportFormat::Md | ReportFormat::Json));
    if !says_all {
        if !on_stdout {
            terminal::note(&escaped(&gathered.opening()));
        }
        gathered.remarks().iter().for_each(|remark| terminal::note(&escaped(remark)));
        match judgement {
            Some(judgement) if on_stdout => terminal::note(judgement.trim_end_matches('\n')),
            Some(judgement) => terminal::text(&judgement)?,
            None => {}
        }
    }
    if let Some(file) = target.and_then(|target| target.file.as_ref()) {
        terminal::note(&escaped(&format!("written: {}", file.display())));
    }
    Ok(())
}

fn drawn(
    gathered: &Gathered,
    gate: Option<&Gate>,
    format: ReportFormat,
) -> anyhow::Result<Vec<u8>> {
    let figures = || {
        page::figures(gathered).ok_or_else(|| {
            Usage::error(
                "there is no figure to draw: of these rows nothing varies, or nothing was \
                 measured; write the numbers with -o NAME.csv, or all there is with -o NAME.html",
            )
        })
    };
    let text = match format {
        ReportFormat::Svg => figures()?,
        ReportFormat::Png => return crate::page::png(&figures()?),
        ReportFormat::Html => page::draw(gathered, gate),
        ReportFormat::Md => formats::markdown(gathered, gate),
        ReportFormat::Csv => formats::csv(gathered),
        ReportFormat::Json => {
            let json = formats::json(gathered, gate);
            format!("{}\n", serde_json::to_string_pretty(&json)?)
        }
    };
    Ok(text.into_bytes())
}
