//! The proxy's account of one route when it has ended.

use crate::rows::{LinkCounts, RouteCounts, Row};
use jostle_common::chance::Direction;
use jostle_common::statistics::RoundTripMs;
use jostle_common::transport::Transport;
use jostle_proxy::{LinkSummary, Summary};
use serde_json::{Value, json};

/// One route of a proxy that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Relayed<'a> {
    pub(crate) summary: &'a Summary,
    /// Its name.
    pub(crate) route: &'a str,
    pub(crate) protocol: Transport,
}

impl Relayed<'_> {
    /// Writes the fate of the packets into their row. The modelled TCP is asked who sent again, and
    /// how long round trips took, only when the endpoints did not tell.
    pub(crate) fn write(&self, row: &mut Row) {
        let counts = self.counts();
        // The proxy sees every packet of both endpoints, or at least that one is missing.
        let sent = |link: &LinkCounts| link.entered + link.missed_by_kernel;
        row.packets = counts.as_ref().map(|counts| sent(&counts.up) + sent(&counts.down));
        row.retransmissions = row.retransmissions.or_else(|| self.segments_again());
        row.rtt_ms =
            row.rtt_ms.or_else(|| self.summary.round_trips(self.route).map(RoundTripMs::from));
        row.proxy = counts;
    }

    /// Returns the lateness at which packets were released, each way.
    pub(crate) fn lateness(&self) -> Value {
        let lateness = |direction| self.link(direction).map(|link| link.lateness);
        json!({ "up": lateness(Direction::Up), "down": lateness(Direction::Down) })
    }

    fn link(&self, direction: Direction) -> Option<&LinkSummary> {
        self.summary.link(self.route, self.protocol, direction)
    }

    fn counts(&self) -> Option<RouteCounts> {
        let counts = |direction| self.link(direction).map(link_counts);
        Some(RouteCounts { up: counts(Direction::Up)?, down: counts(Direction::Down)? })
    }

    /// Returns the number of segments that the modelled TCP sent again.
    fn segments_again(&self) -> Option<u64> {
        let mut sockets = self.summary.sockets.iter();
        let sockets = sockets
            .find(|sockets| sockets.route == self.route && sockets.protocol == Transport::Tcp)?;
        sockets.counts.get("retransmissions").copied()
    }
}

fn link_counts(link: &LinkSummary) -> LinkCounts {
    let discarded = link.discarded.iter().filter(|(_, count)| **count > 0);
    LinkCounts {
        entered: link.entered,
        copies: link.copies,
        delivered: link.delivered,
        discarded: discarded.map(|(reason, count)| ((*reason).to_owned(), *count)).collect(),
        corrupted: link.corrupted,
        held: link.held,
        // A trial's proxy is not portable: Linux tells.
        missed_by_kernel: link.missed_by_kernel.unwrap_or_default(),
    }
}
