//! CUBIC's congestion avoidance (RFC 9438), in the integer form that Linux uses.
//!
//! After a loss at W_max the window follows W(t) = C·(t − K)³ + W_max: steep at first, flat near
//! W_max, then probing beyond.

use super::controller::Controller;
use super::hystart::{HyStart, Sight};
use jostle_common::time::Instant;

/// Samples this soon after a loss say nothing about the path (Linux discards them), in nanoseconds.
const SETTLING_NANOS: u64 = 1_000_000_000;

/// The window after a loss is this many 1024ths of the one before: β = 0.7.
const BETA: u64 = 717;
const BETA_SCALE: u64 = 1024;

/// C = 0.4 segments/s³, in 1024ths.
const C: u64 = 410;

/// CUBIC's unit of time: 1024 per second.
const TICKS_PER_SECOND: u128 = 1024;

/// A window that Reno would grow by one segment, CUBIC's estimate of Reno grows by one per 15/8
/// windows: 3(1 − β)/(1 + β), inverted (RFC 9438 §4.3, in Linux's rounding).
const FRIENDLY_EIGHTHS: u64 = 15;

/// At most so often a window that does not grow is computed anew.
const UPDATE_NANOS: u64 = 1_000_000_000 / 32;

/// The state between two losses.
#[derive(Clone, Debug, Default)]
struct Cubic {
    /// W_max: the window before the last loss; 0 while unknown.
    window_max: u32,
    /// The time at which growth began after the last loss.
    epoch: Option<Instant>,
    /// K, in ticks.
    inflection: u64,
    /// The window at the inflection.
    origin: u32,
    /// The window that Reno would have.
    reno_window: u32,
    /// Segments acknowledged that the estimate of Reno has not used yet.
    reno_credit: u64,
    /// The time and the window at which the growth was last computed.
    updated: Option<(Instant, u32)>,
    interval: u32,
    /// The least round-trip time since the last timeout, in nanoseconds.
    least_rtt: Option<u64>,
}

impl Cubic {
    /// Returns the window after a loss, at least two segments; remembers where it happened.
    fn reduced(&mut self, window: u32) -> u32 {
        self.epoch = None;
        self.window_max = if window < self.window_max {
            // Fast convergence (RFC 9438 §4.7): a flow that lost before it was back at W_max leaves
            // room for others.
            (u64::from(window) * (BETA_SCALE + BETA) / (2 * BETA_SCALE)) as u32
        } else {
            window
        };
        ((u64::from(window) * BETA / BETA_SCALE) as u32).max(2)
    }

    /// Forgets everything, as Linux does after a timeout.
    fn reset(&mut self) {
        *self = Self::default();
    }

    /// Takes in a sample of the round-trip time, in nanoseconds.
    fn sample(&mut self, rtt: u64) {
        self.least_rtt = Some(self.least_rtt.map_or(rtt, |least| least.min(rtt)));
    }

    /// Shifts growth by a time in which nothing was sent (RFC 9438 §5.8).
    fn pause(&mut self, now: Instant, nanos: u64) {
        self.epoch = self.epoch.map(|epoch| epoch.plus_nanos(nanos).min(now));
    }

    /// Returns the number of segments that must be acknowledged for one segment of growth, now that
    /// `acked` more are.
    fn growth_interval(&mut self, now: Instant, window: u32, acked: u32) -> u32 {
        self.reno_credit += u64::from(acked);
        if let Some((at, at_window)) = self.updated
            && at_window == window
            && now.as_nanos() - at.as_nanos() <= UPDATE_NANOS
        {
            return self.interval;
        }
        self.updated = Some((now, window));
        let epoch = match self.epoch {
            Some(epoch) => epoch,
            None => self.begin_epoch(now, window, acked),
        };
        let target = self.target(now.as_nanos() - epoch.as_nanos());
        let mut interval = match target.checked_sub(u64::from(window)) {
            Some(missing) if missing > 0 => (u64::from(window) / missing) as u32,
            // At the target or above it: next to no growth.
            _ => window.saturating_mul(100),
        };
        if self.window_max == 0 {
            // At least 5 % per round while the capacity is unknown.
            interval = interval.min(20);
        }
        interval = interval.min(self.friendly_interval(window));
        // At most 1.5 times per round.
        self.interval = interval.max(2);
        self.interval
    }

    fn begin_epoch(&mut self, now: Instant, window: u32, acked: u32) -> Instant {
        self.epoch = Some(now);
        self.reno_credit = u64::from(acked);
        self.reno_window = window;
        // A window beyond W_max starts at the inflection: K = 0.
        self.origin = self.window_max.max(window);
        // K = ∛((W_max − W)/C), with C in 1024ths of segments per second³ and K in 1024ths of a
        // second.
        let cube = u64::from(self.origin - window) * ((1 << 40) / C);
        self.inflection = libm::cbrt(cube as f64) as u64;
        now
    }

    /// Returns W at a time after the epoch began, one round ahead.
    fn target(&self, elapsed_nanos: u64) -> u64 {
        let ahead = u128::from(elapsed_nanos) + u128::from(self.least_rtt.unwrap_or(0));
        let ticks = (ahead * TICKS_PER_SECOND / 1_000_000_000) as u64;
        let offset = u128::from(ticks.abs_diff(self.inflection));
        // C·|t − K|³: ten bits of the shift are of C, thirty of the ticks cubed.
        let change =
            u64::try_from((u128::from(C) * offset * offset * offset) >> 40).unwrap_or(u64::MAX);
        let origin = u64::from(self.origin);
        if ticks < self.inflection {
            origin.saturating_sub(change)
        } else {
            origin.saturating_add(change)
        }
    }

