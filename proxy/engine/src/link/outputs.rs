//! What has left the rules of a link and waits to be polled.

use crate::stage::Output;
use jostle_common::time::Instant;
use std::collections::VecDeque;

/// Outputs in the order in which they came out.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    queue: VecDeque<Output>,
    /// The number of packets in it: a run is several.
    packets: usize,
}

impl Outputs {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Returns the number of packets and marks.
    pub(super) const fn packets(&self) -> usize {
        self.packets
    }

    #[inline]
    pub(super) fn push(&mut self, output: Output) {
        self.packets += output.packet().count() as usize;
        self.queue.push_back(output);
    }

    /// Takes the first one out, if it left by `now`.
    #[inline]
    pub(super) fn pop(&mut self, now: Instant) -> Option<Output> {
        let output = self.queue.pop_front_if(|output| output.packet().at <= now)?;
        self.packets -= output.packet().count() as usize;
        Some(output)
    }

    /// Returns the time at which the first one left.
    #[inline]
    pub(super) fn first_due(&self) -> Option<Instant> {
        self.queue.front().map(|output| output.packet().at)
    }
}
