//! RACK: time-based loss detection (RFC 8985 §6).
//!
//! A segment is lost when one that was sent later has arrived and a round trip (and a little, for
//! reordering) has passed since it was sent. The same rule holds for retransmissions, which the
//! counting of duplicate acknowledgements cannot see lost.

use super::sent::Sent;
use jostle_common::time::Instant;

/// The least time that a timer waits beyond what it computed (Linux's TCP_TIMEOUT_MIN).
pub(super) const TIMER_SLACK_NANOS: u64 = 2_000_000;

/// This many segments that arrived out of order end the patience for reordering.
const DUPLICATES: u32 = 3;

/// The latest sent segment that has arrived.
#[derive(Clone, Debug, Default)]
pub(super) struct Clock {
    sent: Instant,
    end: u64,
    /// The time that it took.
    rtt: u64,
    /// The least round-trip time seen, below which an arrival must be that of an earlier
    /// transmission.
    least: u64,
    advanced: bool,
    reordering: bool,
}

impl Clock {
    /// Notes the least round-trip time.
    pub(super) const fn set_least(&mut self, least: u64) {
        self.least = least;
    }

    /// Notes that the network reorders.
    pub(super) const fn set_reordering(&mut self) {
        self.reordering = true;
    }

    /// Notes that a segment has arrived.
    pub(super) fn advance(&mut self, now: Instant, segment: &Sent) {
        let rtt = now.as_nanos() - segment.at.as_nanos();
        // Sooner than any round trip: it is an earlier transmission that arrived (RFC 8985 §6.2).
        if segment.ever_retransmitted && rtt < self.least {
            return;
        }
        self.rtt = rtt;
        self.advanced = true;
        if (segment.at, segment.end()) > (self.sent, self.end) {
            (self.sent, self.end) = (segment.at, segment.end());
        }
    }

    /// Returns true if a segment arrived since this was last asked.
    pub(super) const fn take_advanced(&mut self) -> bool {
        std::mem::replace(&mut self.advanced, false)
    }

    /// Returns the rule as it holds now: in recovery or with `sacked` segments beyond a hole there
    /// is no patience for reordering, unless reordering was seen; else a quarter of the least
    /// round-trip time, at most the smoothed one.
    pub(super) fn rack(&self, recovering: bool, sacked: u32, smoothed: u64) -> Rack {
        let hurried = !self.reordering && (recovering || sacked >= DUPLICATES);
        let patience = if hurried { 0 } else { (self.least / 4).min(smoothed) };
        self.with_patience(patience)
    }

    /// Returns the rule with so many nanoseconds of patience for reordering.
    pub(super) const fn with_patience(&self, patience: u64) -> Rack {
        Rack { sent: self.sent, end: self.end, limit: self.rtt + patience }
    }
}

/// The rule by which segments are taken to be lost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rack {
    sent: Instant,
    end: u64,
    limit: u64,
}

impl Rack {
    /// Returns true if a segment that was sent later than this one has arrived.
    pub(super) fn is_later_than(&self, segment: &Sent) -> bool {
        (self.sent, self.end) > (segment.at, segment.end())
    }

    /// Returns the time that a segment sent at `at` may still take.
    pub(super) const fn time_left(&self, at: Instant, now: Instant) -> u64 {
        (at.as_nanos() + self.limit).saturating_sub(now.as_nanos())
    }
}
