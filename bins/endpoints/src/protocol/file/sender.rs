//! The sender of a file over plain UDP: announces it, sends every chunk once at a rate, and asks
//! for the receiver's report.

use super::account::{ChunkCounts, ChunkFate, unpacked};
use super::control::{ClientControl, PAGE_CHUNKS, ReportPage, ServerControl};
use super::data::ChunkDatagram;
use crate::protocol::cookie::Cookie;
use crate::protocol::hint::Hint;
use crate::protocol::pacer::Pacer;
use crate::protocol::storage::Source;
use crate::protocol::timer::{RetransmissionTimer, Timing};
use crate::protocol::wire::Unreadable;
use crate::protocol::{CHUNK, CHUNK_BYTES, Endpoint, Redirect, Transmit, chunk_length, chunks_in};
use jostle_common::digest::{Digest, Hasher};
use jostle_common::time::Instant;
use jostle_common::units::{BitRate, format_duration};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// The number of goodbyes of a finished sender: each alone may be lost, and nothing depends on
/// them.
const GOODBYES: u32 = 3;
/// The number of refusals by the network in a row that end a transfer that was accepted.
const REFUSALS_MAX: u32 = 8;

/// The time without an answer to the announcement after which people are told.
const REMARK: Duration = Duration::from_secs(3);

/// The settings of a [`UdpFileSender`].
#[derive(Clone, Copy, Debug)]
pub struct UdpFileSenderSettings {
    /// The server's address.
    pub server: SocketAddr,
    /// A random number that tells this transfer from others of the same sender.
    pub transfer: u64,
    /// The rate of the data datagrams, by their payload.
    pub rate: BitRate,
    /// The time without an answer to a control datagram after which the sender gives up.
    pub patience: Duration,
}

impl UdpFileSenderSettings {
    /// The rate unless told otherwise: what a receiver with Linux's default buffer keeps up with
    /// through a scheduling gap of 100 ms.
    pub const RATE: BitRate = BitRate::new(10_000_000).expect("it is not zero");
    /// The patience unless told otherwise.
    pub const PATIENCE: Duration = Duration::from_secs(30);

    /// Returns the defaults for a server and a transfer.
    pub const fn new(server: SocketAddr, transfer: u64) -> Self {
        Self { server, transfer, rate: Self::RATE, patience: Self::PATIENCE }
    }
}

/// The reason why no report arrived.
#[derive(Debug, thiserror::Error)]
pub enum UdpFileFailure {
    /// Nothing listens where the server should be.
    #[error("connection refused: no server listens at {0}")]
    Refused(SocketAddr),
    /// Control datagrams went unanswered for too long.
    #[error("no answer from {server} for {}", format_duration(*.patience))]
    Silence {
        /// The server that was asked.
        server: SocketAddr,
        /// The time for which it was asked.
        patience: Duration,
    },
    /// The server refused the file, or failed to store it.
    #[error("the server at {server} refused the file: {reason}")]
    Rejected {
        /// The server that refused it.
        server: SocketAddr,
        /// The server's reason; not to be printed without escaping.
        reason: String,
    },
    /// The file has too many chunks to be numbered.
    #[error("the file is too large to be numbered in chunks")]
    TooLarge,
    /// The file could not be read to its end.
    #[error("cannot read the file: {0}")]
    Storage(io::Error),
}

/// The fate of the file, as the server reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpFileArrival {
    /// The name that the server gave it, empty when nothing of it arrived; not to be printed
    /// without escaping.
    pub name: String,
    /// The digest of the chunks that the server got, in their order; of the file if it got all.
    pub digest: Digest,
    /// The counts of the chunks by their fate.
    pub counts: ChunkCounts,
    /// The fate of each chunk, in order.
    pub cells: Vec<ChunkFate>,
    /// From the announcement's arrival to the last data datagram's.
    pub elapsed: Duration,
}

