//! One modelled connection: two handshakes, and for each direction a stream, its sender and its
//! receiver.
//!
//! A direction names an end too, the one that sends in it: up is the client, down the server.

use super::counters::Counters;
use super::event::Event;
use super::handshake::{ClientHandshake, ServerHandshake};
use super::receiver::Receiver;
use super::sender::{PAYLOAD_MAX, Sender};
use super::stream::Stream;
use super::timers::Entry;
use crate::memory::Memory;
use crate::packet::Body;
use crate::route::CongestionControl;
use crate::segment::{Data, Segment};
use bytes::Bytes;
use jostle_common::chance::Direction;
use jostle_common::statistics::RoundTrips;
use jostle_common::time::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// The most bytes that one direction of a connection holds: pushed and not yet consumed. It is the
/// receive window too (Linux's tcp_rmem allows 6 MiB by default); as the sender learns of room out
/// of band, no lost window update can stop it.
pub(super) const WINDOW: u64 = 6 << 20;

/// The most pieces one direction holds, so that a stream pushed byte by byte is bounded too.
const PIECES_MAX: usize = 8192;

/// The memory that a piece costs besides its bytes.
const PIECE_BYTES: u64 = 200;

/// So many bytes in order are handed out at once; fewer wait until all that is due at their time is
/// done, so that those of segments that arrive together are one piece.
const HAND_OUT: u64 = 256 << 10;

/// The outlet for what comes out of a connection.
pub(super) struct Outlet<'a> {
    pub(super) now: Instant,
    pub(super) id: u32,
    /// The segments that are to enter the links.
    pub(super) sends: &'a mut VecDeque<(Direction, u32, Body)>,
    pub(super) events: &'a mut VecDeque<Event>,
    /// The streams of which bytes are in order that were not handed out.
    pub(super) ready: &'a mut Vec<(u32, Direction)>,
    /// The counter of the senders' samples of the round-trip time.
    pub(super) round_trips: &'a mut RoundTrips,
}

impl Outlet<'_> {
    fn send(&mut self, direction: Direction, segment: Segment) {
        self.sends.push_back((direction, self.id, Body::Segment(Box::new(segment))));
    }

    fn record(&mut self, round_trip: Option<u64>) {
        if let Some(nanos) = round_trip {
            self.round_trips.record(Duration::from_nanos(nanos));
        }
    }
}

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

    /// Takes in a segment that crossed the link of `direction` whole, marked on its way or not.
    pub(super) fn handle(
        &mut self,
        direction: Direction,
        segment: &Segment,
        marked: bool,
        out: &mut Outlet<'_>,
    ) {
        // The end that it reaches is no more.
        if self.is_gone(direction.opposite()) {
            return;
        }
        match (direction, segment) {
            (Direction::Up, Segment::Syn { sent }) => self.handle_syn(*sent, out),
            (Direction::Down, Segment::SynAck { echo, .. }) => self.handle_syn_ack(*echo, out),
            (_, Segment::Data(data)) if self.is_reached(direction, out) => {
                self.handle_data(direction, data, marked, out);
            }
            (_, Segment::Ack(ack)) if self.is_reached(direction, out) => {
                out.record(self.half(direction.opposite()).sender.handle_ack(out.now, ack));
                self.transmit(direction.opposite(), out);
            }
            _ => {}
        }
    }

    fn handle_syn(&mut self, sent: Instant, out: &mut Outlet<'_>) {
        if let Answering::WhenTold { lost, .. } = &mut self.answering
            && matches!(self.server, ServerHandshake::Listening | ServerHandshake::Asked(_))
        {
            if self.server.ask(out.now, sent) {
                *lost = self.client.repetitions();
                out.events.push_back(Event::SynReceived { id: out.id });
            }
            return;
        }
        if self.server.handle_syn(out.now, sent) {
            out.send(Direction::Down, Segment::SynAck { sent: out.now, echo: sent });
        }
    }

    /// Answers the SYN that waits for it. Returns false if none does.
    pub(super) fn accept(&mut self, out: &mut Outlet<'_>) -> bool {
        if self.is_gone(Direction::Down) {
            return false;
        }
        let Some(echo) = self.server.accept(out.now) else { return false };
        if let Answering::WhenTold { lost, unneeded } = &mut self.answering {
            *unneeded = self.client.repetitions().saturating_sub(*lost);
        }
        out.send(Direction::Down, Segment::SynAck { sent: out.now, echo });
        true
    }

    fn handle_syn_ack(&mut self, echo: Instant, out: &mut Outlet<'_>) {
        if let Some(mut repetitions) = self.client.handle_syn_ack() {
            if let Answering::WhenTold { unneeded, .. } = self.answering {
                repetitions -= unneeded.min(repetitions);
                out.events.push_back(Event::Connected { id: out.id });
            }
            let rtt = Some(out.now.as_nanos() - echo.as_nanos());
            out.record(rtt);
            self.half(Direction::Up).sender.start(out.now, rtt, repetitions);
        }
        // A repeated SYN-ACK is acknowledged too: the server may have missed the first answer.
        self.half(Direction::Down).receiver.request_ack();
        self.acknowledge(Direction::Down, out);
        self.transmit(Direction::Up, out);
    }

    /// Returns true if the end that a segment of `direction` reaches is established, if only by
    /// this segment.
    fn is_reached(&mut self, direction: Direction, out: &mut Outlet<'_>) -> bool {
        if direction == Direction::Up
            && let Some((rtt, repetitions)) = self.server.handle_acknowledgement(out.now)
        {
            out.record(rtt);
            self.half(Direction::Down).sender.start(out.now, rtt, repetitions);
            out.events.push_back(Event::Established { id: out.id });
            self.transmit(Direction::Down, out);
        }
        self.is_established(direction.opposite())
    }

    fn handle_data(
        &mut self,
        direction: Direction,
        data: &Data,
        marked: bool,
        out: &mut Outlet<'_>,
    ) {
        let half = self.half(direction);
        half.receiver.handle(out.now, data, marked);
        let waiting = half.receiver.in_order() - half.stream.start();
        let is_complete = half.receiver.is_complete();
        if waiting >= HAND_OUT || is_complete {
            self.hand_out(out.id, direction, out.events);
        } else if waiting > 0 && !std::mem::replace(&mut half.is_ready, true) {
            out.ready.push((out.id, direction));
        }
        if is_complete && !std::mem::replace(&mut self.half(direction).ended, true) {
            out.events.push_back(Event::End { id: out.id, direction });
        }
        self.acknowledge(direction, out);
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

    /// Takes in the mark of a reset that crossed the link of `direction`.
    pub(super) fn handle_reset(&mut self, direction: Direction, out: &mut Outlet<'_>) {
        // A server that never heard of the connection does not hear of its end. One whose SYNs the
        // shell answers has heard of it with the first of them.
        let is_known = match (direction, self.answering) {
            (Direction::Down, _) => true,
            (Direction::Up, Answering::AtOnce) => self.is_established(Direction::Down),
            (Direction::Up, Answering::WhenTold { .. }) => {
                self.server != ServerHandshake::Listening
            }
        };
        if !self.is_gone(direction.opposite()) && is_known {
            for one in Direction::BOTH {
                self.hand_out(out.id, one, out.events);
            }
            out.events.push_back(Event::Reset { id: out.id, direction });
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
