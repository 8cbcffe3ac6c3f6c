//! The congestion window, in segments: slow start and congestion avoidance under either control.

use super::controller::Controller;
use super::cubic::CubicWithHyStart;
use super::dctcp::Dctcp;
use super::hystart::Sight;
use super::reno::Reno;
use crate::route::CongestionControl;
use jostle_common::time::Instant;

/// The window of a new connection (RFC 6928).
pub(super) const INITIAL: u32 = 10;

/// The window never grows beyond this: twice as many full segments as the receive window holds.
const SEGMENTS_MAX: u32 = 8192;

/// A congestion window.
#[derive(Debug)]
pub(super) struct Window {
    segments: u32,
    /// The slow start threshold; none until the first loss.
    threshold: Option<u32>,
    /// Segments acknowledged in congestion avoidance that have not grown the window yet.
    credit: u32,
    control: Box<dyn Controller>,
}

impl Window {
    pub(super) fn new(control: CongestionControl) -> Self {
        let control: Box<dyn Controller> = match control {
            CongestionControl::Cubic | CongestionControl::CubicEcn => {
                Box::new(CubicWithHyStart::default())
            }
            CongestionControl::Reno | CongestionControl::RenoEcn => Box::new(Reno),
            CongestionControl::Dctcp | CongestionControl::Prague => Box::new(Dctcp::default()),
        };
        Self { segments: INITIAL, threshold: None, credit: 0, control }
    }

    /// Returns the number of segments that may be in flight.
    pub(super) const fn segments(&self) -> u32 {
        self.segments
    }

    /// Sets how many segments may be in flight.
    pub(super) const fn set(&mut self, segments: u32) {
        self.segments = segments;
    }

    /// Returns the slow start threshold.
    pub(super) fn threshold(&self) -> u32 {
        self.threshold.unwrap_or(u32::MAX)
    }

    pub(super) fn in_slow_start(&self) -> bool {
        self.segments < self.threshold()
    }

    /// Takes in a sample of the round-trip time. It may end slow start.
    pub(super) fn sample(&mut self, sight: Sight) {
        let slow_start = self.in_slow_start().then_some(self.segments);
        if self.control.sample(sight, slow_start) {
            self.threshold = Some(self.segments);
        }
    }

    /// Grows with `delivered` segments that arrived: one segment each in slow start, then as the
    /// control says.
    pub(super) fn grow(&mut self, now: Instant, delivered: u32) {
        let mut delivered = delivered;
        if self.in_slow_start() {
            let step = delivered.min(self.threshold() - self.segments);
            self.segments = (self.segments + step).min(SEGMENTS_MAX);
            delivered -= step;
            if delivered == 0 {
                return;
            }
        }
        let interval = self.control.growth_interval(now, self.segments, delivered);
        // Credit from a larger window is worth one segment now, not many.
        if self.credit >= interval {
            self.credit = 0;
            self.segments += 1;
        }
        self.credit += delivered;
        self.segments = (self.segments + self.credit / interval).min(SEGMENTS_MAX);
        self.credit %= interval;
    }

    /// Lowers the threshold because of a loss; growth starts over.
    pub(super) fn reduce(&mut self) {
        self.credit = 0;
        self.threshold = Some(self.control.reduced(self.segments));
    }

    /// Takes in how many of the segments that arrived were marked.
    pub(super) fn note_marks(&mut self, acknowledged: u64, next: u64, delivered: u32, marked: u32) {
        self.control.acknowledged(acknowledged, next, delivered, marked);
    }

    /// Lowers window and threshold because of marks; growth goes on from there.
    pub(super) fn answer_marks(&mut self) {
        self.segments = self.control.marked(self.segments);
        self.threshold = Some(self.segments);
    }

    /// Goes back to a window and a threshold from before a reduction, or stays where it is further.
    pub(super) fn restore(&mut self, segments: u32, threshold: u32) {
        self.segments = self.segments.max(segments);
        self.threshold =
            Some(self.threshold().max(threshold)).filter(|threshold| *threshold < u32::MAX);
    }

