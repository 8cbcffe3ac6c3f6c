//! One modelled connection: two handshakes, and for each direction a stream, its sender and its
//! receiver.
//!
//! A direction names an end too, the one that sends in it: up is the client, down the server.

mod arrivals;

use super::counters::Counters;
use super::event::Event;
use super::handshake::{ClientHandshake, ServerHandshake};
use super::outlet::Outlet;
use super::receiver::Receiver;
use super::sender::Sender;
use super::stream::Stream;
use super::timers::Entry;
use crate::memory::Memory;
use crate::packet::Body;
use crate::route::CongestionControl;
use crate::segment::{PAYLOAD_MAX, Segment};
use bytes::Bytes;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use std::collections::VecDeque;

/// The most bytes that one direction of a connection holds: pushed and not yet consumed. It is the
/// receive window too (Linux's tcp_rmem allows 6 MiB by default); as the sender learns of room out
/// of band, no lost window update can stop it.
pub(super) const WINDOW: u64 = 6 << 20;

/// The most pieces one direction holds, so that a stream pushed byte by byte is bounded too.
const PIECES_MAX: usize = 8192;

/// The memory that a piece costs besides its bytes.
const PIECE_BYTES: u64 = 200;

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    client: ClientHandshake,
    server: ServerHandshake,
    /// How SYNs are answered, and by whom.
    answering: Answering,
    halves: [Half; 2],
    /// The ends that have reset the connection and are no more.
    gone: [bool; 2],
    /// True if one end had no answer for as long as Linux waits: the connection timed out.
    given_up: bool,
    memory: Memory,
    pub(super) timer: Entry,
}

/// The way in which a SYN is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answering {
    /// As soon as it comes.
    AtOnce,
    /// When the shell has said so.
    WhenTold {
        /// How often the client had repeated its SYN when one came.
        lost: u32,
        /// How often it repeated it while it waited for the shell: nothing was lost then.
        unneeded: u32,
    },
}

impl Answering {
    /// SYNs wait for the shell.
    pub(super) const WAITING: Self = Self::WhenTold { lost: 0, unneeded: 0 };
}

/// One direction.
#[derive(Debug)]
struct Half {
    stream: Stream,
    sender: Sender,
    receiver: Receiver,
    /// Bytes pushed and not yet consumed.
    held: u64,
    /// True if the end of the stream was handed out.
    ended: bool,
    /// True if it was noted that bytes of it are to be handed out.
    is_ready: bool,
    /// True if there was room when it was last looked at.
    has_room: bool,
}

impl Connection {
    /// Creates a connection whose handshake begins now.
    pub(super) fn open(
        control: CongestionControl,
        memory: Memory,
        answering: Answering,
        out: &mut Outlet<'_>,
    ) -> Self {
        out.send(Direction::Up, Segment::Syn { sent: out.now });
        let (client, server) = (ClientHandshake::new(out.now), ServerHandshake::Listening);
        Self { answering, ..Self::new(client, server, control, memory) }
    }

    /// Creates a connection that stands already. Its senders know no round-trip time yet.
    pub(super) fn established(control: CongestionControl, memory: Memory, now: Instant) -> Self {
        let (client, server) = (ClientHandshake::established(), ServerHandshake::Established);
        let mut connection = Self::new(client, server, control, memory);
        connection.halves.iter_mut().for_each(|half| half.sender.start(now, None, 0));
        connection
    }

    fn new(
        client: ClientHandshake,
        server: ServerHandshake,
        control: CongestionControl,
        memory: Memory,
    ) -> Self {
        let half = || Half {
            stream: Stream::default(),
            sender: Sender::new(control),
            receiver: Receiver::new(control.is_scalable()),
            held: 0,
            ended: false,
            is_ready: false,
            has_room: true,
        };
        let (halves, gone) = ([half(), half()], [false; 2]);
        let (answering, given_up, timer) = (Answering::AtOnce, false, Entry::default());
        Self { client, server, answering, halves, gone, given_up, memory, timer }
    }

    fn half(&mut self, direction: Direction) -> &mut Half {
        &mut self.halves[direction.index()]
    }

    /// Returns true if the end that sends in `direction` has reset the connection.
    const fn is_gone(&self, direction: Direction) -> bool {
        self.gone[direction.index()]
    }

