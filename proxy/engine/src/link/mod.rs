//! A link: one direction of a route, as instant rules and stages in the order of the profile.
//!
//! What happens inside is a sequence of events, ordered by time; at the same time the stage nearest
//! to the exit goes first, so that work due at *t* is done before a packet arriving at *t* is
//! handled. Outputs come in the order of these events. The order depends on the arrivals alone,
//! never on when the link was polled.

mod charging;
mod cross;
mod element;
mod events;
mod flows;
mod gate;
mod key;
mod outages;
mod outputs;
mod pass;
mod per_flow;
pub(crate) mod schedule;
mod timeline;
mod watch;

use crate::counters::Counters;
use crate::packet::Packet;
use crate::profile::{Profile, Timeline};
use crate::stage::{Output, Reason, Stage};
use charging::Pieces;
use element::Element;
use events::Event;
use flows::KnownFlows;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
pub use key::LinkKey;
use outages::Outages;
use outputs::Outputs;
pub use schedule::Schedule;
use std::collections::BTreeMap;
use std::sync::Arc;
use watch::Watch;
pub use watch::{Drawn, Visit};

/// The memory that a packet costs besides the bytes that it carries: its place in a ring that may
/// be half full.
pub const PACKET_BYTES: u64 = 2 * size_of::<Packet>() as u64;

/// The same for a segment of the TCP model: what it says, and its sender's note of it.
pub const SEGMENT_BYTES: u64 = PACKET_BYTES + 192;

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
    /// The number behind which those of its packets begin.
    numbers_from: u64,
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
    pieces: Pieces,
    watch: Watch,
    /// Set if a rule sends packets of its own, now or later.
    sends: bool,
    /// Set while these send nothing, as nothing came from outside for long.
    paused: bool,
    /// The last time at which something from outside was there.
    busy: Instant,
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
            numbers_from: 0,
            flows: KnownFlows::default(),
            notes_flows: false,
            clock: Instant::START,
            outages: Outages::default(),
            counters: Counters::default(),
            outputs: Outputs::default(),
            pieces: Pieces::default(),
            watch: Watch::default(),
            sends: false,
            paused: false,
            busy: Instant::START,
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

    /// Numbers packets from behind `number` on. For one of several links that share the flows of a
    /// route: rules that count each flow for itself, which all are there, do not look at it, and no
    /// two packets of the route have the same.
    pub const fn number_from(&mut self, number: u64) {
        self.numbers_from = number;
    }

    /// Returns true if packets cross unchanged and at once.
    pub fn is_transparent(&self) -> bool {
        self.elements.is_empty() && self.schedule.is_empty()
    }

    /// Returns true if a rule makes copies, now or later.
    pub fn makes_copies(&self) -> bool {
        self.schedule.makes_copies()
    }

    /// Returns the number of the packet that enters next.
    #[inline]
    pub(crate) const fn next_number(&self) -> u64 {
        self.numbers_from + self.counters.entered + 1
    }

    /// Returns `packet` with the number that it gets if it enters next; a run with its first one's.
    pub fn numbered(&self, packet: &Packet) -> Packet {
        let number = if packet.is_mark() { 0 } else { self.next_number() };
        Packet { number, ..packet.clone() }
    }

    /// Returns the key of the link.
    pub const fn key(&self) -> &LinkKey {
        &self.key
    }

    /// Returns the counters of what it has done so far.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Returns the number of packets in stages.
    fn waiting(&self) -> usize {
        self.elements.iter().map(Element::held).sum()
    }

    /// Lets a packet that goes on wait to be polled, unless it is cross traffic.
    #[inline]
    fn put_out(&mut self, packet: &mut Packet) {
        if packet.is_cross() {
            self.take_out(&Output::Deliver(packet.take()));
        } else {
            self.busy = self.busy.max(packet.at);
            self.outputs.push(Output::Deliver(packet.take()));
        }
    }

    /// The same for one that ends here.
    #[inline(never)]
    fn put_out_discarded(&mut self, packet: &mut Packet, reason: Reason) {
        let mut output = Output::Discard(packet.take(), reason);
        if !self.ends_here(&mut output) {
            self.outputs.push(output);
        }
    }

    /// Returns true if a run cannot cross as one whatever the rules are: somebody watches one of
    /// its packets, or cross traffic may come between them.
    fn tells_apart(&self, run: &Packet) -> bool {
        self.sends || self.watch.is_within(self.next_number(), run.count())
    }

    /// Numbers a packet within its flow, if a rule counts these.
    #[inline(always)]
    fn count_in_flow(&mut self, packet: &mut Packet) {
        if let Some(numbers) = &mut self.flow_numbers {
            number_in_flow(numbers, packet);
        }
    }

    /// Takes in the packets of a run one by one.
    #[inline(never)]
    fn handle_singly(&mut self, run: &Packet) {
        run.singles().for_each(|single| self.handle(single));
    }

    /// Does what is due at or before `now` until something leaves.
    fn poll_due(&mut self, now: Instant) -> Option<Output> {
        loop {
            if let Some(output) = self.outputs.first() {
                if output.packet().at > now {
                    return None;
                }
                self.counters.leave(output);
                self.pieces.remove_one();
                self.pieces.settle();
                return self.outputs.pop();
            }
            // One step may only move a packet to the next stage; the loop goes on until something
            // leaves or nothing is due.
            let (at, index) = if self.may_change_by_itself() {
                if self.sends && self.holds_cross_alone() {
                    return None;
                }
                match self.event_by(now)? {
                    (at, Event::Work(index)) => (at, index),
                    (at, event) => {
                        self.happen_to_rules(at, event);
                        continue;
                    }
                }
            } else {
                self.next_work.filter(|(at, _)| *at <= now)?
            };
            // The output stays where the stage has written it: each move of a packet costs as much
            // as a rule.
            let mut output = self.give(index, at);
            let leaves = self.settle_given(index, &mut output);
            self.remove_emptied();
            if let Some(left) = leaves {
                self.counters.leave(left);
                self.pieces.remove_one();
                self.pieces.settle();
                return output;
            }
            // Nothing of it is left here to be dropped.
            debug_assert!(output.as_ref().is_none_or(|output| output.packet().is_mark()));
            std::mem::forget(output);
        }
    }
}

