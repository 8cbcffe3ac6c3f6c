//! The choice of what goes next: a probe, what is missing, or new data, as far as the window
//! allows.

use super::timer::{Timer, TimerKind};
use super::{Phase, Sender};
use crate::segment::{Data, PAYLOAD_MAX};
use jostle_common::time::Instant;

impl Sender {
    /// Returns the next segment to send at `now`.
    pub(in crate::tcp) fn poll(&mut self, now: Instant) -> Option<Data> {
        if std::mem::take(&mut self.probing)
            && let Some(data) = self.send_probe(now)
        {
            return Some(data);
        }
        if self.board.in_flight() < self.window.segments() {
            if matches!(self.phase, Phase::Recovery | Phase::Loss)
                && let Some(data) = self.send_again(now)
            {
                return Some(data);
            }
            if let Some(data) = self.send_new(now) {
                self.sent_new = true;
                return Some(data);
            }
        }
        let limited = self.board.in_flight() >= self.window.segments();
        if std::mem::take(&mut self.sent_new) {
            if let Some(head) = self.board.head() {
                self.set_probe_timer(now, head.at.plus_nanos(self.rtt.timeout()));
            }
            self.usage.note(
                self.board.out(),
                limited,
                self.board.acknowledged(),
                self.board.next(),
            );
        } else if limited {
            // The window stopped the sender before anything new went: it was in full use.
            self.usage.note(
                self.board.out(),
                limited,
                self.board.acknowledged(),
                self.board.next(),
            );
        }
        None
    }

    /// Sends one new segment, else the last one again.
    fn send_probe(&mut self, now: Instant) -> Option<Data> {
        let new = self.send_new(now);
        let retransmission = new.is_none();
        let data = new.or_else(|| {
            let sent = self.board.send_last(now)?;
            self.counters.retransmissions += 1;
            Some(self.data(now, sent.start, sent.end(), false))
        });
        if data.is_some() {
            self.counters.probes += 1;
            self.probe.sent(self.board.next(), retransmission);
            // From now: counted from the head, the timeout would follow the probe too soon.
            self.timer = None;
        }
        self.restart_retransmission_timer(now);
        data
    }

    fn send_again(&mut self, now: Instant) -> Option<Data> {
        let (sent, is_head) = self.board.send_missing(now)?;
        self.counters.retransmissions += 1;
        if let Some(undo) = &mut self.undo {
            undo.handle_retransmission(now);
        }
        if self.phase == Phase::Recovery {
            self.reduction.handle_sent();
        }
        // The timeout is the head's, so it counts from now; the patience for reordering runs on.
        if is_head && self.timer.is_none_or(|timer| timer.kind != TimerKind::Reordering) {
            self.timer = Some(Timer {
                kind: TimerKind::Retransmission,
                at: now.plus_nanos(self.rtt.timeout()),
            });
        }
        Some(self.data(now, sent.start, sent.end(), false))
    }

    fn send_new(&mut self, now: Instant) -> Option<Data> {
        let start = self.board.next();
        let left = self.written.checked_sub(start)?;
        let payload = left.min(u64::from(PAYLOAD_MAX)) as u32;
        let fin = self.finished && left == u64::from(payload);
        if payload == 0 && !fin {
            return None;
        }
        let was_idle = self.board.out() == 0;
        if was_idle {
            let idle = now.as_nanos() - self.last_sent.as_nanos();
            self.window.restart(now, idle, self.rtt.timeout());
        }
        self.board.send_new(now, payload + u32::from(fin));
        // Otherwise the timer of the segments that are out already runs.
        if was_idle || matches!(self.timer, Some(Timer { kind: TimerKind::Probe, .. })) {
            self.restart_retransmission_timer(now);
        }
        if self.is_reducing() {
            self.reduction.handle_sent();
        }
        Some(self.data(now, start, self.board.next(), true))
    }

    fn data(&mut self, now: Instant, start: u64, end: u64, is_new: bool) -> Data {
        self.last_sent = now;
        self.counters.segments += 1;
        let fin = end > self.written;
        Data {
            start,
            payload: (end - start) as u32 - u32::from(fin),
            fin,
            sent: now,
            ecn: self.marks.of_segment(is_new),
            answered: is_new && self.marks.take_tells(),
        }
    }
}