    /// Returns true if the end that sends in `direction` knows that the connection stands.
    const fn is_established(&self, direction: Direction) -> bool {
        match direction {
            Direction::Up => self.client.is_established(),
            Direction::Down => matches!(self.server, ServerHandshake::Established),
        }
    }

    /// Returns the number of bytes that may be pushed: as many as the send buffer, the receive
    /// window and the memory have room for.
    pub(super) fn room(&self, direction: Direction) -> u64 {
        let half = &self.halves[direction.index()];
        if half.sender.is_finished()
            || self.is_gone(direction)
            || half.stream.pieces() >= PIECES_MAX
        {
            return 0;
        }
        let buffer = half.sender.room().min(WINDOW.saturating_sub(half.held));
        let cost = half.held + half.stream.pieces() as u64 * PIECE_BYTES;
        let room = if buffer == 0 { 0 } else { buffer.min(self.memory.room(cost)) };
        // Less than a segment is no room, or a stream would trickle in tiny segments (RFC 9293
        // §3.8.6.2.2).
        if room < u64::from(PAYLOAD_MAX) { 0 } else { room }
    }

    /// Returns true if it is the send buffer that has no room: [`Event::Room`] tells when it has.
    pub(super) fn is_sending(&self, direction: Direction) -> bool {
        self.halves[direction.index()].sender.room() == 0 && !self.is_gone(direction)
    }

    /// Tells when a stream that had no room has some.
    fn tell_room(&mut self, direction: Direction, out: &mut Outlet<'_>) {
        let has_room = self.room(direction) > 0;
        let had_room = std::mem::replace(&mut self.half(direction).has_room, has_room);
        if has_room && !had_room {
            out.events.push_back(Event::Room { id: out.id, direction });
        }
    }

    /// Returns true if the room that was told of is gone again; it is told of anew when it is back.
    /// What another stream has taken of a memory is no such thing: nobody would tell of that.
    pub(super) fn lost_room(&mut self, direction: Direction) -> bool {
        let sender = &self.halves[direction.index()].sender;
        let is_lost = sender.is_finished() || sender.room() == 0 || self.is_gone(direction);
        if is_lost {
            self.half(direction).has_room = false;
        }
        is_lost
    }

    /// Adds bytes to a stream.
    pub(super) fn push(&mut self, direction: Direction, bytes: Bytes, out: &mut Outlet<'_>) {
        // Behind the end there is no stream, and an end that is gone takes nothing.
        if self.is_gone(direction)
            || self.is_gone(direction.opposite())
            || self.half(direction).sender.is_finished()
        {
            return;
        }
        let length = bytes.len() as u64;
        let half = &mut self.halves[direction.index()];
        half.held += length;
        half.sender.write(length);
        half.stream.push(self.memory.charge(bytes));
        self.transmit(direction, out);
    }

    /// Ends a stream behind what was pushed.
    pub(super) fn finish(&mut self, direction: Direction, out: &mut Outlet<'_>) {
        self.half(direction).sender.finish();
        self.transmit(direction, out);
    }

    /// Frees bytes that the program at the end of `direction` has taken.
    pub(super) fn consumed(&mut self, direction: Direction, bytes: u64) {
        let half = &mut self.halves[direction.index()];
        // Only bytes that were handed out can have been taken.
        let waiting = half.stream.end() - half.stream.start();
        let bytes = bytes.min(half.held.saturating_sub(waiting));
        half.held -= bytes;
        // Whoever says so looks for room by itself.
        self.half(direction).has_room = self.room(direction) > 0;
    }

    /// Tears the connection down at the end that sends in `direction`: what it has not sent is
    /// gone, what it was sent is not wanted.
    pub(super) fn reset(&mut self, direction: Direction, out: &mut Outlet<'_>) {
        if std::mem::replace(&mut self.gone[direction.index()], true) {
            return;
        }
        out.sends.push_back((direction, out.id, Body::Reset));
        let sent = self.half(direction).sender.sent();
        self.drop_stream(direction, sent);
        self.drop_stream(direction.opposite(), 0);
    }

