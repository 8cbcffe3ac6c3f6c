//! The settings of a receiver and its results: the fate of one transfer, and the counts of all.

use super::TcpFileReceived;
use super::account::{ChunkAccount, ChunkCounts};
use jostle_common::digest::Digest;
use std::net::SocketAddr;
use std::time::Duration;

/// The settings of a [`UdpFileReceiver`](super::UdpFileReceiver).
#[derive(Clone, Copy, Debug)]
pub struct UdpFileReceiverSettings {
    /// The largest file it accepts, in bytes.
    pub size_max: u64,
    /// The most transfers of which chunks may come at once.
    pub transfers_max: usize,
    /// The most transfers that one source may have open at once.
    pub per_source_max: usize,
    /// The secret of the cookies; random where strangers may send.
    pub secret: [u8; 32],
    /// The silence after which an unfinished transfer is given up.
    pub idle: Duration,
    /// The time that it waits, after the sender is done and after the last chunk, for chunks that
    /// were overtaken.
    pub settle: Duration,
    /// The time for which it still answers for a transfer that has ended.
    pub linger: Duration,
    /// True if it ends after one transfer.
    pub once: bool,
}

impl Default for UdpFileReceiverSettings {
    fn default() -> Self {
        Self {
            size_max: 4 << 30,
            transfers_max: 64,
            per_source_max: 16,
            secret: [0; 32],
            idle: Duration::from_secs(60),
            settle: Duration::from_millis(500),
            // The client asks every 200 ms: fifty requests would have to be lost in a row.
            linger: Duration::from_secs(10),
            once: false,
        }
    }
}

/// The result of one transfer.
#[derive(Clone, Debug)]
pub struct ReceivedFile {
    /// The address of its sender.
    pub peer: SocketAddr,
    /// The name and the digest of what was stored, or the reason why nothing was.
    pub stored: Result<(String, Digest), String>,
    /// The size of the file in bytes.
    pub size: u64,
    /// The digest of what was sent, if the sender said it.
    pub sent: Option<Digest>,
    /// From the announcement to the last data datagram.
    pub elapsed: Duration,
    /// The fate of each chunk; `None` for bare datagrams, which tell nothing of the kind.
    pub account: Option<ChunkAccount>,
    /// The number of bare datagrams that it came in; `None` when it came otherwise.
    pub bare: Option<u64>,
}

impl ReceivedFile {
    /// Returns the result of a file over TCP, which tells nothing of chunks.
    pub fn over_tcp(peer: SocketAddr, received: TcpFileReceived) -> Self {
        let TcpFileReceived { stored, size, elapsed } = received;
        Self { peer, stored, size, sent: None, elapsed, account: None, bare: None }
    }

    /// Returns true if all of what was sent was stored; false when that is not known.
    pub fn is_equal(&self) -> bool {
        matches!((&self.stored, self.sent), (Ok((_, stored)), Some(sent)) if *stored == sent)
    }

    /// Returns the counts of the chunks by their fate, if they were numbered.
    pub fn counts(&self) -> Option<ChunkCounts> {
        self.account.as_ref().map(ChunkAccount::counts)
    }
}

/// The counts of a receiver so far, over all transfers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UdpFileReceiverReport {
    /// Data datagrams that arrived for an open transfer.
    pub data: u64,
    /// Data datagrams for a transfer that is over or was never announced.
    pub stray: u64,
    /// Control datagrams that made sense.
    pub control: u64,
    /// Datagrams with a wrong CRC that belong to no chunk's account.
    pub damaged: u64,
    /// Datagrams that were whole and made no sense.
    pub ignored: u64,
    /// Announcements from a source that had yet to prove its address.
    pub unproved: u64,
    /// Announcements left unanswered, since a place may soon be free.
    pub waiting: u64,
    /// Files that were refused.
    pub refused: u64,
    /// Announcements that were forgotten, since there were too many without a chunk.
    pub forgotten: u64,
    /// Transfers that gave their place to another, since their sender was silent.
    pub yielded: u64,
    /// Transfers that ended with a stored file.
    pub stored: u64,
    /// Transfers that failed.
    pub failed: u64,
}
