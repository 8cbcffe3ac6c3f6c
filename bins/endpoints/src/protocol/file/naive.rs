//! The receiver of bare datagrams: what anyone sends is appended as it comes, until the sender
//! falls silent.

use super::received::{ReceivedFile, UdpFileReceiverReport};
use crate::protocol::finishing::{Finishing, RestOfDigest, StoredFile};
use crate::protocol::storage::{Folder, Partial};
use crate::protocol::{Endpoint, Transmit};
use jostle_common::digest::Hasher;
use jostle_common::time::Instant;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// The settings of a [`NaiveReceiver`].
#[derive(Clone, Copy, Debug)]
pub struct NaiveSettings {
    /// The largest file it accepts, in bytes; what goes beyond ends the transfer as failed.
    pub size_max: u64,
    /// The most senders that may be open at once; datagrams of further ones are ignored.
    pub transfers_max: usize,
    /// The silence after which a file is complete.
    pub idle: Duration,
    /// The silence after which it is when its last datagram is shorter than its first; as long as
    /// any other when `None`.
    pub short: Option<Duration>,
    /// True if it ends after one file.
    pub once: bool,
}

impl Default for NaiveSettings {
    fn default() -> Self {
        let idle = Duration::from_secs(2);
        Self { size_max: 4 << 30, transfers_max: 64, idle, short: None, once: false }
    }
}

/// The datagrams of one sender so far.
#[derive(Debug)]
struct BareStream<P> {
    file: Option<P>,
    hasher: Hasher,
    size: u64,
    datagrams: u64,
    /// The size of the first datagram.
    chunk_size: usize,
    /// True if a datagram was shorter than that: the last of the file.
    has_short: bool,
    started: Instant,
    last: Instant,
    failure: Option<String>,
}

/// Appends bare datagrams to files, one file per sender's address.
#[derive(Debug)]
pub struct NaiveReceiver<F: Folder> {
    settings: NaiveSettings,
    folder: F,
    streams: BTreeMap<SocketAddr, BareStream<F::File>>,
    finishing: Vec<(Finishing, ReceivedFile)>,
    received: VecDeque<ReceivedFile>,
    report: UdpFileReceiverReport,
}

impl<F: Folder> NaiveReceiver<F> {
    /// Creates a receiver that stores what it gets in `folder`.
    pub fn new(settings: NaiveSettings, folder: F) -> Self {
        let (received, report) = (VecDeque::new(), UdpFileReceiverReport::default());
        let (streams, finishing) = (BTreeMap::new(), Vec::new());
        Self { settings, folder, streams, finishing, received, report }
    }

    /// Returns the report so far.
    pub const fn report(&self) -> &UdpFileReceiverReport {
        &self.report
    }

    /// Returns the next file that is complete, in the order in which they were completed.
    pub fn next_received(&mut self) -> Option<ReceivedFile> {
        self.received.pop_front()
    }

    /// Takes in that a sender has said that its file is at its end.
    pub(super) fn handle_end(&mut self, now: Instant, from: SocketAddr) {
        if let Some(stream) = self.streams.get_mut(&from) {
            (stream.last, stream.has_short) = (now, true);
        }
    }

    /// Returns the size of the first datagram of a sender whose file is open.
    pub(super) fn chunk_size(&self, from: SocketAddr) -> Option<usize> {
        self.streams.get(&from).map(|stream| stream.chunk_size)
    }