/// The counts of a sender so far.
#[derive(Clone, Debug, Default)]
pub struct UdpFileSenderReport {
    /// Data datagrams sent.
    pub packets: u64,
    /// Control datagrams sent.
    pub control: u64,
    /// Datagrams with a wrong CRC that arrived.
    pub damaged: u64,
    /// Datagrams that were whole and made no sense.
    pub ignored: u64,
    /// The fate of the file; `None` until the whole report has arrived.
    pub arrival: Option<UdpFileArrival>,
    /// The time at which the first announcement was sent.
    pub started: Option<Instant>,
    /// The time at which it ended, well or not.
    pub ended: Option<Instant>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum SendingPhase {
    Opening,
    Sending(u32),
    Asking(Vec<ChunkFate>),
    Over,
}

/// Sends a [`Source`].
#[derive(Debug)]
pub struct UdpFileSender<F> {
    settings: UdpFileSenderSettings,
    source: F,
    chunks: u32,
    /// The digest of the file, once it is known: else it is made while the file is sent.
    digest: Option<Digest>,
    hasher: Hasher,
    /// The cookie that the server has given.
    cookie: Option<Cookie>,
    phase: SendingPhase,
    pacer: Pacer,
    timer: RetransmissionTimer,
    /// The time at which the next control datagram goes; `None`: at once.
    next: Option<Instant>,
    /// The time at which the server was last heard, or a phase that waits for it began.
    heard: Instant,
    refusals: u32,
    goodbyes: u32,
    outcome: Option<Result<(), UdpFileFailure>>,
    /// A remark that was not taken yet, and true if one was made.
    hint: (Option<Hint>, bool),
    report: UdpFileSenderReport,
}

impl<F: Source> UdpFileSender<F> {
    /// Creates a sender of `source`.
    pub fn new(settings: UdpFileSenderSettings, source: F) -> Self {
        let chunks = chunks_in(source.size());
        let outcome = chunks.is_none().then_some(Err(UdpFileFailure::TooLarge));
        Self {
            chunks: chunks.unwrap_or(0),
            phase: if outcome.is_none() { SendingPhase::Opening } else { SendingPhase::Over },
            // A file that may change is reported as what was sent of it.
            digest: match chunks {
                Some(0) => Some(Digest::of(b"")),
                _ => source.digest().filter(|_| source.is_immutable()),
            },
            hasher: Hasher::new(),
            cookie: None,
            pacer: Pacer::new(settings.rate),
            timer: RetransmissionTimer::new(Timing::Adaptive),
            settings,
            source,
            next: None,
            heard: Instant::START,
            refusals: 0,
            goodbyes: 0,
            outcome,
            hint: (None, false),
            report: UdpFileSenderReport::default(),
        }
    }

    /// Returns the report so far.
    pub const fn report(&self) -> &UdpFileSenderReport {
        &self.report
    }

    /// Returns the digest of what was sent, once that is all.
    pub const fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// Returns the outcome, if it has ended.
    pub const fn outcome(&self) -> Option<&Result<(), UdpFileFailure>> {
        self.outcome.as_ref()
    }

    /// Returns the report, and the outcome if it has ended.
    pub fn into_parts(self) -> (UdpFileSenderReport, Option<Result<(), UdpFileFailure>>) {
        (self.report, self.outcome)
    }

    fn end(&mut self, now: Instant, outcome: Result<(), UdpFileFailure>) {
        self.report.ended = Some(now);
        let server_waits = matches!(outcome, Ok(()) | Err(UdpFileFailure::Rejected { .. }));
        self.goodbyes = if server_waits { GOODBYES } else { 0 };
        self.phase = SendingPhase::Over;
        self.outcome = Some(outcome);
    }

