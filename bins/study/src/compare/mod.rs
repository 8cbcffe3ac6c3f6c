//! `jostle compare`: the same file through the same bad weather over TCP, plain UDP and reliable
//! UDP, side by side.
//!
//! It is a sweep over protocol and loss whose cells run all at once, over real sockets and one real
//! proxy, and whose rows are those of trials. The plan is everything that is decided before the
//! first packet; the judge looks at the received bytes; the table, the verdict and the page say
//! what came of it.

mod finished;
mod folder;
mod judge;
mod options;
mod page;
mod plan;
mod run;
mod table;
mod verdict;

#[cfg(test)]
mod fixtures;

pub use options::CompareArgs;

use crate::subject::Subject;
use finished::{Comparison, FinishedRow};
use folder::{Folder, PAGE, ROWS};
use jostle_common::words::grouped;
use jostle_console::stop::Stop;
use jostle_console::terminal::{self, columns, escaped};
use jostle_endpoints::protocol::storage::Source as _;
use plan::ComparisonPlan;
use verdict::ComparisonVerdict;

impl CompareArgs {
    /// Compares. Returns true when every row was run to its end, whatever came of it, and the data
    /// that TCP and reliable UDP call whole is whole.
    ///
    /// # Errors
    /// Wrong usage; a file that cannot be read; a folder that cannot be written; a fault of the
    /// machine.
    pub fn run(&self, stop: &Stop) -> anyhow::Result<bool> {
        let plan = ComparisonPlan::new(self)?;
        let subject = Subject::named(&plan.file)?.with_music();
        let received: Vec<String> =
            plan.rows.iter().map(|row| judge::received_name(row, &subject)).collect();
        let folder = Folder::claim(&self.out, &received)?;
        let rows = run::run(&plan, &subject, &folder, self.events, stop)
            .and_then(|run| judge::judge(&plan, &subject, &folder, run));
        // What a failed run has received is of no use to anybody.
        folder.clear_incoming()?;
        let comparison = comparison(plan, &subject, rows?);
        let lines = lines(&comparison)?;
        folder.write(ROWS, &lines)?;
        folder.write(PAGE, &page::draw(&comparison))?;
        if self.json {
            terminal::write(&lines)?;
        } else {
            terminal::write(&said(&comparison))?;
        }
        let page = folder.join(PAGE);
        terminal::note(&format!("\nseed {}; see and hear it: {}", comparison.seed, page.display()));
        let fails = |row: &FinishedRow| row.is_different() || row.was_stopped();
        Ok(!comparison.rows.iter().any(fails))
    }
}

fn comparison(plan: ComparisonPlan, subject: &Subject, rows: Vec<FinishedRow>) -> Comparison {
    Comparison {
        file: subject.name.clone(),
        file_bytes: subject.content.size(),
        digest: subject.content.digest().to_string(),
        not_judged: subject.not_judged,
        music_seconds: subject.music.as_ref().map(|music| music.intact().seconds),
        weather: plan.weather,
        seed: plan.seed,
        command: plan.command,
        limit: plan.limit,
        rows,
    }
}

fn lines(comparison: &Comparison) -> anyhow::Result<String> {
    let mut lines = String::new();
    for finished in &comparison.rows {
        lines.push_str(&serde_json::to_string(&finished.row)?);
        lines.push('\n');
    }
    Ok(lines)
}

/// Writes the table and the verdict.
fn said(comparison: &Comparison) -> String {
    let verdict = ComparisonVerdict::of(comparison);
    let columns = columns();
    let wrapped = |text: &str| {
        terminal::wrapped(text, columns.map_or(TEXT_COLUMNS, |width| width.min(TEXT_COLUMNS)), 0)
    };
    let size = grouped(comparison.file_bytes);
    let opening = format!("{}, {size} bytes, with {}", comparison.file, comparison.weather);
    let mut said = format!("{}\n", wrapped(&escaped(&opening)));
    if let Some(reason) = comparison.not_judged {
        said += &format!("{}\n", wrapped(&format!("not judged as music: {reason}")));
    }
    said.push('\n');
    said += &format!("{}\n", table::draw(comparison, columns));
    said += &format!("{}\n", wrapped(&verdict.headline));
    for (protocol, text) in &verdict.parts {
        said += &format!("\n{}\n", wrapped(&format!("{}: {text}", protocol.heading())));
    }
    said
}

/// A width that reads well.
const TEXT_COLUMNS: usize = 88;
