//! The loop's end of a capture: it writes notes into chunks, and never waits.

use super::note::{Chunk, Content, FlowKey, Note, Outcome, Span, What};
use crate::fate::{Fate, Loss, Settled};
use crate::observed::{FlowEvent, Observed};
use crate::sinks::Sink;
use jostle_common::time::Instant;
use jostle_common::transport::Transport;
use jostle_engine::packet::{Body, Packet};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

/// The bytes after which a chunk is handed on.
const CHUNK_BYTES: usize = 256 << 10;

/// The notes after which a chunk is handed on.
const CHUNK_NOTES: usize = 1024;

/// The most bytes of a chunk while the queue is full; what is more is lost.
const CHUNK_BYTES_MAX: usize = 2 * CHUNK_BYTES;

/// The most notes of a chunk while the queue is full.
const CHUNK_NOTES_MAX: usize = 2 * CHUNK_NOTES;

/// The longest a note waits for its chunk to fill.
const FLUSH_AFTER: Duration = Duration::from_millis(20);

/// What both threads count.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Packets that are not in the capture.
    pub(super) lost: AtomicU64,
    /// The time since 1970 at which the run began, in nanoseconds.
    pub(super) epoch: AtomicU64,
}

/// The sink.
pub(super) struct CaptureSink {
    chunk: Chunk,
    queue: SyncSender<Chunk>,
    /// When the oldest note of the chunk is to be handed on.
    due: Option<Instant>,
    /// Set once the writer was told that the run has begun.
    is_begun: bool,
    routes: BTreeMap<String, u32>,
    /// Set when notes were lost that the writer has not been told of.
    is_missing: bool,
    shared: Arc<Shared>,
}

impl CaptureSink {
    pub(super) fn new(queue: SyncSender<Chunk>, shared: Arc<Shared>) -> Self {
        let (chunk, routes) = (Chunk::default(), BTreeMap::new());
        // Its first flush says that the run has begun.
        let due = Some(Instant::START);
        Self { chunk, queue, due, is_begun: false, routes, is_missing: false, shared }
    }

    /// Makes room for a note, and returns the key of its flow; `None` if there is none.
    fn begin_note(
        &mut self,
        route: &str,
        transport: Transport,
        flow: u32,
        at: Instant,
    ) -> Option<FlowKey> {
        if self.chunk.notes.len() >= CHUNK_NOTES || self.chunk.bytes.len() >= CHUNK_BYTES {
            self.hand_on();
            let full = self.chunk.notes.len() >= CHUNK_NOTES_MAX
                || self.chunk.bytes.len() >= CHUNK_BYTES_MAX;
            if full {
                self.is_missing = true;
                return None;
            }
        }
        let known = self.routes.get(route).copied();
        let number = known.unwrap_or(self.routes.len() as u32);
        let key = FlowKey { route: number, transport, flow };
        if known.is_none() {
            self.routes.insert(route.to_owned(), number);
            let name = self.chunk.keep(route.as_bytes());
            self.chunk.notes.push(Note { key, at, what: What::Route(name) });
        }
        if std::mem::take(&mut self.is_missing) {
            self.chunk.notes.push(Note { key, at, what: What::Missing });
        }
        Some(key)
    }

    fn add(&mut self, key: FlowKey, at: Instant, what: What) {
        self.due = self.due.or(Some(at + FLUSH_AFTER));
        self.chunk.notes.push(Note { key, at, what });
    }

    fn lose(&self, packets: u64) {
        self.shared.lost.fetch_add(packets, Ordering::Relaxed);
    }

    /// Hands the chunk to the writer, unless the queue is full.
    fn hand_on(&mut self) {
        if self.chunk.notes.is_empty() && self.is_begun {
            return;
        }
        self.is_begun = true;
        match self.queue.try_send(std::mem::take(&mut self.chunk)) {
            Ok(()) => self.due = None,
            Err(TrySendError::Full(chunk)) => self.chunk = chunk,
            Err(TrySendError::Disconnected(chunk)) => {
                self.due = None;
                self.lose(chunk.notes.iter().map(|note| note.what.packets()).sum());
            }
        }
    }

    fn content(&mut self, packet: &Packet) -> Content {
        match packet.body() {
            Body::Data(bytes) => Content::Bytes(self.chunk.keep(bytes)),
            Body::Segment(segment) => Content::Segment(segment.clone()),
            // It never leaves a link.
            Body::Cross(_) => Content::Bytes(self.chunk.keep(&[])),
            Body::End => Content::Finish,
            Body::Reset => Content::Reset,
        }
    }

    fn left(&mut self, packet: &Packet, fate: Fate, rules: Span) -> Outcome {
        Outcome {
            loss: match fate {
                Fate::Delivered => None,
                Fate::Discarded(loss) => Some(loss),
            },
            due: packet.at,
            entered: packet.entered,
            copy: packet.copy(),
            flipped_bits: packet.flipped_bits(),
            ecn: packet.ecn,
            marked: packet.is_marked(),
            rules,
        }
    }
}

impl Sink for CaptureSink {
    fn begin(&mut self, epoch: Duration) {
        self.shared.epoch.store(epoch.as_nanos() as u64, Ordering::Relaxed);
    }

    fn observes(&self) -> bool {
        true
    }

