//! The receiver of files over plain UDP: any number of senders at once, up to a bound.

use super::control::{ClientControl, ServerControl};
use super::data::{Copy, DATA_SIZE};
use super::received::{ReceivedFile, UdpFileReceiverReport, UdpFileReceiverSettings};
use super::transfer::{Announced, UdpTransfer};
use crate::protocol::storage::Folder;
use crate::protocol::wire::Unreadable;
use crate::protocol::{Endpoint, Transmit, chunks_in};
use jostle_common::time::Instant;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

/// The most answers that may wait for the socket; further ones are not made, and the client asks
/// again.
const OUTBOX_MAX: usize = 256;

/// Receives files into a [`Folder`].
#[derive(Debug)]
pub struct UdpFileReceiver<F: Folder> {
    settings: UdpFileReceiverSettings,
    folder: F,
    transfers: BTreeMap<(SocketAddr, u64), UdpTransfer<F::File>>,
    outbox: VecDeque<Transmit>,
    received: VecDeque<ReceivedFile>,
    report: UdpFileReceiverReport,
}

impl<F: Folder> UdpFileReceiver<F> {
    /// Creates a receiver that stores what it gets in `folder`.
    pub fn new(settings: UdpFileReceiverSettings, folder: F) -> Self {
        let report = UdpFileReceiverReport::default();
        let (outbox, received) = (VecDeque::new(), VecDeque::new());
        Self { settings, folder, transfers: BTreeMap::new(), outbox, received, report }
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
        let transfer =
            self.transfers.get_mut(&(from, copy.transfer)).filter(|transfer| transfer.is_open());
        let Some(transfer) = transfer else {
            self.report.stray += 1;
            return;
        };
        if transfer.handle_copy(now, &copy, &mut self.folder) {
            self.report.data += 1;
        } else {
            self.report.ignored += 1;
        }
        if transfer.is_over() {
            // It failed while storing: the sender learns it now, not when it is done.
            let answer = transfer.answer(0);
            self.answer(from, &answer);
        }
    }

    /// Takes in a datagram whose copies of the header are both damaged: the address tells the
    /// transfer if it has just one open.
    fn handle_unknown(&mut self, now: Instant, from: SocketAddr) {
        let mut open = self
            .transfers
            .range_mut((from, 0)..=(from, u64::MAX))
            .map(|(_, transfer)| transfer)
            .filter(|transfer| transfer.is_open());
        match (open.next(), open.next()) {
            (Some(transfer), None) => {
                transfer.handle_unknown(now);
                self.report.data += 1;
            }
            _ => self.report.damaged += 1,
        }
    }

    fn handle_control(&mut self, now: Instant, from: SocketAddr, control: &ClientControl) {
        match *control {
            ClientControl::Start { transfer, size, digest } => {
                self.handle_start(now, from, transfer, Announced { size, digest });
            }
            ClientControl::Done { transfer, page } => {
                let answer = match self.transfers.get_mut(&(from, transfer)) {
                    Some(found) => {
                        found.handle_done(now, page);
                        // What that makes due is done before it is answered: a clean transfer ends
                        // with its first answer.
                        self.advance(now);
                        self.transfers
                            .get_mut(&(from, transfer))
                            .map(|found| found.handle_done(now, page))
                    }
                    None => None,
                };
                let reason = || "the server does not know this transfer (any more)".to_owned();
                let answer =
                    answer.unwrap_or_else(|| ServerControl::Refuse { transfer, reason: reason() });
                self.answer(from, &answer);
            }
            ClientControl::Bye { transfer } => {
                if let Some(found) = self.transfers.get_mut(&(from, transfer)) {
                    found.handle_bye();
                }
            }
        }
    }

    fn handle_start(&mut self, now: Instant, from: SocketAddr, id: u64, announced: Announced) {
        if let Some(known) = self.transfers.get_mut(&(from, id)) {
            // A repeat, whose answer was lost, announces the same file.
            if known.announced() == announced {
                let answer = known.handle_start(now);
                self.answer(from, &answer);
            } else {
                self.report.ignored += 1;
            }
            return;
        }
        let answer = match self.admit(announced.size) {
            Ok(chunks) => {
                let transfer = UdpTransfer::new(now, from, id, announced, chunks);
                self.transfers.insert((from, id), transfer);
                ServerControl::Accept { transfer: id }
            }
            Err(reason) => {
                self.report.refused += 1;
                ServerControl::Refuse { transfer: id, reason }
            }
        };
        self.answer(from, &answer);
    }

    /// Returns the number of chunks of one more file, or the reason why there is no room for it.
    fn admit(&mut self, size: u64) -> Result<u32, String> {
        let limit = self.settings.size_max;
        let chunks = chunks_in(size).filter(|_| size <= limit);
        let chunks =
            chunks.ok_or_else(|| format!("the file has {size} bytes, the server takes {limit}"))?;
        if self.transfers.len() >= self.settings.transfers_max {
            // One that has ended and only lingers makes room.
            let over =
                self.transfers.iter().find(|(_, transfer)| transfer.is_over()).map(|(key, _)| *key);
            let over = over.ok_or_else(|| "the server is busy with other files".to_owned())?;
            self.transfers.remove(&over);
        }
        Ok(chunks)
    }

    fn answer(&mut self, to: SocketAddr, control: &ServerControl) {
        if self.outbox.len() < OUTBOX_MAX {
            self.outbox.push_back(Transmit { to, payload: control.encode() });
        }
    }

    /// Does what is due, and forgets what is over.
    fn advance(&mut self, now: Instant) {
        let settings = self.settings;
        for transfer in self.transfers.values_mut() {
            let Some(received) = transfer.advance(now, &settings, &mut self.folder) else {
                continue;
            };
            // The sender learns it now, and not when it next asks. With the answer it got when it
            // was done this stays within three times what it sent.
            if transfer.is_finished() && self.outbox.len() < OUTBOX_MAX {
                self.outbox.push_back(Transmit {
                    to: received.peer,
                    payload: transfer.answer(0).encode(),
                });
            }
            match &received.stored {
                Ok(_) => self.report.stored += 1,
                // An announcement that nothing followed, as from a sender that was stopped at once,
                // is no news.
                Err(_) if !transfer.has_data() => continue,
                Err(_) => self.report.failed += 1,
            }
            self.received.push_back(received);
        }
        self.transfers
            .retain(|_, transfer| !(transfer.is_over() && transfer.deadline(&settings) <= now));
    }
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
        self.transfers.values().map(|transfer| transfer.deadline(&self.settings)).min()
    }

    fn is_finished(&self) -> bool {
        let ended = self.report.stored + self.report.failed > 0;
        // A transfer that lingers still answers a sender that missed the report.
        self.settings.once && ended && self.transfers.is_empty() && self.outbox.is_empty()
    }
}
