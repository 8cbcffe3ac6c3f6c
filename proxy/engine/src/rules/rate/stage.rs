//! Lets packets through one after the other.
//!
//! The packet in service is no longer in the queue. A line of constant rate takes the next one into
//! service when the last has left; a trace leaves it in the queue until an opportunity comes, as
//! mahimahi does.

use super::discipline::{
    Codel, Discipline, DualQueue, Fate, FlowQueues, Pie, Queues, discarded, mark,
};
use super::opportunities::Opportunities;
use super::serial::Serial;
use super::waiting::{Amount, Waiting};
use super::{Queue, Rate, RateSource};
use crate::packet::Packet;
use crate::rules::setting::{HoldingRule, RuleSetting, Setup, of_kind};
use crate::rules::source::{Origin, Source};
use crate::stage::{Output, Reason, Stage};
use jostle_common::time::Instant;
use std::collections::VecDeque;
use std::sync::Arc;
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

/// A `rate` rule at work.
#[derive(Debug)]
pub(in crate::rules) struct RateStage {
    line: Line,
    bound: Bound,
    /// So many packets have room whatever the bound says.
    packets_least: u64,
    drops_head: bool,
    /// Set when a full queue discards nothing.
    waits: bool,
    manager: Manager,
    /// The draws of the managers that make any.
    source: Source,
    /// Its `at` is when it will have left.
    in_service: Option<Packet>,
    waiting: Waiting,
    /// The packets that have left, delivered or not; each `at` says when.
    done: VecDeque<Output>,
}

/// The line that carries the packets.
#[derive(Debug)]
enum Line {
    Constant(Serial),
    Trace(Box<Opportunities>),
    /// The rule was removed: everything passes, behind what is in service.
    Open,
}

/// Whoever keeps the queue short, besides its bound.
#[derive(Debug)]
enum Manager {
    None,
    Codel(Box<Codel>),
    Pie(Box<Pie>),
    /// It has queues of its own, in place of the one of the stage.
    Queues(Box<dyn Queues>),
}

/// The bound on the packets that wait.
#[derive(Clone, Copy, Debug)]
enum Bound {
    /// Until transmission starts, on a line of constant rate.
    Time(Duration),
    Bytes(u64),
    Packets(u64),
}

impl RateStage {
    pub(super) fn new(setting: &Rate, origin: Origin) -> Self {
        let line = match &setting.source {
            RateSource::Limit(limit) => Line::Constant(Serial::new(*limit, setting.burst)),
            // Each packet that finds the link idle looks for the opportunity behind it.
            RateSource::Trace(trace) => Line::Trace(Box::new(Opportunities::after(
                Arc::clone(trace),
                origin.epoch,
                origin.epoch,
            ))),
        };
        let mut rate = Self {
            line,
            bound: Bound::Packets(u64::MAX),
            packets_least: 0,
            drops_head: false,
            waits: false,
            manager: Manager::None,
            source: origin.source,
            in_service: None,
            waiting: Waiting::default(),
            done: VecDeque::new(),
        };
        rate.set_queue(setting, origin, origin.epoch);
        rate
    }

    fn set_queue(&mut self, setting: &Rate, origin: Origin, now: Instant) {
        self.waiting.set_overhead(setting.overhead);
        if let Manager::Queues(queues) = &mut self.manager {
            queues.set_overhead(setting.overhead);
        }
        // With a trace it is not known how long a queue will take, so its bound is the bytes that
        // go by in that time on average.
        let time = |time| match &setting.source {
            RateSource::Limit(_) => Bound::Time(time),
            RateSource::Trace(trace) => Bound::Bytes(Opportunities::bytes_in(trace, time)),
        };
        let (default, least) = setting.discipline.queue_default();
        self.bound = match setting.queue.unwrap_or(default) {
            Queue::Time(bound) => time(bound),
            Queue::Bytes(bound) => Bound::Bytes(bound.bytes()),
            Queue::Packets(bound) => Bound::Packets(bound),
        };
        self.packets_least = if setting.queue.is_none() { least } else { 0 };
        self.drops_head = setting.discipline == Discipline::Head;
        self.waits = setting.discipline == Discipline::Wait;
        self.set_manager(&setting.discipline, origin, now);
    }

