//! Reordering by RFC 4737: how many packets arrive behind a later one of their flow, and how far
//! behind.

use std::collections::{BTreeMap, VecDeque};

/// The number of arrivals in order that are remembered, by the flows together; a packet that is
/// further behind counts as this far.
const REMEMBERED: usize = 65_536;

/// Counts packets that arrive behind a later one of their flow. Copies are left out.
#[derive(Debug, Default)]
pub struct Reordering {
    arrived: u64,
    flows: BTreeMap<u32, Flow>,
    reordered: u64,
    extent_max: u64,
    extent_sum: u64,
}

/// The state of a flow.
#[derive(Debug, Default)]
struct Flow {
    arrived: u64,
    /// The number that the next packet in order has at least (RFC 4737 §3.3).
    expected: u64,
    /// Each packet that arrived in order: the ordinal of its arrival, and its number; both
    /// ascend.
    in_order: VecDeque<(u64, u64)>,
}

impl Reordering {
    /// Takes in the number of a packet of `flow` that arrives.
    pub(super) fn arrive(&mut self, flow: u32, number: u64) {
        self.arrived += 1;
        let flows = self.flows.len().max(1);
        let flow = self.flows.entry(flow).or_default();
        flow.arrived += 1;
        if number >= flow.expected {
            flow.expected = number + 1;
            flow.in_order.push_back((flow.arrived, number));
            let beyond = flow.in_order.len().saturating_sub((REMEMBERED / flows).max(1));
            flow.in_order.drain(..beyond);
            return;
        }
        self.reordered += 1;
        // The extent is the distance to the earliest arrival with a larger number (§4.2.2), which
        // was one in order.
        let first_larger = flow.in_order.partition_point(|(_, other)| *other < number);
        let extent =
            flow.in_order.get(first_larger).map_or(0, |(arrival, _)| flow.arrived - arrival);
        self.extent_max = self.extent_max.max(extent);
        self.extent_sum += extent;
    }

    /// Returns the number of packets that arrived behind a later one.
    pub const fn reordered(&self) -> u64 {
        self.reordered
    }

    /// Returns the share of arrived packets that did (§4.1.3).
    pub fn ratio(&self) -> f64 {
        self.reordered as f64 / self.arrived.max(1) as f64
    }

    /// Returns the largest extent: the number of arrivals between a packet and the place where it
    /// belonged.
    pub const fn extent_max(&self) -> u64 {
        self.extent_max
    }

    /// Returns the mean extent of the reordered packets; 0 of none.
    pub fn extent_mean(&self) -> f64 {
        self.extent_sum as f64 / self.reordered.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_rfc_come_out() {
        // RFC 4737 §7.1 (one early packet: 4 arrives before 2 and 3), §7.3 (two in one).
        for (arrivals, reordered, extent) in [
            (&[1, 2, 3, 4, 5][..], 0, 0),
            (&[1, 2, 3, 5, 6, 7, 8, 4, 9, 10], 1, 4),
            (&[1, 2, 3, 7, 8, 9, 10, 4, 5, 6, 11], 3, 6),
            (&[2, 1], 1, 1),
            (&[3, 2, 1], 2, 2),
        ] {
            let mut reordering = Reordering::default();
            arrivals.iter().for_each(|number| reordering.arrive(1, *number));
            assert_eq!(
                (reordering.reordered(), reordering.extent_max()),
                (reordered, extent),
                "{arrivals:?}"
            );
        }
    }

    #[test]
    fn flows_that_overtake_each_other_keep_their_order() {
        let mut reordering = Reordering::default();
        for (flow, number) in [(1, 1), (2, 4), (1, 3), (2, 2), (1, 5), (2, 6)] {
            reordering.arrive(flow, number);
        }
        // Only 2 came behind a later one of its own flow; 3 and 5 came behind packets of the other.
        assert_eq!((reordering.reordered(), reordering.extent_max()), (1, 1));
        assert!((reordering.ratio() - 1.0 / 6.0).abs() < 1e-12);
    }
}
