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
mod in_blocks;
mod inside;
mod lines;
mod stream;

use crate::link::{Link, PACKET_BYTES};
use crate::memory::Memory;
use crate::packet::Body;
use crate::payload::Payload;
use crate::profile::Timeline;
use crate::route::Unit;
use crate::stage::Stage;
use crate::tcp::Event;
use blocks::Blocks;
use bytes::Bytes;
use inside::stream_mut;
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
}

#[cfg(test)]
mod tests;
