//! What comes out of a route's links, connection by connection, and the rules that act on it there:
//! they cut, hold, discard and end streams, where the rules in the links lose and delay packets.
//!
//! [`Delivered`] knows no socket and no clock. It is told what came out of the links and when;
//! [`step`](Delivered::step) does what is due. Each connection has a chain of rules per direction.
//! What a chain holds is bounded by what the carrier lets be inside, since it was not consumed yet.

mod chain;

use crate::flow::FlowFacts;
use crate::link::schedule::Schedule;
use crate::link::{Link, LinkKey};
use crate::packet::{Body, Packet};
use crate::profile::{Start, Timeline};
use crate::rules::{Item, Rule, StreamSetup};
use crate::tcp::Event;
use bytes::Bytes;
use chain::{Chain, Due, Element, InForce, Leaving};
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// The delivered streams of a route.
#[derive(Debug)]
pub(crate) struct Delivered {
    directions: [Rules; 2],
    connections: BTreeMap<u32, Connection>,
    /// The time at which each chain has work, the earliest first.
    due: BTreeSet<(Due, u32, Direction)>,
    /// The times at which connections come to an age at which other rules act on them.
    ages: BTreeSet<(Instant, u32, Direction)>,
    /// The number of things that came out of the links and had to wait for earlier work.
    arrivals: u64,
    events: VecDeque<Event>,
}

/// The rules of one direction.
#[derive(Debug)]
struct Rules {
    key: LinkKey,
    schedule: Schedule,
    /// The time at which others follow, once time counts.
    change: Option<Instant>,
    /// Set once time counts.
    has_begun: bool,
    in_force: Vec<Arc<InForce>>,
}

/// A connection.
#[derive(Debug, Default)]
struct Connection {
    /// The time at which it was established; `None` while its handshake is under way.
    since: Option<Instant>,
    /// What is known of it; nothing, if the links never heard of it.
    facts: Option<Arc<FlowFacts>>,
    chains: [Chain; 2],
    due: [Option<Due>; 2],
    /// The time at which it comes to an age at which other rules act on it.
    ages: [Option<Instant>; 2],
    /// Set once the carrier has forgotten it.
    is_forgotten: bool,
}

/// A demand on the carrier that follows from what a rule did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    /// Bytes of this connection and direction will not reach the receiver: they are consumed.
    Consume(u32, Direction, usize),
    /// This connection is over: the carrier forgets it.
    Abandon(u32),
}

impl Delivered {
    /// Creates the streams of a route whose links have these keys, under no rule.
    pub(crate) fn new(keys: [LinkKey; 2]) -> Self {
        let directions = keys.map(|key| Rules {
            key,
            schedule: Schedule::new(Timeline::default()),
            change: None,
            has_begun: false,
            in_force: Vec::new(),
        });
        Self {
            directions,
            connections: BTreeMap::new(),
            due: BTreeSet::new(),
            ages: BTreeSet::new(),
            arrivals: 0,
            events: VecDeque::new(),
        }
    }

    /// Puts the rules of `timeline` that act on streams in force at `now`, in the direction of
    /// `link`. They act on the connections that stand as well.
    pub(crate) fn set_timeline(
        &mut self,
        now: Instant,
        link: &mut Link,
        timeline: &Timeline,
        demands: &mut Vec<Demand>,
    ) {
        let direction = link.key().direction;
        self.directions[direction.index()].schedule = Schedule::new(timeline.for_streams());
        self.apply(now, link, demands);
    }

    /// Puts the rules in force that the timeline has for `now`.
    fn apply(&mut self, now: Instant, link: &mut Link, demands: &mut Vec<Demand>) {
        let direction = link.key().direction;
        let rules = &mut self.directions[direction.index()];
        let epoch = rules.epoch(link);
        let elapsed = epoch.map_or(0, |epoch| now.as_nanos().saturating_sub(epoch.as_nanos()));
        rules.has_begun = epoch.is_some();
        let (in_force, next) = rules.schedule.at(elapsed);
        rules.change = epoch.zip(next).map(|(epoch, elapsed)| epoch.plus_nanos(elapsed));
        let is_same = in_force.iter().eq(rules.in_force.iter().map(|one| &one.rule));
        if is_same {
            return;
        }
        let made =
            |rule: &Rule| Arc::new(InForce { place: link.place_of(&rule.key), rule: rule.clone() });
        rules.in_force = in_force.iter().map(made).collect();
        let ids: Vec<u32> = self.connections.keys().copied().collect();
        for id in ids {
            self.replace(now, id, direction, demands);
        }
    }

