//! FQ-CoDel: a queue for each flow, as a hash spreads them; queues take turns by bytes, those that
//! only just began before the others, and CoDel keeps each short (RFC 8290).

use super::codel::{Codel, Fate};
use super::queues::{Queues, discarded, mark};
use super::{Discipline, FqCodelSetting};
use crate::packet::Packet;
use crate::rules::rate::waiting::{Amount, Waiting};
use crate::rules::source::Source;
use crate::stage::{Output, Reason};
use jostle_common::chance::below;
use jostle_common::time::Instant;
use std::collections::VecDeque;

/// The queues of all flows.
#[derive(Debug)]
pub(in crate::rules::rate) struct FlowQueues {
    setting: FqCodelSetting,
    source: Source,
    overhead: u32,
    /// Made when their first packet comes.
    queues: Vec<Option<Box<FlowQueue>>>,
    /// The queues that had nothing to send until lately,
    new: VecDeque<u32>,
    /// and the others, in the order of their turns.
    old: VecDeque<u32>,
    amount: Amount,
    marks: usize,
    /// Those among packets and marks that have no bytes.
    free: usize,
}

/// One queue.
#[derive(Debug)]
struct FlowQueue {
    waiting: Waiting,
    codel: Codel,
    /// The bytes that it may still send in this turn.
    credits: i64,
    /// True if it has a place among the new or the old ones.
    is_listed: bool,
}

impl FlowQueues {
    pub(in crate::rules::rate) fn new(
        setting: FqCodelSetting,
        source: Source,
        overhead: u32,
    ) -> Self {
        Self {
            queues: (0..setting.queues).map(|_| None).collect(),
            setting,
            source,
            overhead,
            new: VecDeque::new(),
            old: VecDeque::new(),
            amount: Amount::default(),
            marks: 0,
            free: 0,
        }
    }

    /// Returns the queue of a flow: a hash of its number, keyed by the seed as all draws are.
    fn index(&self, flow: u32) -> u32 {
        let hash = self.source.draw_at(u64::from(flow)).first();
        below(hash, u64::from(self.setting.queues)) as u32
    }

    fn queue(&mut self, index: u32) -> &mut FlowQueue {
        let (setting, overhead) = (self.setting, self.overhead);
        self.queues[index as usize].get_or_insert_with(|| {
            Box::new(FlowQueue {
                waiting: Waiting::with_overhead(overhead),
                codel: Codel::new(setting.codel),
                credits: 0,
                is_listed: false,
            })
        })
    }

    fn note(&mut self, packet: &Packet, bytes: u64) {
        self.amount.bytes += bytes;
        self.amount.packets += u64::from(!packet.is_mark());
        self.marks += usize::from(packet.is_mark());
        self.free += usize::from(bytes == 0);
    }

    fn forget(&mut self, packet: &Packet, bytes: u64) {
        self.amount.bytes -= bytes;
        self.amount.packets -= u64::from(!packet.is_mark());
        self.marks -= usize::from(packet.is_mark());
        self.free -= usize::from(bytes == 0);
    }

    /// Takes the next packet of a queue; those that CoDel drops go to `done`.
    fn pop_of(&mut self, index: u32, now: Instant, done: &mut VecDeque<Output>) -> Option<Packet> {
        loop {
            let queue = self.queue(index);
            let Some(mut packet) = queue.waiting.pop() else {
                queue.codel.empty();
                return None;
            };
            let (bytes, behind) = (queue.waiting.bytes(&packet), queue.waiting.amount().bytes);
            let fate = if packet.is_mark() {
                Fate::Pass
            } else {
                queue.codel.judge(now, packet.at, bytes, behind, packet.ecn.takes_marks())
            };
            self.forget(&packet, bytes);
            match fate {
                Fate::Drop => done.push_back(discarded(packet, now, Reason::QueueDelay)),
                Fate::Pass => return Some(packet),
                Fate::Mark => {
                    mark(&mut packet);
                    return Some(packet);
                }
            }
        }
    }

    /// Returns the queue with the most bytes, the first of several.
    fn fattest(&self) -> Option<u32> {
        let mut fattest = None;
        let mut most = 0;
        for (index, queue) in (0..).zip(&self.queues) {
            let bytes = queue.as_ref().map_or(0, |queue| queue.waiting.amount().bytes);
            if bytes > most {
                (fattest, most) = (Some(index), bytes);
            }
        }
        fattest
    }
}

