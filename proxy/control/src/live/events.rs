//! The fates of packets as they become known, for those who ask for them.
//!
//! Each reader has a sink of its own on the event loop, with a bounded queue behind it: what a slow
//! reader has no room for is counted and told, and traffic waits for nobody.

use super::hub::Live;
use super::stream;
use crate::context::Context;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use jostle_common::time::Instant;
use jostle_proxy::{Selection, Settled, Sink};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// The size of what is handed to a reader in one go.
const CHUNK_BYTES: usize = 16 << 10;

/// The most chunks that wait for a reader: 512 KiB.
const CHUNKS_MAX: usize = 32;

/// The longest a line waits for its chunk to fill.
const FLUSH_AFTER: Duration = Duration::from_millis(100);

/// The silence after which something is said: only who is written to is seen to have gone, as a
/// client may end its side and read on.
const SILENCE_MAX: Duration = Duration::from_secs(1);

/// Those who read events.
#[derive(Debug)]
pub(super) struct Readers {
    open: AtomicUsize,
    most: usize,
    /// Lines that found no room.
    lost: AtomicU64,
}

impl Readers {
    /// No more than so many at once.
    pub(super) const fn new(most: usize) -> Self {
        Self { open: AtomicUsize::new(0), most, lost: AtomicU64::new(0) }
    }

    /// Returns how many there are.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Returns how many lines slow ones have missed.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// The place of a reader. Dropping it makes it free.
struct Place(Arc<Live>);

impl Place {
    fn take(live: &Arc<Live>) -> Option<Self> {
        let Readers { open, most, .. } = &live.readers;
        let more = |open| (open < *most).then_some(open + 1);
        open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Self(Arc::clone(live)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.readers.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Answers with the fates that the query asks for.
pub(super) async fn events(
    State(context): State<Context>,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    let mut only = Selection::ALL;
    let bad = query.iter().find_map(|(key, value)| only.want(key, value).err());
    if let Some(error) = bad {
        return stream::refused(StatusCode::BAD_REQUEST, &error);
    }
    let Some(place) = Place::take(&context.live) else {
        return stream::too_many(context.live.readers.most);
    };
    let (queue, chunks) = mpsc::channel(CHUNKS_MAX);
    let reader = Box::new(Reader::new(only, queue, Arc::clone(&context.live)));
    let registry = context.registry;
    let added = tokio::task::spawn_blocking(move || registry.control().add_sink(reader)).await;
    if let Ok(Err(error)) = added {
        return stream::refused(StatusCode::SERVICE_UNAVAILABLE, &error.to_string());
    }
    let (events, response) = stream::channel();
    tokio::spawn(pass_on(chunks, events, place));
    response
}

/// Passes chunks on until the reader has gone, or the proxy has ended.
async fn pass_on(mut chunks: mpsc::Receiver<Bytes>, events: mpsc::Sender<Bytes>, _place: Place) {
    // The first says that the answer has begun.
    let mut silence = tokio::time::interval(SILENCE_MAX);
    loop {
        let next = tokio::select! {
            () = events.closed() => return,
            chunk = chunks.recv() => chunk,
            _ = silence.tick() => Some(Bytes::from_static(b":\n\n")),
        };
        silence.reset();
        let Some(next) = next else { return };
        if events.send(next).await.is_err() {
            return;
        }
    }
}

/// The sink of a reader.
struct Reader {
    only: Selection,
    chunk: Vec<u8>,
    /// When the oldest line of the chunk is to be handed on.
    due: Option<Instant>,
    queue: mpsc::Sender<Bytes>,
    /// Lines that were lost since that was last told.
    lost: u64,
    live: Arc<Live>,
}

impl Reader {
    const fn new(only: Selection, queue: mpsc::Sender<Bytes>, live: Arc<Live>) -> Self {
        Self { only, chunk: Vec::new(), due: None, queue, lost: 0, live }
    }

    /// Hands the chunk on; false if there is no room. Then the next one says what was lost.
    fn hand_on(&mut self) -> bool {
        let Ok(room) = self.queue.try_reserve() else { return false };
        room.send(std::mem::take(&mut self.chunk).into());
        let lost = std::mem::take(&mut self.lost);
        if lost > 0 {
            let told = format!(r#"{{"lost":{lost}}}"#);
            self.chunk.extend_from_slice(&stream::event("lost", told.as_bytes()));
        }
        true
    }
}

impl Sink for Reader {
    fn record(&mut self, settled: &Settled<'_>) {
        if !self.only.wants(settled) {
            return;
        }
        if self.chunk.len() >= CHUNK_BYTES && !self.hand_on() {
            self.lost += 1;
            self.live.readers.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.chunk.extend_from_slice(b"data: ");
        settled.write(&mut self.chunk).expect("memory takes whatever is written");
        self.chunk.push(b'\n');
        self.due = self.due.or(Some(settled.released + FLUSH_AFTER));
    }

    fn deadline(&self) -> Option<Instant> {
        self.due
    }

    fn flush(&mut self, now: Instant) {
        if self.due.is_none_or(|at| at > now) {
            return;
        }
        let empty = self.hand_on() && self.chunk.is_empty();
        self.due = (!empty).then_some(now + FLUSH_AFTER);
    }

    fn is_over(&self) -> bool {
        self.queue.is_closed()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if !self.chunk.is_empty() {
            self.hand_on();
        }
    }
}