    /// Returns the interval that keeps up with what Reno would do.
    fn friendly_interval(&mut self, window: u32) -> u32 {
        let step = (u64::from(window) * FRIENDLY_EIGHTHS / 8).max(1);
        // Linux takes steps off while more than one is left, so a last whole one stays.
        self.reno_window += (self.reno_credit.saturating_sub(1) / step) as u32;
        self.reno_credit -= self.reno_credit.saturating_sub(1) / step * step;
        match self.reno_window.checked_sub(window) {
            Some(ahead) if ahead > 0 => window / ahead,
            _ => u32::MAX,
        }
    }
}

/// CUBIC as Linux runs it: with HyStart watching over slow start.
#[derive(Clone, Debug, Default)]
pub(super) struct CubicWithHyStart {
    cubic: Cubic,
    hystart: HyStart,
}

impl Controller for CubicWithHyStart {
    fn sample(&mut self, sight: Sight, slow_start: Option<u32>) -> bool {
        let settling = |epoch: Instant| sight.now.as_nanos() < epoch.as_nanos() + SETTLING_NANOS;
        if self.cubic.epoch.is_some_and(settling) {
            return false;
        }
        self.cubic.sample(sight.rtt);
        let sight = Sight { least_rtt: self.cubic.least_rtt.unwrap_or(sight.rtt), ..sight };
        slow_start.is_some_and(|window| self.hystart.handle_ack(window, &sight))
    }

    fn growth_interval(&mut self, now: Instant, window: u32, delivered: u32) -> u32 {
        self.cubic.growth_interval(now, window, delivered)
    }

    fn reduced(&mut self, window: u32) -> u32 {
        self.cubic.reduced(window)
    }

    fn time_out(&mut self, now: Instant, next: u64) {
        self.cubic.reset();
        self.hystart.reset(now, next);
    }

    fn pause(&mut self, now: Instant, idle: u64) {
        self.cubic.pause(now, idle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: u64 = 100_000_000;

    /// Returns the window at each second, growing from `window` with one round trip's
    /// acknowledgements at a time.
    fn course(mut cubic: Cubic, mut window: u32, seconds: u64) -> Vec<u32> {
        cubic.sample(RTT);
        let (mut credit, mut course) = (0, Vec::new());
        for round in 0..seconds * 10 {
            let acks = window;
            for part in 0..acks {
                let now =
                    Instant::from_nanos(round * RTT + u64::from(part) * RTT / u64::from(acks));
                let interval = cubic.growth_interval(now, window, 1);
                credit += 1;
                if credit >= interval {
                    credit = 0;
                    window += 1;
                }
            }
            if round % 10 == 9 {
                course.push(window);
            }
        }
        course
    }

    #[test]
    fn follows_the_cubic_curve() {
        let mut cubic = Cubic::default();
        let window = cubic.reduced(1000);
        assert_eq!(window, 700);
        // RFC 9438: K = ∛(300/0.4) = 9.09 s; W(t) = 0.4·(t − K)³ + 1000, seen one round trip ahead.
        let course = course(cubic, window, 12);
        for (second, got) in (1..).zip(&course) {
            let t = f64::from(second) + 0.1 - 9.0856;
            let want = 1000.0 + 0.4 * t * t * t;
            assert!((f64::from(*got) / want - 1.0).abs() < 0.02, "{second} s: {got}, want {want}");
        }
    }

    #[test]
    fn a_small_window_grows_no_slower_than_reno() {
        let mut cubic = Cubic::default();
        let window = cubic.reduced(20);
        assert_eq!(window, 14);
        // Reno with β = 0.7 grows by 8/15 per round.
        let grown = course(cubic, window, 3)[2] - window;
        assert!((12..=18).contains(&grown), "{grown} in 30 rounds");
    }

    #[test]
    fn converges_fast_when_it_lost_before_the_maximum() {
        let mut cubic = Cubic::default();
        cubic.reduced(100);
        assert_eq!(cubic.window_max, 100);
        cubic.reduced(80);
        assert_eq!(cubic.window_max, 80 * (1024 + 717) / 2048);
        cubic.reset();
        assert_eq!(cubic.window_max, 0);
        assert_eq!(cubic.reduced(2), 2);
    }

    #[test]
    fn a_pause_shifts_the_curve_but_not_into_the_future() {
        let mut cubic = Cubic::default();
        cubic.growth_interval(Instant::from_secs(10), 100, 1);
        cubic.pause(Instant::from_secs(15), 3_000_000_000);
        assert_eq!(cubic.epoch, Some(Instant::from_secs(13)));
        cubic.pause(Instant::from_secs(16), 5_000_000_000);
        assert_eq!(cubic.epoch, Some(Instant::from_secs(16)));
    }

    #[test]
    fn grows_by_five_percent_while_the_capacity_is_unknown() {
        let mut cubic = Cubic::default();
        cubic.sample(RTT);
        let interval = cubic.growth_interval(Instant::from_secs(1), 1000, 1);
        assert_eq!(interval, 20);
    }
}