    /// Lets the rules in force act on one direction of a connection, if it is established.
    fn replace(&mut self, now: Instant, id: u32, direction: Direction, demands: &mut Vec<Demand>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.since.is_none() {
            return;
        }
        let Rules { key, in_force, .. } = &self.directions[direction.index()];
        let facts = connection.facts.as_deref();
        let age = facts.map_or(Duration::ZERO, |facts| now.since(facts.since));
        let chosen = in_force.iter().filter(|one| key.chooses_flow(&one.rule, id, facts));
        let ends = chosen.clone().filter_map(|one| one.rule.selection.age()?.next_end(age));
        let next_age = ends.min().zip(facts).map(|(end, facts)| facts.since + end);
        let is_in_age =
            |one: &&Arc<InForce>| one.rule.selection.age().is_none_or(|ages| ages.admits(age));
        let chosen: Vec<&Arc<InForce>> = chosen.filter(is_in_age).collect();
        let make = |one: &Arc<InForce>| {
            let source = key.source(&one.rule).of_flow(id);
            let work = one.rule.kind.build_stream(StreamSetup { since: now, source })?;
            Some(Element { setting: Arc::clone(one), work })
        };
        let mut leaving = Vec::new();
        connection.chains[direction.index()].replace(now, &chosen, make, &mut leaving);
        let known = std::mem::replace(&mut connection.ages[direction.index()], next_age);
        if known != next_age {
            known.map(|at| self.ages.remove(&(at, id, direction)));
            self.ages.extend(next_age.map(|at| (at, id, direction)));
        }
        self.settle(now, id, direction, leaving, demands);
    }

