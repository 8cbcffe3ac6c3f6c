//! Follows one packet, and its copies, from rule to rule.

use super::Link;
use super::key::LinkKey;
use crate::packet::Packet;
use crate::rules::{Decision, Per, Rule};
use crate::stage::Output;
use jostle_common::time::Instant;

/// A packet at a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Visit {
    /// The rule, as it was then.
    pub rule: Rule,
    /// The packet's number in the link.
    pub number: u64,
    /// Its flow.
    pub flow: u32,
    /// Its number in the flow, if the link counts those.
    pub flow_number: u64,
    /// 0 for the packet itself, a number of its own for a copy.
    pub copy: u32,
    /// The time at which it came to the rule.
    pub arrived: Instant,
    /// The time at which it left the rule for the next; `None` if it did not, or not yet.
    pub went_on: Option<Instant>,
    /// True if the rule looked at it.
    pub looked: bool,
    /// True if the rule chose it: dropped, damaged, copied or held it back.
    pub chosen: bool,
}

/// A random number and what it was held against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drawn {
    /// The number, from 0 to 1.
    pub number: f64,
    /// The probability below which it is a hit; `None` where the number is a quantile, or moves
    /// the state of a model.
    pub below: Option<f64>,
}

impl Visit {
    /// Returns what the rule drew for the packet in the link of `key`, if it looked at it and what
    /// it decides follows from one draw.
    pub fn drawn(&self, key: &LinkKey) -> Option<Drawn> {
        let Self { number, flow, flow_number, copy, .. } = *self;
        let at = Numbers { number, flow, flow_number, copy };
        Drawn::by(&self.rule, key, at).filter(|_| self.looked)
    }
}

/// What the draws of a packet are numbered by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    pub(super) number: u64,
    pub(super) flow: u32,
    pub(super) flow_number: u64,
    pub(super) copy: u32,
}

impl From<&Packet> for Numbers {
    fn from(packet: &Packet) -> Self {
        let Packet { number, flow, flow_number, .. } = *packet;
        Self { number, flow, flow_number, copy: packet.copy() }
    }
}

impl Drawn {
    /// Returns what a rule of the link of `key` draws, if what it decides follows from one draw.
    pub(super) fn by(rule: &Rule, key: &LinkKey, at: Numbers) -> Option<Self> {
        let decision = rule.kind.decision()?;
        let source = match rule.selection.per {
            Per::Link => key.source(rule),
            Per::Flow => key.source(rule).of_flow(at.flow),
        };
        let draw = source.draw_for(at.number, at.flow_number, at.copy);
        let below = match decision {
            Decision::Below(chance) => Some(chance.as_f64()),
            Decision::Quantile => None,
        };
        Some(Self { number: draw.first() as f64 / 2f64.powi(64), below })
    }
}

/// The rules that the packet of a number has met. A packet meets each rule once, so they are few.
#[derive(Debug)]
pub(super) struct Watch {
    number: u64,
    visits: Vec<Visit>,
    /// The number of those in stages, of the packet and its copies.
    inside: u64,
}

impl Default for Watch {
    /// Watches no packet: none has this number.
    fn default() -> Self {
        Self::on(u64::MAX)
    }
}

impl Watch {
    pub(super) const fn on(number: u64) -> Self {
        Self { number, visits: Vec::new(), inside: 0 }
    }

    #[inline]
    pub(super) const fn is_on(&self, packet: &Packet) -> bool {
        packet.number == self.number
    }

    /// Returns true if it watches one of `count` packets, the first of which has this number.
    pub(super) const fn is_within(&self, first: u64, count: u32) -> bool {
        first <= self.number && self.number - first < count as u64
    }

    pub(super) fn visits(&self) -> &[Visit] {
        &self.visits
    }

    pub(super) const fn is_inside(&self) -> bool {
        self.inside > 0
    }

    /// Notes that the packet has come to a rule.
    pub(super) fn arrive(&mut self, rule: &Rule, packet: &Packet) {
        self.visits.push(Visit {
            rule: rule.clone(),
            number: packet.number,
            flow: packet.flow,
            flow_number: packet.flow_number,
            copy: packet.copy(),
            arrived: packet.at,
            went_on: None,
            looked: true,
            chosen: false,
        });
    }

    /// Notes that the rule does not look at the packet.
    pub(super) fn pass_by(&mut self, rule: &Rule, packet: &Packet) {
        self.arrive(rule, packet);
        let visit = self.visits.last_mut().expect("it was just pushed");
        (visit.looked, visit.went_on) = (false, Some(packet.at));
    }

    /// Notes that an instant rule has judged the packet that came last.
    pub(super) fn judged(&mut self, goes_on: bool, chosen: bool) {
        let visit = self.visits.last_mut().expect("it came to the rule before it was judged");
        (visit.went_on, visit.chosen) = (goes_on.then_some(visit.arrived), chosen);
    }

    /// Notes that a stage has taken the packet in, and made `copies` of it.
    pub(super) const fn held(&mut self, copies: u32) {
        self.inside += 1 + copies as u64;
    }

    /// Notes that the stage of a rule has let the packet go. A copy that the stage made itself
    /// never came to it.
    pub(super) fn released(&mut self, rule: &str, place: u8, output: &Output) {
        self.inside -= 1;
        let packet = output.packet();
        let here = |visit: &&mut Visit| visit.rule.key == rule && visit.copy == packet.copy();
        let Some(visit) = self.visits.iter_mut().rev().find(here) else { return };
        match output {
            Output::Deliver(_) => {
                (visit.went_on, visit.chosen) = (Some(packet.at), packet.trace.is_signed(place));
            }
            Output::Discard(..) => visit.chosen = true,
        }
    }
}

impl Link {
    /// Notes from now on which rules packet `number` meets, and its copies.
    pub fn watch(&mut self, number: u64) {
        self.watch = Watch::on(number);
    }

    /// Returns the rules that the watched packet has met, in order.
    pub fn visits(&self) -> &[Visit] {
        self.watch.visits()
    }

    /// Returns true if the watched packet, or a copy of it, is in a stage.
    pub fn is_watched_inside(&self) -> bool {
        self.watch.is_inside()
    }

    /// Returns what the rule at `place` of a packet's trace drew for it, as it is set now, if what it
    /// decides follows from one draw.
    pub fn drawn(&self, place: u8, packet: &Packet) -> Option<Drawn> {
        let element = self.elements.iter().rev().find(|element| element.place == place)?;
        Drawn::by(&element.rule, &self.key, packet.into())
    }
}
