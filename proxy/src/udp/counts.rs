//! Counts of events at the sockets of a UDP relay.

use crate::fate::Loss;
use std::collections::BTreeMap;

/// Counts of events.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct UdpCounts {
    /// Flows opened.
    pub(super) opened: u64,
    /// Flows closed because they were silent for long.
    pub(super) idle: u64,
    /// Flows closed to make room for another.
    pub(super) evicted: u64,
    /// Flows closed by hand.
    pub(super) closed_by_hand: u64,
    /// Flows closed because their client's association ended.
    pub(super) dissociated: u64,
    /// Fresh sockets that flows got by rules.
    pub(super) rebinds: u64,
    /// Fresh sockets that the system did not give.
    pub(super) rebinds_failed: u64,
    /// Reports that the upstream refused a datagram (ICMP port unreachable).
    pub(super) refused: u64,
    /// Flows that were open when the relay was cut.
    pub(super) open_at_end: usize,
    /// Reads that failed.
    pub(super) receive_failed: u64,
    /// Unproved sources forgotten to make room for another.
    pub(super) sources_forgotten: u64,
}

impl UdpCounts {
    /// Returns the counts by name, with the number of flows that are open and what was `lost`.
    pub(super) fn named(
        &self,
        open: usize,
        lost: impl Fn(Loss) -> u64,
    ) -> BTreeMap<&'static str, u64> {
        BTreeMap::from([
            ("flows", self.opened),
            ("flows_open", open as u64),
            ("flows_idle", self.idle),
            ("flows_evicted", self.evicted),
            ("flows_closed_by_hand", self.closed_by_hand),
            ("flows_dissociated", self.dissociated),
            ("rebinds", self.rebinds),
            ("rebinds_failed", self.rebinds_failed),
            ("old_address", lost(Loss::OldAddress)),
            ("no_room", lost(Loss::NoRoom)),
            ("refused_by_upstream", self.refused),
            ("no_send_buffer", lost(Loss::NoBuffer)),
            ("too_big", lost(Loss::TooBig)),
            ("send_failed", lost(Loss::SendFailed)),
            ("receive_failed", self.receive_failed),
            ("no_upstream", lost(Loss::NoUpstream)),
            ("foreign", lost(Loss::Foreign)),
            ("looped", lost(Loss::Looped)),
            ("amplified", lost(Loss::Amplified)),
            ("sources_forgotten", self.sources_forgotten),
            ("orphaned", lost(Loss::Orphaned)),
            ("no_association", lost(Loss::NoAssociation)),
            ("malformed", lost(Loss::Malformed)),
            ("fragment", lost(Loss::Fragment)),
            ("not_allowed", lost(Loss::NotAllowed)),
        ])
    }
}
