//! The sender: the file, the end of the stream, and the check of the receiver's line.

use super::{PIECE, StoredLine};
use crate::protocol::storage::Source;
use crate::protocol::stream::StreamEndpoint;
use bytes::Bytes;
use jostle_common::digest::{Digest, Hasher};
use jostle_common::time::Instant;
use jostle_common::units::format_duration;
use std::time::Duration;

/// The longest line that is an answer: a name, a size and a digest.
const LINE_MAX: usize = 1024;

/// The reason why a file was not stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TcpFileFailure {
    /// The file could not be read to its end.
    #[error("cannot read the file: {0}")]
    Storage(String),
    /// The connection broke before everything was sent.
    #[error("the connection broke after {sent} bytes: {reason}")]
    Broken {
        /// The bytes that had been given to the connection.
        sent: u64,
        /// The reason.
        reason: String,
    },
    /// Nothing came back, for this reason.
    #[error("no answer from the server: {0}")]
    Silence(String),
    /// The answer is no line of a stored file.
    #[error("the server did not say that it stored the file")]
    NotStored,
    /// The server names another size or digest.
    #[error("the server stored something else than was sent")]
    Different,
}

/// Sends a [`Source`].
#[derive(Debug)]
pub struct TcpFileSender<F> {
    source: F,
    size: u64,
    sent: u64,
    /// The hasher of what was sent, where the source cannot promise that it stays the same.
    hasher: Option<Hasher>,
    /// The digest of the whole file, once it is known.
    digest: Option<Digest>,
    /// The time to wait for the answer; for ever when `None`.
    patience: Option<Duration>,
    /// The time since which the answer is waited for, and nothing of it came.
    waiting: Option<Instant>,
    line: Vec<u8>,
    stored: Option<StoredLine>,
    outcome: Option<Result<(), TcpFileFailure>>,
}

impl<F: Source> TcpFileSender<F> {
    /// Creates a sender of `source`, which must not be empty: that would look like a port probe.
    pub fn new(source: F, patience: Option<Duration>) -> Self {
        let hasher = (!source.is_immutable()).then(Hasher::new);
        Self {
            size: source.size(),
            sent: 0,
            digest: source.digest().filter(|_| hasher.is_none()),
            hasher,
            source,
            patience,
            waiting: None,
            line: Vec::new(),
            stored: None,
            outcome: None,
        }
    }

    /// Returns the bytes that were given to the connection.
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// Returns the digest of what was sent, once that is all.
    pub const fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// Returns the receiver's line, if it came.
    pub const fn stored(&self) -> Option<&StoredLine> {
        self.stored.as_ref()
    }

    /// Returns the outcome, if it has ended: `Ok` means that the receiver stored what was sent.
    pub const fn outcome(&self) -> Option<&Result<(), TcpFileFailure>> {
        self.outcome.as_ref()
    }

    fn fail(&mut self, failure: TcpFileFailure) {
        self.outcome.get_or_insert(Err(failure));
    }

    /// Reads the answer, as far as it came.
    fn judge(&mut self) {
        let Some(stored) = StoredLine::decode(&self.line) else {
            return self.fail(TcpFileFailure::NotStored);
        };
        let digest = self.digest.map(|digest| digest.to_string());
        let is_equal = stored.size == self.size && digest.as_ref() == Some(&stored.digest);
        self.stored = Some(stored);
        self.outcome = Some(if is_equal { Ok(()) } else { Err(TcpFileFailure::Different) });
    }

    fn next_piece(&mut self) -> Option<Bytes> {
        let length = (self.size - self.sent).min(PIECE as u64) as usize;
        let piece = match self.source.piece(self.sent, length) {
            Ok(piece) => piece,
            Err(error) => {
                self.fail(TcpFileFailure::Storage(error.to_string()));
                return None;
            }
        };
        self.sent += length as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&piece);
        }
        if self.sent == self.size
            && let Some(hasher) = self.hasher.take()
        {
            self.digest = Some(hasher.finish());
        }
        Some(piece)
    }
}

impl<F: Source> StreamEndpoint for TcpFileSender<F> {
    fn handle(&mut self, now: Instant, bytes: &[u8]) {
        if self.outcome.is_some() {
            return;
        }
        self.waiting = Some(now);
        self.line.extend_from_slice(bytes);
        if self.line.len() >= LINE_MAX || self.line.contains(&b'\n') {
            self.judge();
        }
    }

    fn handle_end(&mut self, _now: Instant) {
        if self.outcome.is_none() {
            self.judge();
        }
    }

    fn handle_break(&mut self, _now: Instant, reason: &str) {
        let reason = reason.to_owned();
        self.fail(match self.waiting {
            Some(_) => TcpFileFailure::Silence(reason),
            None => TcpFileFailure::Broken { sent: self.sent, reason },
        });
    }

    fn poll(&mut self, now: Instant) -> Option<Bytes> {
        if self.outcome.is_some() {
            return None;
        }
        if self.sent < self.size {
            return self.next_piece();
        }
        // Asked for more, the caller has sent all there was.
        self.waiting.get_or_insert(now);
        if let (Some(patience), Some(at)) = (self.patience, self.deadline())
            && at <= now
        {
            let silence = format!("nothing moved for {}", format_duration(patience));
            self.fail(TcpFileFailure::Silence(silence));
        }
        None
    }

    fn deadline(&self) -> Option<Instant> {
        if self.outcome.is_some() {
            return None;
        }
        if self.sent < self.size {
            return Some(Instant::START);
        }
        Some(self.waiting? + self.patience?)
    }

    fn is_finished(&self) -> bool {
        self.outcome.is_some()
    }

    fn has_said_all(&self) -> bool {
        self.sent == self.size || self.is_finished()
    }
}
