//! The receiver: one file from one connection.

use super::{PIECE, StoredLine};
use crate::protocol::finishing::{Finishing, RestOfDigest, StoredFile};
use crate::protocol::hint::Hint;
use crate::protocol::storage::{Folder, Partial};
use crate::protocol::stream::StreamEndpoint;
use bytes::Bytes;
use jostle_common::digest::{Digest, Hasher};
use jostle_common::time::Instant;
use std::io;
use std::time::Duration;

/// The silence behind the last byte after which people are told how a file ends.
const REMARK: Duration = Duration::from_secs(5);

/// The settings of a [`TcpFileReceiver`].
#[derive(Clone, Copy, Debug)]
pub struct TcpFileReceiverSettings {
    /// The largest file it accepts, in bytes.
    pub size_max: u64,
    /// The silence after which the sender is given up; never when `None`.
    pub idle: Option<Duration>,
}

/// The fate of the file of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpFileReceived {
    /// The name and the digest of what was stored, or the reason why nothing was.
    pub stored: Result<(String, Digest), String>,
    /// The bytes that were taken.
    pub size: u64,
    /// From the beginning of the connection to the end of the file.
    pub elapsed: Duration,
}

#[derive(Debug)]
enum ReceivingPhase<P> {
    Receiving {
        file: Option<P>,
        hasher: Hasher,
    },
    /// The file is whole, and gets its name.
    Finishing(Finishing),
    /// The file has its name, and the line is still to be sent.
    Answering(Bytes),
    Over {
        must_reset: bool,
    },
}

/// Receives a file into a [`Folder`].
#[derive(Debug)]
pub struct TcpFileReceiver<F: Folder> {
    settings: TcpFileReceiverSettings,
    folder: F,
    started: Instant,
    /// The time at which something last came.
    heard: Instant,
    /// True if anything came: a connection without a byte is a port probe.
    has_data: bool,
    size: u64,
    phase: ReceivingPhase<F::File>,
    received: Option<TcpFileReceived>,
    /// A remark that was not taken yet, and true if one was made.
    hint: (Option<Hint>, bool),
}

impl<F: Folder> TcpFileReceiver<F> {
    /// Creates the receiving end of a connection that begins at `now`.
    pub fn new(settings: TcpFileReceiverSettings, now: Instant, folder: F) -> Self {
        let phase = ReceivingPhase::Receiving { file: None, hasher: folder.hasher() };
        let (started, heard) = (now, now);
        let (has_data, size, received) = (false, 0, None);
        let hint = (None, false);
        Self { settings, folder, started, heard, has_data, size, phase, received, hint }
    }

    /// Returns the fate of the file, once; never of a connection without a byte.
    pub const fn take_received(&mut self) -> Option<TcpFileReceived> {
        self.received.take()
    }

    /// Returns true if anything came.
    pub const fn has_data(&self) -> bool {
        self.has_data
    }

    /// Returns the time at which people are told how a file ends, once.
    fn remark_at(&self) -> Option<Instant> {
        (self.has_data && !self.hint.1).then(|| self.heard + REMARK)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let ReceivingPhase::Receiving { file, hasher } = &mut self.phase else { return Ok(()) };
        let file = match file {
            Some(file) => file,
            none => none.insert(self.folder.create()?),
        };
        file.write_at(self.size, bytes)?;
        hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }

    fn tell(&mut self, now: Instant, stored: Result<(String, Digest), String>) {
        let (size, elapsed) = (self.size, now.since(self.started));
        self.received = Some(TcpFileReceived { stored, size, elapsed });
    }

    /// Gives the file up. The sender must not take the end of the connection for success.
    fn fail(&mut self, now: Instant, reason: String) {
        let must_reset =
            matches!(self.phase, ReceivingPhase::Receiving { .. } | ReceivingPhase::Finishing(_));
        self.phase = ReceivingPhase::Over { must_reset };
        if must_reset && self.has_data {
            self.tell(now, Err(reason));
        } else if must_reset {
            log::info!("a connection without a byte: {reason}");
        }
    }

