//! Cross traffic: packets that rules of the link send themselves. They share the stages behind
//! their rule with what comes from outside, and are taken out where they would leave.
//!
//! They are counted apart and never delivered, so without a packet from outside nothing can come
//! out of the link: then it has no deadline, and the next packet finds it caught up. Numbers of
//! their own keep every draw for a packet from outside what it would be without them.
//!
//! After a minute without anything from outside they pause, which bounds what there is to catch up
//! with; the next packet lets them begin anew.

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

/// The silence from outside after which cross traffic pauses.
const SILENCE: Duration = Duration::from_secs(60);

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
            self.pieces.settle();
        }
        let is_still = self.paused && self.counters.cross.held == 0;
        (!is_still).then(|| now + KEEP_UP_EVERY)
    }

    /// Returns true if rules send packets of their own now.
    pub(super) const fn is_sending(&self) -> bool {
        self.sends && !self.paused
    }

    /// Returns when cross traffic pauses, unless something comes from outside before.
    pub(super) fn pause_at(&self) -> Option<Instant> {
        (self.is_sending() && self.nothing_else_waits()).then(|| self.busy + SILENCE)
    }

    /// Lets no rule send packets of its own until something comes from outside.
    pub(super) fn pause(&mut self) {
        self.paused = true;
        self.elements.iter_mut().for_each(Element::pause);
        self.find_next_work();
    }

    /// Notes that something from outside is there at `now`.
    #[inline]
    pub(super) fn note_from_outside(&mut self, now: Instant) {
        self.busy = self.busy.max(now);
        if self.paused {
            self.paused = false;
            self.elements.iter_mut().for_each(|element| element.begin(now));
            self.find_next_work();
        }
    }

    /// Returns true if nothing from outside is in a stage.
    fn nothing_else_waits(&self) -> bool {
        self.waiting() as u64 == self.counters.cross.held
    }

    /// Returns true if nothing from outside is inside.
    pub(super) fn holds_cross_alone(&self) -> bool {
        self.outputs.is_empty() && self.nothing_else_waits()
    }

    /// Lets the rule at `index` do its work of `due`, and what it sends enter behind it.
    pub(super) fn send_cross(&mut self, due: Instant, index: usize) {
        let element = &mut self.elements[index];
        let Work::Holding(stage) = &mut element.work else { return };
        let mut next = None;
        let output = stage.give(due, &mut next);
        self.set_due(index, next);
        let Some(Output::Deliver(mut packet)) = output else { return };
        if self.counters.cross.held >= HELD_MAX {
            self.counters.cross.refused += 1;
            return;
        }
        self.counters.cross.send();
        self.pieces.add(1);
        packet.number = NUMBERS | self.counters.cross.sent;
        packet.entered = packet.at;
        if let Body::Cross(cross) = packet.body_mut() {
            cross.place = self.elements[index].place;
        }
        self.count_in_flow(&mut packet);
        self.pass(index + 1, &mut packet);
        self.pieces.settle();
    }

    /// Takes what leaves the link out if it is cross traffic, which ends here. Returns true then.
    #[inline(always)]
    pub(super) fn ends_here(&mut self, output: &mut Output) -> bool {
        let is_cross = output.packet().is_cross();
        if is_cross {
            self.take_out(output);
            drop(output.packet_mut().take());
        } else {
            self.busy = self.busy.max(output.packet().at);
        }
        is_cross
    }

    /// Counts a packet of cross traffic that has crossed the link or was discarded, and gives it
    /// to the rule that sent it.
    #[inline(never)]
    pub(super) fn take_out(&mut self, output: &Output) {
        self.counters.cross.leave(output);
        self.pieces.remove_one();
        let Output::Deliver(packet) = output else { return };
        let Body::Cross(cross) = packet.body() else { return };
        let of_its_rule = |one: &Element| one.place == cross.place && one.timing == Timing::Sending;
        // The checksum of a damaged one is wrong; a rule that was removed awaits nothing.
        if packet.is_damaged() {
            return;
        }
        let Some(index) = self.elements.iter().position(of_its_rule) else {
            return;
        };
        if let Work::Holding(stage) = &mut self.elements[index].work {
            self.counters.cross.goodput += stage.arrived(packet);
            let due = stage.deadline();
            self.set_due(index, due);
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

    /// Lets a rule that sends packets of its own send none until it begins again.
    fn pause(&mut self) {
        if let Work::Holding(stage) = &mut self.work
            && self.timing == Timing::Sending
        {
            stage.pause();
            self.due = None;
        }
    }
}
