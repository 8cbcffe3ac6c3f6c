//! The packets that wait for their turn, and how much they are.

use crate::packet::Packet;
use std::collections::VecDeque;

/// A queue of packets, and of marks, which count as nothing.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// In order of arrival; each `at` says when it came.
    line: VecDeque<Packet>,
    /// Counted per packet on top of its size.
    overhead: u32,
    amount: Amount,
}

/// The amount that waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) packets: u64,
    /// Overhead included.
    pub(super) bytes: u64,
}

impl Waiting {
    /// Creates an empty queue.
    pub(super) fn with_overhead(overhead: u32) -> Self {
        Self { overhead, ..Self::default() }
    }

    /// Returns the bytes counted per packet on top of its size.
    pub(super) const fn overhead(&self) -> u32 {
        self.overhead
    }

    /// Sets the bytes counted per packet on top of its size.
    pub(super) fn set_overhead(&mut self, overhead: u32) {
        if self.overhead != overhead {
            self.overhead = overhead;
            self.amount.bytes = self.line.iter().map(|packet| self.bytes(packet)).sum();
        }
    }

    /// Returns the bytes a packet takes on the link.
    #[inline]
    pub(super) fn bytes(&self, packet: &Packet) -> u64 {
        if packet.is_mark() { 0 } else { u64::from(packet.size()) + u64::from(self.overhead) }
    }

    #[inline]
    pub(super) const fn amount(&self) -> Amount {
        self.amount
    }

    /// Returns the number of packets and marks that wait.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.line.len()
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    pub(super) fn front(&self) -> Option<&Packet> {
        self.line.front()
    }

    /// Returns true if something of a flow waits.
    pub(super) fn has_flow(&self, flow: u32) -> bool {
        self.line.iter().any(|packet| packet.flow == flow)
    }

    /// Gives back the end of a stream, unless something of the stream waits here: then it waits
    /// behind that.
    pub(super) fn unless_behind(&mut self, mark: Packet) -> Option<Packet> {
        if self.has_flow(mark.flow) {
            self.push(mark);
            return None;
        }
        Some(mark)
    }

    /// Returns the number of those that take no bytes of the line.
    pub(super) fn free(&self) -> usize {
        self.line.iter().filter(|packet| self.bytes(packet) == 0).count()
    }

    /// Takes out everything, in order.
    pub(super) fn take_all(&mut self) -> VecDeque<Packet> {
        self.amount = Amount::default();
        std::mem::take(&mut self.line)
    }

    #[inline]
    pub(super) fn push(&mut self, packet: Packet) {
        self.amount.bytes += self.bytes(&packet);
        self.amount.packets += u64::from(!packet.is_mark());
        self.line.push_back(packet);
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<Packet> {
        let packet = self.line.pop_front()?;
        self.forget(&packet);
        Some(packet)
    }

    /// Takes out the packet that has waited longest, from between the marks.
    pub(super) fn pop_packet(&mut self) -> Option<Packet> {
        let place = self.line.iter().position(|packet| !packet.is_mark())?;
        let packet = self.line.remove(place)?;
        self.forget(&packet);
        Some(packet)
    }

    #[inline]
    fn forget(&mut self, packet: &Packet) {
        self.amount.bytes -= self.bytes(packet);
        self.amount.packets -= u64::from(!packet.is_mark());
    }
}
