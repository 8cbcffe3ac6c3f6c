//! The choice of the packets that a rule of the link looks at.

use super::flows::KnownFlows;
use super::key::LinkKey;
use crate::flow::FlowFacts;
use crate::packet::{Body, Packet};
use crate::rules::{AgeMatch, MatchBytes, Per, Rule, Selection};
use jostle_common::chance::DrawStream;
use jostle_common::time::Instant;
use jostle_common::units::Probability;
use std::collections::BTreeMap;

/// Lets a rule see some packets and not others. A rule that looks at all has none.
#[derive(Debug)]
pub(super) struct Gate {
    selection: Selection,
    /// The draws of its share of flows, if that is not all of them.
    share: Option<DrawStream>,
    /// Of each flow that was asked about: when it began, if the rule looks at it. `None` if the
    /// rule asks for no facts, and the number of a flow says all.
    answers: Option<BTreeMap<u32, Option<Instant>>>,
}

/// The copy number under which a flow's own fate is drawn: no packet has it.
const FLOW_DRAW: u32 = u32::MAX;

impl Gate {
    pub(super) fn new(rule: &Rule, link: &LinkKey) -> Option<Self> {
        let selection = &rule.selection;
        let some_flows = selection.flows < Probability::ALWAYS;
        if !some_flows && selection.matching.is_none() {
            return None;
        }
        let share = some_flows.then(|| link.stream(&rule.key));
        let answers = selection.asks_for_facts().then(BTreeMap::new);
        Some(Self { selection: selection.clone(), share, answers })
    }

    /// Returns true if the rule looks at packets of this flow that enter the link at `now`.
    pub(super) fn admits_flow(&self, flow: u32, flows: &KnownFlows, now: Instant) -> bool {
        if self.answers.is_none() {
            return self.chooses(flow, None);
        }
        flows.of(flow).is_some_and(|facts| {
            let is_in_age = |age: AgeMatch| age.admits(now.since(facts.since));
            self.selection.age().is_none_or(is_in_age) && self.chooses(flow, Some(facts))
        })
    }

    fn chooses(&self, flow: u32, facts: Option<&FlowFacts>) -> bool {
        let Self { selection, share, .. } = self;
        selection.matches_flow(flow, facts)
            && share.is_none_or(|stream| chooses_flow(stream, selection.flows, flow))
    }

    /// Returns when a flow began, if the rule looks at it: asked once, and anew when another fact
    /// of it became known. What nothing is known of is not looked at.
    fn answer(&mut self, flow: u32, flows: &KnownFlows) -> Option<Instant> {
        let known = self.answers.as_ref().and_then(|answers| answers.get(&flow));
        if let Some(answer) = known {
            return *answer;
        }
        let facts = flows.of(flow)?;
        let answer = self.chooses(flow, Some(facts)).then_some(facts.since);
        if let Some(answers) = &mut self.answers {
            answers.insert(flow, answer);
        }
        answer
    }

    /// Returns true if the rule looks at cross traffic such as this: that has no client, and is
    /// behind no packet's number, nor in front of one.
    fn admits_cross(&self, packet: &Packet) -> bool {
        let Some(matching) = &self.selection.matching else { return true };
        self.answers.is_none()
            && matching.flow.is_none()
            && matching.number == (1..=u64::MAX)
            && matching.size.contains(&packet.size())
    }

    /// Returns true if the rule looks at every packet of a run, false if it looks at none; `None` if
    /// it tells them apart.
    pub(super) fn admits_run(&mut self, run: &Packet, flows: &KnownFlows) -> Option<bool> {
        let matching = self.selection.matching.as_ref();
        let is_of_flows = matching.is_none_or(|matching| {
            let number = match self.selection.per {
                Per::Link => run.number,
                Per::Flow => run.flow_number,
            };
            let last = number + u64::from(run.count()) - 1;
            let numbers = &matching.number;
            // All packets but the last are of one size; of what has no number or size in common
            // with the rule no question is left.
            let [first_size, last_size] = run.sizes();
            numbers.contains(&number) == numbers.contains(&last)
                && (numbers.contains(&number) || last < *numbers.start() || number > *numbers.end())
                && matching.size.contains(&first_size) == matching.size.contains(&last_size)
                && matching.bytes.is_none()
        });
        // What is asked of the first then is what is asked of all.
        is_of_flows.then(|| self.admits_sized(run, run.sizes()[0], flows))
    }

    /// Forgets what it knows of a flow: that is over, or another fact of it is known.
    pub(super) fn forget(&mut self, flow: u32) {
        if let Some(answers) = &mut self.answers {
            answers.remove(&flow);
        }
    }

    /// Returns true if the rule looks at this packet. A mark goes where its flow goes, whatever it
    /// is like.
    #[inline]
    pub(super) fn admits(&mut self, packet: &Packet, flows: &KnownFlows) -> bool {
        self.admits_sized(packet, packet.size(), flows)
    }

    fn admits_sized(&mut self, packet: &Packet, size: u32, flows: &KnownFlows) -> bool {
        if packet.is_cross() && !self.admits_cross(packet) {
            return false;
        }
        let since = match self.answers {
            None if !self.chooses(packet.flow, None) => return false,
            None => packet.entered,
            Some(_) => match self.answer(packet.flow, flows) {
                Some(since) => since,
                None => return false,
            },
        };
        let selection = &self.selection;
        let Some(matching) = selection.matching.as_ref().filter(|_| !packet.is_mark()) else {
            return true;
        };
        let number = match selection.per {
            Per::Link => packet.number,
            Per::Flow => packet.flow_number,
        };
        (packet.is_cross() || matching.number.contains(&number))
            && matching.size.contains(&size)
            && matching.ecn.is_none_or(|ecn| ecn.admits(packet.ecn))
            && matching.age.is_none_or(|age| age.admits(packet.entered.since(since)))
            && matching.bytes.as_ref().is_none_or(|bytes| holds(packet.body(), bytes))
    }
}

/// Returns true if a flow is among the share that a rule looks at.
pub(super) fn chooses_flow(stream: DrawStream, share: Probability, flow: u32) -> bool {
    stream.draw(0, flow, FLOW_DRAW).hits(share)
}

/// Returns true if a payload has these bytes. The payload of a modelled segment stays at its
/// sender.
fn holds(body: &Body, bytes: &MatchBytes) -> bool {
    match body {
        Body::Data(payload) => {
            payload.get(bytes.offset..).is_some_and(|rest| rest.starts_with(&bytes.value))
        }
        Body::Segment(_) | Body::Cross(_) | Body::End | Body::Reset => false,
    }
}
