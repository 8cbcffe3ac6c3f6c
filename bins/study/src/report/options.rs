//! The command line of `jostle report`.

use super::gate::Condition;
use super::gather::Choice;
use super::metric::Metric;
use crate::trial::Parameter;
use clap::ValueEnum;
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use jostle_console::exit::Usage;
use std::fs;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  jostle report rows.jsonl -o report.html               a page with curves, integrity and tables
  jostle report rows.jsonl                              the tables as Markdown
  jostle report a.jsonl b.jsonl --x loss --by tcp --over delay --metric goodput,rtt-p99 -o page.html
  jostle report rows.jsonl --metric goodput -o goodput.svg   the figure alone; or goodput.png
  jostle report rows.jsonl --format csv > points.csv
  jostle report events.jsonl -o run.html                what proxy --events wrote, packet by packet
  jostle report new.jsonl --against old.jsonl --fail-if 'goodput < 0.9' --fail-if 'rtt-p99 > 1.2'

A ratio is new / old of the same cells: same parameters, repeat and seed. The status is 1 when a
point got worse by more than chance, when more of its cells failed than before, or when there was
nothing to compare. Failed cells are in no mean, and counted everywhere.";

/// Draw the rows of compare, trial and sweep as a page or as tables, and compare them with older
/// ones
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ReportArgs {
    /// Files of rows; - is stdin. Or the event log of proxy --events, which is drawn as simulate
    /// --html draws its own
    #[arg(value_name = "ROWS", required = true)]
    pub(super) rows: Vec<PathBuf>,

    /// Where to write it [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// In which format [default: as the output is called; Markdown on stdout]
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<ReportFormat>,

    /// The parameter along the axis [default: the ordered one with most values]
    #[arg(long, value_name = "PARAMETER", help_heading = "What is shown",
        add = ArgValueCandidates::new(parameters))]
    x: Option<String>,

    /// The parameter of which each value is a curve [default: the protocol, or one with few values]
    #[arg(long, value_name = "PARAMETER", help_heading = "What is shown",
        add = ArgValueCandidates::new(parameters))]
    by: Option<String>,

    /// The parameter of which each value is a chart of its own [default: what is left]
    #[arg(long, value_name = "PARAMETER", help_heading = "What is shown",
        add = ArgValueCandidates::new(parameters))]
    over: Option<String>,

    /// What is shown of the cells [default: the results that vary]
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "What is shown",
        add = ArgValueCandidates::new(metrics))]
    metric: Vec<String>,

    /// Compare with these older rows
    #[arg(long, value_name = "OLD", num_args = 1.., requires = "fail_if",
        help_heading = "Regression test")]
    pub(super) against: Vec<PathBuf>,

    /// Fail when the ratio of new to old is so at a point: 'goodput < 0.9'; may be given more than
    /// once
    #[arg(long, value_name = "CONDITION", requires = "against", help_heading = "Regression test")]
    pub(super) fail_if: Vec<Condition>,

    /// Fail also when it cannot be told of a point, as its pairs are too few or too noisy, and when
    /// old cells have no new one
    #[arg(long, requires = "fail_if", help_heading = "Regression test")]
    pub(super) strict: bool,
}

fn parameters() -> Vec<CompletionCandidate> {
    Parameter::all().map(|parameter| CompletionCandidate::new(parameter.name())).collect()
}

fn metrics() -> Vec<CompletionCandidate> {
    Metric::known().map(CompletionCandidate::new).collect()
}

/// The format of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ReportFormat {
    /// One page with charts, which needs nothing else
    Html,
    /// Tables for people
    Md,
    /// A row per point, comma-separated
    Csv,
    /// One object
    Json,
    /// The figures as a picture of lines
    Svg,
    /// The figures as a picture of dots
    Png,
}

/// The file and the format of a report.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ReportTarget {
    /// The file; stdout when `None`.
    pub(super) file: Option<PathBuf>,
    pub(super) format: ReportFormat,
}

impl ReportArgs {
    /// Returns the user's choice of what is shown.
    pub(super) fn choice(&self) -> Choice {
        Choice {
            x: self.x.clone(),
            by: self.by.clone(),
            over: self.over.clone(),
            metrics: self.metric.iter().map(|name| name.trim().to_owned()).collect(),
        }
    }

    /// Returns the target of the report; `None` when only the comparison with older rows is asked
    /// for.
    ///
    /// # Errors
    /// [`Usage`] when the output's name says no format, or it is one of the files of rows.
    pub(super) fn target(&self) -> Result<Option<ReportTarget>, Usage> {
        let Some(file) = self.output.as_ref().filter(|file| file.as_os_str() != "-") else {
            let is_asked_for =
                self.format.is_some() || self.output.is_some() || self.against.is_empty();
            let format = self.format.unwrap_or(ReportFormat::Md);
            return Ok(is_asked_for.then_some(ReportTarget { file: None, format }));
        };
        let named = || {
            let extension =
                file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            ReportFormat::from_str(if extension == "htm" { "html" } else { extension }, true)
        };
        let is_pdf = file.extension().is_some_and(|extension| extension == "pdf");
        let format = self.format.map_or_else(named, Ok).map_err(|_| {
            let name = file.display();
            Usage(format!(
                "-o {name}: the name says no format; write report.html, .md, .csv, .json, .svg or \
                 .png, or add --format{}",
                if is_pdf { " (as PDF, print the page from a browser)" } else { "" }
            ))
        })?;
        if self.rows.iter().chain(&self.against).any(|rows| is_same(rows, file)) {
            let name = file.display();
            return Err(Usage(format!(
                "-o {name}: these are the rows themselves; write to another file"
            )));
        }
        Ok(Some(ReportTarget { file: Some(file.clone()), format }))
    }
}

fn is_same(a: &Path, b: &Path) -> bool {
    matches!((fs::canonicalize(a), fs::canonicalize(b)), (Ok(a), Ok(b)) if a == b)
}
