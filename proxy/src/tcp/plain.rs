//! The relay of a route without rules: bytes go from socket to socket.

use super::TcpRelay;
use super::connection::Progress;
use super::end::Found;
use crate::observed::FlowEvent;
use crate::turn::{SCRATCH_BYTES, Turn};
use jostle_common::chance::Direction;

/// Reads that a connection gets before the others have their turn.
const READS_PER_TURN: usize = 2;

impl TcpRelay {
    /// Copies from one end to the other until there is nothing to read, no room to write, or others
    /// should have a turn.
    pub(super) fn copy(&mut self, index: usize, direction: Direction, turn: &mut Turn) {
        for _ in 0..READS_PER_TURN {
            let Some(connection) = self.connections.get_mut(index) else { return };
            if connection.progress != Progress::Open {
                return;
            }
            let connection_id = connection.id;
            let Some((source, target, counts)) = connection.pair(direction) else { return };
            if source.is_read_out() {
                // A reset may still follow the end: an event tells, or a write that failed.
                if source.has_failed() || source.is_broken() {
                    self.reset_by(direction);
                    self.observe(connection_id, FlowEvent::Reset(direction), turn);
                    self.tear_down(index, direction, turn);
                }
                return;
            }
            if target.is_blocked() {
                // What the source's kernel still holds would never have reached a receiver that
                // does not read.
                if source.has_failed() {
                    self.reset_by(direction);
                    self.observe(connection_id, FlowEvent::Reset(direction), turn);
                    self.tear_down(index, direction, turn);
                }
                return;
            }
            if !source.is_readable() {
                return;
            }
            // What the receiver does not take waits here. A floor there is always.
            let room = usize::try_from(self.memory.room(0)).unwrap_or(usize::MAX);
            match source.read(&mut turn.scratch[..SCRATCH_BYTES.min(room)]) {
                Found::Bytes(count) => {
                    let account = &mut self.accounts[direction.index()];
                    account.read(count);
                    if turn.sinks.are_observers() {
                        let passed = FlowEvent::Passed(direction, &turn.scratch[..count]);
                        account.observe(connection_id, turn.now, passed, &mut turn.sinks);
                    }
                    let own = match direction {
                        Direction::Up => count,
                        Direction::Down => target.hear_answer(&turn.scratch[..count]),
                    };
                    let written = target.write_now(&turn.scratch[..own]);
                    account.written(written);
                    target.keep(self.memory.hold(&turn.scratch[written..own]), &self.memory);
                    account.passed();
                    counts.bytes += count as u64;
                    counts.left(false, true);
                    let is_broken = target.is_broken();
                    if direction == Direction::Up {
                        // For rules that may come.
                        connection.hear(&turn.scratch[..count]);
                    }
                    if written < own {
                        turn.warn_of_memory(&self.memory);
                    }
                    if own < count || (direction == Direction::Down && self.askings.are_wanted()) {
                        self.turn_page(index, own < count, turn);
                    }
                    if is_broken {
                        self.ask_again(index, direction.opposite(), turn);
                        return;
                    }
                }
                Found::Nothing => return,
                Found::Request => return self.take_next(index, turn),
                Found::End => {
                    target.end();
                    self.observe(connection_id, FlowEvent::Ended(direction), turn);
                    return self.close_if_over(index, turn);
                }
                Found::Reset => {
                    self.reset_by(direction);
                    self.observe(connection_id, FlowEvent::Reset(direction), turn);
                    return self.tear_down(index, direction, turn);
                }
            }
        }
        self.ask_again(index, direction, turn);
    }

    /// Counts a connection torn down by the end that writes `direction`.
    pub(super) const fn reset_by(&mut self, direction: Direction) {
        match direction {
            Direction::Up => self.counts.reset_by_client += 1,
            Direction::Down => self.counts.reset_by_upstream += 1,
        }
    }
}