    /// Takes over what the links know of a connection at `now`: rules may act on it from then on.
    pub(crate) fn learn(
        &mut self,
        now: Instant,
        id: u32,
        links: [&mut Link; 2],
        demands: &mut Vec<Demand>,
    ) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let facts = links[0].facts(id);
        if connection.facts.as_ref() != facts {
            connection.facts = facts.cloned();
            Direction::BOTH.iter().for_each(|&one| self.replace(now, id, one, demands));
        }
    }

    /// Takes in a connection whose handshake begins at `now`.
    pub(crate) fn open(&mut self, now: Instant, id: u32, links: [&mut Link; 2]) {
        let facts = links[0].facts(id).cloned();
        self.wake(now, links);
        self.connections.insert(id, Connection { facts, ..Connection::default() });
    }

    /// Lets the rules act on a connection that stands, from `now` on.
    pub(crate) fn establish(&mut self, now: Instant, id: u32, links: [&mut Link; 2]) {
        let facts = links[0].facts(id).cloned();
        self.wake(now, links);
        let connection = self.connections.entry(id).or_default();
        if connection.since.is_none() {
            connection.facts = facts;
            connection.since = Some(now);
            let mut demands = Vec::new();
            Direction::BOTH.iter().for_each(|&one| self.replace(now, id, one, &mut demands));
            debug_assert!(demands.is_empty(), "nothing came of it yet");
        }
    }

    /// Puts the rules of this time in force, as without connections the timelines were not
    /// followed.
    fn wake(&mut self, now: Instant, links: [&mut Link; 2]) {
        if !self.connections.is_empty() {
            return;
        }
        for link in links {
            let rules = &self.directions[link.key().direction.index()];
            if rules.change.is_some_and(|change| change <= now) {
                self.apply(now, link, &mut Vec::new());
            }
        }
    }

    /// Follows the timelines, now that time counts from the first packet.
    pub(crate) fn begin(&mut self, links: [&mut Link; 2], demands: &mut Vec<Demand>) {
        for link in links {
            let rules = &self.directions[link.key().direction.index()];
            if let Some(epoch) = rules.epoch(link).filter(|_| !rules.has_begun) {
                self.apply(epoch, link, demands);
            }
        }
    }

    /// Returns true if the timeline of a direction changes something once time counts.
    pub(crate) fn awaits_epoch(&self) -> bool {
        self.directions.iter().any(|rules| !rules.has_begun && rules.schedule.at(0).1.is_some())
    }

    /// Takes what the carrier told at `at`.
    pub(crate) fn handle(&mut self, at: Instant, event: Event) {
        match event {
            Event::Data { id, direction, bytes } => self.push(at, id, direction, Item::Data(bytes)),
            Event::End { id, direction } => self.push(at, id, direction, Item::End),
            Event::Reset { id, direction } => self.push(at, id, direction, Item::Reset),
            Event::Closed { id } => self.forgotten(id),
            other => self.events.push_back(other),
        }
    }

    fn push(&mut self, at: Instant, id: u32, direction: Direction, item: Item) {
        // What is due before may close the connection, or be a change of rules.
        let is_next = self.next_work().is_none_or(|due| due > at);
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let chain = &mut connection.chains[direction.index()];
        if chain.is_straight() && is_next {
            if item == Item::Reset {
                self.drop_chain(id, direction.opposite());
            }
            return self.give_out(id, direction, item);
        }
        self.arrivals += 1;
        chain.push((at, self.arrivals), item);
        self.refresh(id, direction);
    }

    /// Notes that the carrier has forgotten a connection.
    fn forgotten(&mut self, id: u32) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.is_forgotten = true;
        self.close_if_over(id);
    }

    /// Returns true if events are known that [`next_event`](Self::next_event) gives.
    pub(crate) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Returns the next event that is known already.
    pub(crate) fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Returns when there is work next, besides events that are known.
    pub(crate) fn next_work(&self) -> Option<Instant> {
        let changes = self.directions.iter().filter_map(|rules| rules.change);
        let changes = changes.filter(|_| !self.connections.is_empty());
        let changes = changes.chain(self.ages.first().map(|(at, ..)| *at));
        changes.chain(self.due.first().map(|((at, _), ..)| *at)).min()
    }

    /// Does the next piece of work, which is due at `at`: at the same time that of rules, then a
    /// change of rules, also by the age of a connection, then what came out of the links.
    pub(crate) fn step(&mut self, at: Instant, links: [&mut Link; 2], demands: &mut Vec<Demand>) {
        let due = self.due.first().map(|(due, ..)| *due);
        let is_first =
            |change: &Instant| *change <= at && due.is_none_or(|due| (*change, 1) <= due);
        for link in links {
            let rules = &self.directions[link.key().direction.index()];
            if rules.change.as_ref().is_some_and(is_first) {
                return self.apply(at, link, demands);
            }
        }
        if let Some(&(age, id, direction)) = self.ages.first()
            && is_first(&age)
        {
            return self.replace(at, id, direction, demands);
        }
        let Some(&(due, id, direction)) = self.due.first() else { return };
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.chains[direction.index()].is_reset_at(due) {
            // Nobody is there to read what comes from the other side.
            self.drop_chain(id, direction.opposite());
        }
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let mut leaving = Vec::new();
        connection.chains[direction.index()].step(due, &mut leaving);
        self.settle(due.0, id, direction, leaving, demands);
    }

    /// Carries out what left a chain, and notes when it has work next.
    fn settle(
        &mut self,
        at: Instant,
        id: u32,
        direction: Direction,
        leaving: Vec<Leaving>,
        demands: &mut Vec<Demand>,
    ) {
        for one in leaving {
            match one {
                Leaving::Item(Item::Close) => {
                    self.remove(id);
                    demands.push(Demand::Abandon(id));
                    return self.events.push_back(Event::CloseBoth { id });
                }
                Leaving::ResetBoth => {
                    self.remove(id);
                    demands.push(Demand::Abandon(id));
                    return self.events.push_back(Event::ResetBoth { id });
                }
                Leaving::Item(item) => self.give_out(id, direction, item),
                Leaving::Discarded(place, bytes) => {
                    demands.push(Demand::Consume(id, direction, bytes.len()));
                    self.discarded(at, id, direction, place, bytes);
                }
            }
        }
        self.refresh(id, direction);
        self.close_if_over(id);
    }

    fn give_out(&mut self, id: u32, direction: Direction, item: Item) {
        self.events.push_back(match item {
            Item::Data(bytes) => Event::Data { id, direction, bytes },
            Item::End => Event::End { id, direction },
            Item::Reset => Event::Reset { id, direction },
            Item::Close => return,
        });
    }

    fn discarded(&mut self, at: Instant, id: u32, direction: Direction, place: u8, bytes: Bytes) {
        let mut packet = Packet::new(id, at, Body::data(bytes));
        packet.trace.choose();
        packet.trace.sign(place);
        self.events.push_back(Event::Discarded(direction, Box::new(packet)));
    }

    /// Notes when a chain has work next.
    fn refresh(&mut self, id: u32, direction: Direction) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let due = connection.chains[direction.index()].deadline();
        let known = &mut connection.due[direction.index()];
        if *known != due {
            if let Some(old) = known.take() {
                self.due.remove(&(old, id, direction));
            }
            self.due.extend(due.map(|due| (due, id, direction)));
            *known = due;
        }
    }

    /// Forgets what is in a chain.
    fn drop_chain(&mut self, id: u32, direction: Direction) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.chains[direction.index()] = Chain::default();
            self.refresh(id, direction);
        }
    }

    /// Tells that nothing more comes of a connection which the carrier has forgotten, once nothing
    /// of it is inside.
    fn close_if_over(&mut self, id: u32) {
        let is_over = |connection: &Connection| {
            connection.is_forgotten && connection.chains.iter().all(Chain::is_empty)
        };
        if self.connections.get(&id).is_some_and(is_over) {
            self.remove(id);
            self.events.push_back(Event::Closed { id });
        }
    }

    fn remove(&mut self, id: u32) {
        let Some(connection) = self.connections.remove(&id) else { return };
        for direction in Direction::BOTH {
            if let Some(due) = connection.due[direction.index()] {
                self.due.remove(&(due, id, direction));
            }
            if let Some(age) = connection.ages[direction.index()] {
                self.ages.remove(&(age, id, direction));
            }
        }
    }

    /// Forgets a connection, and its events that were not given yet.
    pub(crate) fn abandon(&mut self, id: u32) {
        self.remove(id);
        self.events.retain(|event| event.connection() != Some(id));
    }

    /// Lets go of a connection of which nothing is inside. Returns false if something is.
    pub(crate) fn release(&mut self, id: u32) -> bool {
        let is_empty = self.is_empty(id);
        if is_empty {
            self.remove(id);
        }
        is_empty
    }

    /// Returns true if nothing of a connection is inside, or waits to be told.
    pub(crate) fn is_empty(&self, id: u32) -> bool {
        let connection = self.connections.get(&id);
        self.events.is_empty()
            && connection.is_none_or(|connection| connection.chains.iter().all(Chain::is_empty))
    }

    /// Returns true if nothing is inside, and nothing waits to be told.
    pub(crate) fn is_drained(&self) -> bool {
        let mut chains = self.connections.values().flat_map(|connection| &connection.chains);
        self.events.is_empty() && chains.all(Chain::is_empty)
    }

    /// Returns true if there is no rule, now or later, and no need to follow the connections.
    pub(crate) fn is_idle(&self) -> bool {
        self.directions.iter().all(|rules| rules.schedule.is_empty())
            && self.is_drained()
            && self.connections.values().all(|connection| !connection.is_forgotten)
    }
}

impl Rules {
    /// Returns the time from which the timeline counts, if it does yet.
    fn epoch(&self, link: &Link) -> Option<Instant> {
        match self.schedule.start() {
            Start::Run => Some(Instant::START),
            Start::Packet => link.epoch(),
        }
    }
}