    fn handle_control(&mut self, now: Instant, control: ServerControl) {
        let transfer = match &control {
            ServerControl::Prove { transfer, .. }
            | ServerControl::Accept { transfer }
            | ServerControl::Wait { transfer }
            | ServerControl::Refuse { transfer, .. }
            | ServerControl::Report { transfer, .. } => *transfer,
        };
        if transfer != self.settings.transfer {
            self.report.ignored += 1;
            return;
        }
        if let ServerControl::Prove { cookie, .. } = control {
            return self.handle_cookie(now, cookie);
        }
        self.heard = now;
        self.refusals = 0;
        self.timer.reset();
        match control {
            ServerControl::Accept { .. } if self.phase == SendingPhase::Opening => {
                self.phase = SendingPhase::Sending(0);
            }
            ServerControl::Refuse { reason, .. } => {
                let server = self.settings.server;
                self.end(now, Err(UdpFileFailure::Rejected { server, reason }));
            }
            ServerControl::Report { page, .. } => self.handle_page(now, page),
            // A late copy of what was answered before.
            ServerControl::Prove { .. }
            | ServerControl::Accept { .. }
            | ServerControl::Wait { .. } => {}
        }
    }

    /// Announces the file anew, at once, with the cookie that came.
    fn handle_cookie(&mut self, now: Instant, cookie: Cookie) {
        self.refusals = 0;
        // A copy of one that was answered, or a server that does not take its own, waits its turn.
        if self.phase != SendingPhase::Opening || self.cookie == Some(cookie) {
            return;
        }
        // Only the first is a sign of a server that goes on: an endless row of them is none.
        if self.cookie.is_none() {
            self.heard = now;
        }
        (self.cookie, self.next) = (Some(cookie), None);
        self.timer.reset();
    }

    /// Takes the page of the report that was asked for, and asks for the next one.
    fn handle_page(&mut self, now: Instant, page: ReportPage) {
        let SendingPhase::Asking(cells) = &mut self.phase else { return };
        let known = cells.len() as u32;
        let expected = (self.chunks - known).min(PAGE_CHUNKS);
        let fits = page.counts.chunks == self.chunks
            && page.map.len() as u32 == expected.div_ceil(2)
            && page.page == known / PAGE_CHUNKS;
        if !fits {
            // The page before, once more; or a server that counts otherwise.
            self.report.ignored += u64::from(page.counts.chunks != self.chunks);
            return;
        }
        cells.extend(unpacked(&page.map).take(expected as usize));
        self.next = None;
        if cells.len() as u32 == self.chunks {
            let ReportPage { name, digest, counts, nanos, .. } = page;
            let (cells, elapsed) = (std::mem::take(cells), Duration::from_nanos(nanos));
            self.report.arrival = Some(UdpFileArrival { name, digest, counts, cells, elapsed });
            self.end(now, Ok(()));
        }
    }

    fn chunk(&mut self, now: Instant, number: u32) -> Option<Transmit> {
        if !self.pacer.allows(now) {
            return None;
        }
        let mut buffer = [0; CHUNK];
        let chunk = &mut buffer[..chunk_length(self.source.size(), number)];
        if let Err(error) = self.source.read_at(u64::from(number) * CHUNK_BYTES, chunk) {
            self.end(now, Err(UdpFileFailure::Storage(error)));
            return None;
        }
        if self.digest.is_none() {
            self.hasher.update(chunk);
            if number + 1 == self.chunks {
                self.digest = Some(std::mem::take(&mut self.hasher).finish());
            }
        }
        let payload = ChunkDatagram { transfer: self.settings.transfer, number, chunk }.encode();
        self.pacer.note(now, payload.len());
        self.report.packets += 1;
        self.phase = SendingPhase::Sending(number + 1);
        Some(Transmit::new(self.settings.server, payload))
    }

