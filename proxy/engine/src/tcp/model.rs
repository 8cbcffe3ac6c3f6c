//! The TCP model of one route: its two links, and the connections that share them.

use super::connection::{Answering, Connection};
use super::counters::Counters;
use super::event::Event;
use super::outlet::Outlet;
use super::timers::Timers;
use crate::link::{Link, SEGMENT_BYTES};
use crate::memory::Memory;
use crate::packet::{Body, Packet};
use crate::profile::Timeline;
use crate::route::CongestionControl;
use crate::stage::{Output, Stage};
use bytes::Bytes;
use jostle_common::chance::Direction;
use jostle_common::ecn::Ecn;
use jostle_common::statistics::RoundTrips;
use jostle_common::time::Instant;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Modelled TCP over two links, sans-I/O.
///
/// A connection is known by an id which the shell chooses, and never uses again. A direction names
/// a stream, and the end that writes it: [`Direction::Up`] is the client. Call `open`, then `push`,
/// `finish` or `reset` for what the programs at both ends do and `consumed` for what they take;
/// after each call, and whenever [`deadline`](Self::deadline) has come, `poll` until there is
/// nothing more. All calls take the time, which never goes back. Late is not different: what was
/// due is done at the time when it was due.
#[derive(Debug)]
pub struct Model {
    links: [Link; 2],
    /// Each link's deadline: it is asked for more often than it changes.
    due: [Option<Instant>; 2],
    control: CongestionControl,
    memory: Memory,
    /// Boxed: a connection is large, and a tree moves its values.
    connections: BTreeMap<u32, Box<Connection>>,
    timers: Timers,
    events: VecDeque<Event>,
    /// The streams of which bytes are in order that were not handed out.
    ready: Vec<(u32, Direction)>,
    /// Set when the bytes of each segment are handed out by themselves.
    hands_out_each: bool,
    /// The segments that enter the links at `clock`, as soon as they have done what is due then.
    sends: VecDeque<(Direction, u32, Body)>,
    /// Set unless each segment enters by itself.
    joins: bool,
    /// The time up to which everything is done.
    clock: Instant,
    /// Set when the shell is to be told of each segment that enters a link.
    tells_arrivals: bool,
    /// The way in which the SYNs of new connections are answered.
    answering: Answering,
    /// The counters of the connections that are gone.
    counters: Counters,
    /// Of all connections together, as a histogram is 36 KiB.
    round_trips: RoundTrips,
}

/// The work that is due next.
#[derive(Clone, Copy)]
enum Work {
    Link(Direction),
    Timer(u32),
}

/// The outlet for what comes out of the connection `id` at a time; it borrows nothing else of the
/// model.
macro_rules! outlet {
    ($model:expr, $now:expr, $id:expr) => {
        Outlet {
            now: $now,
            id: $id,
            sends: &mut $model.sends,
            joins: $model.joins,
            events: &mut $model.events,
            ready: &mut $model.ready,
            hands_out_each: $model.hands_out_each,
            round_trips: &mut $model.round_trips,
        }
    };
}

impl Model {
    /// Creates a model over these links, up first. `memory` is shared by all models of the process.
    pub fn new(mut links: [Link; 2], control: CongestionControl, memory: Memory) -> Self {
        links.iter_mut().for_each(|link| link.charge_to(&memory, SEGMENT_BYTES));
        Self {
            due: links.each_ref().map(Link::deadline),
            links,
            control,
            memory,
            connections: BTreeMap::new(),
            timers: Timers::default(),
            events: VecDeque::new(),
            ready: Vec::new(),
            hands_out_each: false,
            sends: VecDeque::new(),
            joins: true,
            clock: Instant::START,
            tells_arrivals: false,
            answering: Answering::AtOnce,
            counters: Counters::default(),
            round_trips: RoundTrips::default(),
        }
    }

    /// Returns the link of one direction.
    pub const fn link(&self, direction: Direction) -> &Link {
        &self.links[direction.index()]
    }

    /// Returns both links, up first.
    pub(crate) const fn links_mut(&mut self) -> [&mut Link; 2] {
        let [up, down] = &mut self.links;
        [up, down]
    }

    /// Tells of each segment that enters a link from now on, as [`Event::Arrived`].
    pub(crate) const fn tell_arrivals(&mut self) {
        self.tells_arrivals = true;
    }

