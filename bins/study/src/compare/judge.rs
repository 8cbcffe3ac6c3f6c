//! What came of a row, judged by the received bytes themselves: digest, chunks, music.

use super::finished::{Finished, Saved, Transport};
use super::folder::Folder;
use super::plan::{Cell, Plan};
use super::race::Run;
use crate::audit::Audit;
use crate::rows::Row;
use crate::subject::Subject;
use crate::trial::real::{Judged, Outcome, Relayed, failure, host};
use anyhow::Context;
use jostle_common::clock::Clock;
use jostle_endpoints::protocol::storage::Source as _;
use jostle_proxy::Summary;
use serde_json::{Map, Value, json};

/// Judges every row, and gives the received files their final names. The rows are judged at once,
/// as decoding takes a while.
///
/// # Errors
/// When a row met a fault of the machine, or a received file cannot be read or renamed.
pub(super) fn judge(
    plan: &Plan,
    subject: &Subject,
    folder: &Folder,
    run: Run,
) -> anyhow::Result<Vec<Finished>> {
    let Run { outcomes, summary, interrupted } = run;
    let started = Clock::wall().as_secs();
    std::thread::scope(|scope| {
        let rows: Vec<_> = plan
            .cells
            .iter()
            .zip(outcomes)
            .map(|(cell, outcome)| {
                let summary = &summary;
                scope.spawn(move || {
                    let outcome = outcome.with_context(|| format!("row {}", cell.name))?;
                    Judge { plan, subject, folder, summary, interrupted, started, cell }
                        .row(outcome)
                })
            })
            .collect();
        rows.into_iter().map(|row| row.join().expect("judging a row does not panic")).collect()
    })
}

struct Judge<'a> {
    plan: &'a Plan,
    subject: &'a Subject,
    folder: &'a Folder,
    summary: &'a Summary,
    interrupted: bool,
    /// Seconds since 1970.
    started: u64,
    cell: &'a Cell,
}

impl Judge<'_> {
    fn row(&self, outcome: Outcome) -> anyhow::Result<Finished> {
        let judged = Judged::read(self.subject, &outcome)?;
        let audit = self.audit(&judged);
        let saved = self.save(&outcome)?;
        let row = self.write(&outcome, &judged, audit, saved.as_ref());
        Ok(Finished {
            transport: self.cell.transport,
            row,
            chunks: judged.result.chunks,
            audit,
            saved,
        })
    }

    fn audit(&self, judged: &Judged) -> Option<Audit> {
        let music = self.subject.music.as_ref()?;
        // An equal file need not be decoded to know how it sounds.
        Some(if judged.result.equal? { music.intact() } else { music.compare(&judged.bytes) })
    }

    fn save(&self, outcome: &Outcome) -> anyhow::Result<Option<Saved>> {
        let Some((path, complete)) = &outcome.received else { return Ok(None) };
        let name = received_name(self.cell, self.subject);
        self.folder.keep(path, &name, *complete).map(Some)
    }

    fn write(
        &self,
        outcome: &Outcome,
        judged: &Judged,
        audit: Option<Audit>,
        saved: Option<&Saved>,
    ) -> Row {
        let relayed = Relayed {
            summary: self.summary,
            route: &self.cell.name,
            protocol: self.cell.transport.carrier(),
        };
        let protocol = self.cell.transport.name();
        let mut row = Row {
            ok: outcome.ending.is_done(),
            error: failure(&outcome.ending, self.interrupted, self.plan.limit),
            more: self.more(audit, saved),
            host: host(self.started, ("rows_at_once", json!(self.plan.cells.len())), &relayed),
            ..Row::unmeasured(protocol, self.cell.loss, self.plan.delay, self.plan.seed)
        };
        judged.result.write(&mut row);
        relayed.write(&mut row);
        row
    }

    /// The cell's other parameters, and what only a comparison finds out.
    fn more(&self, audit: Option<Audit>, saved: Option<&Saved>) -> Map<String, Value> {
        let mut more = self.plan.parameters.clone();
        let mut put = |key: &str, value: Value| {
            more.insert(key.to_owned(), value);
        };
        put("file", json!(self.subject.name));
        put("size", json!(self.subject.content.size()));
        if self.cell.transport == Transport::Tcp {
            put("tcp", json!("model cubic"));
        }
        if let Some(audit) = audit {
            put("frames", json!(audit.frames));
            put("frames_lost", json!(audit.frames_lost));
            put("music_seconds", json!(audit.seconds));
            put("music_seconds_lost", json!(audit.seconds_lost));
        }
        put("received", json!(saved.map(|saved| &saved.path)));
        more
    }
}

/// The final name of what a row receives.
pub(super) fn received_name(cell: &Cell, subject: &Subject) -> String {
    format!("{}{}", cell.name, subject.extension)
}
