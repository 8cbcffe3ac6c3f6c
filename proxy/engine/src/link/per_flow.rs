//! A rule that counts, and holds, the packets of each flow apart: one part per flow, made when its
//! first packet comes.

use super::part::Part;
use crate::packet::Packet;
use crate::profile::{Rule, RuleKind};
use crate::source::Origin;
use crate::stage::{Output, Verdict};
use crate::stages;
use jostle_common::time::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// The parts of a rule, by flow. Whoever drives the link says when a flow is over, which bounds
/// them.
#[derive(Debug)]
pub(super) struct PerFlow {
    /// What a new flow gets; `None` once the rule was removed.
    kind: Option<RuleKind>,
    /// Of a delay: one whose tables all flows share, as each costs many kilobytes and the time of
    /// thousands of packets.
    model: Option<stages::Delay>,
    ordinal: u32,
    origin: Origin,
    flows: BTreeMap<u32, Share>,
    /// When each flow's stage has work, the earliest first.
    due: BTreeSet<(Instant, u32)>,
    held: usize,
}

/// One flow's part.
#[derive(Debug)]
struct Share {
    part: Part,
    due: Option<Instant>,
    /// Whether the flow is over: its part stays until it is empty.
    over: bool,
}

impl PerFlow {
    pub(super) fn new(rule: &Rule, origin: Origin) -> Self {
        Self {
            kind: Some(rule.kind.clone()),
            model: model(&rule.kind, origin),
            ordinal: rule.ordinal,
            origin,
            flows: BTreeMap::new(),
            due: BTreeSet::new(),
            held: 0,
        }
    }

    fn origin(&self, flow: u32) -> Origin {
        Origin { source: self.origin.source.of_flow(flow), ..self.origin }
    }

    /// The part of a flow; `None` if it has none and the rule was removed.
    fn share(&mut self, flow: u32) -> Option<&mut Share> {
        if !self.flows.contains_key(&flow) {
            let (kind, origin) = (self.kind.as_ref()?, self.origin(flow));
            let part = match (&self.model, kind) {
                (Some(model), RuleKind::Delay(setting)) => {
                    Part::Delay(Box::new(model.of_flow(setting, origin)))
                }
                _ => Part::of_kind(kind, self.ordinal, origin),
            };
            self.flows.insert(flow, Share { part, due: None, over: false });
        }
        self.flows.get_mut(&flow)
    }

    pub(super) fn judge(&mut self, packet: &mut Packet) -> Verdict {
        self.share(packet.flow).map_or(Verdict::Pass, |share| share.part.judge(packet))
    }

    /// Whether a packet has a part to go to; a removed rule holds no new flows.
    pub(super) fn serves(&self, flow: u32) -> bool {
        self.kind.is_some() || self.flows.contains_key(&flow)
    }

    /// Takes in a packet of a flow that it [serves](Self::serves). How many copies were made of it.
    pub(super) fn take(&mut self, packet: Packet) -> u32 {
        let flow = packet.flow;
        let share = self.share(flow).expect("the link asked whether the flow is served");
        let copies = share.part.handle(packet);
        self.held += 1 + copies as usize;
        self.settle(flow);
        copies
    }

