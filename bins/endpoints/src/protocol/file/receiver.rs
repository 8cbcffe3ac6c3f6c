//! The receiver of files over plain UDP: any number of senders at once, up to a bound.
//!
//! Nothing is kept for a source that has not proved its address with a cookie, no place is taken
//! before a chunk of the file has come, and one source gets a share of the places only.

use super::control::{ClientControl, ServerControl};
use super::data::{Copy, DATA_SIZE};
use super::received::{ReceivedFile, UdpFileReceiverReport, UdpFileReceiverSettings};
use super::transfer::{Announced, UdpTransfer};
use crate::protocol::cookie::{Cookie, CookieJar};
use crate::protocol::storage::Folder;
use crate::protocol::wire::Unreadable;
use crate::protocol::{Endpoint, Transmit, chunks_in, is_loopback};
use jostle_common::digest::Digest;
use jostle_common::time::Instant;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// The most answers that may wait for the socket; further ones are not made, and the client asks
/// again.
const OUTBOX_MAX: usize = 256;
/// The most files that may be announced without a chunk that came: beyond, the one that has been
/// announced longest is forgotten.
const ANNOUNCED_MAX: usize = 1024;
/// The silence after which a transfer gives its place to another that needs one. A chunk takes as
/// long at 3 kbit/s.
const YIELD_AFTER: Duration = Duration::from_secs(10);
/// The silence from which on a transfer may be about to yield, so that waiting is worth while.
const SILENT_AFTER: Duration = Duration::from_secs(1);
const BUSY: &str = "the server is busy with other files; try again later";

/// A transfer is known by its sender's address and its number.
type TransferKey = (SocketAddr, u64);

/// Receives files into a [`Folder`].
#[derive(Debug)]
pub struct UdpFileReceiver<F: Folder> {
    settings: UdpFileReceiverSettings,
    jar: CookieJar,
    folder: F,
    transfers: BTreeMap<TransferKey, UdpTransfer<F::File>>,
    /// No transfer has something to do before; `None`: there is nothing to wait for.
    due: Option<Instant>,
    outbox: VecDeque<Transmit>,
    received: VecDeque<ReceivedFile>,
    report: UdpFileReceiverReport,
}

impl<F: Folder> UdpFileReceiver<F> {
    /// Creates a receiver that stores what it gets in `folder`.
    pub fn new(settings: UdpFileReceiverSettings, folder: F) -> Self {
        Self {
            settings,
            jar: CookieJar::new(settings.secret),
            folder,
            transfers: BTreeMap::new(),
            due: None,
            outbox: VecDeque::new(),
            received: VecDeque::new(),
            report: UdpFileReceiverReport::default(),
        }
    }

    /// Returns the report so far.
    pub const fn report(&self) -> &UdpFileReceiverReport {
        &self.report
    }

    /// Returns the next transfer that has ended, in the order in which they did.
    pub fn next_received(&mut self) -> Option<ReceivedFile> {
        self.received.pop_front()
    }

    /// Returns the number of transfers that are open, or linger.
    pub fn transfers_open(&self) -> usize {
        self.transfers.len()
    }

    /// Returns true if a transfer of this sender is open, or lingers.
    pub(super) fn knows(&self, from: SocketAddr) -> bool {
        self.transfers.range((from, 0)..=(from, u64::MAX)).next().is_some()
    }

    /// Returns the chunks that arrived, and the chunks that were announced, over the transfers that
    /// are open now: for a progress bar.
    pub fn progress(&self) -> (u64, u64) {
        let open =
            self.transfers.values().filter(|transfer| transfer.is_open()).map(UdpTransfer::counts);
        open.fold((0, 0), |(arrived, announced), counts| {
            (
                arrived + u64::from(counts.chunks - counts.missing),
                announced + u64::from(counts.chunks),
            )
        })
    }

    fn handle_data(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        let Some(copy) = Copy::decode(datagram) else {
            return self.handle_unknown(now, from);
        };
        let key = (from, copy.transfer);
        let transfer = self.transfers.get(&key).filter(|transfer| transfer.is_open());
        let Some(transfer) = transfer else {
            self.report.stray += 1;
            return;
        };
        if !transfer.fits(&copy) {
            self.report.ignored += 1;
            return;
        }
        let has_place = transfer.has_data() || self.make_place(now);
        let Some(transfer) = self.transfers.get_mut(&key) else { return };
        if has_place {
            transfer.handle_copy(now, &copy, &mut self.folder);
            self.report.data += 1;
        } else {
            self.report.refused += 1;
            transfer.refuse(BUSY);
        }
        if transfer.is_over() {
            // It failed while storing: the sender learns it now, not when it is done.
            let answer = transfer.answer(0);
            self.answer(from, &answer);
        }
        self.touch(key);
    }

