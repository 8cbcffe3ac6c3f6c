//! The relay of a route without rules: bytes go from socket to socket.
//!
//! What is small is read into the one buffer of the loop and written from it. A bulk transfer passes
//! by a [pipe](crate::pipes) inside the kernel, unless somebody is to see its bytes.

use super::TcpRelay;
use super::connection::Progress;
use super::end::{End, Filled, Found};
use crate::observed::FlowEvent;
use crate::turn::{SCRATCH_BYTES, Turn};
use jostle_common::chance::Direction;

/// Reads that a connection gets before the others have their turn.
const READS_PER_TURN: usize = 2;

/// The most that one of them takes into a pipe: as much as larger ones than ours hold, so that the
/// pipe's places alone are what bounds it.
const PIPED_BYTES: usize = 1 << 20;

impl TcpRelay {
    /// Copies from one end to the other until there is nothing to read, no room to write, or others
    /// should have a turn.
    pub(super) fn copy(&mut self, index: usize, direction: Direction, turn: &mut Turn) {
        for _ in 0..READS_PER_TURN {
            let Some(connection) = self.connections.get_mut(index) else { return };
            if connection.progress != Progress::Open {
                return;
            }
            let listens = connection.listens();
            let Some((source, target)) = connection.pair(direction) else { return };
            if source.is_read_out() || target.is_blocked() {
                // A reset may still follow the end: an event tells, or a write that failed. What the
                // kernel still holds of a source would never have reached a receiver that does not
                // read.
                let is_torn = source.is_read_out() && source.is_broken();
                if source.has_failed() || is_torn {
                    self.take_straight_reset(index, direction, turn);
                }
                return;
            }
            if !source.is_readable() {
                return;
            }
            // The answers that a client of an HTTP proxy gets are followed.
            let hears = match direction {
                Direction::Up => listens,
                Direction::Down => target.follows_requests(),
            };
            let passes = source.is_bulk() && !turn.sinks.are_observers() && !hears;
            let found = match if passes { self.pass(index, direction, turn) } else { None } {
                Some(found) => found,
                None => self.read_and_write(index, direction, turn),
            };
            match found {
                Found::Bytes(_) => {
                    let Some((_, target)) = self.pair(index, direction) else { return };
                    if target.is_broken() {
                        self.ask_again(index, direction.opposite(), turn);
                        return;
                    }
                }
                Found::Nothing => return,
                Found::Request => return self.take_next(index, turn),
                Found::End => {
                    let Some((source, target)) = self.pair(index, direction) else { return };
                    if source.has_ended() {
                        target.end_by_close()
                    } else {
                        target.end()
                    }
                    let id = self.connections.at(index).id;
                    self.observe(id, FlowEvent::Ended(direction), turn);
                    return self.close_if_over(index, turn);
                }
                Found::Reset => return self.take_straight_reset(index, direction, turn),
            }
        }
        self.ask_again(index, direction, turn);
    }

    /// Reads into the buffer, and writes what the other end takes; the rest waits.
    fn read_and_write(&mut self, index: usize, direction: Direction, turn: &mut Turn) -> Found {
        // What the receiver does not take waits here. A floor there is always.
        let room = usize::try_from(self.memory.room(0)).unwrap_or(usize::MAX);
        let Some((source, _)) = self.pair(index, direction) else { return Found::Nothing };
        let found = source.read(&mut turn.scratch[..SCRATCH_BYTES.min(room)]);
        if let Found::Bytes(count) = found {
            self.pass_on(index, direction, count, 0, turn);
        }
        found
    }

    /// Passes on what was read into the buffer, of which the first bytes may be `written` already. What
    /// the other end does not take waits.
    pub(super) fn pass_on(
        &mut self,
        index: usize,
        direction: Direction,
        count: usize,
        mut written: usize,
        turn: &mut Turn,
    ) {
        let connection = self.connections.at(index);
        let id = connection.id;
        let Some((_, target)) = connection.pair(direction) else { return };
        let bytes = &turn.scratch[..count];
        let account = &mut self.accounts[direction.index()];
        if turn.sinks.are_observers() {
            let passed = FlowEvent::Passed(direction, bytes);
            account.observe(id, turn.now, passed, &mut turn.sinks);
        }
        let own = match direction {
            Direction::Up => count,
            // What its server was not asked for goes no further.
            Direction::Down => target.hear_answer(bytes),
        };
        written += target.write_now(&bytes[written..own]);
        if written < own {
            target.keep(self.memory.hold(&bytes[written..own]), &self.memory);
        }
        if direction == Direction::Up {
            // For rules that may come.
            connection.hear(bytes);
        }
        self.count_passed(index, direction, [count, written], turn);
        if own < count || (direction == Direction::Down && self.askings.are_wanted()) {
            self.turn_page(index, own < count, turn);
        }
    }

    /// Takes what there is into a pipe, and writes what the other end takes; the pipe waits with the
    /// rest. Returns `None` if it is to be read.
    fn pass(&mut self, index: usize, direction: Direction, turn: &mut Turn) -> Option<Found> {
        let room = usize::try_from(self.memory.room(0)).unwrap_or(usize::MAX);
        let (source, target) = self.connections.get_mut(index)?.pair(direction)?;
        let mut pipe = turn.pipes.take(&mut turn.descriptors)?;
        let filled = source.fill(&mut pipe, PIPED_BYTES.min(room));
        let Filled::Found(found @ Found::Bytes(count)) = filled else {
            if filled == Filled::Refused {
                turn.pipes.refuse();
            }
            turn.pipes.give(pipe, turn.now, &mut turn.descriptors);
            return if let Filled::Found(found) = filled { Some(found) } else { None };
        };
        let written = target.write_pipe(&mut pipe, &self.memory);
        if pipe.held() > 0 {
            target.keep_pipe(pipe, &self.memory);
        } else {
            turn.pipes.give(pipe, turn.now, &mut turn.descriptors);
        }
        self.count_passed(index, direction, [count, written], turn);
        Some(found)
    }

    /// Counts bytes that came, and how many of them went on at once.
    fn count_passed(
        &mut self,
        index: usize,
        direction: Direction,
        [count, written]: [usize; 2],
        turn: &mut Turn,
    ) {
        let account = &mut self.accounts[direction.index()];
        account.read(count);
        account.written(written);
        account.passed();
        let connection = self.connections.at(index);
        connection.came(direction, count);
        connection.left(direction, false, true);
        if written < count {
            turn.warn_of_memory(&self.memory);
        }
    }

    fn pair(&mut self, index: usize, direction: Direction) -> Option<(&mut End, &mut End)> {
        self.connections.get_mut(index)?.pair(direction)
    }

    /// The end that writes `direction` was torn down, and nothing of it is in the links.
    fn take_straight_reset(&mut self, index: usize, direction: Direction, turn: &mut Turn) {
        self.reset_by(direction);
        let id = self.connections.at(index).id;
        self.observe(id, FlowEvent::Reset(direction), turn);
        self.tear_down(index, direction, turn);
    }

    /// Counts a connection torn down by the end that writes `direction`.
    pub(super) const fn reset_by(&mut self, direction: Direction) {
        match direction {
            Direction::Up => self.counts.reset_by_client += 1,
            Direction::Down => self.counts.reset_by_upstream += 1,
        }
    }
}
