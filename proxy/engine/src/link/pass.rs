//! The way of a packet through the rules of a link, up to the first that holds it.
//!
//! A run goes as far as no rule tells its packets apart. A rule that chooses one of them splits it:
//! what is in front goes all the way first, then the chosen one, then the rest, as single packets
//! would. Between them what they left due at that time is done, as between single packets.

use super::Link;
use crate::packet::{Body, Packet};
use crate::rules::{Timing, Work, copy_number};
use crate::stage::Verdict;

/// What an element does with a run.
enum RunVerdict {
    /// Nothing.
    Pass,
    /// It takes it in whole.
    Hold,
    /// It lets so many packets at the front of it pass, and looks at the next by itself.
    Split(u32),
}

impl Link {
    /// Takes a packet out of its place and through the elements from `start` on, up to the first
    /// that holds it.
    #[inline(always)]
    pub(super) fn pass(&mut self, start: usize, packet: &mut Packet) {
        // A stage that holds every packet is told of it without a look at what else may be.
        if let Some(element) = self.elements.get_mut(start)
            && element.holds_all
            && !packet.is_run()
            && !packet.is_ahead()
            && !self.watch.is_on(packet)
            && let Work::Holding(stage) = &mut element.work
        {
            let due = stage.take(packet);
            return self.set_due(start, due);
        }
        self.pass_elements(start, packet);
    }

    fn pass_elements(&mut self, start: usize, packet: &mut Packet) {
        let mut index = start;
        while let Some(element) = self.elements.get_mut(index) {
            if packet.is_run() {
                match self.judge_run(index, packet) {
                    RunVerdict::Pass => index += 1,
                    RunVerdict::Hold => return self.hold(index, packet),
                    RunVerdict::Split(front) => self.pass_parts(index, front, packet),
                }
                continue;
            }
            let watched = self.watch.is_on(packet);
            if element.is_passed_by(packet, &self.flows) {
                if watched {
                    self.watch.pass_by(&element.rule, packet);
                }
                index += 1;
                continue;
            }
            if watched {
                self.watch.arrive(&element.rule, packet);
            }
            let rule = match &mut element.work {
                Work::Instant(rule) => rule,
                Work::Holding(_) if watched || !element.holds_all => {
                    return self.hold(index, packet);
                }
                Work::Holding(stage) => {
                    let due = stage.take(packet);
                    return self.set_due(index, due);
                }
            };
            let flipped = packet.flipped_bits();
            let verdict = if packet.is_cross() {
                let epoch = self.epoch.expect("what was sent had a beginning");
                let rule = element.rule_for_cross(&self.key, epoch);
                rule.map_or(Verdict::Pass, |rule| rule.judge(packet))
            } else {
                rule.judge(packet)
            };
            let place = element.place;
            // Flipped bytes are bytes of their own.
            if packet.flipped_bits() != flipped {
                self.charge_anew(packet);
            }
            if watched {
                let goes_on = !matches!(verdict, Verdict::Discard(_));
                self.watch.judged(goes_on, !goes_on || packet.trace.is_chosen());
            }
            match verdict {
                Verdict::Pass => packet.trace.sign(place),
                Verdict::Discard(reason) => {
                    packet.trace.choose();
                    packet.trace.sign(place);
                    return self.put_out_discarded(packet, reason);
                }
                Verdict::Copies(count) => {
                    packet.trace.sign(place);
                    return self.pass_copies(index, packet, count);
                }
            }
            index += 1;
        }
        self.put_out(packet);
    }

    /// Charges the bytes of a packet, which a rule has made anew.
    #[cold]
    fn charge_anew(&self, packet: &mut Packet) {
        if let (Some(memory), Body::Data(payload)) = (self.pieces.memory(), packet.body_mut()) {
            *payload = memory.payload(payload.to_bytes());
        }
    }

    /// Lets the stage at `index` take a packet in, notes it where it is watched, and counts the
    /// copies that the stage makes.
    fn hold(&mut self, index: usize, packet: &mut Packet) {
        let element = &mut self.elements[index];
        let Work::Holding(stage) = &mut element.work else { return };
        let (watched, is_cross) = (self.watch.is_on(packet), packet.is_cross());
        let due = stage.take(packet);
        let copies = if element.timing == Timing::Trailing { stage.copies_made() } else { 0 };
        if watched {
            self.watch.held(copies);
        }
        self.set_due(index, due);
        if copies > 0 {
            self.count_copies(copies, is_cross);
        }
    }

    /// Takes a packet on that the rule at `index` has copied, and its copies behind it.
    fn pass_copies(&mut self, index: usize, packet: &mut Packet, count: u32) {
        let ordinal = self.elements[index].rule.ordinal;
        // The original goes all the way first, as it would without its copies; each of them then
        // meets the rules behind this one with draws of its own.
        let (parent, original) = (packet.copy(), packet.clone());
        self.pass(index + 1, packet);
        for copy in 1..=count {
            self.count_copies(1, original.is_cross());
            let copy = copy_number(parent, ordinal, copy);
            self.pass(index + 1, &mut original.clone().into_copy(copy));
        }
    }

    fn count_copies(&mut self, count: u32, of_cross: bool) {
        self.pieces.add(u64::from(count));
        self.counters.copies_made(count, of_cross);
    }

    /// Asks the element at `index` what it does with a run.
    fn judge_run(&mut self, index: usize, run: &Packet) -> RunVerdict {
        let Self { elements, flows, .. } = self;
        let element = &mut elements[index];
        match element.passes_run_by(run, flows) {
            Some(true) => return RunVerdict::Pass,
            Some(false) => {}
            None => return RunVerdict::Split(0),
        }
        match &mut element.work {
            Work::Instant(rule) => match rule.untouched(run) {
                front if front >= run.count() => RunVerdict::Pass,
                front => RunVerdict::Split(front),
            },
            Work::Holding(stage) => match stage.takes_run(run) {
                true => RunVerdict::Hold,
                false => RunVerdict::Split(0),
            },
        }
    }

    /// Lets the first packets of a run pass the rule at `index`, `front` of them whole and the one
    /// behind by itself, unless that is the last: then it stays, as a single packet.
    fn pass_parts(&mut self, index: usize, front: u32, run: &mut Packet) {
        let at = run.at;
        if front > 0 {
            self.pieces.add(1);
            let mut front = run.split_to(front);
            self.pass(index + 1, &mut front);
            self.settle_behind(index, at);
        }
        if run.is_run() {
            self.pieces.add(1);
            let mut single = run.split_to(1);
            self.pass(index, &mut single);
            self.settle_behind(index, at);
        }
    }
}
