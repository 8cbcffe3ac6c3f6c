//! The server's counts, kept by all its threads.

use std::sync::atomic::{AtomicU64, Ordering};

/// A count that many threads add to.
#[derive(Debug, Default)]
pub(in crate::http) struct Count(AtomicU64);

impl Count {
    pub(in crate::http) fn add(&self, more: u64) -> u64 {
        self.0.fetch_add(more, Ordering::Relaxed) + more
    }

    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
pub(in crate::http) struct HttpCounts {
    pub(in crate::http) connections: Count,
    pub(in crate::http) requests: Count,
    statuses: [Count; 5],
    pub(in crate::http) bytes: Count,
    pub(in crate::http) stored: Count,
    pub(in crate::http) unstored: Count,
    pub(in crate::http) panics: Count,
    pub(in crate::http) idle: Count,
    pub(in crate::http) malformed: Count,
    pub(in crate::http) yielded: Count,
    pub(in crate::http) slow_heads: Count,
    pub(in crate::http) slow_bodies: Count,
    pub(in crate::http) slow_readers: Count,
    pub(in crate::http) undigested: Count,
    pub(in crate::http) accept_paused: Count,
}

impl HttpCounts {
    /// Counts an answer with this status.
    pub(in crate::http) fn status(&self, status: u16) {
        if let Some(count) = self.statuses.get(usize::from(status / 100).wrapping_sub(1)) {
            count.add(1);
        }
    }

    pub(in crate::http) fn totals(&self) -> HttpTotals {
        HttpTotals {
            connections: self.connections.now(),
            requests: self.requests.now(),
            succeeded: self.statuses[1].now(),
            redirected: self.statuses[2].now(),
            refused: self.statuses[3].now(),
            failed: self.statuses[4].now(),
            bytes: self.bytes.now(),
            stored: self.stored.now(),
            unstored: self.unstored.now(),
            panics: self.panics.now(),
            idle: self.idle.now(),
            malformed: self.malformed.now(),
            yielded: self.yielded.now(),
            slow_heads: self.slow_heads.now(),
            slow_bodies: self.slow_bodies.now(),
            slow_readers: self.slow_readers.now(),
            undigested: self.undigested.now(),
            read_ahead_full: 0,
            accept_paused: self.accept_paused.now(),
        }
    }
}

/// The totals of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HttpTotals {
    /// Connections that were accepted.
    pub connections: u64,
    /// Requests whose head was read.
    pub requests: u64,
    /// Answers with a status from 200 to 299.
    pub succeeded: u64,
    /// Answers with a status from 300 to 399.
    pub redirected: u64,
    /// Answers with a status from 400 to 499.
    pub refused: u64,
    /// Answers with a status from 500.
    pub failed: u64,
    /// Bytes of answers' bodies.
    pub bytes: u64,
    /// Uploads that were stored.
    pub stored: u64,
    /// Uploads that were begun and not stored.
    pub unstored: u64,
    /// Answers that panicked.
    pub panics: u64,
    /// Connections closed because nothing was asked.
    pub idle: u64,
    /// Connections closed because what came is no request (RFC 9112).
    pub malformed: u64,
    /// Connections closed because nothing was asked and another needed the place.
    pub yielded: u64,
    /// Connections closed because a request's head took too long.
    pub slow_heads: u64,
    /// Uploads that came too slowly.
    pub slow_bodies: u64,
    /// Connections closed because the answer was not read.
    pub slow_readers: u64,
    /// Answers without the digest that they should have, as it took too long or its client had
    /// gone.
    pub undigested: u64,
    /// Pieces of files that were read small, as all memory for large ones was in use.
    pub read_ahead_full: u64,
    /// The number of times that there was no descriptor left for a connection.
    pub accept_paused: u64,
}
