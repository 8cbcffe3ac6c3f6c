//! A link: one direction of a route, as instant rules and stages in the order of the profile.
//!
//! What happens inside is a sequence of events, ordered by time; at the same time the stage nearest
//! to the exit goes first, so that work due at *t* is done before a packet arriving at *t* is
//! handled. Outputs come in the order of these events. The order depends on the arrivals alone,
//! never on when the link was polled.

mod cross;
mod events;
mod flows;
mod gate;
mod key;
mod outages;
mod outputs;
mod pass;
mod per_flow;
pub(crate) mod schedule;
mod watch;

use crate::counters::Counters;
use crate::flow::FlowFacts;
use crate::memory::{Charge, Memory};
use crate::packet::{Packet, Trace};
use crate::profile::{Profile, Start, Timeline};
use crate::rules::{InstantRule, Origin, Per, Rule, Setup, Timing, Work};
use crate::stage::{Output, Stage};
use flows::KnownFlows;
use gate::Gate;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
pub use key::LinkKey;
use outages::Outages;
use outputs::Outputs;
pub use schedule::Schedule;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use watch::Watch;
pub use watch::{Drawn, Visit};

/// The memory that a packet costs besides the bytes that it carries: its place in a ring that may
/// be half full.
pub const PACKET_BYTES: u64 = 2 * size_of::<Packet>() as u64;

/// The same for a segment of the TCP model: what it says, and its sender's note of it.
pub const SEGMENT_BYTES: u64 = PACKET_BYTES + 192;

/// The number of packets and runs that are charged at a time.
const CHARGED_AT_ONCE: u64 = 16;

/// One direction of a route.
#[derive(Debug)]
pub struct Link {
    key: LinkKey,
    schedule: Arc<Schedule>,
    /// The time at which the timeline began to count; `None` before the first packet.
    epoch: Option<Instant>,
    /// The time of the next change of the rules by the timeline.
    change: Option<Instant>,
    elements: Vec<Element>,
    /// The stage whose work is due first, by its index, and the time.
    next_work: Option<(Instant, usize)>,
    /// Set if a removed stage has become empty since such were last taken out.
    has_emptied: bool,
    /// The key of each rule that ever was in the link, at its place.
    places: Vec<String>,
    /// The number of packets of each flow that have entered, if a rule counts them.
    flow_numbers: Option<BTreeMap<u32, u64>>,
    /// The flows of which something was told, or noted for rules that ask for their age.
    flows: KnownFlows,
    /// Set if flows that nobody tells of are noted: a rule asks for their age, or something is
    /// assumed of them.
    notes_flows: bool,
    /// The last time that it was told of.
    clock: Instant,
    outages: Outages,
    counters: Counters,
    outputs: Outputs,
    /// The packets, runs and marks inside: what each of them takes is charged.
    pieces: u64,
    watch: Watch,
    /// Set if a rule sends packets of its own, now or later.
    sends: bool,
    /// Set while these send nothing, as nothing came from outside for long.
    paused: bool,
    /// The last time at which something from outside was there.
    busy: Instant,
    /// What is charged for the packets inside, besides their bytes, and for each; `None`: nothing.
    charge: Option<(Charge, u64)>,
}

/// A rule in the link.
#[derive(Debug)]
struct Element {
    rule: Rule,
    place: u8,
    timing: Timing,
    /// True if the rule was removed, and stays only until its stage is empty.
    retired: bool,
    gate: Option<Gate>,
    work: Work,
    /// The same for cross traffic if it decides at once: what goes by numbers then finds each
    /// kind of traffic's without a gap. Made when its first packet comes.
    for_cross: Option<Box<dyn InstantRule>>,
    /// The time of the stage's next work: asked for once after each change of it, since the link
    /// looks at every element before each step.
    due: Option<Instant>,
}

