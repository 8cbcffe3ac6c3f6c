//! A link: one direction of a route, as instant rules and stages in the order of the profile.
//!
//! What happens inside is a sequence of events, ordered by time; at the same time the stage nearest to the exit goes first, so that work
//! due at *t* is done before a packet arriving at *t* is handled. Outputs come in the order of these events. The order depends on the
//! arrivals alone, never on when the link was polled.

use crate::counters::Counters;
use crate::packet::{Packet, Trace};
use crate::rules::{self, copy_number};
use crate::stage::{Output, Rule as _, Stage, Verdict};
use crate::stages;
use jostle_common::chance::{Direction, Stream};
use jostle_common::profile::{Rule, RuleKind};
use jostle_common::time::Instant;
use std::collections::VecDeque;

/// Who a link is: with the rules' keys, all that its draws depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkKey {
    /// The seed of the run, or of the route.
    pub seed: u64,
    /// The route's name, or its ordinal.
    pub route: String,
    /// Which of the route's two links it is.
    pub direction: Direction,
}

/// One direction of a route.
#[derive(Debug)]
pub struct Link {
    key: LinkKey,
    elements: Vec<Element>,
    /// The key of each rule that ever was in the link, at its place.
    places: Vec<String>,
    counters: Counters,
    outputs: VecDeque<Output>,
}

/// A rule in the link.
#[derive(Debug)]
struct Element {
    rule: Rule,
    place: u8,
    /// Whether the rule was removed, and stays only until its stage is empty.
    retired: bool,
    part: Part,
}

/// The working part of a rule.
#[derive(Debug)]
enum Part {
    Drop(rules::Drop),
    Corrupt(rules::Corrupt),
    Duplicate(rules::Duplicate),
    Delay(Box<stages::Delay>),
    Rate(Box<stages::Rate>),
    Reorder(Box<stages::Reorder>),
}

impl Link {
    /// A link that applies `rules` from top to bottom.
    pub fn new(key: LinkKey, rules: &[Rule]) -> Self {
        let mut link = Self {
            key,
            elements: Vec::new(),
            places: Vec::new(),
            counters: Counters::default(),
            outputs: VecDeque::new(),
        };
        link.elements = rules.iter().map(|rule| link.element(rule)).collect();
        link
    }

    /// Replaces the rules at `now`. Rules of the same key and kind live on with new parameters; a removed stage lets pass what still
    /// comes, behind what it holds, until it is empty.
    pub fn set_rules(&mut self, now: Instant, rules: &[Rule]) {
        self.catch_up(now);
        let mut old: VecDeque<Element> = std::mem::take(&mut self.elements).into();
        for rule in rules {
            let same = |element: &Element| element.rule.key == rule.key && element.part.fits(&rule.kind);
            let Some(found) = old.iter().position(same) else {
                let element = self.element(rule);
                self.elements.push(element);
                continue;
            };
            // What stood in front of it was removed, or moved down and is set anew there; what it holds drains where it stood.
            for element in old.drain(..found) {
                self.retire(element);
            }
            let mut element = old.pop_front().expect("its position was just found");
            element.part.retune(Some(rule), &self.key);
            element.rule = rule.clone();
            element.retired = false;
            self.elements.push(element);
        }
        for element in old {
            self.retire(element);
        }
    }

    /// The key of the rule at `place` of a packet's trace.
    pub fn rule_key(&self, place: u8) -> &str {
        self.places.get(usize::from(place)).map_or("", String::as_str)
    }

    /// Whether packets cross unchanged and at once.
    pub const fn is_transparent(&self) -> bool {
        self.elements.is_empty()
    }

    /// Which link it is.
    pub const fn key(&self) -> &LinkKey {
        &self.key
    }

