//! What happens inside raw streams: bytes enter the links as packets, and what comes out of these
//! becomes bytes again.

use super::RawStreams;
use super::blocks::Piece;
use super::stream::{Cut, Stream};
use crate::packet::{Body, Packet};
use crate::stage::{Output, Stage};
use crate::tcp::Event;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use std::collections::{BTreeMap, VecDeque};

impl RawStreams {
    /// Does all work due at or before `now`, so that something may enter then.
    pub(super) fn advance(&mut self, now: Instant) {
        while self.step(now) {}
    }

    /// Does the next piece of work due at or before `now`; returns true if there was one.
    pub(super) fn step(&mut self, now: Instant) -> bool {
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

    pub(super) fn enter(&mut self, at: Instant, id: u32, direction: Direction, body: Body) {
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
    pub(super) fn set_timer(&mut self, id: u32, direction: Direction) {
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
    pub(super) fn close_if_over(&mut self, id: u32) {
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

    pub(super) fn forget(&mut self, id: u32) {
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

pub(super) fn stream_mut(
    connections: &mut BTreeMap<u32, [Stream; 2]>,
    id: u32,
    direction: Direction,
) -> Option<&mut Stream> {
    connections.get_mut(&id).map(|streams| &mut streams[direction.index()])
}

/// Gives an event out if it is wanted. A reset always is: it tells the receiver, and forgets the
/// connection.
pub(super) fn give_out(
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