impl Link {
    /// Creates a link that applies the rules of `timeline` from top to bottom, except for those that
    /// act on delivered streams: these are the carrier's.
    pub fn new(key: LinkKey, timeline: &Timeline) -> Self {
        let mut link = Self {
            key,
            schedule: Arc::new(Schedule::new(timeline.for_packets())),
            epoch: None,
            change: None,
            elements: Vec::new(),
            next_work: None,
            has_emptied: false,
            places: Vec::new(),
            flow_numbers: None,
            flows: KnownFlows::default(),
            notes_flows: false,
            clock: Instant::START,
            outages: Outages::default(),
            counters: Counters::default(),
            outputs: Outputs::default(),
            pieces: 0,
            watch: Watch::default(),
            sends: false,
            paused: false,
            busy: Instant::START,
            charge: None,
        };
        link.follow_schedule(Instant::START);
        link
    }

    /// Creates the two links of a route under `profile`, up first, with the draws that a route
    /// called `route` has under `seed`.
    pub fn both(profile: &Profile, seed: u64, route: &str) -> [Self; 2] {
        Direction::BOTH.map(|direction| {
            let key = LinkKey { seed, route: route.to_owned(), direction };
            Self::new(key, profile.timeline(direction))
        })
    }

    /// Charges to `memory` from now on what packets cost besides their bytes, which is `each`, and
    /// the bytes that rules make anew.
    pub fn charge_to(&mut self, memory: &Memory, each: u64) {
        self.charge = Some((Charge::new(memory, 0), each));
        self.settle_charge();
    }

    /// Returns what so many more packets cost at most, besides their bytes.
    pub fn cost(&self, packets: u64) -> u64 {
        self.charge.as_ref().map_or(0, |(_, each)| (packets + CHARGED_AT_ONCE) * each)
    }

    /// Charges what the packets inside cost. In steps: not every packet is worth the counting.
    #[inline]
    fn settle_charge(&mut self) {
        let Some((charge, each)) = &mut self.charge else { return };
        let (cost, charged, step) = (self.pieces * *each, charge.bytes(), CHARGED_AT_ONCE * *each);
        if cost > charged {
            charge.set(cost + step.min(cost));
        } else if cost + 4 * step < charged || cost == 0 {
            charge.set(cost);
        }
    }

    /// Lets the timeline begin to count at `at`, unless it already does. The first packet does so
    /// too; the caller that drives both links of a route tells the other one, so that both keep the
    /// same time.
    pub fn begin(&mut self, at: Instant) {
        if self.epoch.is_none() {
            self.epoch = Some(at);
            self.busy = self.busy.max(at);
            self.apply(at, at);
        }
    }

    /// Replaces the rules at `now`, whose time goes on from when the old ones began. Rules of the
    /// same key and kind live on with new parameters; a removed stage lets pass what still comes,
    /// behind what it holds, until it is empty.
    pub fn set_timeline(&mut self, now: Instant, timeline: &Timeline) {
        self.catch_up(now);
        self.schedule = Arc::new(Schedule::new(timeline.for_packets()));
        self.follow_schedule(now);
    }

    /// Follows a new schedule from `now` on.
    fn follow_schedule(&mut self, now: Instant) {
        self.notes_flows = self.schedule.asks_for_age() || self.flows.assumes();
        if self.flow_numbers.is_none() && self.schedule.counts_flows() {
            self.flow_numbers = Some(BTreeMap::new());
        }
        // What is still inside has to be known from what came from outside.
        self.sends = self.schedule.sends() || self.counters.cross.held > 0;
        self.paused &= self.sends;
        match (self.epoch, self.schedule.start()) {
            (Some(epoch), _) => self.apply(now, epoch),
            (None, Start::Run) => self.begin(Instant::START),
            (None, Start::Packet) => {}
        }
    }

