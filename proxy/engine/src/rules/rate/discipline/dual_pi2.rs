//! DualPI2: a short queue for those who ask for low latency and a classic one, each with a
//! controller of its own, coupled so that flows of both kinds get like shares of the line (RFC
//! 9332, appendix A, with the handling of overload of A.2).

use super::queues::{Queues, discarded, mark};
use super::tick::Ticks;
use super::{Discipline, DualPi2Setting, DualScheduler, seconds};
use crate::packet::Packet;
use crate::rules::rate::waiting::{Amount, Waiting};
use crate::stage::{Output, Reason};
use jostle_common::ecn::Ecn;
use jostle_common::time::Instant;
use std::collections::VecDeque;

/// The probability of marks in the low-latency queue from which on there is overload (p_Lmax).
const SATURATED: f64 = 1.0;

/// The shares of the scheduler are whole numbers of this.
const WHOLE: i64 = 1_000_000;

/// The bytes of a full packet, by which the scheduler begins in favour of low latency.
const FULL: i64 = 1500;

/// The two queues; the names are those of RFC 9332, appendix A.
#[derive(Debug)]
pub(in crate::rules::rate) struct DualQueue {
    setting: DualPi2Setting,
    gains: (f64, f64),
    low: Coupled,
    classic: Coupled,
    ticks: Ticks,
    /// The base probability p′,
    base: f64,
    /// what it is for the low-latency queue (p_CL),
    low_probability: f64,
    /// and for the classic one (p_C).
    classic_probability: f64,
    /// The longest wait at the last change, in seconds.
    previous: f64,
    /// The bytes, weighted by the shares, by which the classic queue is behind.
    credit: i64,
}

/// A queue, and the likelihoods since a packet was last chosen.
#[derive(Debug)]
struct Coupled {
    waiting: Waiting,
    count: f64,
}

impl Coupled {
    fn new(overhead: u32) -> Self {
        Self { waiting: Waiting::with_overhead(overhead), count: 0.0 }
    }

    /// Returns true with a certain likelihood, as evenly as can be (`recur`).
    fn recurs(&mut self, likelihood: f64) -> bool {
        self.count += likelihood;
        if self.count > 1.0 {
            self.count -= 1.0;
            return true;
        }
        false
    }

    /// Returns the seconds that its first packet has waited at `now`; 0 if it is empty.
    fn time(&self, now: Instant) -> f64 {
        self.waiting.front().map_or(0.0, |first| seconds(now.since(first.at)))
    }
}

impl DualQueue {
    /// Creates two empty queues at `now`. The periods of their controller are counted from `epoch`.
    pub(in crate::rules::rate) fn new(
        setting: DualPi2Setting,
        epoch: Instant,
        now: Instant,
        overhead: u32,
    ) -> Self {
        let mut queue = Self {
            gains: setting.gains(),
            low: Coupled::new(overhead),
            classic: Coupled::new(overhead),
            ticks: Ticks::after(epoch, now, setting.update()),
            base: 0.0,
            low_probability: 0.0,
            classic_probability: 0.0,
            previous: 0.0,
            credit: 0,
            setting,
        };
        queue.reset_credit();
        queue
    }

    /// Changes the probabilities at each period that has ended by `now`.
    fn catch_up(&mut self, now: Instant) {
        while let Some(at) = self.ticks.poll(now) {
            let before = (self.base, self.previous);
            self.update(at);
            if before == (self.base, self.previous) && self.len() == 0 {
                self.ticks.skip_to(now);
            }
        }
    }

    /// Changes the probabilities by what the wait is and how it grew (`dualpi2_update`).
    fn update(&mut self, now: Instant) {
        let (alpha, beta) = self.gains;
        let current = self.classic.time(now).max(self.low.time(now));
        let base = self.base
            + alpha * (current - seconds(self.setting.target))
            + beta * (current - self.previous);
        self.base = base.clamp(0.0, 1.0);
        self.couple();
        self.previous = current;
    }

    fn couple(&mut self) {
        self.low_probability = (self.setting.coupling * self.base).min(1.0);
        self.classic_probability = self.base * self.base;
    }

    /// Returns the likelihood of a mark for so many seconds of wait (`laqm`).
    fn native(&self, wait: f64) -> f64 {
        let (least, range) = (seconds(self.setting.threshold), seconds(self.setting.range));
        if wait >= least + range {
            1.0
        } else if wait > least {
            (wait - least) / range
        } else {
            0.0
        }
    }

    /// Returns true if the low-latency queue has its turn, `None` if both are empty.
    fn is_turn_of_low(&self, now: Instant) -> Option<bool> {
        match (self.low.waiting.is_empty(), self.classic.waiting.is_empty()) {
            (true, true) => None,
            (low_is_empty, true) => Some(!low_is_empty),
            (true, false) => Some(false),
            (false, false) => Some(match self.setting.scheduler {
                DualScheduler::Share(_) => self.credit <= 0,
                DualScheduler::TimeShift(shift) => {
                    self.low.time(now) + seconds(shift) >= self.classic.time(now)
                }
            }),
        }
    }

    /// Returns the shares of the classic and of the low-latency queue.
    fn shares(&self) -> (i64, i64) {
        let DualScheduler::Share(share) = self.setting.scheduler else { return (0, 0) };
        let classic = (share.as_f64() * WHOLE as f64) as i64;
        (classic, WHOLE - classic)
    }

