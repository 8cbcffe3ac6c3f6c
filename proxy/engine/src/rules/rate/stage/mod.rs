//! Lets packets through one after the other.
//!
//! The packet in service is no longer in the queue. A line of constant rate takes the next one into
//! service when the last has left; a trace leaves it in the queue until an opportunity comes, as
//! mahimahi does.

mod admission;
mod manager;
mod turn;

use super::discipline::Discipline;
use super::opportunities::Opportunities;
use super::serial::Serial;
use super::waiting::{Amount, Waiting};
use super::{Queue, Rate, RateSource};
use crate::packet::Packet;
use crate::rules::setting::{HoldingRule, RuleSetting, Setup, of_kind};
use crate::rules::source::{Origin, Source};
use crate::stage::{Output, Stage};
use admission::Bound;
use jostle_common::time::Instant;
use manager::Manager;
use std::collections::VecDeque;
use std::sync::Arc;

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
}

impl HoldingRule for RateStage {
    fn room(&self, _: u32) -> Option<usize> {
        self.room_for_senders()
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
