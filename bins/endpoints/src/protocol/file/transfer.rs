//! One file on its way in: its account, its storage, and how far it has come.

use super::account::{ChunkAccount, Keep};
use super::control::{PAGE_CHUNKS, ReportPage, ServerControl};
use super::data::Copy;
use super::received::{ReceivedFile, UdpFileReceiverSettings};
use crate::protocol::storage::{Folder, Partial};
use crate::protocol::{CHUNK_BYTES, chunk_length};
use jostle_common::digest::{Digest, Hasher};
use jostle_common::time::{Instant, nanos};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// The bytes of a file that are read per step of its digest, so that other transfers are served in
/// between.
const DIGEST_STEP: usize = 256 * 1024;

/// The file that the sender announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Announced {
    pub(super) size: u64,
    pub(super) digest: Digest,
}

#[derive(Debug)]
enum TransferPhase {
    /// Chunks are coming.
    Receiving,
    /// The sender is done since then; chunks may still be on their way.
    Settling(Instant),
    /// The digest of what was stored is computed, up to this offset.
    Digesting(u64, Hasher),
    /// The file has its name and its digest.
    Finished(String, Digest),
    /// It came to nothing: the reason as it is known here, and as the sender is told, without this
    /// machine's paths.
    Failed { reason: String, told: String },
}

/// A transfer.
#[derive(Debug)]
pub(super) struct UdpTransfer<P> {
    id: u64,
    peer: SocketAddr,
    announced: Announced,
    account: ChunkAccount,
    file: Option<P>,
    phase: TransferPhase,
    started: Instant,
    last_data: Option<Instant>,
    heard: Instant,
    /// True if the sender said that it needs nothing more.
    released: bool,
    /// True if its end was told.
    told: bool,
}

impl<P: Partial> UdpTransfer<P> {
    pub(super) fn new(
        now: Instant,
        peer: SocketAddr,
        id: u64,
        announced: Announced,
        chunks: u32,
    ) -> Self {
        Self {
            id,
            peer,
            announced,
            account: ChunkAccount::new(chunks),
            file: None,
            phase: TransferPhase::Receiving,
            started: now,
            last_data: None,
            heard: now,
            released: false,
            told: false,
        }
    }

    pub(super) const fn announced(&self) -> Announced {
        self.announced
    }

    pub(super) const fn has_data(&self) -> bool {
        self.last_data.is_some()
    }

    pub(super) const fn counts(&self) -> super::ChunkCounts {
        self.account.counts()
    }

    /// Returns true if chunks still count.
    pub(super) const fn is_open(&self) -> bool {
        matches!(self.phase, TransferPhase::Receiving | TransferPhase::Settling(_))
    }

