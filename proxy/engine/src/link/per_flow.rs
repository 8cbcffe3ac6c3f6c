//! A rule that counts, and holds, the packets of each flow apart: one at work per flow, made when
//! its first packet comes.
//!
//! The driver of the link says when a flow is over, which bounds them.

use crate::packet::Packet;
use crate::rules::{HoldingRule, InstantRule, Origin, Rule, RuleSetting, Setup, Tables, Work};
use crate::stage::{Output, Stage, Verdict};
use jostle_common::time::Instant;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// Builds a rule that counts per flow.
pub(super) fn build(rule: &Rule, origin: Origin) -> Work {
    let template = template(rule, origin);
    if rule.kind.timing().is_instant() {
        Work::Instant(Box::new(InstantPerFlow { template, flows: BTreeMap::new() }))
    } else {
        let (flows, due) = (BTreeMap::new(), BTreeSet::new());
        Work::Holding(Box::new(HoldingPerFlow { template, flows, due, held: 0, copies: 0 }))
    }
}

fn template(rule: &Rule, origin: Origin) -> Template {
    let setting = Some(rule.kind.setting().boxed());
    Template { setting, tables: rule.kind.tables(), ordinal: rule.ordinal, origin }
}

/// The parts that the rule of a new flow is made from.
#[derive(Debug)]
struct Template {
    /// `None` once the rule was removed.
    setting: Option<Box<dyn RuleSetting>>,
    /// Computed once: they cost many kilobytes and the time of thousands of packets.
    tables: Tables,
    ordinal: u32,
    origin: Origin,
}

impl Template {
    fn setup(&self, flow: u32) -> Setup<'_> {
        let origin = Origin { source: self.origin.source.of_flow(flow), ..self.origin };
        Setup { ordinal: self.ordinal, origin, tables: &self.tables }
    }

    fn build(&self, flow: u32) -> Option<Work> {
        self.setting.as_ref().map(|setting| setting.build(self.setup(flow)))
    }
}

/// A rule that decides at once, for each flow.
#[derive(Debug)]
struct InstantPerFlow {
    template: Template,
    flows: BTreeMap<u32, Box<dyn InstantRule>>,
}

impl InstantRule for InstantPerFlow {
    fn judge(&mut self, packet: &mut Packet) -> Verdict {
        let rule = match self.flows.entry(packet.flow) {
            Entry::Occupied(rule) => rule.into_mut(),
            Entry::Vacant(place) => match self.template.build(packet.flow) {
                Some(Work::Instant(rule)) => place.insert(rule),
                Some(Work::Holding(_)) | None => return Verdict::Pass,
            },
        };
        rule.judge(packet)
    }

    fn untouched(&mut self, run: &Packet) -> u32 {
        // The rule of a new flow is made by the first packet.
        self.flows.get_mut(&run.flow).map_or(0, |rule| rule.untouched(run))
    }

    fn forget(&mut self, flow: u32) {
        self.flows.remove(&flow);
    }
}

/// A rule that holds packets, for each flow.
#[derive(Debug)]
struct HoldingPerFlow {
    template: Template,
    flows: BTreeMap<u32, Share>,
    /// The time at which each flow's stage has work, the earliest first.
    due: BTreeSet<(Instant, u32)>,
    held: usize,
    /// Copies made since the link last asked.
    copies: u32,
}

/// One flow's stage.
#[derive(Debug)]
struct Share {
    stage: Box<dyn HoldingRule>,
    due: Option<Instant>,
    /// True if the flow is over: its stage stays until it is empty.
    over: bool,
}

impl HoldingPerFlow {
    /// Returns the share of a flow; `None` if it has none and the rule was removed.
    fn share(&mut self, flow: u32) -> Option<&mut Share> {
        match self.flows.entry(flow) {
            Entry::Occupied(share) => Some(share.into_mut()),
            Entry::Vacant(place) => match self.template.build(flow)? {
                Work::Holding(stage) => Some(place.insert(Share { stage, due: None, over: false })),
                Work::Instant(_) => None,
            },
        }
    }

    /// Notes when a flow's stage has work next, and lets it go if it is over and empty.
    fn settle(&mut self, flow: u32) {
        let removed = self.template.setting.is_none();
        let Some(share) = self.flows.get_mut(&flow) else { return };
        let due = share.stage.deadline();
        if due != share.due {
            if let Some(old) = share.due {
                self.due.remove(&(old, flow));
            }
            self.due.extend(due.map(|due| (due, flow)));
            share.due = due;
        }
        // A flow that lives keeps its stage though it is empty: a bucket in it, say, has a memory.
        if (share.over || removed) && share.stage.held() == 0 {
            self.flows.remove(&flow);
        }
    }
}

impl HoldingRule for HoldingPerFlow {
    fn copies_made(&mut self) -> u32 {
        std::mem::take(&mut self.copies)
    }

