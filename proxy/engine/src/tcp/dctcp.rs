//! DCTCP's answer to marks: the window shrinks by half the share of segments that were marked, which
//! is learned from round trip to round trip (RFC 8257).

use super::controller::Controller;
use jostle_common::time::Instant;

/// The weight of a round trip in the share that is learned (g).
const GAIN: f64 = 1.0 / 16.0;

/// DCTCP: Reno's growth, and its answer to losses.
#[derive(Clone, Debug)]
pub(super) struct Dctcp {
    /// The share of marked segments (α): all of them, until more is known (RFC 8257 §3.3).
    alpha: f64,
    /// Segments that arrived in this round trip, and those among them that were marked.
    delivered: u64,
    marked: u64,
    /// The offset whose acknowledgement ends the round trip.
    round_end: u64,
    /// The part of a segment by which the last reduction fell short: windows are whole segments.
    owed: f64,
}

impl Default for Dctcp {
    fn default() -> Self {
        Self { alpha: 1.0, delivered: 0, marked: 0, round_end: 0, owed: 0.0 }
    }
}

impl Controller for Dctcp {
    fn growth_interval(&mut self, _: Instant, window: u32, _delivered: u32) -> u32 {
        window
    }

    fn reduced(&mut self, window: u32) -> u32 {
        (window / 2).max(2)
    }

    fn acknowledged(&mut self, acknowledged: u64, next: u64, delivered: u32, marked: u32) {
        self.delivered += u64::from(delivered);
        self.marked += u64::from(marked);
        if acknowledged < self.round_end || self.delivered == 0 {
            return;
        }
        let share = (self.marked as f64 / self.delivered as f64).min(1.0);
        self.alpha = (1.0 - GAIN) * self.alpha + GAIN * share;
        (self.delivered, self.marked, self.round_end) = (0, 0, next);
    }

    fn marked(&mut self, window: u32) -> u32 {
        let step = f64::from(window) * self.alpha / 2.0 + self.owed;
        let whole = libm::trunc(step);
        self.owed = step - whole;
        window.saturating_sub(whole as u32).max(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds round trips of ten segments, so many of them marked.
    fn rounds(dctcp: &mut Dctcp, count: u64, marked: u32) {
        for _ in 0..count {
            let end = dctcp.round_end;
            dctcp.acknowledged(end, end + 10, 10, marked);
        }
    }

    #[test]
    fn the_share_is_learned_with_a_gain_of_a_sixteenth() {
        let mut dctcp = Dctcp::default();
        assert_eq!(dctcp.clone().marked(100), 50, "at first all are taken to be marked");
        rounds(&mut dctcp, 1, 0);
        assert_eq!(dctcp.alpha, 15.0 / 16.0);
        rounds(&mut dctcp, 200, 2);
        assert!((dctcp.alpha - 0.2).abs() < 1e-4, "{}", dctcp.alpha);
        assert_eq!(dctcp.clone().marked(100), 90);
        rounds(&mut dctcp, 200, 10);
        assert_eq!(dctcp.clone().marked(3), 2, "at least two segments are left");
    }

    #[test]
    fn a_round_trip_ends_when_what_was_sent_in_it_was_acknowledged() {
        let mut dctcp = Dctcp::default();
        dctcp.acknowledged(0, 100, 1, 0);
        for offset in 1..100 {
            dctcp.acknowledged(offset, 100 + offset, 1, 1);
        }
        assert_eq!(dctcp.alpha, 15.0 / 16.0, "nothing new yet");
        dctcp.acknowledged(100, 200, 1, 1);
        assert_eq!(dctcp.alpha, 15.0 / 16.0 * 15.0 / 16.0 + 1.0 / 16.0);
    }

    #[test]
    fn parts_of_a_segment_add_up() {
        let mut dctcp = Dctcp { alpha: 0.05, ..Dctcp::default() };
        let sum: u32 = (0..40).map(|_| 10 - dctcp.marked(10)).sum();
        // 40 times a quarter of a segment.
        assert_eq!(sum, 10);
    }
}