    /// What it has done so far.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    fn element(&mut self, rule: &Rule) -> Element {
        let place = self.places.iter().position(|key| *key == rule.key).unwrap_or_else(|| {
            if self.places.len() < Trace::PLACES_MAX {
                self.places.push(rule.key.clone());
            }
            // Rules beyond the last place share it.
            self.places.len() - 1
        });
        let part = Part::new(rule, &self.key);
        Element { rule: rule.clone(), place: place as u8, retired: false, part }
    }

    fn retire(&mut self, mut element: Element) {
        element.part.retune(None, &self.key);
        element.retired = true;
        if element.part.held() > 0 {
            self.elements.push(element);
        }
    }

    /// The stage whose work is due first, and when; of several the one nearest to the exit.
    fn next_due(&self) -> Option<(Instant, usize)> {
        let mut next: Option<(Instant, usize)> = None;
        for (index, element) in self.elements.iter().enumerate().rev() {
            if let Some(due) = element.part.deadline()
                && next.is_none_or(|(earliest, _)| due < earliest)
            {
                next = Some((due, index));
            }
        }
        next
    }

    /// Does all work due at or before `now`; what leaves the link waits among the outputs.
    fn catch_up(&mut self, now: Instant) {
        while let Some((due, index)) = self.next_due().filter(|(due, _)| *due <= now) {
            if let Some(output) = self.work(due, index) {
                self.outputs.push_back(output);
            }
        }
    }

    /// Does the work of the stage at `index` that is due at `due`. What leaves the link is returned, unless other outputs came of it.
    fn work(&mut self, due: Instant, index: usize) -> Option<Output> {
        let element = &mut self.elements[index];
        match element.part.poll(due)? {
            Output::Deliver(mut packet) => {
                packet.trace.sign(element.place);
                if element.retired && element.part.held() == 0 {
                    self.elements.remove(index);
                    self.pass(index, packet);
                    return None;
                }
                if index + 1 == self.elements.len() {
                    return Some(Output::Deliver(packet));
                }
                self.pass(index + 1, packet);
                None
            }
            Output::Discard(mut packet, reason) => {
                packet.trace.sign(element.place);
                Some(Output::Discard(packet, reason))
            }
        }
    }

    /// Takes a packet through the elements from `start` on, up to the first that holds it.
    fn pass(&mut self, start: usize, mut packet: Packet) {
        for index in start..self.elements.len() {
            let element = &mut self.elements[index];
            if packet.is_mark() && element.part.is_instant() {
                continue;
            }
            let verdict = match &mut element.part {
                Part::Drop(rule) => rule.judge(&mut packet),
                Part::Corrupt(rule) => rule.judge(&mut packet),
                Part::Duplicate(rule) => rule.judge(&mut packet),
                Part::Delay(stage) => return stage.handle(packet),
                Part::Rate(stage) => return stage.handle(packet),
                Part::Reorder(stage) => return stage.handle(packet),
            };
            let place = element.place;
            match verdict {
                Verdict::Pass => packet.trace.sign(place),
                Verdict::Discard(reason) => {
                    packet.trace.choose();
                    packet.trace.sign(place);
                    return self.outputs.push_back(Output::Discard(packet, reason));
                }
                Verdict::Copies(count) => {
                    packet.trace.sign(place);
                    let ordinal = element.rule.ordinal;
                    let (parent, original) = (packet.copy, packet.clone());
                    self.pass(index + 1, packet);
                    for copy in 1..=count {
                        self.counters.copy();
                        let copy = copy_number(parent, ordinal, copy);
                        self.pass(index + 1, Packet { copy, ..original.clone() });
                    }
                    return;
                }
            }
        }
        self.outputs.push_back(Output::Deliver(packet));
    }
}

impl Stage for Link {
    fn handle(&mut self, mut packet: Packet) {
        self.catch_up(packet.at);
        if packet.is_mark() {
            packet.number = 0;
        } else {
            self.counters.enter();
            packet.number = self.counters.entered;
        }
        packet.entered = packet.at;
        self.pass(0, packet);
    }

    fn poll(&mut self, now: Instant) -> Option<Output> {
        let output = loop {
            if !self.outputs.is_empty() {
                break self.outputs.pop_front_if(|output| output.packet().at <= now)?;
            }
            let (due, index) = self.next_due().filter(|(due, _)| *due <= now)?;
            if let Some(output) = self.work(due, index) {
                break output;
            }
        };
        self.counters.leave(&output);
        Some(output)
    }