    fn record(&mut self, settled: &Settled<'_>) {
        let Settled { route, transport, direction, packet, fate, released, .. } = *settled;
        let Some(key) = self.begin_note(route, transport, packet.flow, released) else {
            return self.lose(1);
        };
        let start = self.chunk.bytes.len() as u32;
        for (rule, drawn) in settled.draws() {
            let bytes = &mut self.chunk.bytes;
            if bytes.len() as u32 > start {
                bytes.extend_from_slice(b", ");
            }
            bytes.extend_from_slice(rule.as_bytes());
            if let Some((number, below)) = drawn
                && let Fate::Discarded(Loss::Link(_)) = fate
            {
                let _ = write!(bytes, ": drew {number:.6} of {below}");
            }
        }
        let rules = Span { start, length: self.chunk.bytes.len() as u32 - start };
        let outcome = self.left(packet, fate, rules);
        let content = self.content(packet);
        self.add(key, released, What::Left(direction, packet.number, content, outcome));
    }

    fn observe(&mut self, observed: &Observed<'_>) {
        let Observed { route, transport, flow, at, event } = *observed;
        let Some(key) = self.begin_note(route, transport, flow, at) else {
            let lost = match event {
                FlowEvent::Arrived(_, packet) => u64::from(!packet.is_mark()),
                FlowEvent::Passed(..) => 2,
                _ => 0,
            };
            return self.lose(lost);
        };
        let what = match event {
            FlowEvent::Opened { client, listener, crossing } => {
                What::Opened { client, listener, crossing }
            }
            FlowEvent::Reached { local, upstream } => What::Reached { local, upstream },
            // The addresses say where it went.
            FlowEvent::AskedFor(_) => return,
            FlowEvent::Rebound { to: local, upstream, .. } => What::Reached { local, upstream },
            FlowEvent::Connected => What::Connected,
            FlowEvent::Crosses(crossing) => What::Crosses(crossing),
            FlowEvent::Arrived(direction, packet) => {
                let content = self.content(packet);
                What::Arrived(direction, packet.number, packet.ecn, content)
            }
            FlowEvent::Left(direction, packet) => {
                let content = self.content(packet);
                let outcome = self.left(packet, Fate::Delivered, Span::default());
                What::Left(direction, 0, content, outcome)
            }
            FlowEvent::Pushed(direction, bytes) => What::Pushed(direction, self.chunk.keep(bytes)),
            FlowEvent::Passed(direction, bytes) => What::Passed(direction, self.chunk.keep(bytes)),
            FlowEvent::Ended(direction) => What::Ended(direction),
            FlowEvent::Reset(direction) => What::Reset(direction),
            FlowEvent::TornDown => What::TornDown,
            FlowEvent::Closed => What::Closed,
        };
        self.add(key, at, what);
    }

    fn deadline(&self) -> Option<Instant> {
        self.due
    }

    fn flush(&mut self, now: Instant) {
        if self.due.is_some_and(|at| at <= now) {
            self.hand_on();
            // A full queue is tried again then.
            self.due = (!self.chunk.notes.is_empty()).then_some(now + FLUSH_AFTER);
        }
    }
}

impl Drop for CaptureSink {
    fn drop(&mut self) {
        self.hand_on();
        self.lose(self.chunk.notes.iter().map(|note| note.what.packets()).sum());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jostle_common::chance::Direction;
    use std::sync::mpsc::{self, Receiver};

    fn passed(sink: &mut CaptureSink, count: usize, bytes: &[u8]) {
        for number in 0..count {
            let at = Instant::from_micros(number as u64);
            let event = FlowEvent::Passed(Direction::Up, bytes);
            let (route, transport) = ("web", Transport::Tcp);
            sink.observe(&Observed { route, transport, flow: 1, at, event });
        }
    }

    fn notes(chunks: &Receiver<Chunk>) -> Vec<What> {
        chunks.try_iter().flat_map(|chunk| chunk.notes).map(|note| note.what).collect()
    }

    /// Nobody takes what is told: what finds no room is counted, and told of once there is room.
    #[test]
    fn a_writer_that_stands_still_costs_packets_and_stops_nothing() {
        for (length, count) in [(1, 100_000), (60_000, 1_000)] {
            let (queue, chunks) = mpsc::sync_channel(4);
            let shared = Arc::new(Shared::default());
            let mut sink = CaptureSink::new(queue, Arc::clone(&shared));
            passed(&mut sink, count, &vec![7; length]);
            let lost = shared.lost.load(Ordering::Relaxed);
            let held = count as u64 - lost / 2;
            let bytes = (4 * CHUNK_BYTES + CHUNK_BYTES_MAX + 5 * length) as u64;
            let most = (4 * CHUNK_NOTES as u64 + CHUNK_NOTES_MAX as u64).min(bytes / length as u64);
            assert!(held <= most && held > most / 2, "{length}: {held} of at most {most}");
            let told = notes(&chunks);
            assert!(!told.contains(&What::Missing));
            // Now there is room.
            passed(&mut sink, 1, b"x");
            drop(sink);
            let told = [told, notes(&chunks)].concat();
            assert_eq!(told.iter().filter(|what| **what == What::Missing).count(), 1);
            assert_eq!(told[0], What::Route(Span { start: 0, length: 3 }));
            let all: u64 = told.iter().map(What::packets).sum();
            assert_eq!(all, 2 * (held + 1), "the rest is counted");
            assert_eq!(shared.lost.load(Ordering::Relaxed), lost);
        }
    }

    #[test]
    fn a_writer_that_has_gone_costs_all_that_comes() {
        let (queue, chunks) = mpsc::sync_channel(4);
        drop(chunks);
        let shared = Arc::new(Shared::default());
        let mut sink = CaptureSink::new(queue, Arc::clone(&shared));
        passed(&mut sink, 5_000, b"x");
        drop(sink);
        assert_eq!(shared.lost.load(Ordering::Relaxed), 10_000);
    }
}