    /// Takes in a datagram whose copies of the header are both damaged: the address tells the
    /// transfer if it has just one open.
    fn handle_unknown(&mut self, now: Instant, from: SocketAddr) {
        let mut open = self
            .transfers
            .range_mut((from, 0)..=(from, u64::MAX))
            .filter(|(_, transfer)| transfer.is_open());
        match (open.next(), open.next()) {
            (Some((key, transfer)), None) => {
                transfer.handle_unknown(now);
                self.report.data += 1;
                let key = *key;
                self.touch(key);
            }
            _ => self.report.damaged += 1,
        }
    }

    fn handle_control(&mut self, now: Instant, from: SocketAddr, control: &ClientControl) {
        match *control {
            ClientControl::Start { transfer, size, digest, cookie } => {
                let announced = Announced { size, digest };
                let answer = self.handle_start(now, from, transfer, announced, cookie);
                answer.into_iter().for_each(|answer| self.answer(from, &answer));
            }
            ClientControl::Done { transfer, page, digest } => {
                let reason = || "the server does not know this transfer (any more)".to_owned();
                let answer = self
                    .handle_done(now, (from, transfer), page, digest)
                    .unwrap_or_else(|| ServerControl::Refuse { transfer, reason: reason() });
                self.answer(from, &answer);
            }
            ClientControl::Bye { transfer } => {
                let key = (from, transfer);
                if let Some(found) = self.transfers.get_mut(&key) {
                    found.handle_bye();
                    self.touch(key);
                }
            }
        }
    }

    /// Returns the answer to a sender that is done; `None` when it is not known.
    fn handle_done(
        &mut self,
        now: Instant,
        key: TransferKey,
        page: u32,
        digest: Option<Digest>,
    ) -> Option<ServerControl> {
        self.transfers.get_mut(&key)?.handle_done(now, page, digest);
        // What that makes due is done before it is answered: a clean transfer ends with its first
        // answer.
        self.touch(key);
        self.advance(now);
        Some(self.transfers.get_mut(&key)?.handle_done(now, page, digest))
    }

    fn handle_start(
        &mut self,
        now: Instant,
        from: SocketAddr,
        id: u64,
        announced: Announced,
        cookie: Option<Cookie>,
    ) -> Option<ServerControl> {
        if let Some(known) = self.transfers.get_mut(&(from, id)) {
            // A repeat, whose answer was lost, announces the same file.
            if known.announced().size != announced.size {
                self.report.ignored += 1;
                return None;
            }
            return Some(known.handle_start(now));
        }
        if !cookie.is_some_and(|cookie| self.jar.knows(now, from, cookie)) {
            self.report.unproved += 1;
            return Some(ServerControl::Prove { transfer: id, cookie: self.jar.cookie(now, from) });
        }
        if self.is_full_of_silence(now) {
            // The sender announces it again, and there may be a place by then.
            self.report.waiting += 1;
            return None;
        }
        Some(match self.admit(now, from, announced.size) {
            Ok(chunks) => {
                self.forget_oldest_announced();
                let transfer =
                    UdpTransfer::new(now, from, id, announced, chunks, self.folder.hasher());
                self.transfers.insert((from, id), transfer);
                self.touch((from, id));
                ServerControl::Accept { transfer: id }
            }
            Err(reason) => {
                self.report.refused += 1;
                ServerControl::Refuse { transfer: id, reason }
            }
        })
    }

    /// Returns the number of chunks of one more file, or the reason why there is no room for it.
    fn admit(&self, now: Instant, from: SocketAddr, size: u64) -> Result<u32, String> {
        let limit = self.settings.size_max;
        let chunks = chunks_in(size).filter(|_| size <= limit);
        let chunks =
            chunks.ok_or_else(|| format!("the file has {size} bytes, the server takes {limit}"))?;
        let room = self.folder.room();
        if size > room {
            return Err(format!("the file has {size} bytes, the server has room for {room} more"));
        }
        let source = source(from);
        let open = self.transfers.iter().filter(|((peer, _), _)| self::source(*peer) == source);
        let open = open.filter(|(_, transfer)| !transfer.is_over()).count();
        let share = self.settings.per_source_max;
        if open >= share {
            return Err(format!("you send {open} files at once, the server takes {share}"));
        }
        if self.places_taken() >= self.settings.transfers_max && self.yielding(now).is_none() {
            return Err(BUSY.to_owned());
        }
        Ok(chunks)
    }

    /// Returns true if there is no place, and one whose sender is silent may soon be free.
    fn is_full_of_silence(&self, now: Instant) -> bool {
        let is_silent = |transfer: &UdpTransfer<F::File>| {
            transfer.has_data() && transfer.is_open() && transfer.heard() + SILENT_AFTER <= now
        };
        self.places_taken() >= self.settings.transfers_max
            && self.yielding(now).is_none()
            && self.transfers.values().any(is_silent)
    }

    fn places_taken(&self) -> usize {
        self.transfers.values().filter(|transfer| transfer.has_data()).count()
    }

