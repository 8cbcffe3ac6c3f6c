//! The limits of a server.

use crate::http::pace::Least;
use std::time::Duration;

/// The number of threads that may wait for the disk at once.
pub(super) const FILE_THREADS_MAX: usize = 64;

/// The limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The number of connections that are served at once; further ones wait in the system's
    /// backlog.
    pub connections: usize,
    /// The largest head of a request, in bytes.
    pub head_bytes: usize,
    /// The time that a head may take from its first byte.
    pub head_time: Duration,
    /// The time that a connection may be idle between requests.
    pub idle: Duration,
    /// The least pace of a client that sends a body or reads an answer.
    pub least: Least,
    /// The largest upload, in bytes.
    pub body_bytes: u64,
    /// The memory for large pieces of files on their way to quick readers, over all connections, in
    /// bytes. Each reader has less than 64 KiB besides.
    pub read_ahead_bytes: u64,
    /// The bytes of all uploads that are stored.
    pub stored_bytes: u64,
    /// The threads that serve.
    pub threads: usize,
    /// True to end when the first connection has ended.
    pub once: bool,
    /// True to tell of every answer, and not of stored files only.
    pub log: bool,
}

impl Limits {
    /// The number of connections unless told otherwise.
    pub const CONNECTIONS: usize = 8192;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: Self::CONNECTIONS,
            head_bytes: 16 << 10,
            head_time: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            least: Least { bytes: 7500, within: Duration::from_secs(60) },
            body_bytes: 4 << 30,
            read_ahead_bytes: 32 << 20,
            stored_bytes: 64 << 30,
            threads: std::thread::available_parallelism().map_or(2, Into::into),
            once: false,
            log: false,
        }
    }
}
