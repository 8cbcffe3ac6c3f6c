//! A rule that counts, and holds, the packets of each flow apart: one part per flow, made when its first packet comes.

use super::part::Part;
use crate::packet::Packet;
use crate::source::Origin;
use crate::stage::{Output, Verdict};
use jostle_common::profile::{Rule, RuleKind};
use jostle_common::time::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// The parts of a rule, by flow. Whoever drives the link says when a flow is over, which bounds them.
#[derive(Debug)]
pub(super) struct PerFlow {
    /// What a new flow gets; `None` once the rule was removed.
    kind: Option<RuleKind>,
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
            let part = Part::of_kind(self.kind.as_ref()?, self.ordinal, self.origin(flow));
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
        let flows: Vec<u32> = self.flows.keys().copied().collect();
        for flow in flows {
            let (ordinal, origin) = (self.ordinal, self.origin(flow));
            if let Some(share) = self.flows.get_mut(&flow) {
                share.part.retune(now, kind, ordinal, origin);
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