    /// Returns the transfer that makes room: one that has ended and only lingers, or the one whose
    /// sender has been silent longest and for long.
    fn yielding(&self, now: Instant) -> Option<TransferKey> {
        let rank = |transfer: &UdpTransfer<F::File>| (!transfer.is_over(), transfer.heard());
        let placed = self.transfers.iter().filter(|(_, transfer)| transfer.has_data());
        let (key, transfer) = placed.min_by_key(|(_, transfer)| rank(transfer))?;
        let is_silent = transfer.is_open() && transfer.heard() + YIELD_AFTER <= now;
        (transfer.is_over() || is_silent).then_some(*key)
    }

    /// Makes room for one more transfer of which a chunk came. Returns false if there is none.
    fn make_place(&mut self, now: Instant) -> bool {
        if self.places_taken() < self.settings.transfers_max {
            return true;
        }
        let Some(key) = self.yielding(now) else { return false };
        let Some(mut yielding) = self.transfers.remove(&key) else { return false };
        if yielding.is_open() {
            self.report.yielded += 1;
            yielding.yield_place();
            let answer = yielding.answer(0);
            self.answer(key.0, &answer);
        }
        if let Some(received) = yielding.advance(now, &self.settings, &mut self.folder) {
            self.tell(received, true);
        }
        true
    }

    fn forget_oldest_announced(&mut self) {
        let bare = || self.transfers.iter().filter(|(_, transfer)| !transfer.has_data());
        if bare().count() >= ANNOUNCED_MAX
            && let Some((key, _)) = bare().min_by_key(|(_, transfer)| transfer.heard())
        {
            let key = *key;
            self.transfers.remove(&key);
            self.report.forgotten += 1;
        }
    }

    fn answer(&mut self, to: SocketAddr, control: &ServerControl) {
        if self.outbox.len() < OUTBOX_MAX {
            self.outbox.push_back(Transmit::new(to, control.encode()));
        }
    }

    /// Takes in that something about a transfer has changed.
    fn touch(&mut self, key: TransferKey) {
        if let Some(transfer) = self.transfers.get(&key) {
            let deadline = transfer.deadline(&self.settings);
            self.due = Some(self.due.map_or(deadline, |due| due.min(deadline)));
        }
    }

    fn tell(&mut self, received: ReceivedFile, is_news: bool) {
        match &received.stored {
            Ok(_) => self.report.stored += 1,
            Err(_) if !is_news => return,
            Err(_) => self.report.failed += 1,
        }
        self.received.push_back(received);
    }

    /// Does what is due, and forgets what is over.
    fn advance(&mut self, now: Instant) {
        if self.due.is_none_or(|due| now < due) {
            return;
        }
        let settings = self.settings;
        let mut told = Vec::new();
        for transfer in self.transfers.values_mut() {
            let Some(received) = transfer.advance(now, &settings, &mut self.folder) else {
                continue;
            };
            // The sender learns it now, and not when it next asks. With the answer it got when it
            // was done this stays within three times what it sent.
            let answer = transfer.is_reported().then(|| transfer.answer(0));
            // An announcement that nothing followed, as from a sender that was stopped at once, is
            // no news.
            told.push((received, answer, transfer.has_data() || transfer.is_reported()));
        }
        for (received, answer, is_news) in told {
            answer.into_iter().for_each(|answer| self.answer(received.peer, &answer));
            self.tell(received, is_news);
        }
        self.transfers
            .retain(|_, transfer| !(transfer.is_over() && transfer.deadline(&settings) <= now));
        self.due = self.transfers.values().map(|transfer| transfer.deadline(&settings)).min();
    }
}

/// Returns what counts as one source: a host. On this machine it is a socket, since a proxy in
/// front makes all clients look local.
const fn source(address: SocketAddr) -> SocketAddr {
    if is_loopback(address) { address } else { SocketAddr::new(address.ip(), 0) }
}

impl<F: Folder> Endpoint for UdpFileReceiver<F> {
    fn handle(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        self.advance(now);
        // No control datagram is as long, so the length tells the two kinds apart.
        if datagram.len() == DATA_SIZE {
            return self.handle_data(now, from, datagram);
        }
        match ClientControl::decode(datagram) {
            Ok(control) => {
                self.report.control += 1;
                self.handle_control(now, from, &control);
            }
            Err(Unreadable::Damaged) => self.report.damaged += 1,
            Err(Unreadable::Senseless) => self.report.ignored += 1,
        }
    }

    fn poll(&mut self, now: Instant) -> Option<Transmit> {
        self.advance(now);
        self.outbox.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        if !self.outbox.is_empty() {
            return Some(Instant::START);
        }
        self.due
    }

    fn is_finished(&self) -> bool {
        let ended = self.report.stored + self.report.failed > 0;
        // A transfer that lingers still answers a sender that missed the report.
        self.settings.once && ended && self.transfers.is_empty() && self.outbox.is_empty()
    }

    /// Ends the transfers that are open: what is whole gets its name.
    fn handle_stop(&mut self, now: Instant) {
        self.transfers.values_mut().for_each(UdpTransfer::handle_stop);
        self.due = Some(now);
        self.advance(now);
    }
}
