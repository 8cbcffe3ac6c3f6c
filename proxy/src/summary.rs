//! The summary of a run, for people and for machines.

use crate::delays::DelaySummary;
use crate::lateness::LatenessSummary;
use crate::shared::Contended;
use jostle_common::chance::Direction;
use jostle_common::statistics::RoundTripMs;
use jostle_common::statistics::RoundTrips;
use jostle_common::transport::Transport;
use jostle_engine::counters::{CrossCounters, EcnCounters};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// The numbers of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// The seed of the run.
    pub seed: u64,
    /// The time that it relayed.
    pub seconds: f64,
    /// Lines of the event log that could not be written.
    pub events_lost: u64,
    /// Fates that the event log was not to have.
    pub events_left_out: u64,
    /// Packets that a capture should have and has not, on either side.
    pub capture_lost: u64,
    /// The reason why the event log ended before the run did.
    #[serde(skip)]
    pub events_error: Option<String>,
    /// The number of its event loops.
    #[serde(skip_serializing_if = "is_one")]
    pub workers: usize,
    /// How often one of several waited for another; `None` if there is only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contended: Option<Contended>,
    /// The memory that what it held took.
    pub memory: MemorySummary,
    /// The fates of packets: two entries, up and down, for each route and protocol.
    pub links: Vec<LinkSummary>,
    /// Counts of events at the sockets: one entry for each route and protocol.
    pub sockets: Vec<SocketSummary>,
}

const fn is_one(workers: &usize) -> bool {
    *workers <= 1
}

/// The memory for what a proxy holds, which all its routes share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MemorySummary {
    /// The bytes that are held now, with what they cost besides themselves.
    pub used: u64,
    /// The most that were ever held.
    pub peak: u64,
    /// The most that may be held.
    pub bound: u64,
    /// The sides of connections that are not read now because their bytes have no room.
    pub waiting: u64,
}

impl Summary {
    /// Returns the entry of one direction of a route.
    pub fn link(
        &self,
        route: &str,
        protocol: Transport,
        direction: Direction,
    ) -> Option<&LinkSummary> {
        self.links.iter().find(|link| {
            link.route == route && link.protocol == protocol && link.direction == direction
        })
    }

    /// Returns the round-trip times that a route's modelled senders sampled, if any.
    pub fn round_trips(&self, route: &str) -> Option<&RoundTrips> {
        let mut sockets = self.sockets.iter();
        sockets
            .find(|sockets| sockets.route == route && sockets.protocol == Transport::Tcp)?
            .round_trips
            .as_ref()
    }

    /// Returns a count of a route's sockets, 0 when there is no such route or count.
    pub fn socket_count(&self, route: &str, protocol: Transport, name: &str) -> u64 {
        self.sockets
            .iter()
            .find(|sockets| sockets.route == route && sockets.protocol == protocol)
            .and_then(|sockets| sockets.counts.get(name).copied())
            .unwrap_or(0)
    }
}

/// One direction of a route. Packets are datagrams, pieces of a raw stream, or segments of a
/// modelled one; on a TCP route without rules, what one read returned.
/// `entered + copies = delivered + discarded + held`, from socket to socket: packets that were
/// refused before the link came in, those that the system did not send were discarded.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LinkSummary {
    /// The route's name.
    pub route: String,
    /// The transport.
    pub protocol: Transport,
    /// The direction.
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
    /// What the IP headers of the delivered said of congestion; `None` where it is not carried
    /// across.
    pub ecn: Option<EcnCounters>,
    /// Packets and copies that were still inside when the run ended.
    pub held: u64,
    /// Datagrams that the kernel dropped before they could be read; `None` where it does not tell.
    pub missed_by_kernel: Option<u64>,
    /// Bytes read from the sender.
    pub bytes_in: u64,
    /// Bytes handed to the receiver's socket.
    pub bytes_out: u64,
    /// Bytes that rules on delivered TCP streams discarded, by rule.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub bytes_discarded: BTreeMap<String, u64>,
    /// Packets that `cross` rules sent, which are in no other number; `None` where there were none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cross: Option<CrossCounters>,
    /// The lateness of releases.
    pub lateness: LatenessSummary,
    /// The delays that rules gave to what was delivered.
    pub delay: DelaySummary,
}

impl LinkSummary {
    /// Returns how many packets and copies were discarded for any reason.
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
    pub protocol: Transport,
    /// Counts of events by name.
    pub counts: BTreeMap<&'static str, u64>,
    /// The round-trip times that modelled senders sampled; `None` where there were none.
    #[serde(rename = "rtt_ms", skip_serializing_if = "Option::is_none", serialize_with = "in_ms")]
    pub round_trips: Option<RoundTrips>,
}

// As a row has them.
fn in_ms<S: Serializer>(trips: &Option<RoundTrips>, serializer: S) -> Result<S::Ok, S::Error> {
    trips.as_ref().map(RoundTripMs::from).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn round_trips_are_told_as_in_a_row_where_there_are_some() {
        let mut trips = RoundTrips::default();
        trips.record(Duration::from_millis(40));
        trips.record(Duration::from_millis(60));
        let sockets = |round_trips| SocketSummary {
            route: "1".into(),
            protocol: Transport::Tcp,
            counts: BTreeMap::from([("segments", 2)]),
            round_trips,
        };
        let json = serde_json::to_value(sockets(Some(trips.clone()))).unwrap();
        assert_eq!(json["rtt_ms"], serde_json::to_value(RoundTripMs::from(&trips)).unwrap());
        assert_eq!((&json["rtt_ms"]["samples"], &json["rtt_ms"]["max"]), (&2.into(), &60.0.into()));
        let json = serde_json::to_string(&sockets(None)).unwrap();
        assert_eq!(json, r#"{"route":"1","protocol":"tcp","counts":{"segments":2}}"#);
    }
}
