//! The outcome of each row: that of its trial, and the received file under its final name.

use super::finished::FinishedRow;
use super::folder::Folder;
use super::plan::{ComparisonPlan, PlannedRow};
use super::run::ComparisonRun;
use crate::subject::Subject;
use crate::trial::real::{self, Outcome, Relayed, conclude, host};
use anyhow::Context;
use jostle_common::clock::Clock;
use jostle_proxy::Summary;
use serde_json::json;

/// Judges every row, and gives the received files their final names. The rows are judged at once,
/// as decoding takes a while.
///
/// # Errors
/// When a row met a fault of the machine, or a received file cannot be read or renamed.
pub(super) fn judge(
    plan: &ComparisonPlan,
    subject: &Subject,
    folder: &Folder,
    run: ComparisonRun,
) -> anyhow::Result<Vec<FinishedRow>> {
    let ComparisonRun { outcomes, summary, interrupted } = run;
    let started = Clock::wall().as_secs();
    let judge = Judge { plan, subject, folder, summary: &summary, interrupted, started };
    std::thread::scope(|scope| {
        let rows: Vec<_> = plan
            .rows
            .iter()
            .zip(outcomes)
            .map(|(row, outcome)| {
                scope.spawn(move || {
                    judge.row(row, &outcome.with_context(|| format!("row {}", row.name))?)
                })
            })
            .collect();
        rows.into_iter().map(|row| row.join().expect("judging a row does not panic")).collect()
    })
}

#[derive(Clone, Copy)]
struct Judge<'a> {
    plan: &'a ComparisonPlan,
    subject: &'a Subject,
    folder: &'a Folder,
    summary: &'a Summary,
    interrupted: bool,
    /// Seconds since 1970.
    started: u64,
}

impl Judge<'_> {
    fn row(&self, planned: &PlannedRow, outcome: &Outcome) -> anyhow::Result<FinishedRow> {
        let PlannedRow { protocol, trial, name } = planned;
        let mut row = trial.row();
        let (judged, error) =
            real::judge(trial, *protocol, self.subject, outcome, self.interrupted, &mut row)?;
        let received = outcome.received.as_ref();
        let saved = received.map(|(path, is_complete)| {
            self.folder.keep(path, &received_name(planned, self.subject), *is_complete)
        });
        let saved = saved.transpose()?;
        let relayed = Relayed { summary: self.summary, route: name, protocol: protocol.carrier() };
        let rows_at_once = ("rows_at_once", json!(self.plan.rows.len()));
        row.host = host(self.started, rows_at_once, &relayed);
        let path = saved.as_ref().map(|saved| &saved.path);
        row.host.insert("received".to_owned(), json!(path));
        conclude(&mut row, &relayed, error);
        let (chunks, audit) = (judged.result.chunks, judged.audit);
        Ok(FinishedRow { protocol: *protocol, row, chunks, audit, saved })
    }
}

/// Returns the final name of the file that a row receives.
pub(super) fn received_name(row: &PlannedRow, subject: &Subject) -> String {
    format!("{}{}", row.name, subject.extension)
}
