//! The rules on one direction of one connection, in series.

use crate::rules::{Deed, Deeds, Item, Rule, StreamRule};
use bytes::Bytes;
use jostle_common::time::Instant;
use std::collections::VecDeque;
use std::sync::Arc;

/// One direction of a connection: what has come out of its links, and the rules that it meets.
///
/// Work that is due first is done first; at the same time that of the rule nearest to the exit, and
/// then what came out of the links, in the order in which it came.
#[derive(Debug, Default)]
pub(super) struct Chain {
    input: VecDeque<(Due, Item)>,
    elements: Vec<Element>,
}

/// A place in the order of work: a time, and at that time 0 for the work of rules, or the number of
/// an arrival.
pub(super) type Due = (Instant, u64);

/// A rule that is in force.
#[derive(Clone, Debug)]
pub(super) struct InForce {
    pub(super) rule: Rule,
    /// Its place in the traces of packets.
    pub(super) place: u8,
}

/// A rule of the chain.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) setting: Arc<InForce>,
    pub(super) work: Box<dyn StreamRule>,
}

/// Something that leaves the chain.
#[derive(Debug, PartialEq)]
pub(super) enum Leaving {
    /// It goes on to the receiver.
    Item(Item),
    /// The rule at this place of traces discarded it.
    Discarded(u8, Bytes),
    /// A rule resets the connection.
    ResetBoth,
}

impl Chain {
    /// Returns true if what comes goes straight on.
    pub(super) fn is_straight(&self) -> bool {
        self.elements.is_empty() && self.input.is_empty()
    }

    /// Returns true if nothing is inside.
    pub(super) fn is_empty(&self) -> bool {
        self.input.is_empty() && self.elements.iter().all(|element| element.work.is_empty())
    }

    /// Takes what came out of the links at `due`.
    pub(super) fn push(&mut self, due: Due, item: Item) {
        self.input.push_back((due, item));
    }

    /// Returns when there is work next.
    pub(super) fn deadline(&self) -> Option<Due> {
        let works = self.elements.iter().filter_map(|element| element.work.deadline());
        works.map(|at| (at, 0)).chain(self.input.front().map(|(due, _)| *due)).min()
    }

    /// Returns true if its sender's reset comes in next, at `due`.
    pub(super) fn is_reset_at(&self, due: Due) -> bool {
        self.input.front().is_some_and(|(at, item)| *at == due && *item == Item::Reset)
    }

    /// Does the piece of work that is due next, which [`deadline`](Self::deadline) told.
    pub(super) fn step(&mut self, due: Due, leaving: &mut Vec<Leaving>) {
        let (at, _) = due;
        if let Some((_, item)) = self.input.pop_front_if(|(came, _)| *came == due) {
            return self.pass(at, 0, item, leaving);
        }
        let is_due = |element: &Element| element.work.deadline().is_some_and(|due| due <= at);
        if let Some(index) = self.elements.iter().rposition(is_due) {
            let element = &mut self.elements[index];
            let (mut deeds, place) = (Deeds::new(), element.setting.place);
            element.work.work(at, &mut deeds);
            self.carry_out(at, (index + 1, place), deeds, leaving);
        }
    }

    /// Takes an item through the rules from `start` on.
    fn pass(&mut self, at: Instant, start: usize, item: Item, leaving: &mut Vec<Leaving>) {
        let Some(element) = self.elements.get_mut(start) else {
            return leaving.push(Leaving::Item(item));
        };
        let (mut deeds, place) = (Deeds::new(), element.setting.place);
        element.work.handle(at, item, &mut deeds);
        self.carry_out(at, (start + 1, place), deeds, leaving);
    }

    /// Carries out what a rule did: what passes it comes to the rules from `next` on, what it
    /// discards was discarded by the rule at `place` of traces.
    fn carry_out(
        &mut self,
        at: Instant,
        (next, place): (usize, u8),
        deeds: Deeds,
        leaving: &mut Vec<Leaving>,
    ) {
        for deed in deeds {
            match deed {
                Deed::Pass(item) => self.pass(at, next, item, leaving),
                Deed::Discard(bytes) => leaving.push(Leaving::Discarded(place, bytes)),
                Deed::ResetBoth => leaving.push(Leaving::ResetBoth),
            }
        }
    }

    /// Puts `rules` in force at `now`: those of the same key and kind live on, others are `make`d.
    /// What a removed rule holds goes on at once, behind what those nearer to the exit hold.
    pub(super) fn replace(
        &mut self,
        now: Instant,
        rules: &[&Arc<InForce>],
        make: impl Fn(&Arc<InForce>) -> Option<Element>,
        leaving: &mut Vec<Leaving>,
    ) {
        // Rules keep their order, so what lives on is looked for behind the last that does.
        let mut from = 0;
        let mut lives = vec![false; self.elements.len()];
        let has_lived: Vec<bool> = rules
            .iter()
            .map(|new| {
                let found =
                    self.elements[from..].iter().position(|element| element.serves(&new.rule));
                if let Some(offset) = found {
                    lives[from + offset] = true;
                    from += offset + 1;
                }
                found.is_some()
            })
            .collect();
        for index in (0..lives.len()).rev().filter(|index| !lives[*index]) {
            let mut element = self.elements.remove(index);
            let mut deeds = Deeds::new();
            element.work.release(&mut deeds);
            self.carry_out(now, (index, element.setting.place), deeds, leaving);
        }
        let mut old: VecDeque<Element> = std::mem::take(&mut self.elements).into();
        for (new, has_lived) in rules.iter().zip(has_lived) {
            let living = if has_lived { old.pop_front() } else { make(new) };
            let Some(mut element) = living else { continue };
            if element.setting.rule != new.rule {
                element.work.retune(now, new.rule.kind.setting());
                element.setting = Arc::clone(new);
            }
            self.elements.push(element);
        }
    }
}

impl Element {
    /// Returns true if it can live on under this rule.
    fn serves(&self, rule: &Rule) -> bool {
        let own = &self.setting.rule;
        own.key == rule.key && own.kind.works_like(&rule.kind)
    }
}
