//! The lives of flows and connections, for sinks that want more than fates: addresses, arrivals,
//! and the bytes of streams.

use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_common::transport::Transport;
use jostle_engine::packet::Packet;
use jostle_engine::route::{TcpMode, Unit};
use jostle_forward::Target;
use std::net::SocketAddr;

/// Something that happened to a flow or connection.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// The route's name.
    pub route: &'a str,
    /// The transport.
    pub transport: Transport,
    /// The ordinal of the flow or connection; 0 if there was no place for it.
    pub flow: u32,
    /// The time.
    pub at: Instant,
    /// What happened.
    pub event: FlowEvent<'a>,
}

/// What can happen to a flow or connection besides the fates of its packets.
#[derive(Clone, Copy, Debug)]
pub enum FlowEvent<'a> {
    /// It begins: its client has come.
    Opened {
        /// Where the client speaks from.
        client: SocketAddr,
        /// Where it was heard.
        listener: SocketAddr,
        /// How its bytes cross the route.
        crossing: Crossing,
    },
    /// Its client has asked for this target; comes right behind [`Opened`](Self::Opened).
    AskedFor(&'a Target),
    /// It has a socket to the upstream; a connection is not connected yet.
    Reached {
        /// The address of that socket.
        local: SocketAddr,
        /// Where it leads.
        upstream: SocketAddr,
    },
    /// A UDP flow leaves from a fresh socket from now on.
    Rebound {
        /// The address that it left from so far.
        from: SocketAddr,
        /// The address of the fresh socket.
        to: SocketAddr,
        /// Where both lead.
        upstream: SocketAddr,
    },
    /// The upstream has accepted the connection.
    Connected,
    /// From now on its bytes cross the route in this way.
    Crosses(Crossing),
    /// A packet or a mark enters the link; what rules do to it comes later.
    Arrived(Direction, &'a Packet),
    /// A mark, which has no fate in any counter, has left the link.
    Left(Direction, &'a Packet),
    /// Bytes were read from the sender of a modelled stream.
    Pushed(Direction, &'a [u8]),
    /// Bytes went from socket to socket, through no link.
    Passed(Direction, &'a [u8]),
    /// A stream that crosses no link has ended (FIN).
    Ended(Direction),
    /// A connection that crosses no link was torn down by the writer of this direction (RST).
    Reset(Direction),
    /// The proxy tears the connection down towards both sides (RST).
    TornDown,
    /// Its sockets are closed. Packets of it may still be in the links.
    Closed,
}

/// How the bytes of a flow or connection cross a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crossing {
    /// From socket to socket.
    Straight,
    /// As packets that carry them: datagrams, or pieces of a stream.
    Pieces,
    /// As pieces of a stream of which the link knows the size alone.
    Blocks,
    /// As segments of the TCP model, which carry no bytes.
    Model,
}

impl Crossing {
    /// Returns how a connection crosses the links of a route in this mode.
    pub(crate) const fn of(mode: TcpMode) -> Self {
        match mode {
            TcpMode::Model(_) => Self::Model,
            TcpMode::Raw(Unit::Bytes(_)) => Self::Blocks,
            TcpMode::Raw(Unit::Line | Unit::Read) => Self::Pieces,
        }
    }
}