    /// Lets the shell answer the handshakes of the connections that open from now on: their SYNs
    /// are told as [`Event::SynReceived`], and their connects as [`Event::Connected`].
    pub(crate) const fn answer_handshakes(&mut self) {
        self.answering = Answering::WAITING;
    }

    /// Answers the SYN of a connection, which waits for that: the SYN-ACK sets out. Returns false
    /// if none waits.
    pub(crate) fn accept(&mut self, now: Instant, id: u32) -> bool {
        let mut is_accepted = false;
        self.with(now, id, |connection, out| is_accepted = connection.accept(out));
        is_accepted
    }

    /// Hands the bytes of each segment out by themselves, or those of several as one piece.
    pub(crate) const fn hand_out_each(&mut self, each: bool) {
        self.hands_out_each = each;
    }

    /// Lets each segment enter its link by itself from now on, in place of trains of those that leave
    /// together. What happens is the same; it takes longer to find out.
    pub const fn send_singly(&mut self) {
        self.joins = false;
    }

    /// Returns the ids of all connections.
    pub(crate) fn ids(&self) -> Vec<u32> {
        self.connections.keys().copied().collect()
    }

    /// Forgets a connection without an event. Its segments that are under way reach nobody.
    pub(crate) fn abandon(&mut self, now: Instant, id: u32) {
        self.catch_up(now);
        self.forget(id);
    }

    /// Drops the events of a connection that were not polled yet; the fates of packets stay.
    pub(crate) fn drop_events(&mut self, id: u32) {
        self.events.retain(|event| event.connection() != Some(id));
    }

    /// Returns the smoothed round-trip time of a connection, as the sender has it that sent more;
    /// `None` before its first sample.
    pub fn round_trip(&self, id: u32) -> Option<Duration> {
        self.connections.get(&id)?.round_trip().map(Duration::from_nanos)
    }

    /// Returns the number of connections.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Returns the counters of what all senders did so far.
    pub fn counters(&self) -> Counters {
        let mut sum = self.counters;
        for connection in self.connections.values() {
            sum += connection.counters();
        }
        sum
    }

    /// Returns the round-trip times that all senders sampled so far, handshakes included: those of
    /// which they make their timeouts (RFC 6298), so none of a segment that was sent again unless a
    /// timestamp tells which, and delayed acknowledgements count as they come.
    pub const fn round_trips(&self) -> &RoundTrips {
        &self.round_trips
    }

    /// Changes the rules of one direction. The packets in the link keep to the contract of
    /// [`Link::set_timeline`].
    pub fn set_timeline(&mut self, now: Instant, direction: Direction, timeline: &Timeline) {
        self.catch_up(now);
        self.links[direction.index()].set_timeline(now, timeline);
        self.refresh(direction);
    }

    /// Opens a connection for a client: the handshake begins to cross the links. An id that is in
    /// use is left alone.
    pub fn open(&mut self, now: Instant, id: u32) {
        self.open_as(now, id, self.control);
    }

    /// Does the same for a connection with a congestion control of its own.
    pub fn open_as(&mut self, now: Instant, id: u32, control: CongestionControl) {
        self.catch_up(now);
        if self.connections.contains_key(&id) {
            return;
        }
        let mut out = outlet!(self, now, id);
        let connection = Connection::open(control, self.memory.clone(), self.answering, &mut out);
        self.connections.insert(id, Box::new(connection));
        self.settle(id);
    }

    /// Takes in a connection that stands already, without a handshake. An id that is in use is left
    /// alone.
    pub fn adopt(&mut self, now: Instant, id: u32) {
        self.catch_up(now);
        if !self.connections.contains_key(&id) {
            let connection = Connection::established(self.control, self.memory.clone(), now);
            self.connections.insert(id, Box::new(connection));
        }
    }

    /// Lets go of a connection of which nothing is under way or waits to be consumed, and forgets
    /// it without an event. Returns false if something is.
    pub fn release(&mut self, now: Instant, id: u32) -> bool {
        self.catch_up(now);
        let idle = self.connections.get(&id).is_none_or(|connection| connection.is_idle());
        if idle {
            self.forget(id);
        }
        idle
    }

