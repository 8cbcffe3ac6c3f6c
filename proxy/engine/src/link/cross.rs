//! Cross traffic: packets that rules of the link send themselves. They share the stages behind
//! their rule with what comes from outside, and are taken out where they would leave.
//!
//! They are counted apart and never delivered, so without a packet from outside nothing can come
//! out of the link: then it has no deadline, and the next packet finds it caught up. Numbers of
//! their own keep every draw for a packet from outside what it would be without them.

use super::{Element, Link};
use crate::packet::Body;
use crate::rules::{Timing, Work};
use crate::stage::Output;
use jostle_common::time::Instant;
use std::time::Duration;

/// The packets of cross traffic that are inside at most: what a rule would send beyond is refused.
const HELD_MAX: u64 = 1 << 16;

/// The bit that is set in the numbers of cross traffic, and in no others.
const NUMBERS: u64 = 1 << 63;

/// The longest that cross traffic is left behind when nothing comes from outside, so that the
/// packet that then comes need not wait for it.
const KEEP_UP_EVERY: Duration = Duration::from_millis(50);

impl Link {
    /// Lets cross traffic go on up to `now` though nothing comes from outside, and returns when
    /// that is worth doing again; `None`: there is none. It changes no output, only when the work
    /// for it is done.
    pub fn keep_up(&mut self, now: Instant) -> Option<Instant> {
        if !self.sends || self.epoch.is_none() {
            return None;
        }
        if self.holds_cross_alone() {
            self.catch_up(now);
            self.settle_charge();
        }
        Some(now + KEEP_UP_EVERY)
    }

    /// Returns true if nothing from outside is inside.
    pub(super) fn holds_cross_alone(&self) -> bool {
        self.outputs.is_empty() && self.waiting() as u64 == self.counters.cross.held
    }

    /// Lets the rule at `index` do its work of `due`, and what it sends enter behind it.
    pub(super) fn send_cross(&mut self, due: Instant, index: usize) {
        let element = &mut self.elements[index];
        let Work::Holding(stage) = &mut element.work else { return };
        let output = stage.poll(due);
        element.due = stage.deadline();
        let Some(Output::Deliver(mut packet)) = output else { return };
        if self.counters.cross.held >= HELD_MAX {
            self.counters.cross.refused += 1;
            return;
        }
        self.counters.cross.send();
        packet.number = NUMBERS | self.counters.cross.sent;
        packet.entered = packet.at;
        if let Body::Cross(cross) = &mut packet.body {
            cross.place = element.place;
        }
        self.count_in_flow(&mut packet);
        self.pass(index + 1, packet);
        self.settle_charge();
    }

    /// Returns what leaves the link, unless it is cross traffic, which ends here.
    #[inline]
    pub(super) fn leave(&mut self, output: Output) -> Option<Output> {
        if output.packet().is_cross() {
            self.take_out(&output);
            return None;
        }
        Some(output)
    }

    /// Counts a packet of cross traffic that has crossed the link or was discarded, and gives it
    /// to the rule that sent it.
    fn take_out(&mut self, output: &Output) {
        self.counters.cross.leave(output);
        let Output::Deliver(packet) = output else { return };
        let Body::Cross(cross) = &packet.body else { return };
        let of_its_rule =
            |one: &&mut Element| one.place == cross.place && one.timing == Timing::Sending;
        // The checksum of a damaged one is wrong; a rule that was removed awaits nothing.
        if packet.is_damaged() {
            return;
        }
        if let Some(element) = self.elements.iter_mut().find(of_its_rule)
            && let Work::Holding(stage) = &mut element.work
        {
            self.counters.cross.goodput += stage.arrived(packet);
            element.due = stage.deadline();
        }
    }
}

impl Element {
    /// Begins the work of a rule that sends packets of its own.
    pub(super) fn begin(&mut self, now: Instant) {
        if let Work::Holding(stage) = &mut self.work
            && self.timing == Timing::Sending
        {
            stage.begin(now);
            self.due = stage.deadline();
        }
    }
}
