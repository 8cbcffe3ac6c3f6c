//! Who may wait in front of a rate: the bound of its queue, and what happens when that is reached.

use super::{Line, Manager, RateStage};
use crate::packet::Packet;
use crate::rules::rate::discipline::{Fate, discarded, mark};
use crate::rules::rate::waiting::Amount;
use crate::stage::Reason;
use jostle_common::time::Instant;
use std::time::Duration;

/// The most bytes that are asked for in one go: many times that and the queue would be full long
/// before it says so.
const PIECE: usize = 4 << 10;

/// A fast line takes larger pieces, of so much time and so many bytes: each costs a system call or
/// two, and with small ones no line would be faster than these.
const PIECE_TIME_LEAST: Duration = Duration::from_micros(200);
const PIECE_MOST: usize = 64 << 10;

/// The time that those bytes take at most: a slow line carries something all the time, and a piece
/// in service does not long outlive a change of the rate.
const PIECE_TIME: Duration = Duration::from_millis(100);

/// The bound on the packets that wait.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bound {
    /// Until transmission starts, on a line of constant rate.
    Time(Duration),
    Bytes(u64),
    Packets(u64),
}

impl RateStage {
    /// Returns true if a queue in which so much waits has no room for a packet of so many bytes that
    /// comes at `now`.
    #[inline]
    pub(super) fn is_full(&self, waiting: Amount, bytes: u64, now: Instant) -> bool {
        if let Manager::Queues(queues) = &self.manager
            && waiting.bytes + bytes > queues.bytes_max()
        {
            return true;
        }
        if waiting.packets < self.packets_least {
            return false;
        }
        match (self.bound, &self.line) {
            (Bound::Time(bound), Line::Constant(line)) => {
                let rest =
                    self.in_service.as_ref().map_or(Duration::ZERO, |first| first.at.since(now));
                line.takes_longer(rest, waiting.bytes, bound)
            }
            (Bound::Time(_), Line::Trace(_) | Line::Open) => false,
            (Bound::Bytes(bound), _) => waiting.bytes + bytes > bound,
            (Bound::Packets(bound), _) => waiting.packets >= bound,
        }
    }

    /// Lets a packet wait, for which there is room.
    #[inline]
    pub(super) fn admit(&mut self, mut packet: Packet) {
        match &mut self.manager {
            Manager::None | Manager::Codel(_) => self.waiting.push(packet),
            Manager::Pie(_) if packet.is_mark() => self.waiting.push(packet),
            Manager::Pie(pie) => {
                let (now, takes_marks) = (packet.at, packet.ecn.takes_marks());
                let random = || self.source.draw(&packet).first();
                match pie.judge(now, self.waiting.amount().bytes, takes_marks, random) {
                    Fate::Pass => {}
                    Fate::Mark => mark(&mut packet),
                    Fate::Drop => {
                        return self.done.push_back(discarded(packet, now, Reason::QueueDelay));
                    }
                }
                self.waiting.push(packet);
            }
            Manager::Queues(queues) => queues.push(packet),
        }
    }

    /// Makes room for a packet that finds the queue full, or refuses it.
    pub(super) fn overflow(&mut self, packet: Packet) {
        let (now, bytes) = (packet.at, self.waiting.bytes(&packet));
        // A packet that would not fit an empty queue drives no other out of a full one.
        if self.is_full(Amount::default(), bytes, now) {
            return self.done.push_back(discarded(packet, now, Reason::QueueFull));
        }
        match &mut self.manager {
            Manager::Queues(queues) if queues.sheds() => {
                queues.push(packet);
                return self.shed(now, bytes);
            }
            Manager::Pie(pie) => pie.note_full(),
            _ => {}
        }
        if !self.drops_head {
            return self.done.push_back(discarded(packet, now, Reason::QueueFull));
        }
        while self.is_full(self.waiting.amount(), bytes, now) {
            let Some(first) = self.waiting.pop_packet() else { break };
            self.done.push_back(discarded(first, now, Reason::QueueFull));
        }
        self.waiting.push(packet);
    }

    /// Lets the queues discard until the packet of so many bytes that came in at `now` is none too
    /// many.
    fn shed(&mut self, now: Instant, bytes: u64) {
        while let Manager::Queues(queues) = &mut self.manager {
            queues.shed(now, &mut self.done);
            let left = queues.amount();
            let others = Amount {
                packets: left.packets.saturating_sub(1),
                bytes: left.bytes.saturating_sub(bytes),
            };
            if left.packets == 0 || !self.is_full(others, bytes, now) {
                return;
            }
        }
    }

    /// Returns the number of bytes that may come now, if what feeds the line is to wait for it.
    pub(super) fn room_for_senders(&self) -> Option<usize> {
        if !self.waits {
            return None;
        }
        let waiting = self.amount();
        let is_full = match (self.bound, &self.line) {
            // What is in service counts as gone: it is one packet at most.
            (Bound::Time(bound), Line::Constant(line)) => {
                line.takes_longer(Duration::ZERO, waiting.bytes, bound)
            }
            (Bound::Time(_), Line::Trace(_) | Line::Open) => false,
            (Bound::Bytes(bound), _) => waiting.bytes >= bound,
            (Bound::Packets(bound), _) => waiting.packets >= bound,
        };
        if is_full && waiting.packets >= self.packets_least {
            return Some(0);
        }
        Some(match &self.line {
            Line::Constant(line) => {
                let bytes_in =
                    |time| usize::try_from(line.rate().bytes_in(time)).unwrap_or(PIECE_MOST);
                let most = bytes_in(PIECE_TIME_LEAST).clamp(PIECE, PIECE_MOST);
                bytes_in(PIECE_TIME).clamp(1, most)
            }
            Line::Trace(_) | Line::Open => PIECE,
        })
    }
}
