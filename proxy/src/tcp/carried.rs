//! The relay of a route with rules: bytes go from a socket into the links, and what comes out goes
//! to the other socket.

use super::TcpRelay;
use super::carriage::Crossed;
use super::connection::Progress;
use super::end::Found;
use crate::buffers::BUFFER_BYTES;
use crate::observed::{Crossing, FlowEvent};
use crate::turn::Turn;
use jostle_common::chance::Direction;
use jostle_engine::carrier::Carrier;
use jostle_engine::route::TcpMode;
use jostle_engine::stage::Output;
use jostle_engine::tcp::Event;
use jostle_forward::Failure;

/// Reads that a connection gets before the others have their turn.
const READS_PER_TURN: usize = 16;

/// The most packets that they may amount to: a stream of short lines is thousands per read.
const PACKETS_PER_TURN: u64 = 4096;

/// The most events that are taken out of the links before sockets are read again; those of packets
/// may be of runs, which together are as many as a read brings.
const EVENTS_PER_TURN: usize = 1024;

/// The bytes that have come out of the links at which they are written before more is taken out.
const WRITTEN_AT_ONCE: usize = 256 << 10;

/// Ends waiting for room that are looked at in a turn.
const STARVED_PER_TURN: usize = 64;

impl TcpRelay {
    /// Reads what the end that writes `direction` has, as far as there is room.
    pub(super) fn take_in(&mut self, index: usize, direction: Direction, turn: &mut Turn) {
        let entered = |carrier: &Carrier| carrier.link(direction).counters().entered;
        let before = self.carriage.carrier().map_or(0, entered);
        let leaving = !self.carriage.in_force;
        for _ in 0..READS_PER_TURN {
            let Some(connection) = self.connections.get_mut(index) else { return };
            let Some(carrier) = &mut self.carriage.carrier else { return };
            let (id, blocked) = (connection.id, connection.is_blocked(direction));
            let Some(source) = connection.source(direction) else { return };
            // What the socket said last decides whether there is anything to do at all.
            if source.is_read_out() {
                // A reset may still follow the end: an event tells, or a write that failed.
                if source.has_failed() || source.is_broken() {
                    self.take_reset(index, direction, turn);
                }
                return;
            }
            if !source.is_readable() {
                return;
            }
            if leaving {
                // What comes now waits until what is in the links has come out, and goes straight
                // then. Behind a receiver that does not read a reset would wait for ever.
                if source.has_failed() && blocked {
                    self.take_reset(index, direction, turn);
                }
                return;
            }
            // No more is read than may be inside: the rest waits in the kernel, whose window then
            // holds the sender back.
            let room = carrier.room(id, direction).min(BUFFER_BYTES);
            if room == 0 {
                if source.has_failed() {
                    // What its kernel still holds would never have been sent.
                    self.take_reset(index, direction, turn);
                    return;
                }
                source.hold_back();
                let news = source.starve();
                if carrier.is_sending(id, direction) {
                    // The sender tells when it has sent some of what it holds.
                    return;
                }
                if news {
                    self.counts.starved += 1;
                    turn.warn_of_memory(&self.memory);
                }
                if source.stand_in_line() {
                    self.carriage.starved.push_back((index, id, direction));
                }
                return;
            }
            let mut buffer = turn.buffers.take();
            let count = match source.read(&mut buffer[..room]) {
                Found::Bytes(count) => count,
                found => {
                    turn.buffers.put_back(buffer);
                    return match found {
                        Found::End => carrier.finish(turn.now, id, direction),
                        Found::Reset => self.take_reset(index, direction, turn),
                        Found::Request => self.take_next(index, turn),
                        Found::Nothing | Found::Bytes(_) => source.run_dry(),
                    };
                }
            };
            if !source.is_readable() {
                source.run_dry();
            }
            let bytes = turn.buffers.filled(buffer, count, &self.memory);
            self.accounts[direction.index()].read(count);
            connection.came(direction, count);
            if turn.sinks.are_observers() && matches!(self.route.tcp, TcpMode::Model(_)) {
                let (account, sinks) = (&self.accounts[0], &mut turn.sinks);
                account.observe(id, turn.now, FlowEvent::Pushed(direction, &bytes), sinks);
            }
            // A name that it says is known before these bytes enter.
            if direction == Direction::Up && connection.hear(&bytes) {
                carrier.tell(turn.now, id, &connection.facts(&self.route.destination));
            }
            carrier.push(turn.now, id, direction, bytes);
            if entered(carrier) - before > PACKETS_PER_TURN {
                break;
            }
        }
        self.ask_again(index, direction, turn);
    }

    /// Returns how a connection crosses the route.
    pub(super) fn crossing(&self, carried: bool) -> Crossing {
        if carried { Crossing::of(self.route.tcp) } else { Crossing::Straight }
    }

    /// Tells who observes flows what happened to a connection.
    pub(super) fn observe(&self, id: u32, event: FlowEvent<'_>, turn: &mut Turn) {
        // What has no number is nothing that anybody knows of.
        if id != 0 && turn.sinks.are_observers() {
            self.accounts[0].observe(id, turn.now, event, &mut turn.sinks);
        }
    }

    /// The end that writes `direction` was torn down: the reset follows what it wrote.
    fn take_reset(&mut self, index: usize, direction: Direction, turn: &mut Turn) {
        self.reset_by(direction);
        let connection = self.connections.at(index);
        connection.drop_source(direction, turn);
        if let Some(carrier) = &mut self.carriage.carrier {
            carrier.reset(turn.now, connection.id, direction);
        }
    }

