//! Raw TCP streams: the rules act on the stream itself, so that bytes vanish, flip and double, and
//! checks above TCP can be tested.
//!
//! Each stream is cut into units that cross the route's links as packets. [`RawStreams`] holds all
//! connections of a route, knows no socket and no clock, and speaks as [`Stage`] does: what it is
//! told carries the time, [`poll`](RawStreams::poll) gives what is due, and
//! [`deadline`](RawStreams::deadline) says when there is more.
//!
//! The caller's rule: time never goes back from one call to the next.

mod blocks;
mod lines;
mod stream;

use crate::link::{Link, PACKET_BYTES};
use crate::memory::Memory;
use crate::packet::{Body, Packet};
use crate::payload::Payload;
use crate::profile::Timeline;
use crate::route::Unit;
use crate::stage::{Output, Stage};
use crate::tcp::Event;
use blocks::{Blocks, Piece};
use bytes::Bytes;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use lines::Lines;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use stream::{Cut, Stream};

pub use crate::limits::UNIT_BYTES_MAX;

/// The most bytes of one direction of a connection that are inside: read from the sender and not
/// yet taken by the receiver's socket. With 100 ms of delay it allows 40 MB/s.
pub const ROOM: usize = 4 << 20;

/// The most units of one direction of a connection that are in its link.
const UNITS_MAX: usize = 16 << 10;

/// All raw connections of a route.
#[derive(Debug)]
pub struct RawStreams {
    links: [Link; 2],
    unit: Unit,
    connections: BTreeMap<u32, [Stream; 2]>,
    /// The times at which something happens in a stream by itself: an unfinished line goes, or a
    /// part of a block is due.
    timers: BTreeSet<(Instant, u32, Direction)>,
    events: VecDeque<Event>,
    /// Set when the shell is to be told of each piece that enters a link.
    tells_arrivals: bool,
    memory: Memory,
    /// Zeros of a block's size: the shape in which blocks cross the link.
    blank: Bytes,
    /// Set while a rule of the direction makes copies.
    copies: [bool; 2],
    /// Set while streams of the direction keep blocks: longer than the rule is there.
    keeps: [bool; 2],
    /// Streams that keep something for copies.
    keeping: BTreeSet<(Direction, u32)>,
}

impl RawStreams {
    /// Makes streams over these links, up first, cut into `unit`s; blocks larger than
    /// [`UNIT_BYTES_MAX`] are cut to that. The bytes inside are charged to `memory`.
    pub fn new(mut links: [Link; 2], unit: Unit, memory: Memory) -> Self {
        links.iter_mut().for_each(|link| link.charge_to(&memory, PACKET_BYTES));
        let block = match unit {
            Unit::Bytes(size) => size.clamp(1, UNIT_BYTES_MAX as u64) as usize,
            Unit::Line | Unit::Read => 0,
        };
        let copies = links.each_ref().map(Link::makes_copies);
        Self {
            links,
            unit,
            connections: BTreeMap::new(),
            timers: BTreeSet::new(),
            events: VecDeque::new(),
            tells_arrivals: false,
            memory,
            blank: vec![0; block].into(),
            copies,
            keeps: copies,
            keeping: BTreeSet::new(),
        }
    }

    /// Tells of each piece and mark that enters a link from now on, as [`Event::Arrived`].
    pub(crate) const fn tell_arrivals(&mut self) {
        self.tells_arrivals = true;
    }

    /// Changes the rules of one direction.
    pub fn set_timeline(&mut self, now: Instant, direction: Direction, timeline: &Timeline) {
        self.advance(now);
        let link = &mut self.links[direction.index()];
        link.set_timeline(now, timeline);
        self.copies[direction.index()] = link.makes_copies();
        if self.copies[direction.index()] {
            self.keeps[direction.index()] = true;
            self.keep_blocks(direction, true);
        }
        // Without copies from now on, those under way still find their originals.
        self.forget_kept(now, direction);
    }

