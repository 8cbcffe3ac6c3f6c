//! A segment that was sent and is not acknowledged.

use jostle_common::time::Instant;

/// A segment that was sent.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    /// Its first offset.
    pub(super) start: u64,
    /// The places it takes in the stream, the end's included.
    pub(super) length: u32,
    /// The time at which it was last sent.
    pub(super) at: Instant,
    pub(super) sacked: bool,
    pub(super) lost: bool,
    /// True if a retransmission of it is taken to be in flight.
    pub(super) retransmitted: bool,
    /// True if it was ever sent again.
    pub(super) ever_retransmitted: bool,
}

impl Sent {
    pub(super) const fn end(&self) -> u64 {
        self.start + self.length as u64
    }

    /// Returns true if it waits to be sent again.
    pub(super) const fn is_missing(&self) -> bool {
        self.lost && !self.retransmitted
    }
}
