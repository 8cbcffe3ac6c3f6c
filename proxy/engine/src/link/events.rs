//! What happens inside a link without a packet coming, in the order of time.

use super::Link;
use crate::rules::{Timing, Work};
use crate::stage::Output;
use jostle_common::time::Instant;

/// Something that can happen inside a link without a packet coming.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// The stage at this index has work.
    Work(usize),
    /// The timeline puts other rules in force.
    Change,
    /// Nothing came from outside for long.
    Pause,
}

impl Link {
    /// Returns the next event inside and its time: the work of the stage at an index, or a change
    /// of the rules; the work first if both are due.
    #[inline]
    pub(super) fn next_event(&self) -> Option<(Instant, Event)> {
        let due = self.next_work.map(|(due, index)| (due, Event::Work(index)));
        if self.change.is_none() && !self.sends {
            return due;
        }
        let event = match self.next_change() {
            None => due,
            Some(change) => due.filter(|(due, _)| *due <= change).or(Some((change, Event::Change))),
        };
        if self.sends
            && let Some(pause) = self.pause_at()
            && event.as_ref().is_none_or(|(at, _)| *at > pause)
        {
            return Some((pause, Event::Pause));
        }
        event
    }

    /// Returns the next event, if it is due at or before `now`.
    #[inline]
    pub(super) fn event_by(&self, now: Instant) -> Option<(Instant, Event)> {
        self.next_event().filter(|(at, _)| *at <= now)
    }

    /// Finds the stage whose work is due first, and the time; of several, the one nearest to the
    /// exit: its work makes room before what is behind it is let go.
    #[inline]
    fn first_due(&self, from: usize) -> Option<(Instant, usize)> {
        let mut next: Option<(Instant, usize)> = None;
        // From the exit on, a tie goes to the first that is found.
        for (index, element) in self.elements.iter().enumerate().skip(from).rev() {
            if let Some(due) = element.due
                && next.is_none_or(|(earliest, _)| due < earliest)
            {
                next = Some((due, index));
            }
        }
        next
    }

    /// Finds the next work anew, after the elements or their times have changed.
    #[inline]
    pub(super) fn find_next_work(&mut self) {
        self.next_work = self.first_due(0);
    }

    /// Notes when the stage at `index` has work next.
    #[inline]
    pub(super) fn set_due(&mut self, index: usize, due: Option<Instant>) {
        self.elements[index].due = due;
        match (self.next_work, due) {
            (Some((_, next)), _) if next == index => self.find_next_work(),
            (None, due) => self.next_work = due.map(|due| (due, index)),
            (Some((earliest, next)), Some(due)) => {
                if due < earliest || due == earliest && index > next {
                    self.next_work = Some((due, index));
                }
            }
            (Some(_), None) => {}
        }
    }

    /// Does all work due at or before `now`; what leaves the link waits among the outputs.
    pub(super) fn catch_up(&mut self, now: Instant) {
        self.clock = self.clock.max(now);
        while let Some((at, event)) = self.event_by(now) {
            if let Some(output) = self.happen(at, event) {
                self.outputs.push(output);
            }
        }
    }

    /// Does what is due at or before `now` from the element at `from` on, as happens between two
    /// packets that come there at the same time.
    pub(super) fn settle_behind(&mut self, from: usize, now: Instant) {
        if self.next_work.is_none_or(|(due, _)| due > now) {
            return;
        }
        while let Some((due, index)) = self.first_due(from).filter(|(due, _)| *due <= now) {
            if let Some(output) = self.work(due, index) {
                self.outputs.push(output);
            }
        }
    }

    #[inline]
    pub(super) fn happen(&mut self, at: Instant, event: Event) -> Option<Output> {
        match event {
            Event::Work(index) => {
                let output = self.work(at, index);
                self.remove_emptied();
                output
            }
            Event::Change => {
                self.apply(at, self.epoch.expect("only what has begun changes"));
                None
            }
            Event::Pause => {
                self.pause();
                None
            }
        }
    }

    /// Does the work of the stage at `index` that is due at `due`. Returns what leaves the link,
    /// unless other outputs came of it.
    #[inline]
    fn work(&mut self, due: Instant, index: usize) -> Option<Output> {
        let element = &mut self.elements[index];
        if element.timing == Timing::Sending {
            self.send_cross(due, index);
            return None;
        }
        let Work::Holding(stage) = &mut element.work else { return None };
        // It stays where it is written: each move of a packet costs as much as a rule.
        let mut next = None;
        let mut output = stage.give(due, &mut next);
        let (place, is_retired) = (element.place, element.retired);
        self.set_due(index, next);
        let packet = output.as_mut()?.packet_mut();
        packet.trace.sign(place);
        if self.watch.is_on(packet) {
            let key = &self.elements[index].rule.key;
            self.watch.released(key, place, output.as_ref()?);
        }
        self.has_emptied |= is_retired && self.elements[index].held() == 0;
        // Nothing stands behind it: the output leaves without another move.
        if index + 1 == self.elements.len() || matches!(output, Some(Output::Discard(..))) {
            return if self.sends { self.leave(output?) } else { output };
        }
        let Some(Output::Deliver(packet)) = output else { return None };
        self.pass(index + 1, packet);
        None
    }

    /// Takes out the stages of removed rules that hold nothing any more.
    #[inline]
    pub(super) fn remove_emptied(&mut self) {
        if std::mem::take(&mut self.has_emptied) {
            self.elements.retain(|element| !element.retired || element.held() > 0);
            self.find_next_work();
        }
    }
}
