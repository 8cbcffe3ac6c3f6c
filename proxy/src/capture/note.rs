//! What the event loop tells the thread that writes a capture: small notes, and the bytes that
//! they speak of, many of both in a chunk.

use crate::fate::Loss;
use crate::observed::Crossing;
use jostle_common::chance::Direction;
use jostle_common::ecn::Ecn;
use jostle_common::time::Instant;
use jostle_common::transport::Transport;
use jostle_engine::tcp::Segment;
use std::net::SocketAddr;

/// A place among the bytes of a chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) length: u32,
}

/// A flow or connection of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FlowKey {
    /// The number of the route's name, in the order in which they were told.
    pub(super) route: u32,
    pub(super) transport: Transport,
    pub(super) flow: u32,
}

/// A packet of a route, among all that cross it in its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct PacketKey {
    pub(super) route: u32,
    pub(super) transport: Transport,
    pub(super) direction: Direction,
    pub(super) number: u64,
}

/// The content of a packet.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Content {
    Bytes(Span),
    Segment(Box<Segment>),
    Finish,
    Reset,
}

/// What became of a packet.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Outcome {
    /// The place and reason of a discard; `None` if it was delivered.
    pub(super) loss: Option<Loss>,
    /// The time at which it was due to leave.
    pub(super) due: Instant,
    pub(super) entered: Instant,
    pub(super) copy: u32,
    pub(super) flipped_bits: u32,
    /// What its IP header says of congestion when it leaves.
    pub(super) ecn: Ecn,
    /// Set if a rule made it say so.
    pub(super) marked: bool,
    /// The names of the rules that chose it, as they stand in a comment.
    pub(super) rules: Span,
}

/// A note.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Note {
    pub(super) key: FlowKey,
    pub(super) at: Instant,
    pub(super) what: What,
}

/// What a note tells.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum What {
    /// The name of the route with the number of the key.
    Route(Span),
    /// Notes are missing in front of this one.
    Missing,
    Opened {
        client: SocketAddr,
        listener: SocketAddr,
        crossing: Crossing,
    },
    Reached {
        local: SocketAddr,
        upstream: SocketAddr,
    },
    Connected,
    Crosses(Crossing),
    Arrived(Direction, u64, Ecn, Content),
    Left(Direction, u64, Content, Outcome),
    Pushed(Direction, Span),
    Passed(Direction, Span),
    Ended(Direction),
    Reset(Direction),
    TornDown,
    Closed,
}

impl What {
    /// Returns how many packets of the capture are lost with this note.
    pub(super) const fn packets(&self) -> u64 {
        match self {
            Self::Arrived(..) | Self::Left(..) => 1,
            Self::Passed(..) => 2,
            _ => 0,
        }
    }
}

/// Notes that travel together.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) notes: Vec<Note>,
    pub(super) bytes: Vec<u8>,
}

impl Chunk {
    /// Adds bytes, and returns their place.
    pub(super) fn keep(&mut self, bytes: &[u8]) -> Span {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        Span { start, length: bytes.len() as u32 }
    }

    /// Returns the bytes at a place.
    pub(super) fn at(&self, Span { start, length }: Span) -> &[u8] {
        &self.bytes[start as usize..(start + length) as usize]
    }
}
