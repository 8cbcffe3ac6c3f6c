//! How much of a file is read before its reader takes it: little for a slow reader, more for one
//! that keeps asking, out of memory that all share.

use jostle_common::time::Instant;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The piece that every reader gets. With a piece of the same size that the system holds unsent,
/// and the buffers of a connection, a reader that stands still costs less than 64 KiB.
pub(crate) const PIECE_LEAST: u64 = 16 << 10;
/// The piece of a quick reader.
const PIECE_MOST: u64 = 128 << 10;
/// What a quick reader has in memory: a piece on its way, and the next.
const QUICK_READER_BYTES: u64 = 2 * PIECE_MOST;
/// A quick reader takes so much without a pause: more than buffers on the way hold.
const QUICK_BYTES: u64 = 512 << 10;
/// The time that a quick reader may take for [`PIECE_LEAST`]: 4 MiB/s.
const QUICK_WITHIN: Duration = Duration::from_millis(4);

/// The memory for large pieces, which all answers share.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    readers: Arc<Semaphore>,
    full: AtomicU64,
}

impl ReadAhead {
    /// Creates room for large pieces of `bytes` in all.
    pub(crate) fn new(bytes: u64) -> Self {
        let readers = usize::try_from(bytes / QUICK_READER_BYTES).unwrap_or(usize::MAX);
        let readers = Arc::new(Semaphore::new(readers.min(Semaphore::MAX_PERMITS)));
        Self { readers, full: AtomicU64::new(0) }
    }

    /// Returns the number of large pieces that there was no room for.
    pub(crate) fn full(&self) -> u64 {
        self.full.load(Ordering::Relaxed)
    }

    fn place(&self) -> Option<OwnedSemaphorePermit> {
        let place = self.readers.clone().try_acquire_owned().ok();
        if place.is_none() {
            self.full.fetch_add(1, Ordering::Relaxed);
        }
        place
    }
}

/// The pace at which one reader takes pieces, and the size of the next.
#[derive(Debug, Default)]
pub(crate) struct Appetite {
    last: Option<(Instant, u64)>,
    /// The bytes that were taken without a pause.
    quick: u64,
    place: Option<OwnedSemaphorePermit>,
}

impl Appetite {
    /// Notes that a piece of `bytes` is taken at `now`.
    pub(crate) fn handle_piece(&mut self, now: Instant, bytes: u64, shared: &ReadAhead) {
        if let Some((since, before)) = self.last {
            let within = QUICK_WITHIN.mul_f64(before as f64 / PIECE_LEAST as f64);
            self.quick = if now.since(since) <= within { self.quick + before } else { 0 };
        }
        self.last = Some((now, bytes));
        if self.quick < QUICK_BYTES {
            self.place = None;
        } else if self.place.is_none() {
            self.place = shared.place();
        }
    }

    /// Returns the size of the next piece.
    pub(crate) const fn piece(&self) -> u64 {
        if self.reads_ahead() { PIECE_MOST } else { PIECE_LEAST }
    }

    /// Returns true if the next piece is read while the last is sent.
    pub(crate) const fn reads_ahead(&self) -> bool {
        self.place.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `count` pieces, one after each `every`, from `now` on.
    fn take(
        appetite: &mut Appetite,
        now: &mut Instant,
        every: Duration,
        count: usize,
        shared: &ReadAhead,
    ) {
        for _ in 0..count {
            *now += every;
            let bytes = appetite.piece();
            appetite.handle_piece(*now, bytes, shared);
        }
    }

    #[test]
    fn only_who_keeps_asking_gets_large_pieces_and_loses_them_by_a_pause() {
        let shared = ReadAhead::new(QUICK_READER_BYTES);
        let (mut appetite, mut now) = (Appetite::default(), Instant::START);
        let quick = Duration::from_millis(3);
        let before = (QUICK_BYTES / PIECE_LEAST) as usize;
        take(&mut appetite, &mut now, quick, before, &shared);
        assert_eq!(appetite.piece(), PIECE_LEAST, "buffers on the way take so much at once");
        take(&mut appetite, &mut now, quick, 2, &shared);
        assert_eq!(appetite.piece(), PIECE_MOST);
        // A large piece may take as much longer.
        take(&mut appetite, &mut now, QUICK_WITHIN * 8, 3, &shared);
        assert_eq!(appetite.piece(), PIECE_MOST);
        take(&mut appetite, &mut now, QUICK_WITHIN * 9, 1, &shared);
        assert_eq!(appetite.piece(), PIECE_LEAST);
        take(&mut appetite, &mut now, Duration::from_millis(5), 100, &shared);
        assert_eq!((appetite.piece(), shared.full()), (PIECE_LEAST, 0));
    }

    #[test]
    fn large_pieces_have_a_bound_over_all_readers() {
        let shared = ReadAhead::new(2 * QUICK_READER_BYTES);
        let mut readers: Vec<_> = (0..3).map(|_| (Appetite::default(), Instant::START)).collect();
        for (appetite, now) in &mut readers {
            take(appetite, now, Duration::ZERO, 40, &shared);
        }
        let sizes: Vec<_> = readers.iter().map(|(appetite, _)| appetite.piece()).collect();
        assert_eq!(sizes, [PIECE_MOST, PIECE_MOST, PIECE_LEAST]);
        assert!(shared.full() > 0, "what there was no room for is counted");
        // The first goes, and the third has its turn.
        readers.remove(0);
        let (appetite, now) = &mut readers[1];
        take(appetite, now, Duration::ZERO, 1, &shared);
        assert_eq!(appetite.piece(), PIECE_MOST);
    }
}