    fn handle_finished(&mut self, now: Instant, result: io::Result<StoredFile>) {
        match result {
            Ok(StoredFile { name, digest }) => {
                let line = StoredLine::encode(&name, self.size, digest);
                self.phase = ReceivingPhase::Answering(line.into());
                self.tell(now, Ok((name, digest)));
            }
            Err(error) => self.fail(now, error.to_string()),
        }
    }
}

impl<F: Folder> StreamEndpoint for TcpFileReceiver<F> {
    fn handle(&mut self, now: Instant, bytes: &[u8]) {
        if !matches!(self.phase, ReceivingPhase::Receiving { .. }) {
            return;
        }
        (self.heard, self.has_data) = (now, true);
        let most = self.settings.size_max;
        if self.size + bytes.len() as u64 > most {
            return self.fail(now, format!("more than the {most} bytes of --max-size"));
        }
        if let Err(error) = self.append(bytes) {
            self.fail(now, error.to_string());
        }
    }

    fn handle_end(&mut self, _now: Instant) {
        let ReceivingPhase::Receiving { file, hasher } = &mut self.phase else { return };
        let Some(file) = file.take() else {
            // A port probe.
            self.phase = ReceivingPhase::Over { must_reset: false };
            return;
        };
        let rest = RestOfDigest::nothing(std::mem::take(hasher));
        self.phase = ReceivingPhase::Finishing(file.finish(rest));
    }

    fn handle_break(&mut self, now: Instant, reason: &str) {
        // A sender that has closed without waiting for the line changes nothing: its file is whole.
        if !matches!(self.phase, ReceivingPhase::Finishing(_)) {
            self.fail(now, reason.to_owned());
        }
    }

    fn poll(&mut self, now: Instant) -> Option<Bytes> {
        match &mut self.phase {
            ReceivingPhase::Receiving { .. } => {
                if self.settings.idle.is_some_and(|idle| self.heard + idle <= now) {
                    self.fail(now, "the sender went silent".to_owned());
                } else if self.remark_at().is_some_and(|at| at <= now) {
                    let size = self.size;
                    self.hint = (
                        Some(Hint::new(format!(
                            "waits for more than these {size} bytes: a file ends where its stream \
                         ends, so close the connection behind it or shut it down for writing"
                        ))),
                        true,
                    );
                }
                None
            }
            ReceivingPhase::Finishing(finishing) => {
                let result = finishing.poll(now)?;
                self.handle_finished(now, result);
                self.poll(now)
            }
            ReceivingPhase::Answering(line) => {
                let line = std::mem::take(line);
                self.phase = ReceivingPhase::Over { must_reset: false };
                Some(line)
            }
            ReceivingPhase::Over { .. } => None,
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            ReceivingPhase::Receiving { .. } => {
                let given_up = self.settings.idle.map(|idle| self.heard + idle);
                given_up.into_iter().chain(self.remark_at()).min()
            }
            ReceivingPhase::Finishing(finishing) => Some(finishing.deadline()),
            ReceivingPhase::Answering(_) => Some(Instant::START),
            ReceivingPhase::Over { .. } => None,
        }
    }

    fn is_finished(&self) -> bool {
        matches!(self.phase, ReceivingPhase::Over { .. })
    }

    fn may_yield(&self) -> bool {
        // A file that is whole has its sender's attention, and the disk's.
        matches!(self.phase, ReceivingPhase::Receiving { .. })
    }

    fn handle_stop(&mut self, now: Instant) {
        match std::mem::replace(&mut self.phase, ReceivingPhase::Over { must_reset: true }) {
            // What is whole gets its name.
            ReceivingPhase::Finishing(finishing) => self.handle_finished(now, finishing.wait()),
            phase => {
                self.phase = phase;
                self.fail(now, "the server was stopped".to_owned());
            }
        }
    }

    fn must_reset(&self) -> bool {
        matches!(self.phase, ReceivingPhase::Over { must_reset: true })
    }

    fn piece_bytes_max(&self) -> usize {
        PIECE
    }

    fn take_hint(&mut self) -> Option<Hint> {
        self.hint.0.take()
    }
}