    /// Forgets what a stream holds from `offset` on.
    fn drop_stream(&mut self, direction: Direction, offset: u64) {
        let half = &mut self.halves[direction.index()];
        let end = half.stream.end();
        half.stream.truncate(offset);
        let freed = (end - half.stream.end()).min(half.held);
        half.held -= freed;
    }

    /// Hands out what is in order of a stream.
    pub(super) fn hand_out(&mut self, id: u32, direction: Direction, events: &mut VecDeque<Event>) {
        let half = self.half(direction);
        half.is_ready = false;
        let in_order = half.receiver.in_order();
        while let Some(bytes) = half.stream.take_before(in_order) {
            events.push_back(Event::Data { id, direction, bytes });
        }
    }

    /// Does what is due.
    pub(super) fn handle_timers(&mut self, out: &mut Outlet<'_>) {
        if !self.is_gone(Direction::Up) && self.client.has_given_up(out.now) {
            self.given_up = true;
            return;
        }
        if !self.is_gone(Direction::Up) && self.client.handle_timer(out.now) {
            out.send(Direction::Up, Segment::Syn { sent: out.now });
        }
        if !self.is_gone(Direction::Down)
            && let Some(echo) = self.server.handle_timer(out.now)
        {
            out.send(Direction::Down, Segment::SynAck { sent: out.now, echo });
        }
        for direction in Direction::BOTH {
            if !self.is_gone(direction) {
                let sender = &mut self.half(direction).sender;
                sender.handle_timer(out.now);
                if sender.has_given_up() {
                    self.given_up = true;
                    return;
                }
                self.transmit(direction, out);
            }
            if !self.is_gone(direction.opposite()) {
                self.acknowledge(direction, out);
            }
        }
    }

    /// Returns the time at which `handle_timers` has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let mut earliest: Option<Instant> = None;
        let mut consider = |deadline: Option<Instant>| {
            if let Some(at) = deadline {
                earliest = Some(earliest.map_or(at, |earliest| earliest.min(at)));
            }
        };
        let [up, down] = &self.halves;
        if !self.is_gone(Direction::Up) {
            consider(self.client.deadline());
            consider(up.sender.deadline());
            consider(down.receiver.deadline());
        }
        if !self.is_gone(Direction::Down) {
            consider(self.server.deadline());
            consider(down.sender.deadline());
            consider(up.receiver.deadline());
        }
        earliest
    }

    /// Sends what may be sent of a stream.
    fn transmit(&mut self, direction: Direction, out: &mut Outlet<'_>) {
        if self.is_established(direction) && !self.is_gone(direction) {
            let sender = &mut self.half(direction).sender;
            while let Some(data) = sender.poll(out.now) {
                out.send(direction, Segment::Data(data));
            }
        }
        self.tell_room(direction, out);
    }

    /// Sends the acknowledgement of a stream, if one is due.
    fn acknowledge(&mut self, direction: Direction, out: &mut Outlet<'_>) {
        if let Some(ack) = self.half(direction).receiver.poll(out.now) {
            out.send(direction.opposite(), Segment::Ack(ack));
        }
    }

    /// Returns true if both streams have ended, were acknowledged and consumed, or an end has given
    /// up.
    pub(super) fn is_closed(&self) -> bool {
        self.given_up || self.halves.iter().all(|half| half.sender.is_done() && half.held == 0)
    }

    /// Returns true if nothing is under way: it stands, what was pushed was acknowledged and
    /// consumed, and an end that was sent too.
    pub(super) fn is_idle(&self) -> bool {
        self.gone == [false; 2]
            && Direction::BOTH.iter().all(|&direction| self.is_established(direction))
            && self.halves.iter().all(|half| half.sender.is_idle() && half.held == 0)
    }

    /// Returns the smoothed round-trip time of the sender that sent more, or else of the other, in
    /// nanoseconds.
    pub(super) fn round_trip(&self) -> Option<u64> {
        let [up, down] = self.halves.each_ref().map(|half| &half.sender);
        let down_sent_more = down.counters().segments > up.counters().segments;
        let (more, other) = if down_sent_more { (down, up) } else { (up, down) };
        more.round_trip().or_else(|| other.round_trip())
    }

    /// Returns the counters of what both senders did.
    pub(super) fn counters(&self) -> Counters {
        let mut counters = *self.halves[0].sender.counters();
        counters += *self.halves[1].sender.counters();
        counters
    }
}