    /// Learns what is known of a flow at `now`: before its first packet, and again when another fact
    /// becomes known. Of a flow that nobody tells of only the age is known, from its first packet on
    /// if a rule asks for it then. The driver tells both links of a route, and has to
    /// [forget](Self::forget) the flow when it is over.
    pub fn tell(&mut self, now: Instant, flow: u32, facts: &Arc<FlowFacts>) {
        self.clock = self.clock.max(now);
        if self.flows.learn(flow, Arc::clone(facts)) {
            self.elements.iter_mut().filter_map(|one| one.gate.as_mut()).for_each(|gate| {
                gate.forget(flow);
            });
        }
    }

    /// Assumes this of each flow that nobody tells of, and that it begins with its first packet.
    pub fn assume(&mut self, facts: FlowFacts) {
        self.flows.assume(facts);
        self.notes_flows = true;
    }

    /// Returns what is known of a flow.
    pub fn facts(&self, flow: u32) -> Option<&Arc<FlowFacts>> {
        self.flows.of(flow)
    }

    /// Forgets a flow of which no packet will come any more.
    pub fn forget(&mut self, flow: u32) {
        self.flows.forget(flow);
        self.elements.iter_mut().filter_map(|one| one.gate.as_mut()).for_each(|gate| {
            gate.forget(flow);
        });
        if let Some(numbers) = &mut self.flow_numbers {
            numbers.remove(&flow);
            for element in &mut self.elements {
                match &mut element.work {
                    Work::Instant(rule) => rule.forget(flow),
                    Work::Holding(stage) => {
                        stage.forget(flow);
                        element.due = stage.deadline();
                    }
                }
            }
            self.find_next_work();
        }
    }

    /// Follows the timeline up to `now`, which an empty link has not done, before a packet enters.
    /// Each phase has its turn, so that a rule which one of them lacks begins anew behind it, as it
    /// does when somebody takes it away; over several rounds of a timeline one is as good as all.
    fn follow_up(&mut self, now: Instant, epoch: Instant) {
        for _ in 0..self.schedule.len() {
            let Some(change) = self.change.filter(|change| *change <= now) else { return };
            self.apply(change, epoch);
        }
        if self.change.is_some_and(|change| change <= now) {
            self.apply(now, epoch);
        }
    }

    /// Puts the rules in force that the timeline has for `now`.
    fn apply(&mut self, now: Instant, epoch: Instant) {
        let schedule = Arc::clone(&self.schedule);
        let (rules, next) = schedule.at(now.as_nanos().saturating_sub(epoch.as_nanos()));
        self.change = next.map(|elapsed| epoch.plus_nanos(elapsed));
        self.replace(now, rules, epoch);
    }

    fn replace(&mut self, now: Instant, rules: &[Rule], epoch: Instant) {
        let mut old: VecDeque<Element> = std::mem::take(&mut self.elements).into();
        for rule in rules {
            // Rules keep their order, so what matches is looked for behind the last match only.
            let Some(found) = old.iter().position(|element| element.serves(rule)) else {
                let mut element = self.element(rule, epoch);
                element.begin(now);
                self.elements.push(element);
                continue;
            };
            // What stood in front of it was removed, or moved down and is set anew there; what it
            // holds drains where it stood.
            for element in old.drain(..found) {
                self.retire(now, element, epoch);
            }
            let mut element = old.pop_front().expect("its position was just found");
            element.retune(now, rule, &self.key, epoch);
            self.elements.push(element);
        }
        for element in old {
            self.retire(now, element, epoch);
        }
        if self.paused {
            self.pause();
        }
        self.find_next_work();
    }

    /// Returns the key of the rule at `place` of a packet's trace.
    pub fn rule_key(&self, place: u8) -> &str {
        self.places.get(usize::from(place)).map_or("", String::as_str)
    }

    /// Returns what the rule at `place` of a packet's trace drew for it, as it is set now, if what it
    /// decides follows from one draw.
    pub fn drawn(&self, place: u8, packet: &Packet) -> Option<Drawn> {
        let element = self.elements.iter().rev().find(|element| element.place == place)?;
        Drawn::by(&element.rule, &self.key, packet.into())
    }

