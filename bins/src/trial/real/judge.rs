//! What came of a file, judged by the received bytes themselves.

use super::transfer::Outcome;
use crate::ending::Ending;
use crate::subject::Subject;
use crate::words::duration;
use anyhow::Context;
use jostle_common::protocol::digest::Digest;
use jostle_common::protocol::file::{Cell, ChunkState, compared, intact_bytes};
use jostle_common::rows::{RoundTripMs, Row, goodput_bps};
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
    /// Whether it is the original; `None` when nothing arrived.
    pub(crate) equal: Option<bool>,
    /// What became of each chunk.
    pub(crate) chunks: Vec<ChunkState>,
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
        let equal = outcome.received.is_some().then(|| Digest::of(&bytes) == subject.digest);
        let chunks = outcome.account.clone().unwrap_or_else(|| compared(&subject.bytes, &bytes));
        Ok(Self { bytes, equal, chunks })
    }

    /// Writes what came of the file into its row.
    pub(crate) fn write(&self, row: &mut Row, subject: &Subject, outcome: &Outcome) {
        let of = |state| self.chunks.iter().filter(|chunk| **chunk == state).count() as u64;
        let cells = self.chunks.iter().map(|&state| Cell { state, ..Cell::default() });
        let whole_bytes = intact_bytes(subject.bytes.len() as u64, cells);
        row.seconds = (!outcome.elapsed.is_zero()).then_some(outcome.elapsed.as_secs_f64());
        row.goodput_bps = row.seconds.and_then(|seconds| goodput_bps(whole_bytes, seconds));
        row.digest_equal = self.equal;
        row.intact = Some(of(ChunkState::Intact));
        row.missing = Some(of(ChunkState::Missing));
        row.damaged = Some(of(ChunkState::Damaged));
        row.doubled = outcome.doubled;
        row.late = outcome.late;
        row.retransmissions = outcome.retransmissions;
        row.rtt_ms = outcome.round_trips.as_ref().map(RoundTripMs::from);
    }
}
