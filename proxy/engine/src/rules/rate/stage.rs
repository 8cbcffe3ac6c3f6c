//! Lets packets through one after the other.
//!
//! The packet in service is no longer in the queue. A line of constant rate takes the next one into
//! service when the last has left; a trace leaves it in the queue until an opportunity comes, as
//! mahimahi does.

use super::codel::Codel;
use super::opportunities::Opportunities;
use super::serial::Serial;
use super::waiting::{Amount, Waiting};
use super::{Discipline, QUEUE_PACKETS_DEFAULT, QUEUE_TIME_DEFAULT, Queue, Rate, RateSource};
use crate::packet::Packet;
use crate::rules::setting::{HoldingRule, RuleSetting, Setup, of_kind};
use crate::rules::source::Origin;
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
pub(super) struct RateStage {
    line: Line,
    bound: Bound,
    /// So many packets have room whatever the bound says.
    packets_least: u64,
    drops_head: bool,
    /// Set when a full queue discards nothing.
    waits: bool,
    codel: Option<Box<Codel>>,
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
            codel: None,
            in_service: None,
            waiting: Waiting::default(),
            done: VecDeque::new(),
        };
        rate.set_queue(setting);
        rate
    }

    fn set_queue(&mut self, setting: &Rate) {
        self.waiting.set_overhead(setting.overhead);
        // With a trace it is not known how long a queue will take, so its bound is the bytes that
        // go by in that time on average.
        let time = |time| match &setting.source {
            RateSource::Limit(_) => Bound::Time(time),
            RateSource::Trace(trace) => Bound::Bytes(Opportunities::bytes_in(trace, time)),
        };
        (self.bound, self.packets_least) = match setting.queue {
            // Nothing is lost for want of a longer one: it only has to keep the line busy.
            None if setting.discipline == Discipline::Wait => (time(QUEUE_TIME_DEFAULT), 1),
            None => (time(QUEUE_TIME_DEFAULT), QUEUE_PACKETS_DEFAULT),
            Some(Queue::Time(bound)) => (time(bound), 0),
            Some(Queue::Bytes(bound)) => (Bound::Bytes(bound.bytes()), 0),
            Some(Queue::Packets(bound)) => (Bound::Packets(bound), 0),
        };
        self.drops_head = setting.discipline == Discipline::Head;
        self.waits = setting.discipline == Discipline::Wait;
        self.codel = match (setting.discipline, self.codel.take()) {
            (Discipline::Tail | Discipline::Head | Discipline::Wait, _) => None,
            (Discipline::Codel { target, interval }, None) => {
                Some(Box::new(Codel::new(target, interval)))
            }
            (Discipline::Codel { target, interval }, Some(mut codel)) => {
                codel.retune(target, interval);
                Some(codel)
            }
        };
    }

    /// Takes a packet that finds nothing in front of it, for which there is room always.
    #[inline]
    fn begin(&mut self, packet: Packet) {
        let (now, bytes) = (packet.at, self.waiting.bytes(&packet));
        if let Some(codel) = &mut self.codel {
            codel.empty();
        }
        match &mut self.line {
            Line::Constant(line) => {
                let due = line.carry_idle(bytes, now);
                self.put_in_service(packet, due);
            }
            Line::Trace(line) if bytes > 0 => {
                line.skip_to(now.plus_nanos(1));
                self.waiting.push(packet);
            }
            // What has no bytes needs no opportunity.
            Line::Trace(_) | Line::Open => self.done.push_back(Output::Deliver(packet)),
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
        while let (Line::Trace(line), Some(first)) = (&mut self.line, self.waiting.front()) {
            let next = if self.waiting.bytes(first) == 0 {
                self.waiting.pop()
            } else if line.is_open(now) {
                self.take_next(now)
            } else {
                return;
            };
            let (Line::Trace(line), Some(packet)) = (&mut self.line, next) else { return };
            let due = line.carry(self.waiting.bytes(&packet), now);
            if due > now {
                return self.put_in_service(packet, due);
            }
            self.done.push_back(Output::Deliver(packet.moved_to(now)));
        }
    }

    /// Takes the next packet to be sent at `now`; those that CoDel drops instead are done with.
    #[inline]
    fn take_next(&mut self, now: Instant) -> Option<Packet> {
        let Some(codel) = &mut self.codel else { return self.waiting.pop() };
        while let Some(packet) = self.waiting.pop() {
            let (bytes, behind) = (self.waiting.bytes(&packet), self.waiting.amount().bytes);
            if packet.is_mark() || !codel.drops(now, packet.at, bytes, behind) {
                return Some(packet);
            }
            self.done.push_back(discarded(packet, now, Reason::QueueDelay));
        }
        codel.empty();
        None
    }

    /// Returns true if a queue in which so much waits has no room for this packet.
    #[inline]
    fn is_full(&self, waiting: Amount, packet: &Packet) -> bool {
        if waiting.packets < self.packets_least {
            return false;
        }
        match (self.bound, &self.line) {
            (Bound::Time(bound), Line::Constant(line)) => {
                let rest = self
                    .in_service
                    .as_ref()
                    .map_or(Duration::ZERO, |first| first.at.since(packet.at));
                line.takes_longer(rest, waiting.bytes, bound)
            }
            (Bound::Time(_), Line::Trace(_) | Line::Open) => false,
            (Bound::Bytes(bound), _) => waiting.bytes + self.waiting.bytes(packet) > bound,
            (Bound::Packets(bound), _) => waiting.packets >= bound,
        }
    }

    /// Makes room for a packet that finds the queue full, or refuses it.
    fn overflow(&mut self, packet: Packet) {
        let now = packet.at;
        // A packet that would not fit an empty queue drives no other out of a full one.
        if !self.drops_head || self.is_full(Amount::default(), &packet) {
            return self.done.push_back(discarded(packet, now, Reason::QueueFull));
        }
        while self.is_full(self.waiting.amount(), &packet) {
            let Some(first) = self.waiting.pop_packet() else { break };
            self.done.push_back(discarded(first, now, Reason::QueueFull));
        }
        self.waiting.push(packet);
    }

    /// Returns the time of the next opportunity if a packet waits for it.
    #[inline]
    fn opportunity(&self) -> Option<Instant> {
        match &self.line {
            Line::Trace(line) if self.in_service.is_none() && !self.waiting.is_empty() => {
                Some(line.next())
            }
            _ => None,
        }
    }
}

fn discarded(mut packet: Packet, now: Instant, reason: Reason) -> Output {
    packet.trace.choose();
    Output::Discard(packet.moved_to(now), reason)
}

impl HoldingRule for RateStage {
    fn room(&self, _: u32) -> Option<usize> {
        if !self.waits {
            return None;
        }
        let waiting = self.waiting.amount();
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
            self.set_queue(setting);
        } else {
            (self.bound, self.codel, self.waits) = (Bound::Packets(u64::MAX), None, false);
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
        if self.in_service.is_none() && self.waiting.is_empty() {
            return self.begin(packet);
        }
        // Nobody asks cross traffic to wait.
        let may_drop = !self.waits || packet.is_cross();
        if !packet.is_mark() && may_drop && self.is_full(self.waiting.amount(), &packet) {
            return self.overflow(packet);
        }
        self.waiting.push(packet);
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
        self.waiting.len() + self.done.len() + usize::from(self.in_service.is_some())
    }
}
