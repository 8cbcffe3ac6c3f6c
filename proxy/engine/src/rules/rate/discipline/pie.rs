//! PIE: drops, or marks, at the tail with a probability that a controller raises and lowers so that
//! the wait comes to a target (RFC 8033, appendix A; of the optional parts marks, the bound on a
//! step and, if asked for, the de-randomisation of appendix B).

use super::codel::Fate;
use super::tick::Ticks;
use super::{PieSetting, seconds};
use jostle_common::time::{Instant, nanos};

/// From this probability on a step is at most [`STEP_MOST`] (RFC 8033 §5.5).
const STEP_BOUND_FROM: f64 = 0.1;
const STEP_MOST: f64 = 0.02;

/// Below this probability and half the target nothing is dropped.
const SAFE: f64 = 0.2;

/// The part of the probability that is left after a period without any wait.
const DECAY: f64 = 0.98;

/// No packet is dropped until the probabilities since the last drop have come to this, and each is
/// from there on (RFC 8033 §5.4).
const ACCUMULATED_LEAST: f64 = 0.85;
const ACCUMULATED_MOST: f64 = 8.5;

/// The state of PIE for one queue; the names are those of RFC 8033, appendix A.
#[derive(Clone, Debug)]
pub(in crate::rules::rate) struct Pie {
    setting: PieSetting,
    alpha: f64,
    beta: f64,
    /// The target, in seconds.
    target: f64,
    ticks: Ticks,
    drop_prob: f64,
    /// The wait of the packet that was sent last, in seconds; 0 once the queue is empty.
    delay: f64,
    /// The same one period before.
    delay_old: f64,
    /// Nanoseconds for which a burst passes yet.
    burst_allowance: u64,
    accu_prob: f64,
}

impl Pie {
    /// Creates the controller of a queue as it is at `now`. Its periods are counted from `epoch`.
    pub(in crate::rules::rate) fn new(setting: PieSetting, epoch: Instant, now: Instant) -> Self {
        Self {
            alpha: setting.alpha.hertz(),
            beta: setting.beta.hertz(),
            target: seconds(setting.target),
            ticks: Ticks::after(epoch, now, setting.update),
            drop_prob: 0.0,
            delay: 0.0,
            delay_old: 0.0,
            burst_allowance: nanos(setting.burst),
            accu_prob: 0.0,
            setting,
        }
    }

    /// Takes on other parameters at `now`; what it has come to still counts.
    pub(in crate::rules::rate) fn retune(&mut self, now: Instant, setting: PieSetting) {
        self.catch_up(now);
        (self.alpha, self.beta) = (setting.alpha.hertz(), setting.beta.hertz());
        self.target = seconds(setting.target);
        self.ticks.retune(now, setting.update);
        self.setting = setting;
    }

    /// Judges a packet that comes at `now` and finds `queued` bytes waiting; `random` is its draw.
    pub(in crate::rules::rate) fn judge(
        &mut self,
        now: Instant,
        queued: u64,
        takes_marks: bool,
        random: impl FnOnce() -> u64,
    ) -> Fate {
        self.catch_up(now);
        if self.drop_prob == 0.0 && self.is_calm() {
            self.burst_allowance = nanos(self.setting.burst);
        }
        if self.burst_allowance > 0 || !self.drops_early(queued, random) {
            return Fate::Pass;
        }
        self.accu_prob = 0.0;
        let is_markable = takes_marks && self.drop_prob < self.setting.ecn_below.as_f64();
        if is_markable { Fate::Mark } else { Fate::Drop }
    }

    /// Notes that a packet was dropped because the queue was full.
    pub(in crate::rules::rate) const fn note_full(&mut self) {
        self.accu_prob = 0.0;
    }

    /// Notes that a packet which came at `came` is sent at `now`; `last` says that none is left.
    pub(in crate::rules::rate) fn sent(&mut self, now: Instant, came: Instant, last: bool) {
        self.catch_up(now);
        self.delay = if last { 0.0 } else { seconds(now.since(came)) };
    }

    /// Returns true if the wait was below half the target, now and one period ago.
    fn is_calm(&self) -> bool {
        let half = self.target / 2.0;
        self.delay < half && self.delay_old < half
    }

    fn drops_early(&mut self, queued: u64, random: impl FnOnce() -> u64) -> bool {
        let is_safe = self.delay_old < self.target / 2.0 && self.drop_prob < SAFE;
        if is_safe || queued <= 2 * self.setting.packet.bytes() {
            return false;
        }
        if self.setting.derandomize {
            if self.drop_prob == 0.0 {
                self.accu_prob = 0.0;
            }
            self.accu_prob += self.drop_prob;
            if self.accu_prob < ACCUMULATED_LEAST {
                return false;
            }
            if self.accu_prob >= ACCUMULATED_MOST {
                return true;
            }
        }
        // 2^-53 times a whole number: 0 is drawn, 1 is not.
        (random() >> 11) as f64 / 9_007_199_254_740_992.0 < self.drop_prob
    }

    /// Changes the probability at each period that has ended by `now`.
    #[inline]
    fn catch_up(&mut self, now: Instant) {
        while self.ticks.poll(now).is_some() {
            let before = (self.drop_prob, self.delay_old, self.burst_allowance);
            self.calculate();
            // At rest: until something comes or goes all further ones do the same.
            if before == (self.drop_prob, self.delay_old, self.burst_allowance) {
                self.ticks.skip_to(now);
            }
        }
    }

    /// Changes the probability by what the wait is and how it grew (`calculate_drop_prob`).
    fn calculate(&mut self) {
        let (delay, old) = (self.delay, self.delay_old);
        let step = self.alpha * (delay - self.target) + self.beta * (delay - old);
        let mut step = step / divisor(self.drop_prob);
        if self.drop_prob >= STEP_BOUND_FROM && step > STEP_MOST {
            step = STEP_MOST;
        }
        self.drop_prob += step;
        if delay == 0.0 && old == 0.0 {
            self.drop_prob *= DECAY;
        }
        self.drop_prob = self.drop_prob.clamp(0.0, 1.0);
        self.delay_old = delay;
        self.burst_allowance = self.burst_allowance.saturating_sub(nanos(self.setting.update));
    }
}

/// Returns the number by which a step is divided at a probability: the smaller that is, the less it
/// may change (the auto-tuning of RFC 8033 §4.2).
const fn divisor(probability: f64) -> f64 {
    match probability {
        ..0.000_001 => 2048.0,
        ..0.000_01 => 512.0,
        ..0.000_1 => 128.0,
        ..0.001 => 32.0,
        ..0.01 => 8.0,
        ..0.1 => 2.0,
        _ => 1.0,
    }
}

#[cfg(test)]
#[path = "pie_tests.rs"]
mod tests;