    /// Sends `control` when it is due, and again until it is answered.
    fn control(&mut self, now: Instant, control: &ClientControl) -> Option<Transmit> {
        let UdpFileSenderSettings { server, patience, .. } = self.settings;
        if now >= self.heard + patience {
            self.end(now, Err(UdpFileFailure::Silence { server, patience }));
            return None;
        }
        match self.next {
            Some(next) if now < next => return None,
            Some(_) => self.timer.back_off(),
            None => {}
        }
        self.next = Some(now + self.timer.timeout());
        self.report.control += 1;
        Some(Transmit::new(self.settings.server, control.encode()))
    }
}

impl<F: Source> Redirect for UdpFileSender<F> {
    fn is_refused(&self) -> bool {
        matches!(self.outcome, Some(Err(UdpFileFailure::Refused(_)))) && self.report.packets == 0
    }

    fn redirected(self, server: SocketAddr) -> Self {
        Self::new(UdpFileSenderSettings { server, ..self.settings }, self.source)
    }
}

impl<F: Source> Endpoint for UdpFileSender<F> {
    fn handle(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        if self.outcome.is_some() || from != self.settings.server {
            self.report.ignored += 1;
            return;
        }
        match ServerControl::decode(datagram) {
            Ok(control) => self.handle_control(now, control),
            Err(Unreadable::Damaged) => self.report.damaged += 1,
            Err(Unreadable::Senseless) => self.report.ignored += 1,
        }
    }

    fn poll(&mut self, now: Instant) -> Option<Transmit> {
        let transfer = self.settings.transfer;
        if self.report.started.is_none() {
            self.report.started = Some(now);
            self.heard = now;
        }
        if let SendingPhase::Sending(number) = self.phase {
            if number < self.chunks {
                return self.chunk(now, number);
            }
            self.phase = SendingPhase::Asking(Vec::new());
            // Chunks are not answered, so the silence while they were sent does not count.
            (self.heard, self.next) = (now, None);
            self.timer.reset();
        }
        match &self.phase {
            SendingPhase::Opening => {
                let is_late = self.heard + REMARK <= now;
                if is_late && !std::mem::replace(&mut self.hint.1, true) {
                    self.hint.0 = Some(Hint::new(format!(
                        "has not answered {} announcements of the file yet: does jostle-server \
                         file --over udp run there? With --naive it answers nothing",
                        self.report.control
                    )));
                }
                let (size, digest, cookie) = (self.source.size(), self.digest, self.cookie);
                self.control(now, &ClientControl::Start { transfer, size, digest, cookie })
            }
            SendingPhase::Asking(cells) => {
                let page = cells.len() as u32 / PAGE_CHUNKS;
                let digest = self.digest;
                self.control(now, &ClientControl::Done { transfer, page, digest })
            }
            SendingPhase::Sending(_) => None,
            SendingPhase::Over => {
                self.goodbyes = self.goodbyes.checked_sub(1)?;
                let payload = ClientControl::Bye { transfer }.encode();
                Some(Transmit::new(self.settings.server, payload))
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            SendingPhase::Sending(number) if *number < self.chunks => {
                Some(self.pacer.due().unwrap_or_default())
            }
            SendingPhase::Sending(_) => Some(Instant::START),
            SendingPhase::Opening | SendingPhase::Asking(_) => Some(match self.next {
                Some(next) => next.min(self.heard + self.settings.patience),
                None => Instant::START,
            }),
            SendingPhase::Over => (self.goodbyes > 0).then_some(Instant::START),
        }
    }

    fn is_finished(&self) -> bool {
        self.outcome.is_some() && self.goodbyes == 0
    }

    fn take_hint(&mut self) -> Option<Hint> {
        self.hint.0.take()
    }

    fn handle_refusal(&mut self, now: Instant, to: SocketAddr) {
        self.refusals += 1;
        // Before the server has accepted, one refusal is enough; later it takes several in a row.
        let opening = self.phase == SendingPhase::Opening;
        if self.outcome.is_none()
            && to == self.settings.server
            && (opening || self.refusals >= REFUSALS_MAX)
        {
            self.end(now, Err(UdpFileFailure::Refused(to)));
        }
    }
}
