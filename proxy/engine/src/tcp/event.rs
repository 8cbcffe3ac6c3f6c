//! The events that the TCP model tells the shell, and those of the rules behind it.

use crate::packet::Packet;
use crate::stage::Output;
use bytes::Bytes;
use jostle_common::chance::Direction;

/// Something that happened in a [`super::Model`], or in a [carrier](crate::carrier::Carrier).
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The SYN has arrived at the server, which answers once it is told to: told only to [who
    /// answers](crate::carrier::Carrier::answer_handshakes), by `accept` or by a reset.
    SynReceived {
        /// The id of the connection.
        id: u32,
    },
    /// The SYN-ACK has arrived at the client, whose connect returns now: told only to [who
    /// answers](crate::carrier::Carrier::answer_handshakes).
    Connected {
        /// The id of the connection.
        id: u32,
    },
    /// The handshake has crossed the links: the server would accept the connection now.
    Established {
        /// The id of the connection.
        id: u32,
    },
    /// Bytes have arrived whole and in order.
    Data {
        /// The id of the connection.
        id: u32,
        /// The direction of the stream.
        direction: Direction,
        /// The next bytes of the stream. Once they are taken by the program at its end,
        /// [`super::Model::consumed`] is to be told.
        bytes: Bytes,
    },
    /// A stream that had no room has some again: its sender sent what it held.
    Room {
        /// The id of the connection.
        id: u32,
        /// The direction of the stream.
        direction: Direction,
    },
    /// A stream has ended (FIN), behind all its bytes.
    End {
        /// The id of the connection.
        id: u32,
        /// The direction of the stream.
        direction: Direction,
    },
    /// The other end has torn the connection down (RST); [`Event::Closed`] follows.
    Reset {
        /// The id of the connection.
        id: u32,
        /// The direction in which the reset crossed.
        direction: Direction,
    },
    /// Both streams have ended and were consumed, or a reset has crossed, or an end has given up as
    /// nothing came back (ETIMEDOUT): nothing more will come of the connection.
    Closed {
        /// The id of the connection.
        id: u32,
    },
    /// A rule closes the connection: both sides are told so (FIN), behind the bytes that they were
    /// given. Nothing more will come of it, and nothing it says is heard.
    CloseBoth {
        /// The id of the connection.
        id: u32,
    },
    /// A rule tears the connection down (RST) towards both sides, at once. Nothing more will come
    /// of it.
    ResetBoth {
        /// The id of the connection.
        id: u32,
    },
    /// A rule discarded bytes of the delivered stream of this direction. The packet has them, its
    /// `flow` is the connection, and its trace tells the rule; it crossed no link and has no
    /// number. They are consumed.
    Discarded(Direction, Box<Packet>),
    /// A segment, a piece or a mark enters the link of this direction; its `flow` is the connection.
    /// Told only to [who asked](crate::carrier::Carrier::tell_arrivals).
    Arrived(Direction, Box<Packet>),
    /// A segment or a mark has left the link of this direction, one way or the other; its `flow` is
    /// the connection.
    Packet(Direction, Output),
}

impl Event {
    /// Returns the connection that something happened to; `None` when it happened to a packet of
    /// one, which is told whatever becomes of the connection.
    pub(crate) const fn connection(&self) -> Option<u32> {
        match self {
            Self::SynReceived { id }
            | Self::Connected { id }
            | Self::Established { id }
            | Self::Data { id, .. }
            | Self::Room { id, .. }
            | Self::End { id, .. }
            | Self::Reset { id, .. }
            | Self::Closed { id }
            | Self::CloseBoth { id }
            | Self::ResetBoth { id } => Some(*id),
            Self::Discarded(..) | Self::Arrived(..) | Self::Packet(..) => None,
        }
    }
}