    /// Returns the number of bytes that may be pushed into a stream now; 0 once it is finished, and
    /// for an unknown connection.
    pub fn room(&self, id: u32, direction: Direction) -> usize {
        let room = self.connections.get(&id).map_or(0, |connection| connection.room(direction));
        usize::try_from(room).unwrap_or(usize::MAX)
    }

    /// Returns true if a stream has no room because its sender has yet to send what it holds:
    /// [`Event::Room`] tells when it has.
    pub fn is_sending(&self, id: u32, direction: Direction) -> bool {
        self.connections.get(&id).is_some_and(|connection| connection.is_sending(direction))
    }

    /// Adds bytes to a stream: no more than [`room`](Self::room) says, or memory is not bounded.
    pub fn push(&mut self, now: Instant, id: u32, direction: Direction, bytes: Bytes) {
        self.with(now, id, |connection, out| connection.push(direction, bytes, out));
    }

    /// Ends a stream behind what was pushed (FIN). The other direction goes on.
    pub fn finish(&mut self, now: Instant, id: u32, direction: Direction) {
        self.with(now, id, |connection, out| connection.finish(direction, out));
    }

    /// Tears a connection down at the end that writes `direction` (RST): what was not sent is
    /// discarded, the reset follows what was, and is never lost.
    pub fn reset(&mut self, now: Instant, id: u32, direction: Direction) {
        self.with(now, id, |connection, out| connection.reset(direction, out));
    }

    /// Notes that the program at the end of `direction` has taken `bytes` of those that were handed
    /// out, which makes room for as many.
    pub fn consumed(&mut self, now: Instant, id: u32, direction: Direction, bytes: usize) {
        self.with(now, id, |connection, _| connection.consumed(direction, bytes as u64));
    }

