//! What happens inside a link without a packet coming, in the order of time.

use super::Link;
use super::element::Element;
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
    pub(super) fn next_event(&self) -> Option<(Instant, Event)> {
        let due = self.next_work.map(|(due, index)| (due, Event::Work(index)));
        if !self.may_change_by_itself() {
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

    /// Returns true if something may happen in it that is no work of a stage.
    #[inline]
    pub(super) const fn may_change_by_itself(&self) -> bool {
        self.change.is_some() || self.sends
    }

    /// Returns the next event, if it is due at or before `now`.
    // Asked several times per packet, and most links have neither phases nor cross traffic.
    #[inline(always)]
    pub(super) fn event_by(&self, now: Instant) -> Option<(Instant, Event)> {
        if !self.may_change_by_itself() {
            let (at, index) = self.next_work.filter(|(at, _)| *at <= now)?;
            return Some((at, Event::Work(index)));
        }
        self.next_event().filter(|(at, _)| *at <= now)
    }

    /// Finds the stage whose work is due first, and the time; of several, the one nearest to the
    /// exit: its work makes room before what is behind it is let go.
    #[inline]
    fn first_due(&self, from: usize) -> Option<(Instant, usize)> {
        let mut next: Option<(Instant, usize)> = None;
        // From the exit on, a tie goes to the first that is found.
        for index in (from..self.elements.len()).rev() {
            if let Some(due) = self.elements[index].due
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
        let element = &mut self.elements[index];
        // What comes to a stage in which something waits seldom is due first.
        if element.due == due {
            return;
        }
        element.due = due;
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
    #[inline]
    pub(super) fn catch_up(&mut self, now: Instant) {
        self.clock = self.clock.max(now);
        if self.may_change_by_itself() || self.next_work.is_some_and(|(due, _)| due <= now) {
            self.do_all(now);
        }
    }

    #[inline(never)]
    fn do_all(&mut self, now: Instant) {
        while let Some((at, event)) = self.event_by(now) {
            if let Some(output) = self.happen(at, event) {
                self.outputs.push(output);
            }
        }
    }

    /// Does what is due at or before `now` from the element at `from` on, as happens between two
    /// packets that come there at the same time.
    #[inline(never)]
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

    /// Lets an event happen. Returns what leaves the link by it, unless other outputs came of it.
    fn happen(&mut self, at: Instant, event: Event) -> Option<Output> {
        let Event::Work(index) = event else {
            self.happen_to_rules(at, event);
            return None;
        };
        let output = self.work(at, index);
        self.remove_emptied();
        output
    }

    /// Lets an event happen that is no work of a stage.
    #[inline(never)]
    pub(super) fn happen_to_rules(&mut self, at: Instant, event: Event) {
        match event {
            Event::Work(_) => {}
            Event::Change => self.apply(at, self.epoch.expect("only what has begun changes")),
            Event::Pause => self.pause(),
        }
    }

    /// Does the work of the stage at `index` that is due at `due`. Returns what leaves the link,
    /// unless other outputs came of it.
    fn work(&mut self, due: Instant, index: usize) -> Option<Output> {
        let mut output = self.give(index, due);
        if self.settle_given(index, &mut output).is_some() { output } else { None }
    }

    /// Lets the stage at `index` give what is due at `due`, and note when it has work next. What
    /// sends packets of its own gives none here: they enter behind it.
    #[inline(always)]
    pub(super) fn give(&mut self, index: usize, due: Instant) -> Option<Output> {
        match &mut self.elements[index] {
            Element { timing: Timing::Sending, .. } => {
                self.send_cross(due, index);
                None
            }
            Element { work: Work::Holding(stage), due: next, .. } => stage.give(due, next),
            Element { work: Work::Instant(_), .. } => None,
        }
    }

    /// Takes what the stage at `index` has given on to the rules behind it. Returns it if it leaves
    /// the link instead; otherwise nothing of it is left.
    #[inline(always)]
    pub(super) fn settle_given<'a>(
        &mut self,
        index: usize,
        output: &'a mut Option<Output>,
    ) -> Option<&'a Output> {
        self.find_next_work();
        let output = output.as_mut()?;
        let element = &self.elements[index];
        output.packet_mut().trace.sign(element.place);
        if self.watch.is_on(output.packet()) {
            self.watch.released(&element.rule.key, element.place, output);
        }
        if element.retired {
            self.has_emptied |= element.held() == 0;
        }
        if let Output::Deliver(packet) = output
            && index + 1 < self.elements.len()
        {
            self.pass(index + 1, packet);
            return None;
        }
        if self.sends && self.ends_here(output) { None } else { Some(output) }
    }

    /// Takes out the stages of removed rules that hold nothing any more.
    #[inline(always)]
    pub(super) fn remove_emptied(&mut self) {
        if self.has_emptied {
            self.remove_retired();
        }
    }

    #[cold]
    fn remove_retired(&mut self) {
        self.has_emptied = false;
        self.elements.retain(|element| !element.retired || element.held() > 0);
        self.find_next_work();
    }
}
