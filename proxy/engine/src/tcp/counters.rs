//! Counters of what senders did.

use std::ops::AddAssign;

/// The counters of one sender, or of several together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Segments with data sent, retransmissions included.
    pub segments: u64,
    /// Segments sent again, as probes too.
    pub retransmissions: u64,
    /// Retransmission timeouts.
    pub timeouts: u64,
    /// Tail loss probes, new data or old.
    pub probes: u64,
    /// Reductions of the window because of marks.
    pub mark_reductions: u64,
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.segments += other.segments;
        self.retransmissions += other.retransmissions;
        self.timeouts += other.timeouts;
        self.probes += other.probes;
        self.mark_reductions += other.mark_reductions;
    }
}
