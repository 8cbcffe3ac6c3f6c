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

    #[inline(always)]
    pub(super) fn push(&mut self, output: Output) {
        self.packets += output.packet().count() as usize;
        self.queue.push_back(output);
    }

    /// Returns the first one.
    #[inline]
    pub(super) fn first(&self) -> Option<&Output> {
        self.queue.front()
    }

    /// Takes the first one out.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Output> {
        self.packets -= self.queue.front()?.packet().count() as usize;
        self.queue.pop_front()
    }

    /// Returns the time at which the first one left.
    #[inline]
    pub(super) fn first_due(&self) -> Option<Instant> {
        self.queue.front().map(|output| output.packet().at)
    }
}
