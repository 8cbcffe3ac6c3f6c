//! The sender's one timer: it waits for a probe, for reordering to show itself, or for the
//! retransmission timeout.

use super::{Phase, Sender};
use crate::tcp::rack::TIMER_SLACK_NANOS;
use crate::tcp::tlp;
use jostle_common::time::Instant;
use std::time::Duration;

/// The silence after its first timeout at which a sender gives up, at the next one. Linux's
/// tcp_retries2 of 15 stands for the time that so many timeouts take when the first lasts 200 ms:
/// ten that double up to 102.4 s are 204.6 s, six more of 120 s each are 720 s.
const PATIENCE: Duration = Duration::from_millis(924_600);

/// The one timer, and what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timer {
    pub(super) kind: TimerKind,
    pub(super) at: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimerKind {
    Retransmission,
    Probe,
    /// The patience for reordering runs out.
    Reordering,
}

impl Sender {
    /// Does what is due at `now`.
    pub(in crate::tcp) fn handle_timer(&mut self, now: Instant) {
        let Some(timer) = self.timer.filter(|timer| timer.at <= now) else { return };
        match timer.kind {
            TimerKind::Reordering => self.end_patience(now),
            TimerKind::Probe if !self.probe.is_out() => self.probing = true,
            TimerKind::Probe => self.restart_retransmission_timer(now),
            TimerKind::Retransmission => self.time_out(now),
        }
    }

    /// Takes to be lost what was only suspected to be.
    fn end_patience(&mut self, now: Instant) {
        let rack = self.rack();
        let (lost, wait) = self.board.mark_lost(now, &rack);
        if lost > 0 && self.phase != Phase::Recovery {
            self.enter_recovery();
            self.reduce_window(1, false);
        }
        self.restart_retransmission_timer(now);
        if let Some(wait) = wait {
            self.be_patient(now, wait);
        }
    }

    /// Sets the timer for segments that are suspected to be lost, but may only be reordered.
    pub(super) fn be_patient(&mut self, now: Instant, wait: u64) {
        let at = now.plus_nanos((wait + TIMER_SLACK_NANOS).min(self.rtt.timeout()));
        self.timer = Some(Timer { kind: TimerKind::Reordering, at });
    }

    /// Acts on the retransmission timeout: all that was sent a round trip ago or earlier is lost
    /// (RFC 8985 §6.3).
    fn time_out(&mut self, now: Instant) {
        if self.board.head().is_none() {
            self.timer = None;
            return;
        }
        if self.timeouts == 0 {
            self.silent_since = now;
        } else if now.since(self.silent_since) >= PATIENCE {
            (self.given_up, self.timer) = (true, None);
            return;
        }
        self.board.mark_timed_out(now, &self.clock.with_patience(0));
        // One reduction for the losses of one window: a timeout that follows another, or comes amid
        // recovery, does not reduce it again (as in Linux).
        let fresh = match self.phase {
            Phase::Open | Phase::Disorder => true,
            Phase::Loss => self.timeouts == 0 || self.board.acknowledged() >= self.phase_end,
            Phase::Recovery | Phase::Reduced => self.board.acknowledged() >= self.phase_end,
        };
        if fresh {
            self.reduce();
        }
        // The head goes again, on top of what may still arrive.
        self.window.time_out(now, self.board.next(), self.board.in_flight() + 1);
        self.phase = Phase::Loss;
        self.phase_end = self.board.next();
        self.probe.end();
        self.timeouts += 1;
        self.counters.timeouts += 1;
        self.rtt.back_off();
        self.timer =
            Some(Timer { kind: TimerKind::Retransmission, at: now.plus_nanos(self.rtt.timeout()) });
    }

    /// Sets the timer after an advance: for a probe if one may go, else for the retransmission.
    pub(super) fn restart_timer(&mut self, now: Instant) {
        let timeout_at = now.plus_nanos(self.rtt.timeout());
        if !self.set_probe_timer(now, timeout_at) {
            self.restart_retransmission_timer(now);
        }
    }

    /// Sets the timer for a probe, not behind the retransmission timeout; returns true if a probe
    /// may go.
    pub(super) fn set_probe_timer(&mut self, now: Instant, timeout_at: Instant) -> bool {
        let may_probe = matches!(self.phase, Phase::Open | Phase::Reduced);
        let Some(smoothed) = self.rtt.smoothed().filter(|_| may_probe) else {
            return false;
        };
        let out = self.board.out();
        if out == 0 {
            return false;
        }
        let mut at = now.plus_nanos(tlp::timeout(smoothed, out));
        if timeout_at > now {
            at = at.min(timeout_at);
        }
        self.timer = Some(Timer { kind: TimerKind::Probe, at });
        true
    }

    /// Sets the retransmission timer: from now, but from when the head was sent if another timer
    /// ran in between.
    pub(super) fn restart_retransmission_timer(&mut self, now: Instant) {
        let timeout = self.rtt.timeout();
        self.timer = self.board.head().map(|head| {
            let from = match self.timer {
                Some(Timer { kind: TimerKind::Probe | TimerKind::Reordering, .. }) => head.at,
                _ => now,
            };
            Timer { kind: TimerKind::Retransmission, at: from.plus_nanos(timeout).max(now) }
        });
    }
}