impl Queues for FlowQueues {
    fn push(&mut self, packet: Packet) {
        let index = self.index(packet.flow);
        let quantum = i64::from(self.setting.quantum);
        let queue = self.queue(index);
        let bytes = queue.waiting.bytes(&packet);
        let begins = !std::mem::replace(&mut queue.is_listed, true);
        if begins {
            queue.credits = quantum;
        }
        if begins {
            self.new.push_back(index);
        }
        self.note(&packet, bytes);
        self.queue(index).waiting.push(packet);
    }

    fn pop(&mut self, now: Instant, done: &mut VecDeque<Output>) -> Option<Packet> {
        loop {
            let is_new = !self.new.is_empty();
            let list = if is_new { &mut self.new } else { &mut self.old };
            let index = *list.front()?;
            let quantum = i64::from(self.setting.quantum);
            let queue = self.queue(index);
            if queue.credits <= 0 {
                // Its turn is over, and it is no longer new.
                queue.credits += quantum;
                let list = if is_new { &mut self.new } else { &mut self.old };
                list.pop_front();
                self.old.push_back(index);
                continue;
            }
            if let Some(packet) = self.pop_of(index, now, done) {
                let queue = self.queue(index);
                queue.credits -= queue.waiting.bytes(&packet) as i64;
                return Some(packet);
            }
            if is_new {
                // It stays for one round, or a flow that sends a packet whenever its queue is empty
                // would always be new.
                self.new.pop_front();
                self.old.push_back(index);
            } else {
                self.old.pop_front();
                self.queue(index).is_listed = false;
            }
        }
    }

    fn pop_free(&mut self) -> Option<Packet> {
        if self.free == 0 {
            return None;
        }
        let mut listed = self.new.iter().chain(&self.old).copied();
        let index = listed.find(|index| {
            let waiting = self.queues[*index as usize].as_ref().map(|queue| &queue.waiting);
            waiting.is_some_and(|waiting| {
                waiting.front().is_some_and(|front| waiting.bytes(front) == 0)
            })
        })?;
        let packet = self.queue(index).waiting.pop()?;
        self.forget(&packet, 0);
        Some(packet)
    }

    fn sheds(&self) -> bool {
        true
    }

    fn shed(&mut self, now: Instant, done: &mut VecDeque<Output>) {
        let Some(index) = self.fattest() else { return };
        let half = self.queue(index).waiting.amount().bytes / 2;
        let (mut dropped, mut bytes) = (0, 0);
        while dropped < self.setting.batch && (dropped == 0 || bytes < half) {
            let queue = self.queue(index);
            let Some(packet) = queue.waiting.pop_packet() else { break };
            let size = queue.waiting.bytes(&packet);
            self.forget(&packet, size);
            (dropped, bytes) = (dropped + 1, bytes + size);
            done.push_back(discarded(packet, now, Reason::QueueFull));
        }
        self.queue(index).codel.note_dropped(u64::from(dropped));
    }

    fn bytes_max(&self) -> u64 {
        self.setting.memory.bytes()
    }

    fn amount(&self) -> Amount {
        self.amount
    }

    fn len(&self) -> usize {
        self.amount.packets as usize + self.marks
    }

    fn set_overhead(&mut self, overhead: u32) {
        self.overhead = overhead;
        let (mut bytes, mut free) = (0, 0);
        for queue in self.queues.iter_mut().flatten() {
            queue.waiting.set_overhead(overhead);
            bytes += queue.waiting.amount().bytes;
            free += queue.waiting.free();
        }
        (self.amount.bytes, self.free) = (bytes, free);
    }

    fn retune(&mut self, _: Instant, discipline: &Discipline) -> bool {
        let Discipline::FqCodel(setting) = discipline else { return false };
        if setting.queues != self.setting.queues {
            return false;
        }
        self.setting = *setting;
        for queue in self.queues.iter_mut().flatten() {
            queue.codel.retune(setting.codel);
        }
        true
    }

    fn take_all(&mut self) -> Vec<Packet> {
        let queues = self.queues.iter_mut().flatten();
        let mut all: Vec<Packet> = queues.flat_map(|queue| queue.waiting.take_all()).collect();
        // Stable: what came at one time keeps its order within each queue.
        all.sort_by_key(|packet| (packet.at, packet.is_mark()));
        all
    }
}

#[cfg(test)]
#[path = "fq_codel_tests.rs"]
mod tests;
