//! The relay of a route with rules: bytes go from a socket into the links, and what comes out goes
//! to the other socket.

use super::TcpRelay;
use super::end::Found;
use crate::turn::{SCRATCH_BYTES, Turn};
use bytes::Bytes;
use jostle_common::chance::Direction;
use jostle_engine::carrier::Carrier;
use jostle_engine::tcp::Event;
use std::time::Duration;

/// How many reads a connection gets before the others have their turn.
const READS_PER_TURN: usize = 4;

/// How many packets they may amount to: a stream of short lines is thousands per read.
const PACKETS_PER_TURN: u64 = 4096;

/// The most that is taken out of the links before sockets are read again.
const EVENTS_PER_TURN: usize = 1024;

/// How many ends that waited for room are looked at in a turn.
const STARVED_PER_TURN: usize = 64;

/// After which time they are looked at when nothing else happens.
pub(super) const STARVED_RETRY: Duration = Duration::from_millis(10);

impl TcpRelay {
    /// Reads what the end that writes `direction` has, as far as there is room.
    pub(super) fn take_in(&mut self, index: usize, direction: Direction, turn: &mut Turn) {
        let entered = |carrier: &Carrier| carrier.link(direction).counters().entered;
        let before = self.carrier.as_ref().map_or(0, entered);
        for _ in 0..READS_PER_TURN {
            let Some(connection) = self.connections.get_mut(index) else { return };
            let Some(carrier) = &mut self.carrier else { return };
            let id = connection.id;
            let Some(source) = connection.source(direction) else { return };
            if source.ended {
                // A reset may still follow the end: an event tells, or a write that failed.
                if source.failed || source.is_broken() {
                    self.take_reset(index, direction, turn);
                }
                return;
            }
            if !source.readable {
                return;
            }
            let room = carrier.room(id, direction).min(SCRATCH_BYTES);
            if room == 0 {
                if source.failed {
                    // What its kernel still holds would never have been sent.
                    self.take_reset(index, direction, turn);
                } else if !std::mem::replace(&mut source.starved, true) {
                    self.counts.starved += 1;
                    self.starved.push_back((index, id, direction));
                }
                return;
            }
            match source.read(&mut turn.scratch[..room]) {
                Found::Bytes(count) => {
                    self.ledgers[direction.index()].bytes_in += count as u64;
                    carrier.push(
                        turn.now,
                        id,
                        direction,
                        Bytes::copy_from_slice(&turn.scratch[..count]),
                    );
                    if entered(carrier) - before > PACKETS_PER_TURN {
                        break;
                    }
                }
                Found::Nothing => return,
                Found::End => return carrier.finish(turn.now, id, direction),
                Found::Reset => return self.take_reset(index, direction, turn),
            }
        }
        self.ask_again(index, direction, turn);
    }

    /// The end that writes `direction` was torn down: the reset follows what it wrote.
    fn take_reset(&mut self, index: usize, direction: Direction, turn: &mut Turn) {
        self.reset_by(direction);
        let connection = &mut self.connections[index];
        connection.drop_source(direction, turn);
        if let Some(carrier) = &mut self.carrier {
            carrier.reset(turn.now, connection.id, direction);
        }
    }

    /// Takes out of the links what is due, hands it to the sockets, and writes the fates down.
    pub(super) fn dispatch(&mut self, turn: &mut Turn) {
        for _ in 0..EVENTS_PER_TURN {
            let Some(event) = self.carrier.as_mut().and_then(|carrier| carrier.poll(turn.now))
            else {
                break;
            };
            match event {
                Event::Packet(direction, output) => self.fates.push((direction, output)),
                Event::Established { id } => {
                    if let Some(index) = self.by_id.get(&id).copied() {
                        self.connect(index, turn);
                    }
                }
                Event::Data { id, direction, bytes } => self.hand_out(id, direction, bytes, turn),
                Event::End { id, direction } => {
                    if let Some(index) = self.by_id.get(&id).copied() {
                        if let Some(target) = self.connections[index].target(direction) {
                            target.end();
                        }
                        self.close_if_over(index, turn);
                    }
                }
                Event::Reset { id, direction } => {
                    if let Some(index) = self.by_id.get(&id).copied() {
                        self.tear_down(index, direction, turn);
                    }
                }
                Event::Closed { id } => {
                    // Nothing more will come of it. If its sockets have not ended by now, one of
                    // them was torn down.
                    if let Some(index) = self.by_id.get(&id).copied() {
                        self.give_up(index, turn);
                    }
                }
            }
        }
        if self.fates.is_empty() {
            return;
        }
        let released = turn.reactor.now();
        if let Some(carrier) = &self.carrier {
            for (direction, output) in self.fates.drain(..) {
                let link = carrier.link(direction);
                self.ledgers[direction.index()].record(link, &output, released, &mut turn.events);
            }
        }
    }

    /// Hands bytes to the receiver of `direction`.
    fn hand_out(&mut self, id: u32, direction: Direction, mut bytes: Bytes, turn: &mut Turn) {
        let Some(carrier) = &mut self.carrier else { return };
        let index = self.by_id.get(&id).copied();
        let target = index.and_then(|index| self.connections[index].target(direction));
        let (Some(index), Some(target)) = (index, target) else {
            // The receiver is gone, its reset is under way.
            return carrier.consumed(turn.now, id, direction, bytes.len());
        };
        let written = target.write_now(&bytes);
        let broken = target.is_broken();
        let kept = bytes.split_off(written);
        // A broken end keeps nothing: what it does not take is as good as taken.
        let consumed = if broken { written + kept.len() } else { written };
        target.keep(kept);
        self.ledgers[direction.index()].bytes_out += written as u64;
        if consumed > 0 {
            carrier.consumed(turn.now, id, direction, consumed);
            self.resume(index, direction, turn);
        }
        if broken {
            self.ask_again(index, direction.opposite(), turn);
        }
    }

    /// Reads the end that writes `direction` again, now that there is room.
    pub(super) fn resume(&mut self, index: usize, direction: Direction, turn: &mut Turn) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        let Some(source) = connection.source(direction) else { return };
        if std::mem::take(&mut source.starved) {
            self.ask_again(index, direction, turn);
        }
    }

    /// Looks after the ends that waited for room which others took.
    pub(super) fn retry_starved(&mut self, turn: &mut Turn) {
        for _ in 0..self.starved.len().min(STARVED_PER_TURN) {
            let Some((index, id, direction)) = self.starved.pop_front() else { return };
            let Some(connection) =
                self.connections.get_mut(index).filter(|connection| connection.id == id)
            else {
                continue;
            };
            if !connection.source(direction).is_some_and(|source| source.starved) {
                continue;
            }
            if self.carrier.as_ref().is_some_and(|carrier| carrier.room(id, direction) > 0) {
                self.resume(index, direction, turn);
            } else {
                self.starved.push_back((index, id, direction));
            }
        }
    }
}
