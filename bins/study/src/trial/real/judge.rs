//! What came of a file, judged by the received bytes themselves.

use super::transfer::Outcome;
use crate::subject::Subject;
use crate::trial::FileResult;
use anyhow::Context;
use jostle_common::digest::Digest;
use jostle_common::words::duration;
use jostle_endpoints::ending::Ending;
use jostle_endpoints::protocol::file::compared;
use jostle_endpoints::protocol::storage::Source as _;
use std::time::Duration;

/// What a row that the user ended says of its end.
pub(crate) const STOPPED: &str = "stopped by the user";

/// Why a job is not done, if so: it failed, the user ended it, or its time was up.
pub(crate) fn failure(ending: &Ending, interrupted: bool, limit: Duration) -> Option<String> {
    match ending {
        Ending::Done => None,
        Ending::Stopped if interrupted => Some(STOPPED.to_owned()),
        Ending::Stopped => Some(format!("not done after {}", duration(limit))),
        Ending::Failed(reason) => Some(reason.clone()),
    }
}

/// A received file beside its original.
#[derive(Debug)]
pub(crate) struct Judged {
    /// What arrived; empty when nothing did.
    pub(crate) bytes: Vec<u8>,
    /// What that is of the original.
    pub(crate) result: FileResult,
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
        Ok(Self { bytes, result })
    }

    /// What to say of a transfer that is done and has not brought the file, if so.
    pub(super) fn difference(&self) -> Option<String> {
        (self.result.equal != Some(true)).then(|| "what arrived is not the file".to_owned())
    }
}