    /// Returns the place in a packet's trace of the rule called `key`, which it may have for itself
    /// from now on.
    pub(crate) fn place_of(&mut self, key: &str) -> u8 {
        let place = self.places.iter().position(|known| known == key).unwrap_or_else(|| {
            if self.places.len() < Trace::PLACES_MAX {
                self.places.push(key.to_owned());
            }
            // Rules beyond the last place share it.
            self.places.len() - 1
        });
        place as u8
    }

    /// Returns the time at which its timeline began to count, if it has.
    pub const fn epoch(&self) -> Option<Instant> {
        self.epoch
    }

    /// Returns true if an `outage` rule that looks at every packet cuts the link at `now`, which
    /// never goes back, and the time at which that may change; before its timeline counts nothing
    /// is cut.
    pub fn is_cut_at(&mut self, now: Instant) -> (bool, Option<Instant>) {
        let Self { outages, epoch, key, schedule, .. } = self;
        epoch.map_or((false, None), |epoch| outages.at(now, epoch, key, schedule))
    }

    /// Returns true if packets cross unchanged and at once.
    pub fn is_transparent(&self) -> bool {
        self.elements.is_empty() && self.schedule.is_empty()
    }

    /// Returns true if a rule makes copies, now or later.
    pub fn makes_copies(&self) -> bool {
        self.schedule.makes_copies()
    }

    /// Returns `packet` with the number that it gets if it enters next; a run with its first one's.
    pub fn numbered(&self, packet: &Packet) -> Packet {
        let number = if packet.is_mark() { 0 } else { self.counters.entered + 1 };
        Packet { number, ..packet.clone() }
    }

    /// Returns the number of bytes of a flow that may come now if what feeds the link is to wait
    /// for it; `None` if the link bounds what it holds itself.
    pub fn room(&self, flow: u32) -> Option<usize> {
        if self.epoch.is_none() {
            // The first packet puts the rules in force, and already finds a line that is idle.
            let (rules, _) = self.schedule.at(0);
            let facts = self.flows.of(flow).map(Arc::as_ref);
            let asked = rules.iter().filter(|rule| {
                rule.kind.setting().lets_senders_wait()
                    && self.key.chooses_flow(rule, flow, facts)
                    && rule.selection.age().is_none_or(|age| age.from.is_zero())
            });
            return asked.filter_map(|rule| self.idle_room(rule, flow)).min();
        }
        let asked = self.elements.iter().filter_map(|element| match &element.work {
            Work::Holding(stage) if element.looks_at_flow(flow, &self.flows, self.clock) => {
                stage.room(flow)
            }
            Work::Holding(_) | Work::Instant(_) => None,
        });
        asked.min()
    }

    /// Returns the number of bytes that a rule which holds nothing lets come.
    fn idle_room(&self, rule: &Rule, flow: u32) -> Option<usize> {
        match work(rule, self.key.origin(rule, Instant::START)) {
            Work::Holding(stage) => stage.room(flow),
            Work::Instant(_) => None,
        }
    }

    /// Returns the key of the link.
    pub const fn key(&self) -> &LinkKey {
        &self.key
    }

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