    /// Puts the queue under another manager, or gives the one it has other parameters. What waits
    /// stays, though it may wait elsewhere.
    fn set_manager(&mut self, discipline: &Discipline, origin: Origin, now: Instant) {
        if let Manager::Queues(queues) = &mut self.manager {
            if queues.retune(now, discipline) {
                return;
            }
            for packet in queues.take_all() {
                self.waiting.push(packet);
            }
        }
        let (old, overhead) =
            (std::mem::replace(&mut self.manager, Manager::None), self.waiting.overhead());
        let mut manager = match (discipline, old) {
            (Discipline::Tail | Discipline::Head | Discipline::Wait, _) => Manager::None,
            (Discipline::Codel(setting), Manager::Codel(mut codel)) => {
                codel.retune(*setting);
                Manager::Codel(codel)
            }
            (Discipline::Codel(setting), _) => Manager::Codel(Box::new(Codel::new(*setting))),
            (Discipline::Pie(setting), Manager::Pie(mut pie)) => {
                pie.retune(now, *setting);
                Manager::Pie(pie)
            }
            (Discipline::Pie(setting), _) => {
                Manager::Pie(Box::new(Pie::new(*setting, origin.epoch, now)))
            }
            (Discipline::FqCodel(setting), _) => {
                Manager::Queues(Box::new(FlowQueues::new(*setting, origin.source, overhead)))
            }
            (Discipline::DualPi2(setting), _) => {
                Manager::Queues(Box::new(DualQueue::new(*setting, origin.epoch, now, overhead)))
            }
        };
        if let Manager::Queues(queues) = &mut manager {
            for packet in self.waiting.take_all() {
                queues.push(packet);
            }
        }
        self.manager = manager;
    }

    /// Returns the amount that waits.
    #[inline]
    fn amount(&self) -> Amount {
        match &self.manager {
            Manager::Queues(queues) => queues.amount(),
            _ => self.waiting.amount(),
        }
    }

    /// Returns true if nothing waits.
    #[inline]
    fn is_empty(&self) -> bool {
        self.waiting.is_empty()
            && match &self.manager {
                Manager::Queues(queues) => queues.len() == 0,
                _ => true,
            }
    }

    /// Takes a packet that finds nothing in front of it, for which there is room always.
    #[inline]
    fn begin(&mut self, packet: Packet) {
        let (now, bytes) = (packet.at, self.waiting.bytes(&packet));
        let mut packet = packet;
        match &mut self.manager {
            Manager::None => {}
            Manager::Codel(codel) => codel.empty(),
            Manager::Pie(_) | Manager::Queues(_) if bytes == 0 => {}
            Manager::Pie(pie) => {
                pie.judge(now, 0, false, || 0);
                if matches!(self.line, Line::Constant(_)) {
                    pie.sent(now, now, true);
                }
            }
            Manager::Queues(queues) => {
                // Queues that went empty hear of it, and this packet begins anew.
                let _ = queues.pop(now, &mut self.done);
                queues.push(packet);
                if matches!(self.line, Line::Trace(_)) {
                    return self.miss_opportunity(now);
                }
                let Some(first) = queues.pop(now, &mut self.done) else { return };
                packet = first;
            }
        }
        match &mut self.line {
            Line::Constant(line) => {
                let due = line.carry_idle(bytes, now);
                self.put_in_service(packet, due);
            }
            Line::Trace(_) if bytes > 0 => {
                self.waiting.push(packet);
                self.miss_opportunity(now);
            }
            // What has no bytes needs no opportunity.
            Line::Trace(_) | Line::Open => self.done.push_back(Output::Deliver(packet)),
        }
    }

    /// Lets the opportunity pass that comes at `now`: what is due then is done before a packet comes.
    fn miss_opportunity(&mut self, now: Instant) {
        if let Line::Trace(line) = &mut self.line {
            line.skip_to(now.plus_nanos(1));
        }
    }

    #[inline]
    fn put_in_service(&mut self, packet: Packet, due: Instant) {
        // Written where it stands: a packet that is changed and then moved stalls the processor.
        self.in_service.insert(packet).at = due;
    }

    /// Lets the next packets have the line, which the one before has left at `now`.
    #[inline]
    fn serve(&mut self, now: Instant) {
        // With nobody there who wants to know of it, nothing is done when nothing waits.
        if !self.waiting.is_empty() || !matches!(self.manager, Manager::None) {
            self.serve_next(now);
        }
    }