    fn append(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> io::Result<()> {
        let stream = self.streams.entry(from).or_insert_with(|| BareStream {
            file: None,
            hasher: self.folder.hasher(),
            size: 0,
            datagrams: 0,
            chunk_size: datagram.len(),
            has_short: false,
            started: now,
            last: now,
            failure: None,
        });
        stream.last = now;
        stream.datagrams += 1;
        stream.has_short |= datagram.len() < stream.chunk_size;
        if stream.failure.is_some() {
            return Ok(());
        }
        if stream.size + datagram.len() as u64 > self.settings.size_max {
            let limit = self.settings.size_max;
            stream.failure = Some(format!("more than the {limit} bytes that the server takes"));
            return Ok(());
        }
        let file = match &mut stream.file {
            Some(file) => file,
            none => none.insert(self.folder.create()?),
        };
        file.write_at(stream.size, datagram)?;
        stream.hasher.update(datagram);
        stream.size += datagram.len() as u64;
        Ok(())
    }

    /// Finishes the files whose senders have fallen silent.
    fn advance(&mut self, now: Instant) {
        while let Some(peer) = self.next_due().filter(|(due, _)| *due <= now).map(|(_, peer)| peer)
        {
            let Some(stream) = self.streams.remove(&peer) else { return };
            let (finishing, received) = stream.finish(peer);
            match finishing {
                Some(finishing) => self.finishing.push((finishing, received)),
                None => self.tell(received),
            }
        }
        for (mut finishing, received) in std::mem::take(&mut self.finishing) {
            match finishing.poll(now) {
                Some(result) => self.handle_finished(received, result),
                None => self.finishing.push((finishing, received)),
            }
        }
    }

    fn handle_finished(&mut self, received: ReceivedFile, result: io::Result<StoredFile>) {
        let stored = result
            .map(|stored| (stored.name, stored.digest))
            .map_err(|error| format!("cannot store the file: {error}"));
        self.tell(ReceivedFile { stored, ..received });
    }

    fn tell(&mut self, received: ReceivedFile) {
        match received.stored {
            Ok(_) => self.report.stored += 1,
            Err(_) => self.report.failed += 1,
        }
        self.received.push_back(received);
    }

    fn next_due(&self) -> Option<(Instant, SocketAddr)> {
        let NaiveSettings { idle, short, .. } = self.settings;
        let wait = |stream: &BareStream<_>| short.filter(|_| stream.has_short).unwrap_or(idle);
        self.streams.iter().map(|(peer, stream)| (stream.last + wait(stream), *peer)).min()
    }
}

impl<P: Partial> BareStream<P> {
    /// Ends the file. What there is to tell is complete once it has its name, if it gets one.
    fn finish(self, peer: SocketAddr) -> (Option<Finishing>, ReceivedFile) {
        let stored = Err(self.failure.clone().unwrap_or_default());
        let elapsed = self.last.since(self.started);
        let (size, bare) = (self.size, Some(self.datagrams));
        let received =
            ReceivedFile { peer, stored, size, sent: None, elapsed, account: None, bare };
        match (self.failure, self.file) {
            (None, Some(file)) => (Some(file.finish(RestOfDigest::nothing(self.hasher))), received),
            _ => (None, received),
        }
    }
}

impl<F: Folder> Endpoint for NaiveReceiver<F> {
    fn handle(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        self.advance(now);
        let open = self.streams.len() + self.finishing.len();
        let is_full = open >= self.settings.transfers_max && !self.streams.contains_key(&from);
        if datagram.is_empty() || is_full {
            self.report.ignored += 1;
            return;
        }
        self.report.data += 1;
        if let Err(error) = self.append(now, from, datagram)
            && let Some(stream) = self.streams.get_mut(&from)
        {
            stream.failure = Some(format!("cannot store the file: {error}"));
        }
    }

    fn poll(&mut self, now: Instant) -> Option<Transmit> {
        self.advance(now);
        None
    }

    fn deadline(&self) -> Option<Instant> {
        let finishing = self.finishing.iter().map(|(finishing, _)| finishing.deadline());
        finishing.chain(self.next_due().map(|(due, _)| due)).min()
    }

    /// Finishes the files that are open: silence would have ended them, and so does the request to
    /// stop.
    fn handle_stop(&mut self, now: Instant) {
        self.advance(now + self.settings.idle);
        for (finishing, received) in std::mem::take(&mut self.finishing) {
            self.handle_finished(received, finishing.wait());
        }
    }

    fn is_finished(&self) -> bool {
        self.settings.once && self.report.stored + self.report.failed > 0
    }
}