    /// Returns the counters of what it has done so far.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    fn element(&mut self, rule: &Rule, epoch: Instant) -> Element {
        let place = self.place_of(&rule.key);
        Element {
            rule: rule.clone(),
            place,
            timing: rule.kind.timing(),
            retired: false,
            gate: Gate::new(rule, &self.key),
            work: work(rule, self.key.origin(rule, epoch)),
            for_cross: None,
            due: None,
        }
    }

    /// Lets a removed stage stay until it is empty. An instant rule holds nothing.
    fn retire(&mut self, now: Instant, mut element: Element, epoch: Instant) {
        let Work::Holding(stage) = &mut element.work else { return };
        let origin = self.key.origin(&element.rule, epoch);
        stage.retune(now, None, Setup { ordinal: element.rule.ordinal, origin, tables: &None });
        element.due = stage.deadline();
        element.retired = true;
        if stage.held() > 0 {
            self.elements.push(element);
        }
    }

    /// Returns the number of packets in stages.
    fn waiting(&self) -> usize {
        self.elements.iter().map(Element::held).sum()
    }

    /// Returns the time at which the timeline changes the rules under what is inside. An empty link
    /// has no need to follow every change, unless it has traffic of its own: the next packet finds
    /// the rules of its time.
    fn next_change(&self) -> Option<Instant> {
        self.change.filter(|_| self.is_sending() || self.waiting() > 0)
    }

    /// Lets something wait to be polled, unless it is cross traffic.
    #[inline]
    fn put_out(&mut self, output: Output) {
        if let Some(output) = self.leave(output) {
            self.outputs.push(output);
        }
    }

    /// Returns true if a run cannot cross as one whatever the rules are: somebody watches one of
    /// its packets, or cross traffic may come between them.
    fn tells_apart(&self, run: &Packet) -> bool {
        self.sends || self.watch.is_within(self.counters.entered + 1, run.count())
    }

    /// Numbers a packet within its flow, if a rule counts these.
    #[inline]
    fn count_in_flow(&mut self, packet: &mut Packet) {
        if let Some(numbers) = &mut self.flow_numbers {
            let number = numbers.entry(packet.flow).or_default();
            let count = if packet.is_mark() { 0 } else { packet.count() };
            // A run has the number of its first.
            packet.flow_number = *number + u64::from(count > 0);
            *number += u64::from(count);
        }
    }
}

impl Stage for Link {
    fn handle(&mut self, mut packet: Packet) {
        if packet.is_run() && self.tells_apart(&packet) {
            packet.singles().for_each(|single| self.handle(single));
            return;
        }
        self.clock = self.clock.max(packet.at);
        match self.epoch {
            None => self.begin(packet.at),
            Some(epoch) => {
                self.catch_up(packet.at);
                self.follow_up(packet.at, epoch);
            }
        }
        self.note_from_outside(packet.at);
        if self.notes_flows {
            self.flows.note(packet.flow, packet.at);
        }
        self.count_in_flow(&mut packet);
        if packet.is_mark() {
            packet.number = 0;
        } else {
            packet.number = self.counters.entered + 1;
            self.counters.enter(packet.count());
        }
        packet.entered = packet.at;
        self.pieces += 1;
        self.pass(0, packet);
        self.remove_emptied();
        self.settle_charge();
    }

    fn poll(&mut self, now: Instant) -> Option<Output> {
        let output = loop {
            if !self.outputs.is_empty() {
                break self.outputs.pop(now)?;
            }
            if self.sends && self.holds_cross_alone() {
                return None;
            }
            // One step may only move a packet to the next stage; the loop goes on until something
            // leaves or nothing is due.
            let (at, event) = self.event_by(now)?;
            if let Some(output) = self.happen(at, event) {
                break output;
            }
        };
        self.pieces -= 1;
        self.counters.leave(&output);
        self.settle_charge();
        Some(output)
    }

    /// Returns the next time at which something happens inside, which may be only a step from one
    /// stage to the next.
    fn deadline(&self) -> Option<Instant> {
        if let Some(due) = self.outputs.first_due() {
            return Some(due);
        }
        if self.sends && self.holds_cross_alone() {
            return None;
        }
        self.next_event().map(|(at, _)| at)
    }

    fn held(&self) -> usize {
        self.outputs.packets() + self.waiting() - self.counters.cross.held as usize
    }
}