    /// Lets the streams of a direction keep blocks for copies, or not.
    fn keep_blocks(&mut self, direction: Direction, keep: bool) {
        for streams in self.connections.values_mut() {
            if let Cut::Blocks(blocks) = &mut streams[direction.index()].cut {
                blocks.set_copies(keep);
            }
        }
    }

    /// Returns the link of a direction.
    pub const fn link(&self, direction: Direction) -> &Link {
        &self.links[direction.index()]
    }

    /// Returns both links, up first.
    pub(crate) const fn links_mut(&mut self) -> [&mut Link; 2] {
        let [up, down] = &mut self.links;
        [up, down]
    }

    /// Returns the ids of all connections.
    pub(crate) fn ids(&self) -> Vec<u32> {
        self.connections.keys().copied().collect()
    }

    /// Forgets a connection without an event. What is under way leaves the links as if its
    /// receiver were gone.
    pub(crate) fn abandon(&mut self, now: Instant, id: u32) {
        self.advance(now);
        self.forget(id);
    }

    /// Drops the events of a connection that were not polled yet; the fates of packets stay.
    pub(crate) fn drop_events(&mut self, id: u32) {
        self.events.retain(|event| event.connection() != Some(id));
    }

    /// Takes in a connection, whose `id` is new and the ordinal of its flow. It is established at
    /// once.
    pub fn open(&mut self, now: Instant, id: u32) {
        self.adopt(now, id);
        self.events.push_back(Event::Established { id });
    }

    /// Takes in a connection that stands already.
    pub fn adopt(&mut self, now: Instant, id: u32) {
        self.advance(now);
        let stream = |direction: Direction| {
            Stream::new(match self.unit {
                Unit::Line => Cut::Lines(Lines::new(&self.memory)),
                Unit::Bytes(_) => {
                    let (size, keeps) = (self.blank.len(), self.keeps[direction.index()]);
                    Cut::Blocks(Blocks::new(size, keeps, &self.memory))
                }
                Unit::Read => Cut::Reads,
            })
        };
        self.connections.insert(id, Direction::BOTH.map(stream));
    }

    /// Lets go of a connection of which nothing is inside, and forgets it without an event. Returns
    /// false if something is, a mark or a copy included.
    pub fn release(&mut self, now: Instant, id: u32) -> bool {
        self.advance(now);
        let Some(streams) = self.connections.get(&id) else { return true };
        if self.links.iter().any(|link| link.held() > 0) || !streams.iter().all(Stream::is_idle) {
            return false;
        }
        self.forget(id);
        true
    }

    /// Returns the number of bytes that a connection takes in this direction now.
    pub fn room(&self, id: u32, direction: Direction) -> usize {
        self.stream(id, direction).map_or(0, |stream| {
            let cost = stream.inside as u64 + stream.units as u64 * PACKET_BYTES;
            let room = self.memory.room(cost);
            let share = usize::try_from(room).unwrap_or(usize::MAX);
            // A block that has begun is in the link as a whole: its rest has room.
            let begun = match &stream.cut {
                Cut::Blocks(blocks) if !blocks.is_at_start() => blocks.missing(),
                Cut::Blocks(_) | Cut::Lines(_) | Cut::Reads => 0,
            };
            let rate = self.link(direction).room(id).map_or(usize::MAX, |room| room.max(begun));
            // A byte may be a unit.
            ROOM.saturating_sub(stream.inside)
                .min(UNITS_MAX.saturating_sub(stream.units))
                .min(share)
                .min(rate)
        })
    }

    /// Returns true if nothing is still to come: no packet in the links, no unfinished line.
    pub fn is_drained(&self) -> bool {
        self.events.is_empty()
            && self.timers.is_empty()
            && self.links.iter().all(|link| link.held() == 0)
    }