    fn reset_credit(&mut self) {
        let (classic, low) = self.shares();
        self.credit = FULL * (classic - low);
    }

    /// Takes a packet of the low-latency queue that is sent at `now`; `None` if it was discarded.
    fn pop_low(&mut self, now: Instant, done: &mut VecDeque<Output>) -> Option<Packet> {
        let mut packet = self.low.waiting.pop()?;
        if packet.is_mark() {
            return self.classic.waiting.unless_behind(packet);
        }
        let is_marked = if self.low_probability < SATURATED {
            let queued = self.low.waiting.amount().packets;
            let native = if queued > u64::from(self.setting.threshold_packets) {
                self.native(seconds(now.since(packet.at)))
            } else {
                0.0
            };
            self.low.recurs(native.max(self.low_probability))
        } else {
            if self.low.recurs(self.classic_probability) {
                done.push_back(discarded(packet, now, Reason::QueueDelay));
                return None;
            }
            self.low.recurs(self.low_probability)
        };
        if is_marked {
            mark(&mut packet);
        }
        Some(packet)
    }

    /// Takes a packet of the classic queue that is sent at `now`; `None` if it was discarded.
    fn pop_classic(&mut self, now: Instant, done: &mut VecDeque<Output>) -> Option<Packet> {
        let mut packet = self.classic.waiting.pop()?;
        if packet.is_mark() {
            return self.low.waiting.unless_behind(packet);
        }
        if self.classic.recurs(self.classic_probability) {
            let coupling = self.setting.coupling;
            let is_overload = self.classic_probability >= (1.0 / (coupling * coupling)).min(1.0);
            if !packet.ecn.takes_marks() || is_overload {
                done.push_back(discarded(packet, now, Reason::QueueDelay));
                return None;
            }
            mark(&mut packet);
        }
        Some(packet)
    }
}

impl Queues for DualQueue {
    fn push(&mut self, packet: Packet) {
        self.catch_up(packet.at);
        // The end of a stream stays behind what was sent before it.
        let is_low = match packet.is_mark() {
            true => self.low.waiting.has_flow(packet.flow),
            false => matches!(packet.ecn, Ecn::Ect1 | Ecn::Ce),
        };
        let queue = if is_low { &mut self.low } else { &mut self.classic };
        queue.waiting.push(packet);
    }

    fn pop(&mut self, now: Instant, done: &mut VecDeque<Output>) -> Option<Packet> {
        self.catch_up(now);
        let (classic_share, low_share) = self.shares();
        while let Some(is_low) = self.is_turn_of_low(now) {
            let other = if is_low { &self.classic } else { &self.low };
            let other_waits = !other.waiting.is_empty();
            let (popped, weight) = match is_low {
                true => (self.pop_low(now, done), classic_share),
                false => (self.pop_classic(now, done), -low_share),
            };
            let Some(packet) = popped else { continue };
            if other_waits {
                self.credit += weight * self.low.waiting.bytes(&packet) as i64;
            }
            return Some(packet);
        }
        self.reset_credit();
        None
    }

    fn pop_free(&mut self) -> Option<Packet> {
        let (low, classic) = (&mut self.low.waiting, &mut self.classic.waiting);
        pop_free(low, classic).or_else(|| pop_free(classic, low))
    }

    fn amount(&self) -> Amount {
        let (low, classic) = (self.low.waiting.amount(), self.classic.waiting.amount());
        Amount { packets: low.packets + classic.packets, bytes: low.bytes + classic.bytes }
    }

    fn len(&self) -> usize {
        self.low.waiting.len() + self.classic.waiting.len()
    }

    fn set_overhead(&mut self, overhead: u32) {
        self.low.waiting.set_overhead(overhead);
        self.classic.waiting.set_overhead(overhead);
    }

    fn retune(&mut self, now: Instant, discipline: &Discipline) -> bool {
        let Discipline::DualPi2(setting) = discipline else { return false };
        self.catch_up(now);
        let is_rescheduled = self.setting.scheduler != setting.scheduler;
        self.ticks.retune(now, setting.update());
        (self.gains, self.setting) = (setting.gains(), *setting);
        self.couple();
        if is_rescheduled {
            self.reset_credit();
        }
        true
    }

    fn take_all(&mut self) -> Vec<Packet> {
        let (low, classic) = (self.low.waiting.take_all(), self.classic.waiting.take_all());
        let mut all: Vec<Packet> = low.into_iter().chain(classic).collect();
        // Stable: what came at one time keeps its order within each queue.
        all.sort_by_key(|packet| (packet.at, packet.is_mark()));
        all
    }
}

/// Takes the first of a queue if it has no bytes. The end of a stream moves behind what is left of
/// its stream in the other queue.
fn pop_free(queue: &mut Waiting, other: &mut Waiting) -> Option<Packet> {
    while queue.front().is_some_and(|front| queue.bytes(front) == 0) {
        let packet = queue.pop()?;
        let is_mark = packet.is_mark();
        let free = if is_mark { other.unless_behind(packet) } else { Some(packet) };
        if free.is_some() {
            return free;
        }
    }
    None
}

#[cfg(test)]
#[path = "dual_pi2_tests.rs"]
mod tests;