    /// Takes out of the links what is due, hands it to the sockets, and writes the fates down.
    pub(super) fn dispatch(&mut self, turn: &mut Turn) {
        // Bytes go out as they come, those of one receiver together; fates are kept until all sends
        // have returned, for their time.
        let (mut counted, mut leaving, mut packets) = (0, 0, 0);
        for _ in 0..EVENTS_PER_TURN {
            if packets >= PACKETS_PER_TURN {
                break;
            }
            let carrier = self.carriage.carrier.as_mut();
            let Some(event) = carrier.and_then(|carrier| carrier.poll(turn.now)) else { break };
            let is_ordered = !matches!(
                event,
                Event::Packet(..) | Event::Arrived(..) | Event::Data { .. } | Event::Room { .. }
            );
            if is_ordered || leaving >= WRITTEN_AT_ONCE {
                leaving = 0;
                self.hand_out_all(turn);
            }
            match event {
                Event::Packet(direction, output) => {
                    counted = self.count(direction, &output, counted);
                    packets += u64::from(output.packet().count());
                    self.carriage.crossed.push((direction, Crossed::Out(output)));
                }
                Event::Arrived(direction, packet) => {
                    self.carriage.crossed.push((direction, Crossed::In(packet)));
                }
                // A modelled SYN waits at the far end for what comes of the connect; a raw stream has
                // no handshake, and is established at once.
                Event::SynReceived { id } | Event::Established { id } => {
                    if let Some(index) = self.connections.place(id)
                        && self.connections.at(index).progress == Progress::Opening
                    {
                        self.connect(index, turn);
                    }
                }
                Event::Connected { id } => {
                    if let Some(index) = self.connections.place(id) {
                        self.tell_success(index, turn);
                    }
                }
                Event::Data { id, direction, bytes } => {
                    leaving += bytes.len();
                    self.carriage.leaving.push((id, direction, bytes));
                }
                Event::Room { id, direction } => {
                    if let Some(index) = self.connections.place(id) {
                        self.resume(index, direction, turn);
                    }
                }
                Event::End { id, direction } => {
                    if let Some(index) = self.connections.place(id) {
                        if let Some(target) = self.connections.at(index).target(direction) {
                            target.end();
                        }
                        self.close_if_over(index, turn);
                    }
                }
                Event::Reset { id, direction } => {
                    if let Some(index) = self.connections.place(id) {
                        self.tear_down(index, direction, turn);
                    }
                }
                Event::CloseBoth { id } => {
                    if let Some(index) = self.connections.place(id) {
                        self.counts.closed_by_rule += 1;
                        self.close_gently(index, turn);
                    }
                }
                Event::ResetBoth { id } => {
                    if let Some(index) = self.connections.place(id) {
                        self.counts.reset_by_rule += 1;
                        self.give_up(index, turn);
                    }
                }
                Event::Discarded(direction, packet) => {
                    // Its bytes count as taken: there is room for others.
                    if let Some(index) = self.connections.place(packet.flow) {
                        self.connections.at(index).last = turn.now;
                        self.resume(index, direction, turn);
                    }
                    self.carriage.discards.push((direction, *packet));
                }
                Event::Closed { id } => {
                    // Nothing more will come of it. If its sockets have not ended by now, one of
                    // them was torn down.
                    if let Some(index) = self.connections.place(id)
                        // Without a reason the handshake itself has found nobody.
                        && !self.answers_for_reset(index, Failure::TimedOut, turn)
                    {
                        self.give_up(index, turn);
                    }
                }
            }
        }
        self.hand_out_all(turn);
        if !self.carriage.crossed.is_empty() || !self.carriage.discards.is_empty() {
            let released = turn.reactor.now();
            self.carriage.settle(released, &mut self.accounts, &mut turn.sinks);
        }
    }

    /// Counts a packet, or those of a run, that left a link for its connection, which may be gone, and returns that
    /// one's place: `guess` is where to look first, as those of one connection often come in a row.
    fn count(&mut self, direction: Direction, output: &Output, guess: usize) -> usize {
        let packet = output.packet();
        let is_there = self.connections.get(guess).is_some_and(|one| one.id == packet.flow);
        let place = if is_there { Some(guess) } else { self.connections.place(packet.flow) };
        let Some(place) = place else { return guess };
        if !packet.is_mark() {
            let is_delivered = matches!(output, Output::Deliver(_));
            let connection = self.connections.at(place);
            let mut count = || connection.left(direction, packet.copy() > 0, is_delivered);
            (0..packet.count()).for_each(|_| count());
        }
        place
    }

    /// Reads the end that writes `direction` again, now that there is room.
    pub(super) fn resume(&mut self, index: usize, direction: Direction, turn: &mut Turn) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        let Some(source) = connection.source(direction) else { return };
        if source.feed() {
            self.ask_again(index, direction, turn);
        }
    }

    /// Looks after the ends that waited for room which others took.
    pub(super) fn retry_starved(&mut self, turn: &mut Turn) {
        for _ in 0..self.carriage.starved.len().min(STARVED_PER_TURN) {
            let Some((index, id, direction)) = self.carriage.starved.pop_front() else { return };
            let Some(connection) = self.connections.get_same(index, id) else { continue };
            let Some(source) = connection.source(direction) else { continue };
            source.leave_line();
            let carrier = self.carriage.carrier.as_ref();
            let waits = source.is_starved()
                && carrier.is_some_and(|carrier| carrier.room(id, direction) == 0);
            if waits {
                source.stand_in_line();
                self.carriage.starved.push_back((index, id, direction));
            } else {
                self.resume(index, direction, turn);
            }
        }
    }
}