impl Element {
    /// Returns true if it can live on under this rule. What holds packets of flows that the rule
    /// does not look at has to drain instead, or later packets of these flows would overtake them.
    fn serves(&self, rule: &Rule) -> bool {
        let (own, other) = (&self.rule.selection, &rule.selection);
        self.rule.key == rule.key
            && own.per == other.per
            && own.chooses_flows_like(other)
            && self.rule.kind.works_like(&rule.kind)
    }

    fn retune(&mut self, now: Instant, rule: &Rule, link: &LinkKey, epoch: Instant) {
        let was_retired = std::mem::take(&mut self.retired);
        if self.rule == *rule && !was_retired {
            return;
        }
        let origin = link.origin(rule, epoch);
        match &mut self.work {
            // What it draws depends on packet numbers and on time alone: it has nothing to keep.
            instant @ Work::Instant(_) => {
                *instant = work(rule, origin);
                self.for_cross = None;
            }
            Work::Holding(stage) => {
                let tables = rule.kind.tables();
                let setup = Setup { ordinal: rule.ordinal, origin, tables: &tables };
                stage.retune(now, Some(rule.kind.setting()), setup);
                self.due = stage.deadline();
            }
        }
        self.gate = Gate::new(rule, link);
        self.rule = rule.clone();
    }

    fn held(&self) -> usize {
        match &self.work {
            Work::Instant(_) => 0,
            Work::Holding(stage) => stage.held(),
        }
    }

    /// Returns the rule that decides at once about cross traffic.
    fn rule_for_cross(&mut self, key: &LinkKey, epoch: Instant) -> Option<&mut dyn InstantRule> {
        if self.for_cross.is_none()
            && let Work::Instant(rule) = work(&self.rule, key.origin(&self.rule, epoch))
        {
            self.for_cross = Some(rule);
        }
        self.for_cross.as_deref_mut().map(|rule| rule as _)
    }

    /// Returns true if the rule may look at packets of this flow that come now.
    fn looks_at_flow(&self, flow: u32, flows: &KnownFlows, now: Instant) -> bool {
        self.gate.as_ref().is_none_or(|gate| gate.admits_flow(flow, flows, now))
    }

    /// Returns true if the rule does not look at this packet.
    #[inline]
    fn is_passed_by(&mut self, packet: &Packet, flows: &KnownFlows) -> bool {
        let skips = match &self.work {
            Work::Instant(_) => packet.is_mark(),
            Work::Holding(stage) => {
                // A packet sent ahead skips waits. A removed rule still takes flows of which it
                // holds packets, so that these keep their order.
                self.timing == Timing::Sending
                    || packet.is_ahead() && self.timing == Timing::Waiting
                    || self.retired && (stage.held() == 0 || !stage.serves(packet.flow))
            }
        };
        skips || self.gate.as_mut().is_some_and(|gate| !gate.admits(packet, flows))
    }

    /// Returns true if the rule looks at no packet of this run, false if it looks at all of them;
    /// `None` if it tells them apart.
    fn passes_run_by(&mut self, run: &Packet, flows: &KnownFlows) -> Option<bool> {
        let skips = match &self.work {
            Work::Instant(_) => false,
            Work::Holding(stage) => {
                self.timing == Timing::Sending
                    || run.is_ahead() && self.timing == Timing::Waiting
                    || self.retired && (stage.held() == 0 || !stage.serves(run.flow))
            }
        };
        match &mut self.gate {
            _ if skips => Some(true),
            None => Some(false),
            Some(gate) => gate.admits_run(run, flows).map(|admits| !admits),
        }
    }
}

/// Builds a rule, for all packets of the link or for those of each flow.
fn work(rule: &Rule, origin: Origin) -> Work {
    match rule.selection.per {
        Per::Link => {
            let tables = rule.kind.tables();
            rule.kind.build(Setup { ordinal: rule.ordinal, origin, tables: &tables })
        }
        Per::Flow => per_flow::build(rule, origin),
    }
}