    /// Takes bytes that the sender of this direction wrote.
    pub fn push(&mut self, now: Instant, id: u32, direction: Direction, bytes: Bytes) {
        self.advance(now);
        let Some(stream) = stream_mut(&mut self.connections, id, direction) else { return };
        let bytes = self.memory.charge(bytes);
        stream.change(bytes.len() as isize);
        match &mut stream.cut {
            Cut::Reads => {
                let mut bytes = bytes;
                while bytes.len() > Payload::LENGTH_MAX {
                    let piece = bytes.split_to(Payload::LENGTH_MAX);
                    self.enter(now, id, direction, Body::data(piece));
                }
                self.enter(now, id, direction, Body::data(bytes));
            }
            Cut::Lines(lines) => {
                for line in lines.push(now, bytes) {
                    self.enter(now, id, direction, Body::data(line));
                }
                self.set_timer(id, direction);
            }
            Cut::Blocks(_) => self.push_into_blocks(now, id, direction, bytes),
        }
    }

    /// Takes the end of the sender's stream in this direction: what it wrote last comes out, then
    /// [`Event::End`].
    pub fn finish(&mut self, now: Instant, id: u32, direction: Direction) {
        self.advance(now);
        let Some(stream) = stream_mut(&mut self.connections, id, direction) else { return };
        if let Cut::Lines(lines) = &mut stream.cut
            && let Some(line) = lines.take()
        {
            self.enter(now, id, direction, Body::data(line));
            self.set_timer(id, direction);
        }
        if let Some(stream) = stream_mut(&mut self.connections, id, direction) {
            stream.finished = true;
        }
        self.enter(now, id, direction, Body::End);
    }

    /// Takes the sender's reset of the connection in this direction: an unfinished line is gone,
    /// what is under way still comes out, then [`Event::Reset`]. Nothing comes out in the other
    /// direction any more.
    pub fn reset(&mut self, now: Instant, id: u32, direction: Direction) {
        self.advance(now);
        if let Some(stream) = stream_mut(&mut self.connections, id, direction.opposite()) {
            stream.unwanted = true;
        }
        let Some(stream) = stream_mut(&mut self.connections, id, direction) else { return };
        stream.finished = true;
        if let Cut::Lines(lines) = &mut stream.cut {
            let lost = lines.take().map_or(0, |line| line.len());
            stream.change(-(lost as isize));
            self.set_timer(id, direction);
        }
        self.enter(now, id, direction, Body::Reset);
    }

    /// Notes that the receiver's socket took `bytes` of those that came out.
    pub fn consumed(&mut self, now: Instant, id: u32, direction: Direction, bytes: usize) {
        self.advance(now);
        if let Some(stream) = stream_mut(&mut self.connections, id, direction) {
            stream.change(-(bytes.min(stream.inside) as isize));
            self.close_if_over(id);
        }
    }

