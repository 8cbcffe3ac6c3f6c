//! What happened at the sockets of a UDP relay.

use std::collections::BTreeMap;

/// How often what happened.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Flows opened.
    pub(super) opened: u64,
    /// Flows closed because they were silent for long.
    pub(super) idle: u64,
    /// Flows closed to make room for another.
    pub(super) evicted: u64,
    /// Datagrams lost because there was no room for their flow, or for them.
    pub(super) no_room: u64,
    /// Reports that the upstream refused a datagram (ICMP port unreachable).
    pub(super) refused: u64,
    /// Datagrams lost because the socket's send buffer was full.
    pub(super) no_buffer: u64,
    /// Datagrams that the system would not send for their size.
    pub(super) too_big: u64,
    /// Datagrams that the system would not send for another reason.
    pub(super) send_failed: u64,
    /// Reads that failed.
    pub(super) receive_failed: u64,
    /// Datagrams lost because no socket to the upstream could be had.
    pub(super) no_upstream: u64,
    /// Datagrams that came to a following flow from somewhere else than the upstream's address.
    pub(super) foreign: u64,
    /// Copies that came out after their flow was closed.
    pub(super) orphaned: u64,
}

impl Counts {
    /// The counts by name, with the number of flows that are open.
    pub(super) fn named(&self, open: usize) -> BTreeMap<&'static str, u64> {
        BTreeMap::from([
            ("flows", self.opened),
            ("flows_open", open as u64),
            ("flows_idle", self.idle),
            ("flows_evicted", self.evicted),
            ("no_room", self.no_room),
            ("refused_by_upstream", self.refused),
            ("no_send_buffer", self.no_buffer),
            ("too_big", self.too_big),
            ("send_failed", self.send_failed),
            ("receive_failed", self.receive_failed),
            ("no_upstream", self.no_upstream),
            ("foreign", self.foreign),
            ("orphaned", self.orphaned),
        ])
    }
}