    fn takes_run(&mut self, run: &Packet) -> bool {
        self.share(run.flow).is_some_and(|share| share.stage.takes_run(run))
    }

    /// Takes on a new setting for every flow.
    fn retune(&mut self, now: Instant, setting: Option<&dyn RuleSetting>, setup: Setup<'_>) {
        self.template.setting = setting.map(|setting| setting.boxed());
        self.template.tables = setup.tables.clone();
        let flows: Vec<u32> = self.flows.keys().copied().collect();
        for flow in flows {
            if let Some(share) = self.flows.get_mut(&flow) {
                share.stage.retune(now, setting, self.template.setup(flow));
            }
            self.settle(flow);
        }
    }

    fn room(&self, flow: u32) -> Option<usize> {
        if let Some(share) = self.flows.get(&flow) {
            return share.stage.room(flow);
        }
        // A flow of which nothing came has an empty stage.
        match self.template.build(flow)? {
            Work::Holding(stage) => stage.room(flow),
            Work::Instant(_) => None,
        }
    }

    fn serves(&self, flow: u32) -> bool {
        self.template.setting.is_some() || self.flows.contains_key(&flow)
    }

    fn forget(&mut self, flow: u32) {
        if let Some(share) = self.flows.get_mut(&flow) {
            share.over = true;
            self.settle(flow);
        }
    }
}

impl Stage for HoldingPerFlow {
    fn handle(&mut self, packet: Packet) {
        let (flow, packets) = (packet.flow, packet.count() as usize);
        let share = self.share(flow).expect("the link asked whether the flow is served");
        share.stage.handle(packet);
        let copies = share.stage.copies_made();
        self.held += packets + copies as usize;
        self.copies += copies;
        self.settle(flow);
    }

    fn poll(&mut self, now: Instant) -> Option<Output> {
        let (_, flow) = *self.due.first().filter(|(due, _)| *due <= now)?;
        let output = self.flows.get_mut(&flow)?.stage.poll(now);
        self.held -= output.as_ref().map_or(0, |output| output.packet().count() as usize);
        self.settle(flow);
        output
    }

    fn deadline(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    fn held(&self) -> usize {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Body;
    use crate::profile::Profile;
    use crate::rules::Source;
    use jostle_common::chance::{Direction, DrawStream};

    fn rule(shape: &str, memory: &str) -> Rule {
        let json = format!(
            r#"{{ "up": [ {{ "rule": "delay", "time": "50ms", "jitter": "10ms", "per": "flow",
                             "shape": "{shape}", "memory": "{memory}" }} ] }}"#
        );
        Profile::from_json(&json).unwrap().up.phases[0].rules[0].clone()
    }

    fn packet(flow: u32) -> Packet {
        let body = Body::data("x");
        Packet { number: 1, flow_number: 1, ..Packet::new(flow, Instant::START, body) }
    }

    /// Returns the time at which each packet leaves, by flow.
    fn left(flows: &mut HoldingPerFlow) -> BTreeMap<u32, Instant> {
        let end = Instant::from_millis(1000);
        std::iter::from_fn(|| flows.poll(end))
            .map(|out| (out.packet().flow, out.packet().at))
            .collect()
    }

    /// Checks that flows share tables. A flow is one client's; a table for each would cost 33 kB
    /// and the time of thousands of packets.
    #[test]
    fn flows_share_the_tables_of_a_delay_and_draw_for_themselves() {
        let stream = DrawStream::new(7, "r", Direction::Up, "delay");
        let origin = Origin { source: Source::of_link(stream), epoch: Instant::START };
        for memory in ["0s", "100ms"] {
            let (flows, due) = (BTreeMap::new(), BTreeSet::new());
            let template = template(&rule("normal", memory), origin);
            let mut flows = HoldingPerFlow { template, flows, due, held: 0, copies: 0 };
            for setting in [rule("normal", memory), rule("pareto", memory)] {
                let tables = setting.kind.tables();
                let setup = Setup { ordinal: 0, origin, tables: &tables };
                flows.retune(Instant::START, Some(setting.kind.setting()), setup);
                (1..=20).for_each(|flow| {
                    flows.handle(packet(flow));
                });
                assert!(flows.flows.values().all(|share| share.stage.shares_tables(&tables)));
                assert_eq!(flows.flows.len(), 20);
                let together = left(&mut flows);
                // As if each had been made on its own.
                for (flow, at) in &together {
                    let own = Origin { source: origin.source.of_flow(*flow), ..origin };
                    let setup = Setup { ordinal: 1, origin: own, tables: &None };
                    let Work::Holding(mut alone) = setting.kind.build(setup) else { panic!() };
                    alone.handle(packet(*flow));
                    assert_eq!(alone.deadline(), Some(*at), "flow {flow}");
                }
                assert_eq!(together.len(), 20);
            }
        }
    }
}
