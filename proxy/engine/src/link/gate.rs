//! The choice of the packets that a rule of the link looks at.

use super::key::LinkKey;
use crate::packet::{Body, CROSS_FLOWS, Packet};
use crate::rules::{Match, MatchBytes, Per, Rule};
use jostle_common::chance::DrawStream;
use jostle_common::units::Probability;

/// Lets a rule see some packets and not others. A rule that looks at all has none.
#[derive(Debug)]
pub(super) struct Gate {
    per: Per,
    flows: Option<(DrawStream, Probability)>,
    matching: Option<Match>,
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
        let flows = some_flows.then(|| (link.stream(&rule.key), selection.flows));
        Some(Self { per: selection.per, flows, matching: selection.matching.clone() })
    }

    /// Returns true if the rule looks at packets of this flow.
    pub(super) fn admits_flow(&self, flow: u32) -> bool {
        let chosen = self.matching.as_ref().and_then(|matching| matching.flow);
        chosen.is_none_or(|chosen| chosen.admits(flow) && flow < CROSS_FLOWS)
            && self.flows.as_ref().is_none_or(|(stream, share)| chooses_flow(*stream, *share, flow))
    }

    /// Returns true if the rule looks at this packet. A mark goes where its flow goes, whatever it
    /// is like.
    pub(super) fn admits(&self, packet: &Packet) -> bool {
        if !self.admits_flow(packet.flow) {
            return false;
        }
        let Some(matching) = self.matching.as_ref().filter(|_| !packet.is_mark()) else {
            return true;
        };
        let number = match self.per {
            Per::Link => packet.number,
            Per::Flow => packet.flow_number,
        };
        // Cross traffic is behind no packet's number, nor in front of one.
        let numbered = match packet.is_cross() {
            true => matching.number == (1..=u64::MAX),
            false => matching.number.contains(&number),
        };
        numbered
            && matching.size.contains(&packet.size)
            && matching.bytes.as_ref().is_none_or(|bytes| holds(&packet.body, bytes))
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