    /// Returns true if it has ended, well or not.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.phase, TransferPhase::Finished(..) | TransferPhase::Failed { .. })
    }

    /// Returns true if the file has its name.
    pub(super) const fn is_finished(&self) -> bool {
        matches!(self.phase, TransferPhase::Finished(..))
    }

    /// Counts and stores a copy of a chunk. Returns false if it cannot belong to this file.
    pub(super) fn handle_copy<F>(&mut self, now: Instant, copy: &Copy<'_>, folder: &mut F) -> bool
    where
        F: Folder<File = P>,
    {
        self.heard = now;
        let fits = copy.number < self.account.counts().chunks
            && copy.chunk.len() == chunk_length(self.announced.size, copy.number);
        if !fits {
            return false;
        }
        self.last_data = Some(now);
        if self.account.note(copy.number, copy.intact) == Keep::Write {
            let offset = u64::from(copy.number) * CHUNK_BYTES;
            let written = self.file(folder).and_then(|file| file.write_at(offset, copy.chunk));
            self.fail_on(written);
        }
        true
    }

    /// Counts a damaged datagram that no longer tells its number.
    pub(super) const fn handle_unknown(&mut self, now: Instant) {
        self.heard = now;
        self.last_data = Some(now);
        self.account.note_unknown();
    }

    /// Returns the answer to an announcement.
    pub(super) fn handle_start(&mut self, now: Instant) -> ServerControl {
        self.heard = now;
        match self.answer(0) {
            refusal @ ServerControl::Refuse { .. } => refusal,
            _ => ServerControl::Accept { transfer: self.id },
        }
    }

    /// Returns the answer to a sender that is done and asks for a page of the report.
    pub(super) fn handle_done(&mut self, now: Instant, page: u32) -> ServerControl {
        self.heard = now;
        // Asked again, it goes on settling since the first time.
        if matches!(self.phase, TransferPhase::Receiving) {
            self.phase = TransferPhase::Settling(now);
        }
        self.answer(page)
    }

    /// Returns a page of the report if there is one, else what there is to say instead.
    pub(super) fn answer(&self, page: u32) -> ServerControl {
        let transfer = self.id;
        match &self.phase {
            TransferPhase::Finished(name, digest) => {
                let map = self.account.packed(page.saturating_mul(PAGE_CHUNKS), PAGE_CHUNKS);
                let (counts, nanos) = (self.account.counts(), nanos(self.elapsed()));
                let page =
                    ReportPage { page, counts, nanos, digest: *digest, name: name.clone(), map };
                ServerControl::Report { transfer, page }
            }
            TransferPhase::Failed { told, .. } => {
                ServerControl::Refuse { transfer, reason: told.clone() }
            }
            TransferPhase::Receiving => ServerControl::Accept { transfer },
            TransferPhase::Settling(_) | TransferPhase::Digesting(..) => {
                ServerControl::Wait { transfer }
            }
        }
    }

    /// Takes in that the sender has the report.
    pub(super) const fn handle_bye(&mut self) {
        self.released = true;
    }

    /// Does what is due at `now`; returns what there is to tell when the transfer has just ended.
    pub(super) fn advance<F>(
        &mut self,
        now: Instant,
        settings: &UdpFileReceiverSettings,
        folder: &mut F,
    ) -> Option<ReceivedFile>
    where
        F: Folder<File = P>,
    {
        if !self.is_over() && self.deadline(settings) <= now {
            self.step(folder);
        }
        if !self.is_over() || self.told {
            return None;
        }
        self.told = true;
        Some(self.received())
    }

    fn step<F: Folder<File = P>>(&mut self, folder: &mut F) {
        match &self.phase {
            TransferPhase::Receiving => {
                self.fail("the sender went silent".to_owned(), "you went silent".to_owned())
            }
            TransferPhase::Settling(_) => {
                let size = self.announced.size;
                self.phase = TransferPhase::Digesting(0, Hasher::new());
                // Also a file of which nothing arrived is made, and lost chunks at the end become a
                // hole.
                let sized = self.file(folder).and_then(|file| file.set_size(size));
                self.fail_on(sized);
            }
            TransferPhase::Digesting(..) => {
                let stepped = self.digest_step();
                self.fail_on(stepped);
            }
            TransferPhase::Finished(..) | TransferPhase::Failed { .. } => {}
        }
    }

    /// Returns the time at which [`Self::advance`], or forgetting the transfer, is due.
    pub(super) fn deadline(&self, settings: &UdpFileReceiverSettings) -> Instant {
        match self.phase {
            TransferPhase::Receiving => self.heard + settings.idle,
            TransferPhase::Settling(since) if self.is_clean() => since,
            TransferPhase::Settling(since) => {
                self.last_data.map_or(since, |last| last.max(since)) + settings.settle
            }
            TransferPhase::Digesting(..) => Instant::START,
            TransferPhase::Finished(..) | TransferPhase::Failed { .. } if self.released => {
                Instant::START
            }
            TransferPhase::Finished(..) | TransferPhase::Failed { .. } => {
                self.heard + settings.linger
            }
        }
    }

    /// Returns true if nothing was lost, damaged, doubled or overtaken, so that nothing can still
    /// be on its way.
    fn is_clean(&self) -> bool {
        let counts = self.account.counts();
        counts.intact == counts.chunks
            && counts.doubled == 0
            && counts.late == 0
            && counts.unknown == 0
    }

    /// Returns the time from the announcement to the last data.
    fn elapsed(&self) -> Duration {
        self.last_data.unwrap_or(self.started).since(self.started)
    }

    /// Returns the file, which is made when it is first needed: an announcement alone leaves
    /// nothing behind.
    fn file<F: Folder<File = P>>(&mut self, folder: &mut F) -> io::Result<&mut P> {
        match &mut self.file {
            Some(file) => Ok(file),
            none => Ok(none.insert(folder.create()?)),
        }
    }

    fn fail_on(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            self.fail(
                format!("cannot store the file: {error}"),
                format!("cannot store it: {}", error.kind()),
            );
        }
    }

    /// Ends it without a file; what was stored stays apart.
    fn fail(&mut self, reason: String, told: String) {
        self.file = None;
        self.phase = TransferPhase::Failed { reason, told };
    }

    fn digest_step(&mut self) -> io::Result<()> {
        let (TransferPhase::Digesting(offset, hasher), Some(file)) =
            (&mut self.phase, &mut self.file)
        else {
            return Ok(());
        };
        let left = self.announced.size - *offset;
        // A step at a time, so that a large file does not hold up the other transfers.
        let step = left.min(DIGEST_STEP as u64);
        let mut buffer = vec![0; step as usize];
        file.read_at(*offset, &mut buffer)?;
        hasher.update(&buffer);
        *offset += step;
        if step == left {
            let digest = std::mem::take(hasher).finish();
            let name = self.file.take().map_or_else(|| Ok(String::new()), P::finish)?;
            self.phase = TransferPhase::Finished(name, digest);
        }
        Ok(())
    }

    fn received(&self) -> ReceivedFile {
        let stored = match &self.phase {
            TransferPhase::Finished(name, digest) => Ok((name.clone(), *digest)),
            TransferPhase::Failed { reason, .. } => Err(reason.clone()),
            _ => Err(String::new()),
        };
        ReceivedFile {
            peer: self.peer,
            stored,
            size: self.announced.size,
            sent: Some(self.announced.digest),
            elapsed: self.elapsed(),
            account: Some(self.account.clone()),
            bare: None,
        }
    }
}
