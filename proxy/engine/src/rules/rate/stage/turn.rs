//! Whose turn it is: what goes from the queue onto the line when that is free.

use super::{Line, Manager, RateStage};
use crate::packet::Packet;
use crate::rules::rate::discipline::{Fate, discarded, mark};
use crate::stage::{Output, Reason};
use jostle_common::time::Instant;

impl RateStage {
    /// Lets the next packets have the line, which the one before has left at `now`.
    pub(super) fn serve_next(&mut self, now: Instant) {
        if matches!(self.line, Line::Trace(_)) {
            return self.use_opportunities(now);
        }
        let Some(packet) = self.take_next(now) else { return };
        let bytes = self.waiting.bytes(&packet);
        let due = match &mut self.line {
            Line::Constant(line) => line.carry_next(bytes, now),
            Line::Trace(_) | Line::Open => now,
        };
        self.put_in_service(packet, due);
    }

    /// Sends what the opportunities at `now` carry. The bytes left of them when nothing waits any
    /// more are lost.
    pub(super) fn use_opportunities(&mut self, now: Instant) {
        while !self.is_empty() {
            let next = match self.pop_free() {
                Some(packet) => Some(packet),
                None if matches!(&self.line, Line::Trace(line) if line.is_open(now)) => {
                    self.take_next(now)
                }
                None => return,
            };
            let (Line::Trace(line), Some(packet)) = (&mut self.line, next) else { return };
            let due = line.carry(self.waiting.bytes(&packet), now);
            if due > now {
                return self.put_in_service(packet, due);
            }
            self.done.push_back(Output::Deliver(packet.moved_to(now)));
        }
    }

    /// Takes what is next if it has no bytes, and so needs no opportunity.
    fn pop_free(&mut self) -> Option<Packet> {
        match &mut self.manager {
            Manager::Queues(queues) => queues.pop_free(),
            _ if self.waiting.front().is_some_and(|first| self.waiting.bytes(first) == 0) => {
                self.waiting.pop()
            }
            _ => None,
        }
    }

    /// Takes the next packet to be sent at `now`; those that are dropped instead are done with.
    #[inline]
    fn take_next(&mut self, now: Instant) -> Option<Packet> {
        match &mut self.manager {
            Manager::None => self.waiting.pop(),
            Manager::Codel(codel) => {
                while let Some(mut packet) = self.waiting.pop() {
                    let (bytes, behind) =
                        (self.waiting.bytes(&packet), self.waiting.amount().bytes);
                    let takes_marks = packet.ecn.takes_marks();
                    if packet.is_mark() {
                        return Some(packet);
                    }
                    match codel.judge(now, packet.at, bytes, behind, takes_marks) {
                        Fate::Pass => return Some(packet),
                        Fate::Mark => {
                            mark(&mut packet);
                            return Some(packet);
                        }
                        Fate::Drop => {
                            self.done.push_back(discarded(packet, now, Reason::QueueDelay));
                        }
                    }
                }
                codel.empty();
                None
            }
            Manager::Pie(pie) => {
                let packet = self.waiting.pop()?;
                if !packet.is_mark() {
                    pie.sent(now, packet.at, self.waiting.amount().packets == 0);
                }
                Some(packet)
            }
            Manager::Queues(queues) => queues.pop(now, &mut self.done),
        }
    }

    /// Lets the opportunity pass that comes at `now`: what is due then is done before a packet comes.
    pub(super) fn miss_opportunity(&mut self, now: Instant) {
        if let Line::Trace(line) = &mut self.line {
            line.skip_to(now.plus_nanos(1));
        }
    }

    /// Returns the time of the next opportunity if a packet waits for it.
    #[inline]
    pub(super) fn opportunity(&self) -> Option<Instant> {
        match &self.line {
            Line::Trace(line) if self.in_service.is_none() && !self.is_empty() => Some(line.next()),
            _ => None,
        }
    }
}