    pub(super) fn poll(&mut self, now: Instant) -> Option<Output> {
        let (_, flow) = *self.due.first().filter(|(due, _)| *due <= now)?;
        let output = self.flows.get_mut(&flow)?.part.poll(now);
        self.held -= usize::from(output.is_some());
        self.settle(flow);
        output
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    pub(super) const fn held(&self) -> usize {
        self.held
    }

    /// Takes on a new setting for every flow at `now`.
    pub(super) fn retune(&mut self, now: Instant, kind: Option<&RuleKind>) {
        self.kind = kind.cloned();
        self.model = kind.and_then(|kind| model(kind, self.origin));
        let flows: Vec<u32> = self.flows.keys().copied().collect();
        for flow in flows {
            let (ordinal, origin) = (self.ordinal, self.origin(flow));
            if let Some(share) = self.flows.get_mut(&flow) {
                match (&mut share.part, &self.model, kind) {
                    (Part::Delay(stage), Some(model), Some(RuleKind::Delay(setting))) => {
                        stage.retune_like(model, setting);
                    }
                    (part, ..) => part.retune(now, kind, ordinal, origin),
                }
            }
            self.settle(flow);
        }
    }

    pub(super) fn forget(&mut self, flow: u32) {
        if let Some(share) = self.flows.get_mut(&flow) {
            share.over = true;
            self.settle(flow);
        }
    }

    /// Notes when a flow's part has work next, and lets it go if it is over and empty.
    fn settle(&mut self, flow: u32) {
        let removed = self.kind.is_none();
        let Some(share) = self.flows.get_mut(&flow) else { return };
        let due = share.part.deadline();
        if due != share.due {
            if let Some(old) = share.due {
                self.due.remove(&(old, flow));
            }
            self.due.extend(due.map(|due| (due, flow)));
            share.due = due;
        }
        if (share.over || removed) && share.part.held() == 0 {
            self.flows.remove(&flow);
        }
    }
}

/// What the flows of a kind of rule have in common.
fn model(kind: &RuleKind, origin: Origin) -> Option<stages::Delay> {
    match kind {
        RuleKind::Delay(setting) => Some(stages::Delay::new(setting, origin)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Body;
    use crate::profile::Profile;
    use crate::source::Source;
    use jostle_common::chance::{Direction, Stream};

    fn rule(shape: &str, memory: &str) -> Rule {
        let json = format!(
            r#"{{ "up": [ {{ "rule": "delay", "time": "50ms", "jitter": "10ms", "shape": "{shape}", "memory": "{memory}", "per": "flow" }} ] }}"#
        );
        Profile::from_json(&json).unwrap().up.phases[0].rules[0].clone()
    }

    fn packet(flow: u32) -> Packet {
        let body = Body::Data(bytes::Bytes::from_static(b"x"));
        Packet { number: 1, flow_number: 1, ..Packet::new(flow, Instant::START, body) }
    }

    /// When each packet leaves, by flow.
    fn left(flows: &mut PerFlow) -> BTreeMap<u32, Instant> {
        let end = Instant::from_millis(1000);
        std::iter::from_fn(|| flows.poll(end))
            .map(|out| (out.packet().flow, out.packet().at))
            .collect()
    }

    /// A flow is one client's: a table of its own for each would cost 33 kB and the time of
    /// thousands of packets.
    #[test]
    fn flows_share_the_tables_of_a_delay_and_draw_for_themselves() {
        let stream = Stream::new(7, "r", Direction::Up, "delay");
        let origin = Origin { source: Source::of_link(stream), epoch: Instant::START };
        for memory in ["0s", "100ms"] {
            let mut flows = PerFlow::new(&rule("normal", memory), origin);
            for setting in [rule("normal", memory), rule("pareto", memory)] {
                flows.retune(Instant::START, Some(&setting.kind));
                (1..=20).for_each(|flow| {
                    flows.take(packet(flow));
                });
                let model = flows.model.as_ref().unwrap();
                let shares = flows.flows.values().filter(
                    |share| matches!(&share.part, Part::Delay(stage) if stage.shares_tables_with(model)),
                );
                assert_eq!(shares.count(), 20);
                let together = left(&mut flows);
                // As if each had been made on its own.
                for (flow, at) in &together {
                    let own = Origin { source: origin.source.of_flow(*flow), ..origin };
                    let mut alone = Part::of_kind(&setting.kind, 1, own);
                    alone.handle(packet(*flow));
                    assert_eq!(alone.deadline(), Some(*at), "flow {flow}");
                }
                assert_eq!(together.len(), 20);
            }
        }
    }
}