/// Numbers a packet, or a run by its first, behind those of its flow.
fn number_in_flow(numbers: &mut BTreeMap<u32, u64>, packet: &mut Packet) {
    let number = numbers.entry(packet.flow).or_default();
    let count = if packet.is_mark() { 0 } else { packet.count() };
    packet.flow_number = *number + u64::from(count > 0);
    *number += u64::from(count);
}

impl Stage for Link {
    fn handle(&mut self, mut packet: Packet) {
        if packet.is_run() && self.tells_apart(&packet) {
            return self.handle_singly(&packet);
        }
        self.clock = self.clock.max(packet.at);
        match self.epoch {
            None => self.begin(packet.at),
            Some(epoch) => {
                self.catch_up(packet.at);
                if self.change.is_some_and(|change| change <= packet.at) {
                    self.follow_up(packet.at, epoch);
                }
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
            packet.number = self.next_number();
            self.counters.enter(packet.count());
        }
        packet.entered = packet.at;
        self.pieces.add(1);
        self.pass(0, &mut packet);
        // It was taken out of its place: nothing of it is left here to be dropped.
        debug_assert!(packet.is_mark(), "each way through the rules takes it");
        std::mem::forget(packet);
        self.remove_emptied();
        self.pieces.settle();
    }

    #[inline]
    fn poll(&mut self, now: Instant) -> Option<Output> {
        // Most who ask come too early.
        let may_have = self.may_change_by_itself()
            || !self.outputs.is_empty()
            || self.next_work.is_some_and(|(due, _)| due <= now);
        if may_have { self.poll_due(now) } else { None }
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