    /// The next time at which something happens inside, which may be only a step from one stage to the next.
    fn deadline(&self) -> Option<Instant> {
        if let Some(output) = self.outputs.front() {
            return Some(output.packet().at);
        }
        self.next_due().map(|(due, _)| due)
    }

    fn held(&self) -> usize {
        self.outputs.len() + self.elements.iter().map(|element| element.part.held()).sum::<usize>()
    }
}

impl Part {
    fn new(rule: &Rule, link: &LinkKey) -> Self {
        let stream = Stream::new(link.seed, &link.route, link.direction, &rule.key);
        match &rule.kind {
            RuleKind::Drop(setting) => Self::Drop(rules::Drop::new(setting, stream)),
            RuleKind::Corrupt(setting) => Self::Corrupt(rules::Corrupt::new(setting, stream)),
            RuleKind::Duplicate(setting) => Self::Duplicate(rules::Duplicate::new(*setting, stream)),
            RuleKind::Delay(setting) => Self::Delay(Box::new(stages::Delay::new(setting, stream))),
            RuleKind::Rate(setting) => Self::Rate(Box::new(stages::Rate::new(*setting))),
            RuleKind::Reorder(setting) => Self::Reorder(Box::new(stages::Reorder::new(*setting, stream))),
        }
    }

    /// Whether it can live on with this setting.
    const fn fits(&self, kind: &RuleKind) -> bool {
        matches!(
            (self, kind),
            (Self::Drop(_), RuleKind::Drop(_))
                | (Self::Corrupt(_), RuleKind::Corrupt(_))
                | (Self::Duplicate(_), RuleKind::Duplicate(_))
                | (Self::Delay(_), RuleKind::Delay(_))
                | (Self::Rate(_), RuleKind::Rate(_))
                | (Self::Reorder(_), RuleKind::Reorder(_))
        )
    }

    /// Takes on a new setting of the same kind; without one a stage lets packets pass. An instant rule has nothing to keep: its draws
    /// depend on packet numbers alone.
    fn retune(&mut self, rule: Option<&Rule>, link: &LinkKey) {
        match (self, rule.map(|rule| &rule.kind)) {
            (Self::Delay(stage), Some(RuleKind::Delay(setting))) => stage.retune(Some(setting)),
            (Self::Rate(stage), Some(RuleKind::Rate(setting))) => stage.retune(Some(*setting)),
            (Self::Reorder(stage), Some(RuleKind::Reorder(setting))) => stage.retune(Some(*setting)),
            (Self::Delay(stage), None) => stage.retune(None),
            (Self::Rate(stage), None) => stage.retune(None),
            (Self::Reorder(stage), None) => stage.retune(None),
            (part, Some(_)) => *part = Self::new(rule.expect("the kind came from it"), link),
            (_, None) => {}
        }
    }

    const fn is_instant(&self) -> bool {
        matches!(self, Self::Drop(_) | Self::Corrupt(_) | Self::Duplicate(_))
    }

    fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Delay(stage) => stage.deadline(),
            Self::Rate(stage) => stage.deadline(),
            Self::Reorder(stage) => stage.deadline(),
            Self::Drop(_) | Self::Corrupt(_) | Self::Duplicate(_) => None,
        }
    }

    fn held(&self) -> usize {
        match self {
            Self::Delay(stage) => stage.held(),
            Self::Rate(stage) => stage.held(),
            Self::Reorder(stage) => stage.held(),
            Self::Drop(_) | Self::Corrupt(_) | Self::Duplicate(_) => 0,
        }
    }

    fn poll(&mut self, now: Instant) -> Option<Output> {
        match self {
            Self::Delay(stage) => stage.poll(now),
            Self::Rate(stage) => stage.poll(now),
            Self::Reorder(stage) => stage.poll(now),
            Self::Drop(_) | Self::Corrupt(_) | Self::Duplicate(_) => None,
        }
    }
}