    /// Restarts from `segments` after a timeout at `now`, when everything up to `next` had been
    /// sent.
    pub(super) fn time_out(&mut self, now: Instant, next: u64, segments: u32) {
        self.segments = segments;
        self.credit = 0;
        self.control.time_out(now, next);
    }

    /// Begins to send again at `now`, after nothing was sent for `idle` nanoseconds. When that was
    /// longer than the timeout the window shrinks, as the network may have changed (RFC 5681 §4.1;
    /// half per timeout, as in RFC 2861).
    pub(super) fn restart(&mut self, now: Instant, idle: u64, timeout: u64) {
        self.control.pause(now, idle);
        if idle > timeout {
            // Slow start may lead back to three quarters of the window that is given up (Linux's
            // tcp_current_ssthresh).
            self.threshold = self.threshold.map(|threshold| threshold.max(self.segments / 4 * 3));
            let halvings = u32::try_from((idle - 1) / timeout).unwrap_or(u32::MAX);
            let least = self.segments.min(INITIAL);
            self.segments = self.segments.checked_shr(halvings).unwrap_or(0).max(least);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(segments: u32, threshold: Option<u32>) -> Window {
        Window { segments, threshold, ..Window::new(CongestionControl::Reno) }
    }

    #[test]
    fn slow_start_counts_segments_not_acknowledgements() {
        let mut window = window(10, Some(15));
        window.grow(Instant::START, 4);
        assert_eq!(window.segments(), 14);
        // One more to the threshold, two go to congestion avoidance.
        window.grow(Instant::START, 3);
        assert_eq!((window.segments(), window.credit), (15, 2));
    }

    #[test]
    fn reno_grows_by_one_segment_per_window() {
        let mut window = window(20, Some(20));
        for _ in 0..10 {
            window.grow(Instant::START, 2);
        }
        assert_eq!((window.segments(), window.credit), (21, 0));
        window.reduce();
        assert_eq!(window.threshold(), 10);
        window.set(3);
        window.reduce();
        assert_eq!(window.threshold(), 2);
    }

    #[test]
    fn has_a_bound() {
        let mut window = window(10, None);
        for _ in 0..10_000 {
            window.grow(Instant::START, 1000);
        }
        assert_eq!(window.segments(), SEGMENTS_MAX);
    }

    #[test]
    fn idleness_halves_the_window_down_to_the_initial_one() {
        for (idle, want) in [
            (1, 100),
            (250, 100),
            (251, 50),
            (500, 50),
            (501, 25),
            (751, 12),
            (1001, 10),
            (u64::MAX, 10),
        ] {
            let mut window = window(100, None);
            window.restart(Instant::from_secs(1), idle, 250);
            assert_eq!(window.segments(), want, "idle for {idle}");
        }
        let mut small = window(4, Some(4));
        small.restart(Instant::from_secs(1), 10_000, 250);
        assert_eq!(small.segments(), 4);
    }

    #[test]
    fn cubic_leaves_slow_start_by_hystart_and_forgets_after_a_timeout() {
        let mut window = Window::new(CongestionControl::Cubic);
        window.set(50);
        let sight = |rtt_ms: u64, at_ms| Sight {
            now: Instant::from_millis(at_ms),
            acknowledged: 1,
            next: 1000,
            rtt: rtt_ms * 1_000_000,
            least_rtt: 0,
            pacing_rate: 1,
        };
        window.sample(sight(40, 1));
        assert!(window.in_slow_start());
        for at in 2..20 {
            window.sample(sight(60, at * 3));
        }
        assert!(window.in_slow_start(), "the least of the round is still 40 ms");
        for at in 20..40 {
            window.sample(Sight { acknowledged: 1001, next: 2000, ..sight(60, at * 3) });
        }
        assert_eq!(window.threshold(), 50);
        window.reduce();
        window.time_out(Instant::from_secs(1), 2000, 1);
        assert_eq!((window.segments(), window.threshold()), (1, 35));
    }
}
