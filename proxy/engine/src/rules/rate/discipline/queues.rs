//! The contract of a discipline that keeps more queues than one.

use super::Discipline;
use crate::packet::Packet;
use crate::rules::rate::waiting::Amount;
use crate::stage::{Output, Reason};
use jostle_common::ecn::Ecn;
use jostle_common::time::Instant;
use std::collections::VecDeque;
use std::fmt::Debug;

/// Several queues in front of one line. Packets and marks that wait in them are theirs; each
/// packet's `at` says when it came. Packets of one queue leave in their order.
pub(in crate::rules::rate) trait Queues: Debug + Send {
    /// Takes in a packet that comes at `packet.at`.
    fn push(&mut self, packet: Packet);

    /// Takes the next packet to be sent at `now`. Those that are discarded instead go to `done`.
    /// With `None` everything is empty.
    fn pop(&mut self, now: Instant, done: &mut VecDeque<Output>) -> Option<Packet>;

    /// Takes a packet without bytes, or a mark, from a queue that it heads: it needs no opportunity.
    fn pop_free(&mut self) -> Option<Packet>;

    /// Returns true if others may have to go when a packet is one too many: it is let in, and then
    /// they [shed](Self::shed). Otherwise it is refused.
    fn sheds(&self) -> bool {
        false
    }

    /// Discards at `now` what makes room.
    fn shed(&mut self, _now: Instant, _done: &mut VecDeque<Output>) {}

    /// Returns the most bytes that may wait, whatever the bound of the rule says.
    fn bytes_max(&self) -> u64 {
        u64::MAX
    }

    /// Returns the amount that waits; marks are not counted.
    fn amount(&self) -> Amount;

    /// Returns the number of packets and marks that wait.
    fn len(&self) -> usize;

    /// Sets the bytes counted per packet on top of its size.
    fn set_overhead(&mut self, overhead: u32);

    /// Takes on the setting of another discipline at `now`; false if that takes other queues.
    fn retune(&mut self, now: Instant, discipline: &Discipline) -> bool;

    /// Takes out all packets, in the order in which they came.
    fn take_all(&mut self) -> Vec<Packet>;
}

/// Makes the output of a packet that is discarded at `now`.
pub(in crate::rules::rate) fn discarded(
    mut packet: Packet,
    now: Instant,
    reason: Reason,
) -> Output {
    packet.trace.choose();
    Output::Discard(packet.moved_to(now), reason)
}

/// Marks a packet whose sender takes marks. One that was marked before stays as it is.
pub(in crate::rules::rate) const fn mark(packet: &mut Packet) {
    if !matches!(packet.ecn, Ecn::Ce) && packet.mark_congestion() {
        packet.trace.choose();
    }
}
