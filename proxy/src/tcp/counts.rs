//! Counts of events at the sockets of a TCP relay.

use jostle_forward::Malformed;
use std::collections::BTreeMap;

/// Counts of events.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TcpCounts {
    /// Connections accepted.
    pub(super) accepted: u64,
    /// Connections that both sides finished.
    pub(super) finished: u64,
    /// Connections that the client tore down.
    pub(super) reset_by_client: u64,
    /// Connections that the upstream tore down.
    pub(super) reset_by_upstream: u64,
    /// Connections that the upstream refused.
    pub(super) refused: u64,
    /// Connections that the upstream did not answer in time.
    pub(super) timed_out: u64,
    /// Connections that did not reach the upstream for another reason.
    pub(super) connect_failed: u64,
    /// Connections that had gone round too often.
    pub(super) looped: u64,
    /// Clients that have said where they want to go.
    pub(super) asked: u64,
    /// Further requests that they made of the same target on the same connection.
    pub(super) asked_again: u64,
    /// Associations begun, and those for which there was no place.
    pub(super) associations: u64,
    pub(super) associations_refused: u64,
    /// Those that spoke something else than their listener.
    pub(super) malformed: u64,
    /// Those that did not name the right user and password.
    pub(super) unauthorised: u64,
    /// Those that asked for what is not offered.
    pub(super) unsupported: u64,
    /// Those that asked for a target that may not be reached.
    pub(super) not_allowed: u64,
    /// Those whose target has no address.
    pub(super) unresolved: u64,
    /// Those that took too long to say where they want to go.
    pub(super) negotiation_timed_out: u64,
    /// Those that left before they had said it.
    pub(super) left_early: u64,
    /// Those that had to make room for others before they had said it.
    pub(super) crowded_out: u64,
    /// Accepts that failed.
    pub(super) accept_failed: u64,
    /// Times that clients were left in the system's backlog for want of descriptors.
    pub(super) accept_paused: u64,
    /// Times that nobody listened any more, as the upstream refused or an outage cut the route.
    pub(super) listener_closed: u64,
    /// Connections that were reset because their address had its share of all places.
    pub(super) turned_away: u64,
    /// Times that an end was not read for want of room.
    pub(super) starved: u64,
    /// Connections torn down because they were silent for long.
    pub(super) idle: u64,
    /// Connections that a rule closed.
    pub(super) closed_by_rule: u64,
    /// Connections that a rule reset.
    pub(super) reset_by_rule: u64,
    /// Connections closed by hand.
    pub(super) closed_by_hand: u64,
    /// Connections reset by hand.
    pub(super) reset_by_hand: u64,
    /// Connections torn down because the proxy ended.
    pub(super) cut: u64,
}

impl TcpCounts {
    /// Counts a client whose request was refused.
    pub(super) const fn refuse(&mut self, why: Malformed) {
        match why {
            Malformed::Bytes => self.malformed += 1,
            Malformed::Credentials => self.unauthorised += 1,
            Malformed::Unsupported => self.unsupported += 1,
        }
    }

    /// Returns those of clients that say where they want to go, with the number of those that do
    /// so now.
    pub(super) fn of_asking(&self, asking: usize) -> [(&'static str, u64); 13] {
        [
            ("negotiating", asking as u64),
            ("asked", self.asked),
            ("asked_again", self.asked_again),
            ("associations", self.associations),
            ("associations_refused", self.associations_refused),
            ("malformed", self.malformed),
            ("unauthorised", self.unauthorised),
            ("unsupported", self.unsupported),
            ("not_allowed", self.not_allowed),
            ("unresolved", self.unresolved),
            ("negotiation_timed_out", self.negotiation_timed_out),
            ("left_early", self.left_early),
            ("crowded_out", self.crowded_out),
        ]
    }

    /// Returns the counts by name, with the number of connections that are open, of their sides that
    /// are waiting for room, and of listening sockets that accept nobody for the moment.
    pub(super) fn named(
        &self,
        open: usize,
        waiting: usize,
        paused: usize,
    ) -> BTreeMap<&'static str, u64> {
        BTreeMap::from([
            ("connections", self.accepted),
            ("connections_open", open as u64),
            ("finished", self.finished),
            ("reset_by_client", self.reset_by_client),
            ("reset_by_upstream", self.reset_by_upstream),
            ("refused_by_upstream", self.refused),
            ("connect_timed_out", self.timed_out),
            ("connect_failed", self.connect_failed),
            ("looped", self.looped),
            ("accept_failed", self.accept_failed),
            ("accept_paused", self.accept_paused),
            ("listener_closed", self.listener_closed),
            ("accept_paused_now", paused as u64),
            ("turned_away", self.turned_away),
            ("starved", self.starved),
            ("waiting", waiting as u64),
            ("idle", self.idle),
            ("closed_by_rule", self.closed_by_rule),
            ("reset_by_rule", self.reset_by_rule),
            ("closed_by_hand", self.closed_by_hand),
            ("reset_by_hand", self.reset_by_hand),
            ("cut", self.cut),
        ])
    }
}
