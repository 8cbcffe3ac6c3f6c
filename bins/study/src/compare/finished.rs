//! The findings of a comparison: its rows, and all that the table, the verdict and the page need in
//! addition.

use crate::audit::{Audit, NotJudged};
use crate::rows::Row;
pub(super) use crate::trial::real::{FileProtocol, STOPPED};
use jostle_common::units::Probability;
use jostle_endpoints::protocol::CHUNK_BYTES;
pub(super) use jostle_endpoints::protocol::file::ChunkState as Chunk;
use std::time::Duration;

/// Their names for people.
impl FileProtocol {
    /// Returns the name at the beginning of a line.
    pub(super) const fn heading(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "Plain UDP",
            Self::Saw => "Reliable UDP",
        }
    }

    /// Returns the name in a sentence.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "plain UDP",
            Self::Saw => "reliable UDP",
        }
    }
}

/// A received file in the output folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Saved {
    /// Its path below the folder.
    pub(super) path: String,
    /// True if the transfer came to its end; if not, the file ends where it stopped.
    pub(super) complete: bool,
}

/// One row, and what does not fit into it.
#[derive(Clone, Debug)]
pub(super) struct FinishedRow {
    pub(super) protocol: FileProtocol,
    pub(super) row: Row,
    /// The file, chunk by chunk.
    pub(super) chunks: Vec<Chunk>,
    /// The loss that a listener hears; `None` unless the file is an MP3 and something arrived.
    pub(super) audit: Option<Audit>,
    /// The bytes that arrived; `None` when nothing did.
    pub(super) saved: Option<Saved>,
}

impl FinishedRow {
    /// Returns true if the file arrived as it was sent.
    pub(super) fn is_whole(&self) -> bool {
        self.row.ok && self.row.digest_equal == Some(true)
    }

    /// Returns true if the file was taken for whole and is not: that is no result, but a fault of
    /// jostle.
    pub(super) fn is_different(&self) -> bool {
        let taken_for_whole = self.protocol != FileProtocol::Udp
            && self.saved.as_ref().is_some_and(|saved| saved.complete);
        taken_for_whole && self.row.digest_equal != Some(true)
    }

    /// Returns true if the user ended it: that says nothing about the network.
    pub(super) fn was_stopped(&self) -> bool {
        self.row.error.as_deref() == Some(STOPPED)
    }

    /// Describes the file's arrival, in a word or two.
    pub(super) fn state(&self) -> &'static str {
        match () {
            () if self.is_whole() => "whole",
            () if self.was_stopped() => "stopped",
            // Only plain UDP may be done with a file that is not whole.
            () if self.is_different() => "different",
            () if !self.row.ok => "failed",
            () if self.row.missing == Some(0) => "damaged",
            () => "with holes",
        }
    }

    /// Returns the number of chunks that are not intact.
    pub(super) fn lost_chunks(&self) -> u64 {
        self.row.missing.unwrap_or(0) + self.row.damaged.unwrap_or(0)
    }
}

/// The whole comparison.
#[derive(Clone, Debug)]
pub(super) struct Comparison {
    /// The file's name, for people.
    pub(super) file: String,
    /// The file's size.
    pub(super) file_bytes: u64,
    /// The file's SHA-256, in hexadecimal.
    pub(super) digest: String,
    /// The playing time of the music, in seconds; `None` when the file is no MP3.
    pub(super) music_seconds: Option<f64>,
    /// The reason why it is not judged as music, when it looks like some.
    pub(super) not_judged: Option<NotJudged>,
    /// The weather besides the loss, for people: `5 ms of delay each way, …`.
    pub(super) weather: String,
    /// The seed of all chance.
    pub(super) seed: u64,
    /// The command that does it all again.
    pub(super) command: String,
    /// The time that a row may take.
    pub(super) limit: Duration,
    /// Every row, by loss and then by protocol.
    pub(super) rows: Vec<FinishedRow>,
}

impl Comparison {
    /// Returns the loss rates, ascending, each once.
    pub(super) fn losses(&self) -> Vec<Probability> {
        let mut losses: Vec<Probability> =
            self.rows.iter().map(|finished| finished.row.loss).collect();
        losses.dedup();
        losses
    }

    /// Returns the rows of one protocol, by loss.
    pub(super) fn of(&self, protocol: FileProtocol) -> Vec<&FinishedRow> {
        self.rows.iter().filter(|finished| finished.protocol == protocol).collect()
    }

    /// Returns the file's number of chunks.
    pub(super) fn chunks(&self) -> u64 {
        self.file_bytes.div_ceil(CHUNK_BYTES)
    }
}
