//! The outcome of a file transfer, judged by the received bytes themselves.

use super::transfer::Outcome;
use crate::audit::{Audit, NotJudged};
use crate::rows::Row;
use crate::subject::Subject;
use crate::trial::FileResult;
use anyhow::Context;
use jostle_common::digest::Digest;
use jostle_common::words::duration;
use jostle_endpoints::ending::Ending;
use jostle_endpoints::protocol::file::compared;
use jostle_endpoints::protocol::storage::Source as _;
use serde_json::Value;
use std::time::Duration;

/// The error of a row that the user ended.
pub(crate) const STOPPED: &str = "stopped by the user";

/// Returns the reason why a job is not done, if so: it failed, the user ended it, or its time was
/// up.
pub(crate) fn failure(ending: &Ending, interrupted: bool, limit: Duration) -> Option<String> {
    match ending {
        Ending::Done => None,
        Ending::Stopped if interrupted => Some(STOPPED.to_owned()),
        Ending::Stopped => Some(format!("not done after {}", duration(limit))),
        Ending::Failed(reason) => Some(reason.clone()),
    }
}

/// A received file and its comparison with the original.
#[derive(Debug)]
pub(crate) struct Judged {
    /// The result of that comparison.
    pub(crate) result: FileResult,
    /// The loss that a listener hears; `None` unless the original is music and something arrived.
    pub(crate) audit: Option<Audit>,
    /// The reason why there is none, when the original looks like music.
    pub(crate) not_judged: Option<NotJudged>,
}

impl Judged {
    /// Reads what arrived.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn read(subject: &Subject, outcome: &Outcome) -> anyhow::Result<Self> {
        let bytes = match &outcome.received {
            Some((path, _)) => {
                std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?
            }
            None => Vec::new(),
        };
        let result = FileResult {
            size: subject.content.size(),
            elapsed: outcome.elapsed,
            equal: outcome
                .received
                .is_some()
                .then(|| Digest::of(&bytes) == subject.content.digest()),
            chunks: outcome
                .account
                .clone()
                .unwrap_or_else(|| compared(subject.content.bytes(), &bytes)),
            doubled: outcome.doubled,
            late: outcome.late,
            retransmissions: outcome.retransmissions,
            round_trips: outcome.round_trips.clone(),
        };
        let heard = subject.music.as_ref().zip(result.equal);
        // An equal file need not be decoded to know how it sounds.
        let audit =
            heard.map(|(music, equal)| if equal { music.intact() } else { music.compare(&bytes) });
        Ok(Self { result, audit, not_judged: subject.not_judged })
    }

    /// Writes it into the row of its trial.
    pub(crate) fn write(&self, row: &mut Row) {
        self.result.write(row);
        row.more.insert("size".to_owned(), self.result.size.into());
        if let Some(audit) = self.audit {
            let heard = [
                ("frames", audit.frames.into()),
                ("frames_lost", audit.frames_lost.into()),
                ("music_seconds", audit.seconds.into()),
                ("music_seconds_lost", audit.seconds_lost.into()),
            ];
            row.more.extend(heard.map(|(key, value): (_, Value)| (key.to_owned(), value)));
        }
        if let Some(reason) = self.not_judged {
            row.more.insert("music_not_judged".to_owned(), reason.to_string().into());
        }
    }

    /// Returns the fault of a transfer that is done and has not brought the file, if so.
    pub(super) fn difference(&self) -> Option<String> {
        (self.result.equal != Some(true)).then(|| "what arrived is not the file".to_owned())
    }
}