    /// Returns the next thing that came out at or before `now`.
    pub fn poll(&mut self, now: Instant) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if !self.step(now) {
                return None;
            }
        }
    }

    /// Returns the time at which `poll` next has something; `None`: not before something is pushed.
    pub fn deadline(&self) -> Option<Instant> {
        if !self.events.is_empty() {
            return Some(Instant::START);
        }
        let links = self.links.iter().filter_map(Stage::deadline);
        links.chain(self.timers.first().map(|(at, ..)| *at)).min()
    }

    fn stream(&self, id: u32, direction: Direction) -> Option<&Stream> {
        self.connections.get(&id).map(|streams| &streams[direction.index()])
    }

    /// Does all work due at or before `now`, so that something may enter then.
    fn advance(&mut self, now: Instant) {
        while self.step(now) {}
    }

    /// Does the next piece of work due at or before `now`; returns true if there was one.
    fn step(&mut self, now: Instant) -> bool {
        // At the same time the links go first: what a timer lets enter comes behind.
        let timer = self.timers.first().copied().filter(|(at, ..)| *at <= now);
        let until = timer.map_or(now, |(at, ..)| at);
        for direction in Direction::BOTH {
            if let Some(output) = self.links[direction.index()].poll(until) {
                self.take_output(direction, output);
                return true;
            }
        }
        if let Some((at, id, direction)) = timer {
            self.ring(at, id, direction);
        }
        timer.is_some()
    }

    fn enter(&mut self, at: Instant, id: u32, direction: Direction, body: Body) {
        let packet = Packet::new(id, at, body);
        if let Some(stream) = stream_mut(&mut self.connections, id, direction)
            && !packet.is_mark()
        {
            stream.units += 1;
        }
        // Both directions count time from the first packet of either.
        self.links.iter_mut().for_each(|link| link.begin(at));
        let link = &mut self.links[direction.index()];
        if self.tells_arrivals {
            self.events.push_back(Event::Arrived(direction, link.numbered(&packet).into()));
        }
        link.handle(packet);
        while let Some(output) = self.links[direction.index()].poll(at) {
            self.take_output(direction, output);
        }
    }

    fn ring(&mut self, at: Instant, id: u32, direction: Direction) {
        let stream =
            stream_mut(&mut self.connections, id, direction).expect("timers end with their stream");
        match &mut stream.cut {
            Cut::Lines(lines) => {
                if let Some(line) = lines.take() {
                    self.enter(at, id, direction, Body::data(line));
                }
            }
            Cut::Blocks(_) => return self.settle_blocks(at, id, direction, 0),
            Cut::Reads => {}
        }
        self.set_timer(id, direction);
        self.close_if_over(id);
    }

    /// Sets the timer of a stream to what it says now.
    fn set_timer(&mut self, id: u32, direction: Direction) {
        let Some(stream) = stream_mut(&mut self.connections, id, direction) else { return };
        let due = match &stream.cut {
            Cut::Lines(lines) => lines.deadline(),
            Cut::Blocks(blocks) => blocks.deadline(),
            Cut::Reads => None,
        };
        if stream.timer != due {
            if let Some(at) = stream.timer {
                self.timers.remove(&(at, id, direction));
            }
            if let Some(at) = due {
                self.timers.insert((at, id, direction));
            }
            stream.timer = due;
        }
    }

    fn push_into_blocks(&mut self, now: Instant, id: u32, direction: Direction, mut bytes: Bytes) {
        while !bytes.is_empty() {
            let Some(Stream { cut: Cut::Blocks(blocks), .. }) =
                stream_mut(&mut self.connections, id, direction)
            else {
                return;
            };
            if blocks.is_at_start() {
                // The link draws the fate of zeros in the block's place: its bytes may come later.
                // The link numbers packets as they enter.
                blocks.begin(self.links[direction.index()].counters().entered + 1, now);
                self.enter(now, id, direction, Body::data(self.blank.clone()));
            }
            let Some(stream) = stream_mut(&mut self.connections, id, direction) else { return };
            let Cut::Blocks(blocks) = &mut stream.cut else { return };
            let piece = bytes.split_to(bytes.len().min(blocks.missing()));
            let growth = blocks.fill(now, piece);
            self.settle_blocks(now, id, direction, growth);
        }
    }

    /// Takes over what a stream of blocks has done: `growth` of what is inside, and what left it.
    fn settle_blocks(&mut self, now: Instant, id: u32, direction: Direction, growth: isize) {
        let Some(stream) = stream_mut(&mut self.connections, id, direction) else { return };
        stream.change(growth);
        if let Cut::Blocks(blocks) = &mut stream.cut {
            let pieces: Vec<Piece> = std::iter::from_fn(|| blocks.poll(now)).collect();
            for piece in pieces {
                give_out(&mut self.events, id, direction, piece, stream);
            }
        }
        if stream.settle_kept(&self.memory) {
            self.keeping.insert((direction, id));
        } else {
            self.keeping.remove(&(direction, id));
        }
        self.set_timer(id, direction);
        self.close_if_over(id);
    }

    /// Forgets what was kept for copies once a link has nothing in it: then no copy is under way
    /// either.
    fn forget_kept(&mut self, now: Instant, direction: Direction) {
        if self.links[direction.index()].held() > 0 {
            return;
        }
        if !self.copies[direction.index()] && std::mem::take(&mut self.keeps[direction.index()]) {
            self.keep_blocks(direction, false);
        }
        if self.keeping.is_empty() {
            return;
        }
        let whole = (direction, 0)..=(direction, u32::MAX);
        let ids: Vec<u32> = self.keeping.range(whole).map(|(_, id)| *id).collect();
        for id in ids {
            if let Some(Stream { cut: Cut::Blocks(blocks), .. }) =
                stream_mut(&mut self.connections, id, direction)
            {
                blocks.forget_kept();
            }
            self.settle_blocks(now, id, direction, 0);
        }
    }

    /// Takes a packet that left a link: it is reported, and becomes bytes of its stream.
    fn take_output(&mut self, direction: Direction, output: Output) {
        let packet = output.packet();
        let id = packet.flow;
        self.events.push_back(Event::Packet(direction, output.clone()));
        // Copies and marks were not counted when they entered.
        let is_unit = output.packet().copy() == 0 && !output.packet().is_mark();
        let Some(stream) = stream_mut(&mut self.connections, id, direction) else { return };
        if is_unit {
            stream.units -= 1;
        }
        if let Cut::Blocks(blocks) = &mut stream.cut {
            let at = output.packet().at;
            let growth = blocks.take_output(output);
            self.settle_blocks(at, id, direction, growth);
            return self.forget_kept(at, direction);
        }
        let piece = match output {
            Output::Deliver(packet) => match packet.body() {
                Body::Data(payload) => {
                    if packet.copy() > 0 {
                        stream.change(payload.len() as isize);
                    }
                    Piece::Data(payload.to_bytes())
                }
                Body::End => Piece::End,
                Body::Reset => Piece::Reset,
                Body::Segment(_) | Body::Cross(_) => return,
            },
            // A copy is counted only when it comes out.
            Output::Discard(packet, _) => {
                if packet.copy() == 0 {
                    stream.change(-(packet.size() as isize));
                }
                return;
            }
        };
        give_out(&mut self.events, id, direction, piece, stream);
        self.close_if_over(id);
    }

    /// Forgets a connection whose reset has just come out, or whose both streams are over.
    fn close_if_over(&mut self, id: u32) {
        let Some(streams) = self.connections.get(&id) else { return };
        let over = streams.iter().all(|stream| stream.ended && stream.inside == 0);
        let reset =
            matches!(self.events.back(), Some(Event::Reset { id: last, .. }) if *last == id);
        if !over && !reset {
            return;
        }
        self.forget(id);
        self.events.push_back(Event::Closed { id });
    }

    fn forget(&mut self, id: u32) {
        for (stream, direction) in
            self.connections.remove(&id).into_iter().flatten().zip(Direction::BOTH)
        {
            self.keeping.remove(&(direction, id));
            if let Some(at) = stream.timer {
                self.timers.remove(&(at, id, direction));
            }
        }
        self.links.iter_mut().for_each(|link| link.forget(id));
    }
}

fn stream_mut(
    connections: &mut BTreeMap<u32, [Stream; 2]>,
    id: u32,
    direction: Direction,
) -> Option<&mut Stream> {
    connections.get_mut(&id).map(|streams| &mut streams[direction.index()])
}

/// Gives an event out if it is wanted. A reset always is: it tells the receiver, and forgets the
/// connection.
fn give_out(
    events: &mut VecDeque<Event>,
    id: u32,
    direction: Direction,
    piece: Piece,
    stream: &mut Stream,
) {
    match piece {
        Piece::Reset => events.push_back(Event::Reset { id, direction }),
        Piece::Data(_) | Piece::End if stream.unwanted => {}
        Piece::Data(bytes) => events.push_back(Event::Data { id, direction, bytes }),
        Piece::End => {
            stream.ended = true;
            events.push_back(Event::End { id, direction });
        }
    }
}

#[cfg(test)]
mod tests;
