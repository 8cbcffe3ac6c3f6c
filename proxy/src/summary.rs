//! What a proxy did, for people and for machines.

use crate::lateness::LatenessSummary;
use jostle_common::chance::Direction;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// Which transport a relay speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Datagrams.
    Udp,
    /// Streams.
    Tcp,
}

impl Protocol {
    /// `udp` or `tcp`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// The seed of the run.
    pub seed: u64,
    /// How long it relayed.
    pub seconds: f64,
    /// Lines of the event log that could not be written.
    pub events_lost: u64,
    /// What happened to packets: two entries, up and down, for each route and protocol.
    pub links: Vec<LinkSummary>,
    /// What happened at the sockets: one entry for each route and protocol.
    pub sockets: Vec<SocketSummary>,
}

impl Summary {
    /// The entry of one direction of a route.
    pub fn link(&self, route: &str, protocol: Protocol, direction: Direction) -> Option<&LinkSummary> {
        self.links
            .iter()
            .find(|link| link.route == route && link.protocol == protocol && link.direction == direction)
    }

    /// A count of a route's sockets, 0 when there is no such route or count.
    pub fn socket_count(&self, route: &str, protocol: Protocol, name: &str) -> u64 {
        self.sockets
            .iter()
            .find(|sockets| sockets.route == route && sockets.protocol == protocol)
            .and_then(|sockets| sockets.counts.get(name).copied())
            .unwrap_or(0)
    }
}

/// One direction of a route. Packets are datagrams, pieces of a raw stream, or segments of a modelled one; on a TCP route without rules,
/// what one read returned. `entered + copies = delivered + discarded + held`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LinkSummary {
    /// The route's name.
    pub route: String,
    /// The transport.
    pub protocol: Protocol,
    /// Which way.
    pub direction: Direction,
    /// Packets that came in.
    #[serde(rename = "in")]
    pub entered: u64,
    /// Copies that rules made.
    pub copies: u64,
    /// Packets and copies that went out.
    pub delivered: u64,
    /// Packets and copies that ended here, by reason.
    pub discarded: BTreeMap<&'static str, u64>,
    /// Of the delivered, how many had bits flipped.
    pub corrupted: u64,
    /// Packets and copies that were still inside when the run ended.
    pub held: u64,
    /// Datagrams that the kernel dropped before they could be read.
    pub missed_by_kernel: u64,
    /// Bytes read from the sender.
    pub bytes_in: u64,
    /// Bytes handed to the receiver's socket.
    pub bytes_out: u64,
    /// How late packets were released.
    pub lateness: LatenessSummary,
}

impl LinkSummary {
    /// How many packets and copies were discarded for any reason.
    pub fn discarded_total(&self) -> u64 {
        self.discarded.values().sum()
    }
}

/// The sockets of one protocol of a route.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SocketSummary {
    /// The route's name.
    pub route: String,
    /// The transport.
    pub protocol: Protocol,
    /// How often what happened.
    pub counts: BTreeMap<&'static str, u64>,
}