    fn serve_next(&mut self, now: Instant) {
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
    fn use_opportunities(&mut self, now: Instant) {
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

    /// Returns true if a queue in which so much waits has no room for a packet of so many bytes that
    /// comes at `now`.
    #[inline]
    fn is_full(&self, waiting: Amount, bytes: u64, now: Instant) -> bool {
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
    fn admit(&mut self, mut packet: Packet) {
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
    fn overflow(&mut self, packet: Packet) {
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

    /// Returns the time of the next opportunity if a packet waits for it.
    #[inline]
    fn opportunity(&self) -> Option<Instant> {
        match &self.line {
            Line::Trace(line) if self.in_service.is_none() && !self.is_empty() => Some(line.next()),
            _ => None,
        }
    }
}

impl HoldingRule for RateStage {
    fn room(&self, _: u32) -> Option<usize> {
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

    /// Changes the setting at `now`, or removes the limit: the packet in service keeps its end,
    /// waiting ones go at the new rate.
    fn retune(&mut self, now: Instant, setting: Option<&dyn RuleSetting>, setup: Setup<'_>) {
        let epoch = setup.origin.epoch;
        let busy = self.in_service.as_ref().map(|packet| packet.at);
        let old = std::mem::replace(&mut self.line, Line::Open);
        if let Some(setting) = of_kind::<Rate>(setting) {
            self.line = match (&setting.source, old) {
                (RateSource::Limit(limit), Line::Constant(line)) => {
                    Line::Constant(line.retuned(*limit, setting.burst, busy))
                }
                (RateSource::Limit(limit), _) => {
                    Line::Constant(Serial::emptied(*limit, setting.burst, busy.unwrap_or(now)))
                }
                (RateSource::Trace(trace), Line::Trace(line)) if line.follows(trace) => {
                    Line::Trace(line)
                }
                (RateSource::Trace(trace), _) => {
                    let mut line = Opportunities::after(Arc::clone(trace), epoch, now);
                    // What waits for the packet in service may use an opportunity that comes just
                    // when it leaves.
                    line.skip_to(busy.unwrap_or(now));
                    Line::Trace(Box::new(line))
                }
            };
            self.set_queue(setting, setup.origin, now);
        } else {
            (self.bound, self.waits) = (Bound::Packets(u64::MAX), false);
            self.set_manager(&Discipline::Tail, setup.origin, now);
        }
        if self.in_service.is_none() && !matches!(self.line, Line::Trace(_)) {
            self.serve(now);
        }
    }
}

impl Stage for RateStage {
    #[inline]
    fn handle(&mut self, packet: Packet) {
        // A packet that left a bucket at once makes room for its copies, which come at the same
        // time.
        while let Some(first) = self.in_service.take_if(|first| first.at <= packet.at) {
            self.done.push_back(Output::Deliver(first));
            self.serve(packet.at);
        }
        if self.in_service.is_none() && self.is_empty() {
            return self.begin(packet);
        }
        let bytes = self.waiting.bytes(&packet);
        // Nobody asks cross traffic to wait.
        let may_drop = !self.waits || packet.is_cross();
        if !packet.is_mark() && may_drop && self.is_full(self.amount(), bytes, packet.at) {
            return self.overflow(packet);
        }
        self.admit(packet);
    }

    #[inline]
    fn poll(&mut self, now: Instant) -> Option<Output> {
        loop {
            if !self.done.is_empty() {
                return self.done.pop_front_if(|output| output.packet().at <= now);
            }
            if let Some(packet) = self.in_service.take_if(|packet| packet.at <= now) {
                self.serve(packet.at);
                return Some(Output::Deliver(packet));
            }
            // What begins now may be large and leave later, or leave by `now` as well.
            let at = self.opportunity().filter(|at| *at <= now)?;
            self.use_opportunities(at);
        }
    }

    #[inline]
    fn deadline(&self) -> Option<Instant> {
        let done = self.done.front().map(|output| output.packet().at);
        done.or_else(|| self.in_service.as_ref().map(|packet| packet.at))
            .or_else(|| self.opportunity())
    }

    fn held(&self) -> usize {
        let queues = match &self.manager {
            Manager::Queues(queues) => queues.len(),
            _ => 0,
        };
        self.waiting.len() + queues + self.done.len() + usize::from(self.in_service.is_some())
    }
}