    fn with(
        &mut self,
        now: Instant,
        id: u32,
        action: impl FnOnce(&mut Connection, &mut Outlet<'_>),
    ) {
        self.catch_up(now);
        if let Some(connection) = self.connections.get_mut(&id) {
            let mut out = outlet!(self, now, id);
            action(connection, &mut out);
            self.settle(id);
        }
    }

    /// Returns the next event at or before `now`.
    pub fn poll(&mut self, now: Instant) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                if self.is_out_of_date(&event) {
                    continue;
                }
                return Some(event);
            }
            let work = self.next_work();
            // Links and timers do all that is due at `clock` before anything enters at that time, and
            // that too before time goes on.
            if work.is_none_or(|(at, _)| at > self.clock) && (self.flush() || self.hand_out()) {
                continue;
            }
            let (at, work) = work.filter(|(at, _)| *at <= now)?;
            match work {
                Work::Link(direction) => {
                    if let Some(output) = self.poll_link(direction, now) {
                        return Some(Event::Packet(direction, output));
                    }
                }
                Work::Timer(id) => {
                    self.clock = self.clock.max(at);
                    self.handle_timer(id);
                }
            }
        }
    }

    /// Returns true if an event tells of room that is gone again: the stream has ended meanwhile,
    /// or what came at the same time has made the congestion window smaller.
    fn is_out_of_date(&mut self, event: &Event) -> bool {
        let Event::Room { id, direction } = event else { return false };
        self.connections.get_mut(id).is_some_and(|one| one.lost_room(*direction))
    }

    /// Returns the time at which `poll` may have something; `None`: not before another call.
    pub fn deadline(&self) -> Option<Instant> {
        if !self.events.is_empty() || !self.sends.is_empty() || !self.ready.is_empty() {
            return Some(self.clock);
        }
        self.next_work().map(|(at, _)| at)
    }

    /// Hands out what is in order of the streams that were noted; returns true if there are events
    /// of it.
    fn hand_out(&mut self) -> bool {
        for (id, direction) in self.ready.drain(..) {
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.hand_out(id, direction, &mut self.events);
            }
        }
        !self.events.is_empty()
    }

    /// Does all that is due at or before `now`, and keeps the events for `poll`.
    fn catch_up(&mut self, now: Instant) {
        let mut events = std::mem::take(&mut self.events);
        while let Some(event) = self.poll(now) {
            events.push_back(event);
        }
        self.events = events;
        self.clock = self.clock.max(now);
    }

    /// Returns the work that is due first, and the time: at the same time links go before timers,
    /// up before down.
    fn next_work(&self) -> Option<(Instant, Work)> {
        let mut first = self.timers.first().map(|(at, id)| (at, Work::Timer(id)));
        for direction in [Direction::Down, Direction::Up] {
            if let Some(at) = self.due[direction.index()]
                && first.is_none_or(|(earliest, _)| at <= earliest)
            {
                first = Some((at, Work::Link(direction)));
            }
        }
        first
    }

    /// Takes the next output of a link, if it comes before anything else is to be done.
    fn poll_link(&mut self, direction: Direction, now: Instant) -> Option<Output> {
        let timer = self.timers.first().map_or(now, |(at, _)| at);
        let other = match (direction, self.due[direction.opposite().index()]) {
            (_, None) => now,
            (Direction::Up, Some(down)) => down,
            // At the same time up goes first.
            (Direction::Down, Some(up)) => Instant::from_nanos(up.as_nanos().saturating_sub(1)),
        };
        // The link may step on by itself only up to where another has work first.
        let mut until = now.min(timer).min(other);
        if !self.sends.is_empty() || !self.ready.is_empty() {
            // What is to be sent or handed out at `clock` may come before the next output.
            until = until.min(self.clock);
        }
        let output = self.links[direction.index()].poll(until);
        self.refresh(direction);
        let output = output?;
        self.clock = self.clock.max(output.packet().at);
        if let Output::Deliver(packet) = &output {
            self.deliver(direction, packet);
        }
        Some(output)
    }

    fn refresh(&mut self, direction: Direction) {
        self.due[direction.index()] = self.links[direction.index()].deadline();
    }

    fn handle_timer(&mut self, id: u32) {
        let connection = self.connections.get_mut(&id).expect("a timer's connection lives");
        self.timers.pop(&mut connection.timer);
        let mut out = outlet!(self, self.clock, id);
        connection.handle_timers(&mut out);
        self.settle(id);
    }

    /// Takes in a packet that crossed the link of `direction`. A damaged one is discarded, as its
    /// checksum is wrong.
    fn deliver(&mut self, direction: Direction, packet: &Packet) {
        let id = packet.flow;
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let mut out = outlet!(self, self.clock, id);
        match packet.body() {
            Body::Segment(segment) if !packet.is_damaged() => {
                connection.handle(direction, segment, packet.ecn == Ecn::Ce, &mut out);
            }
            Body::Reset => {
                connection.handle_reset(direction, &mut out);
                return self.close(id);
            }
            Body::Segment(_) | Body::Cross(_) | Body::Data(_) | Body::End => return,
        }
        self.settle(id);
    }

    /// Keeps a connection's timer, or removes it when it is done.
    fn settle(&mut self, id: u32) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.is_closed() {
            self.close(id);
        } else {
            let deadline = connection.deadline();
            self.timers.wake(id, &mut connection.timer, deadline);
        }
    }

    fn close(&mut self, id: u32) {
        if let Some(connection) = self.connections.get_mut(&id) {
            Direction::BOTH.iter().for_each(|&one| connection.hand_out(id, one, &mut self.events));
        }
        if self.forget(id) {
            self.events.push_back(Event::Closed { id });
        }
    }

    fn forget(&mut self, id: u32) -> bool {
        let Some(mut connection) = self.connections.remove(&id) else { return false };
        self.timers.forget(id, &mut connection.timer);
        self.links.iter_mut().for_each(|link| link.forget(id));
        self.counters += connection.counters();
        true
    }

    /// Lets what is to be sent at `clock` enter the links; returns true if there was something.
    fn flush(&mut self) -> bool {
        if self.sends.is_empty() {
            return false;
        }
        self.links.iter_mut().for_each(|link| link.begin(self.clock));
        for (direction, flow, body) in self.sends.drain(..) {
            let packet = match body {
                Body::Segment(segments) => Packet::segments(flow, self.clock, segments),
                body => Packet::new(flow, self.clock, body),
            };
            let link = &mut self.links[direction.index()];
            if self.tells_arrivals {
                let arrived = |packet: Packet| Event::Arrived(direction, packet.into());
                self.events.extend(link.numbered(&packet).singles().map(arrived));
            }
            link.handle(packet);
        }
        Direction::BOTH.into_iter().for_each(|direction| self.refresh(direction));
        true
    }
}
