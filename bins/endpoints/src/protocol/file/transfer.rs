//! One file on its way in: its account, its storage, and how far it has come.

use super::account::{ChunkAccount, ChunkState, Keep};
use super::control::{PAGE_CHUNKS, ReportPage, ServerControl};
use super::data::Copy;
use super::received::{ReceivedFile, UdpFileReceiverSettings};
use crate::protocol::finishing::{Finishing, RestOfDigest, StoredFile};
use crate::protocol::storage::{Folder, Partial};
use crate::protocol::{CHUNK_BYTES, chunk_length};
use jostle_common::digest::{Digest, Hasher};
use jostle_common::time::{Instant, nanos};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// The file that the sender announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Announced {
    pub(super) size: u64,
    /// `None` until the sender has read all of it.
    pub(super) digest: Option<Digest>,
}

#[derive(Debug)]
enum TransferPhase {
    /// Chunks are coming.
    Receiving,
    /// The sender is done since then; chunks may still be on their way.
    Settling(Instant),
    /// The file gets its digest and its name.
    Finishing(Finishing),
    /// The file has its name and its digest.
    Finished(StoredFile),
    /// Nothing of the file arrived, so none was made.
    Empty,
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
    /// The hasher of the chunks from the front that came intact and in order, and their number.
    hasher: Hasher,
    hashed: u32,
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
        hasher: Hasher,
    ) -> Self {
        Self {
            id,
            peer,
            announced,
            account: ChunkAccount::new(chunks),
            file: None,
            hasher,
            hashed: 0,
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

    /// Returns true if a chunk of it came: until then it takes no place, and no file.
    pub(super) const fn has_data(&self) -> bool {
        self.last_data.is_some()
    }

    /// Returns the time at which its sender was last heard.
    pub(super) const fn heard(&self) -> Instant {
        self.heard
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
        matches!(
            self.phase,
            TransferPhase::Finished(_) | TransferPhase::Empty | TransferPhase::Failed { .. }
        )
    }

    /// Returns true if the sender can be told what came of it.
    pub(super) const fn is_reported(&self) -> bool {
        matches!(self.phase, TransferPhase::Finished(_) | TransferPhase::Empty)
    }

    /// Returns true if a copy of a chunk belongs to this file.
    pub(super) fn fits(&self, copy: &Copy<'_>) -> bool {
        copy.number < self.account.counts().chunks
            && copy.chunk.len() == chunk_length(self.announced.size, copy.number)
    }

    /// Counts and stores a copy of a chunk, which fits.
    pub(super) fn handle_copy<F>(&mut self, now: Instant, copy: &Copy<'_>, folder: &mut F)
    where
        F: Folder<File = P>,
    {
        self.heard = now;
        self.last_data = Some(now);
        if self.account.note(copy.number, copy.intact) == Keep::Skip {
            return;
        }
        let offset = u64::from(copy.number) * CHUNK_BYTES;
        let written = self.file(folder).and_then(|file| file.write_at(offset, copy.chunk));
        if copy.intact && copy.number == self.hashed {
            self.hasher.update(copy.chunk);
            self.hashed += 1;
        }
        self.fail_on(written);
    }

    /// Counts a damaged datagram that no longer tells its number.
    pub(super) const fn handle_unknown(&mut self, now: Instant) {
        self.heard = now;
        self.account.note_unknown();
        if self.last_data.is_some() {
            self.last_data = Some(now);
        }
    }

    /// Returns the answer to an announcement.
    pub(super) fn handle_start(&mut self, now: Instant) -> ServerControl {
        self.heard = now;
        match self.answer(0) {
            refusal @ ServerControl::Refuse { .. } => refusal,
            _ => ServerControl::Accept { transfer: self.id },
        }
    }

    /// Returns the answer to a sender that is done, may know the digest by now, and asks for a page
    /// of the report.
    pub(super) fn handle_done(
        &mut self,
        now: Instant,
        page: u32,
        digest: Option<Digest>,
    ) -> ServerControl {
        self.heard = now;
        self.announced.digest = self.announced.digest.or(digest);
        // Asked again, it goes on settling since the first time.
        if matches!(self.phase, TransferPhase::Receiving) {
            self.phase = TransferPhase::Settling(now);
        }
        self.answer(page)
    }

    /// Returns a page of the report if there is one, else what there is to say instead.
    pub(super) fn answer(&self, page: u32) -> ServerControl {
        match &self.phase {
            TransferPhase::Finished(StoredFile { name, digest }) => {
                self.report(page, name.clone(), *digest)
            }
            TransferPhase::Empty => self.report(page, String::new(), Digest::of(b"")),
            TransferPhase::Failed { told, .. } => {
                ServerControl::Refuse { transfer: self.id, reason: told.clone() }
            }
            TransferPhase::Receiving => ServerControl::Accept { transfer: self.id },
            TransferPhase::Settling(_) | TransferPhase::Finishing(_) => {
                ServerControl::Wait { transfer: self.id }
            }
        }
    }

    fn report(&self, page: u32, name: String, digest: Digest) -> ServerControl {
        let map = self.account.packed(page.saturating_mul(PAGE_CHUNKS), PAGE_CHUNKS);
        let (counts, nanos) = (self.account.counts(), nanos(self.elapsed()));
        let page = ReportPage { page, counts, nanos, digest, name, map };
        ServerControl::Report { transfer: self.id, page }
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
            self.step(now, folder);
        }
        if !self.is_over() || self.told {
            return None;
        }
        self.told = true;
        Some(self.received())
    }

    fn step<F: Folder<File = P>>(&mut self, now: Instant, folder: &mut F) {
        let has_nothing = !self.has_data() && self.announced.size > 0;
        match &mut self.phase {
            TransferPhase::Receiving => {
                self.fail("the sender went silent".to_owned(), "you went silent".to_owned())
            }
            TransferPhase::Settling(_) if has_nothing => {
                self.phase = TransferPhase::Empty;
            }
            TransferPhase::Settling(_) => {
                let finishing = self.finish(folder);
                match finishing {
                    Ok(finishing) => self.phase = TransferPhase::Finishing(finishing),
                    Err(error) => self.fail_on(Err(error)),
                }
                // In memory it is there at once.
                if let TransferPhase::Finishing(_) = self.phase {
                    self.step(now, folder);
                }
            }
            TransferPhase::Finishing(finishing) => {
                let ended = finishing.poll(now);
                self.handle_finished(ended);
            }
            TransferPhase::Finished(_) | TransferPhase::Empty | TransferPhase::Failed { .. } => {}
        }
    }

    /// Ends it, if the result is there: its file has its name, or cannot get one.
    fn handle_finished(&mut self, result: Option<io::Result<StoredFile>>) {
        match result {
            Some(Ok(stored)) => self.phase = TransferPhase::Finished(stored),
            Some(Err(error)) => self.fail_on(Err(error)),
            None => {}
        }
    }

    /// Takes in that the server is stopped: what is whole gets its name, the rest ends.
    pub(super) fn handle_stop(&mut self) {
        if self.is_over() {
            return;
        }
        match std::mem::replace(&mut self.phase, TransferPhase::Receiving) {
            TransferPhase::Finishing(finishing) => self.handle_finished(Some(finishing.wait())),
            _ => self.fail("the server was stopped".to_owned(), "the server stops".to_owned()),
        }
    }

    /// Gives its place to another: its sender has long been silent.
    pub(super) fn yield_place(&mut self) {
        self.fail(
            "the sender was silent, and another needed its place".to_owned(),
            "you were silent, and another needed your place".to_owned(),
        );
    }

    /// Refuses it: there is no place for it.
    pub(super) fn refuse(&mut self, reason: &str) {
        self.fail(reason.to_owned(), reason.to_owned());
    }

    /// Completes the file. What is missing at its end becomes a hole, and no hole is hashed.
    fn finish<F: Folder<File = P>>(&mut self, folder: &mut F) -> io::Result<Finishing> {
        let size = self.announced.size;
        self.file(folder)?.set_size(size)?;
        let mut rest = RestOfDigest::nothing(std::mem::take(&mut self.hasher));
        for number in self.hashed..self.account.known() {
            if self.account.cell(number).state != ChunkState::Missing {
                let start = u64::from(number) * CHUNK_BYTES;
                rest.push(start..start + chunk_length(size, number) as u64);
            }
        }
        let file = self.file.take().expect("it was made above");
        Ok(file.finish(rest))
    }

    /// Returns the time at which [`Self::advance`], or forgetting the transfer, is due.
    pub(super) fn deadline(&self, settings: &UdpFileReceiverSettings) -> Instant {
        match &self.phase {
            TransferPhase::Receiving => self.heard + settings.idle,
            TransferPhase::Settling(since) if self.is_clean() => *since,
            TransferPhase::Settling(since) => {
                self.last_data.map_or(*since, |last| last.max(*since)) + settings.settle
            }
            TransferPhase::Finishing(finishing) => finishing.deadline(),
            _ if self.released || !self.told => Instant::START,
            _ => self.heard + settings.linger,
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

    /// Ends it without a file: what was stored of it goes.
    fn fail(&mut self, reason: String, told: String) {
        self.file = None;
        self.phase = TransferPhase::Failed { reason, told };
    }

    fn received(&self) -> ReceivedFile {
        let stored = match &self.phase {
            TransferPhase::Finished(StoredFile { name, digest }) => Ok((name.clone(), *digest)),
            TransferPhase::Failed { reason, .. } => Err(reason.clone()),
            _ => Err("nothing of it arrived".to_owned()),
        };
        ReceivedFile {
            peer: self.peer,
            stored,
            size: self.announced.size,
            sent: self.announced.digest,
            elapsed: self.elapsed(),
            account: Some(self.account.clone()),
            bare: None,
        }
    }
}
