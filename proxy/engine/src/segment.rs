//! A segment of the modelled TCP: what its header says. The payload itself stays with the
//! connection, which hands it out when the receiver has it in order.

use jostle_common::ecn::Ecn;
use jostle_common::time::Instant;
use std::ops::Range;

/// IP and TCP headers with timestamps, in bytes.
const HEADER: u32 = 52;

/// IP and TCP headers of a SYN, with its options, in bytes.
const SYN: u32 = 60;

/// The most SACK blocks that fit next to timestamps (RFC 2018 §3).
pub(crate) const SACK_BLOCKS_MAX: usize = 3;

/// A segment on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// The client asks for a connection.
    Syn {
        /// The time at which it was sent (its timestamp).
        sent: Instant,
    },
    /// The server agrees.
    SynAck {
        /// The time at which it was sent.
        sent: Instant,
        /// The time at which the SYN that it answers was sent (the echoed timestamp).
        echo: Instant,
    },
    /// Bytes of the stream.
    Data(Data),
    /// The receiver's account of what it has.
    Ack(Ack),
}

/// A piece of the stream on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// The offset of its first byte in the stream.
    pub start: u64,
    /// The bytes of payload.
    pub payload: u32,
    /// True if the stream ends behind it; the end takes one place in the stream of its own.
    pub fin: bool,
    /// The time at which it was sent.
    pub sent: Instant,
    /// What its IP header says of congestion when it is sent.
    pub ecn: Ecn,
    /// True if its sender has answered the marks that it was told of (CWR).
    pub answered: bool,
}

impl Data {
    /// Returns the first offset behind it.
    pub const fn end(&self) -> u64 {
        self.start + self.payload as u64 + self.fin as u64
    }

    /// Returns the bytes on the wire, headers and options included.
    pub(crate) const fn wire_size(&self) -> u32 {
        HEADER + self.payload
    }
}

/// The receiver's account of what it had when it sent this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Everything before this offset has arrived.
    pub next: u64,
    /// The bytes that have arrived beyond, the block with the latest arrival first.
    pub blocks: Blocks,
    /// The time at which the segment that caused it was sent: for a delayed one, the first that
    /// waited (RFC 7323 §4.3).
    pub echo: Instant,
    /// True if a mark came that the sender has not answered yet (ECE).
    pub congested: bool,
    /// The number of segments that came marked, if the sender answers each mark; else 0.
    pub marked: u64,
}

/// The SACK blocks of an acknowledgement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blocks {
    ranges: [Range<u64>; SACK_BLOCKS_MAX],
    count: u8,
}

impl Blocks {
    /// Adds a block; one too many is left out.
    pub(crate) fn push(&mut self, block: Range<u64>) {
        if let Some(place) = self.ranges.get_mut(usize::from(self.count)) {
            *place = block;
            self.count += 1;
        }
    }

    /// Returns the blocks.
    pub fn as_slice(&self) -> &[Range<u64>] {
        &self.ranges[..usize::from(self.count)]
    }
}

impl Segment {
    /// Returns the bytes of payload.
    pub const fn payload(&self) -> u32 {
        match self {
            Self::Data(data) => data.payload,
            Self::Syn { .. } | Self::SynAck { .. } | Self::Ack(_) => 0,
        }
    }

    /// Returns the bytes on the wire, headers and options included.
    pub const fn wire_size(&self) -> u32 {
        match self {
            Self::Syn { .. } | Self::SynAck { .. } => SYN,
            Self::Data(data) => data.wire_size(),
            // Two bytes of padding, kind and length, then two sequence numbers each (RFC 2018 §3).
            Self::Ack(Ack { blocks, .. }) => match blocks.count {
                0 => HEADER,
                count => HEADER + 4 + 8 * count as u32,
            },
        }
    }

    /// Returns what its IP header says of congestion when it is sent: acknowledgements and handshakes
    /// take no marks (RFC 3168 §6.1.1 and §6.1.4).
    pub const fn ecn(&self) -> Ecn {
        match self {
            Self::Data(data) => data.ecn,
            Self::Syn { .. } | Self::SynAck { .. } | Self::Ack(_) => Ecn::NotEct,
        }
    }

    /// Returns the kind of segment, for events.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Syn { .. } => "syn",
            Self::SynAck { .. } => "syn_ack",
            Self::Data(Data { fin: true, .. }) => "fin",
            Self::Data(_) => "data",
            Self::Ack(_) => "ack",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(start: u64, sent: Instant) -> Data {
        Data { start, payload: 5, fin: true, sent, ecn: Ecn::NotEct, answered: false }
    }

    #[test]
    fn sizes_are_those_of_linux_with_timestamps() {
        let sent = Instant::START;
        assert_eq!(Segment::Syn { sent }.wire_size(), 60);
        assert_eq!(Segment::SynAck { sent, echo: sent }.wire_size(), 60);
        assert_eq!(Segment::Data(Data { payload: 1448, ..data(0, sent) }).wire_size(), 1500);
        let blocks = Blocks::default();
        let mut ack = Ack { next: 7, blocks, echo: sent, congested: false, marked: 0 };
        for size in [52, 64, 72, 80, 80] {
            assert_eq!(Segment::Ack(ack.clone()).wire_size(), size);
            ack.blocks.push(10..20);
        }
    }

    #[test]
    fn the_end_of_the_stream_takes_a_place() {
        let data = data(10, Instant::START);
        assert_eq!(data.end(), 16);
        assert_eq!(Data { fin: false, ..data }.end(), 15);
    }
}
