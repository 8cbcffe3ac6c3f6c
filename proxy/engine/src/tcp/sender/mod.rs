//! The sending half of one direction of a connection: decides which segment goes when.
//!
//! Sans-I/O: `write`, `handle_ack` and `handle_timer` take in, then `poll` gives out the segments
//! to send until it has none. It knows offsets only; the bytes stay with the connection. The
//! structure follows Linux's, so that its times come out the same.

mod marks;
mod timer;
mod transmit;

#[cfg(test)]
mod tests;

use crate::route::CongestionControl;
use crate::segment::{Ack, PAYLOAD_MAX};
use crate::tcp::counters::Counters;
use crate::tcp::hystart::Sight;
use crate::tcp::prr::Reduction;
use crate::tcp::rack::{Clock, Rack};
use crate::tcp::rtt::RoundTrip;
use crate::tcp::scoreboard::{Progress, Scoreboard};
use crate::tcp::tlp::Probe;
use crate::tcp::undo::Undo;
use crate::tcp::usage::Usage;
use crate::tcp::window::{INITIAL, Window};
use jostle_common::time::Instant;
use marks::Marks;
use timer::Timer;

/// The most bytes that wait to be sent for the first time: half of what Linux lets a send buffer grow
/// to (tcp_wmem, 4 MiB), the other half of which is in flight.
const UNSENT_MAX: u64 = 2 << 20;

/// The state of the sender (Linux's congestion states).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// All is well.
    Open,
    /// Something arrived out of order; new data still goes (limited transmit, RFC 3042).
    Disorder,
    /// Marks were met: the window shrinks as after a loss, and nothing is repaired (Linux's CWR).
    Reduced,
    /// Losses are being repaired under a reduced window.
    Recovery,
    /// A timeout said that all is lost; slow start repairs it.
    Loss,
}

/// The sending half.
#[derive(Debug)]
pub(in crate::tcp) struct Sender {
    board: Scoreboard,
    /// The end of what was written.
    written: u64,
    finished: bool,
    rtt: RoundTrip,
    clock: Clock,
    window: Window,
    usage: Usage,
    phase: Phase,
    /// The end of what was sent when the phase began: its acknowledgement ends Recovery and Loss, and
    /// that of anything behind it ends Reduced.
    phase_end: u64,
    reduction: Reduction,
    marks: Marks,
    /// The values to go back to if the reduction under way turns out to be needless.
    undo: Option<Undo>,
    probe: Probe,
    /// True if a probe is to be sent now.
    probing: bool,
    timer: Option<Timer>,
    /// Timeouts since the last advance.
    timeouts: u32,
    /// The time of the first of them.
    silent_since: Instant,
    given_up: bool,
    /// The time at which a segment was last sent.
    last_sent: Instant,
    /// True if new data was sent since the last probe timer was set.
    sent_new: bool,
    counters: Counters,
}

impl Sender {
    pub(in crate::tcp) fn new(control: CongestionControl) -> Self {
        Self {
            board: Scoreboard::default(),
            written: 0,
            finished: false,
            rtt: RoundTrip::default(),
            clock: Clock::default(),
            window: Window::new(control),
            usage: Usage::default(),
            phase: Phase::Open,
            phase_end: 0,
            reduction: Reduction::default(),
            marks: Marks::new(control.ecn(), control.is_scalable()),
            undo: None,
            probe: Probe::default(),
            probing: false,
            timer: None,
            timeouts: 0,
            silent_since: Instant::START,
            given_up: false,
            last_sent: Instant::START,
            sent_new: false,
            counters: Counters::default(),
        }
    }

    /// Begins at the end of a handshake which took `rtt` nanoseconds; one that needed several
    /// attempts begins with a window of one segment (RFC 5681 §3.1, from the second repetition on
    /// as in Linux).
    pub(in crate::tcp) fn start(&mut self, now: Instant, rtt: Option<u64>, repetitions: u32) {
        self.last_sent = now;
        if let Some(rtt) = rtt {
            self.sample_rtt(rtt, rtt);
        }
        if repetitions >= 2 {
            self.window.set(1);
        }
    }

    /// Adds bytes to what is to be sent.
    pub(in crate::tcp) const fn write(&mut self, bytes: u64) {
        self.written += bytes;
    }

    /// Ends the stream behind what was written.
    pub(in crate::tcp) const fn finish(&mut self) {
        self.finished = true;
    }

    pub(in crate::tcp) const fn is_finished(&self) -> bool {
        self.finished
    }

    /// Returns how many bytes the send buffer takes. As Linux's it is twice the window: one is in
    /// flight, one waits behind it. It says that it has room once a third of that is free, so that
    /// the program that writes is not woken for each segment.
    pub(in crate::tcp) fn room(&self) -> u64 {
        let segments = self.window.segments().max(INITIAL);
        let buffer = (u64::from(segments) * u64::from(PAYLOAD_MAX)).min(UNSENT_MAX);
        let room = buffer.saturating_sub(self.written - self.sent());
        if room < buffer / 3 { 0 } else { room }
    }

    /// Returns true if the end of the stream was acknowledged.
    pub(in crate::tcp) const fn is_done(&self) -> bool {
        self.finished && self.board.acknowledged() > self.written
    }

    /// Returns true if all that was written was acknowledged, the end included if there is one.
    pub(in crate::tcp) const fn is_idle(&self) -> bool {
        self.board.acknowledged() == self.written + self.finished as u64
    }

    /// Returns the end of what was ever sent, without the end's own place.
    pub(in crate::tcp) fn sent(&self) -> u64 {
        self.board.next().min(self.written)
    }

    /// Returns true if nothing was acknowledged for so long that the connection has timed out.
    pub(in crate::tcp) const fn has_given_up(&self) -> bool {
        self.given_up
    }

    /// Returns the smoothed round-trip time in nanoseconds; `None` before the first sample.
    pub(in crate::tcp) fn round_trip(&self) -> Option<u64> {
        self.rtt.smoothed()
    }

    /// Returns the time at which `handle_timer` has something to do.
    pub(in crate::tcp) fn deadline(&self) -> Option<Instant> {
        self.timer.map(|timer| timer.at)
    }

    pub(in crate::tcp) const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Takes in an acknowledgement; returns the round-trip time that it told, in nanoseconds.
    pub(in crate::tcp) fn handle_ack(&mut self, now: Instant, ack: &Ack) -> Option<u64> {
        // It acknowledges what was never sent.
        if ack.next > self.board.next() {
            return None;
        }
        let mut progress = self.board.progress();
        for block in ack.blocks.as_slice() {
            self.board.sack(block, now, &mut self.clock, &mut progress);
        }
        self.board.acknowledge(ack.next, now, &mut self.clock, &mut progress);
        if progress.advanced {
            self.timeouts = 0;
        }
        if progress.reordered {
            self.clock.set_reordering();
        }
        // The sample comes before the phase changes: RACK's patience is made from the round-trip
        // time.
        let sample = self.take_samples(now, ack, &progress);
        self.answer_probe(&progress);
        if progress.advanced {
            self.undo_if_needless(ack.echo);
        }
        let mut restart_timer =
            progress.advanced || self.is_sack_of_earlier_data(&progress, sample.is_some());
        let lost = self.update_phase(now, &mut restart_timer);
        self.answer_marks(ack, &progress);
        if restart_timer {
            self.restart_timer(now);
        }
        self.update_window(now, &progress, lost);
        sample
    }

    /// Samples the round-trip time, in nanoseconds, if this acknowledgement tells it.
    fn take_samples(&mut self, now: Instant, ack: &Ack, progress: &Progress) -> Option<u64> {
        let since = |at: Instant| now.as_nanos() - at.as_nanos();
        let ordered = progress.acked.filter(|_| !progress.retransmission);
        let (first, last) = match (ordered, progress.sacked) {
            (Some((first, _)), Some((_, last))) => (first, last),
            (Some(times), None) | (None, Some(times)) => times,
            // Retransmitted segments say nothing by themselves (Karn), but the echoed timestamp
            // does.
            (None, None) if progress.advanced => (ack.echo, ack.echo),
            (None, None) => return None,
        };
        // The first segment's time holds the receiver's delay, which the timeout must allow for;
        // the last one's is the path's alone.
        let (rtt, last_rtt) = (since(first), since(last));
        self.sample_rtt(rtt, last_rtt);
        self.window.sample(Sight {
            now,
            acknowledged: self.board.acknowledged(),
            next: self.board.next(),
            rtt: last_rtt,
            least_rtt: last_rtt,
            pacing_rate: self.pacing_rate(),
        });
        Some(rtt)
    }

    fn sample_rtt(&mut self, rtt: u64, last: u64) {
        self.rtt.sample(rtt, last);
        self.clock.set_least(self.rtt.least());
    }

    /// Returns the bytes per second at which Linux would pace: twice the window per round trip.
    fn pacing_rate(&self) -> u64 {
        let bytes = 2 * u64::from(self.window.segments()) * u64::from(PAYLOAD_MAX);
        bytes.saturating_mul(1_000_000_000) / self.rtt.smoothed().unwrap_or(0).max(1)
    }

    fn answer_probe(&mut self, progress: &Progress) {
        let bare = !progress.advanced && progress.delivered == 0;
        if self.probe.handle_ack(self.board.acknowledged(), bare) {
            // The probe repaired a loss not seen otherwise: the window answers for it at once.
            self.window.reduce();
            self.window.set(self.window.threshold());
            self.probe.end();
            self.phase_end = self.board.next();
            self.phase = self.calm_phase();
        }
    }

    /// Undoes the reduction under way if this timestamp shows that what was sent again had not been
    /// lost.
    fn undo_if_needless(&mut self, echo: Instant) {
        let Some(undo) = self.undo.take_if(|undo| undo.is_due(echo)) else { return };
        if self.phase == Phase::Recovery {
            self.clock.set_reordering();
            if self.board.retransmitted() > 0 {
                // Others may really have been lost.
                self.undo = Some(undo);
                return;
            }
        }
        self.board.unmark_lost();
        self.window.restore(undo.window, undo.threshold);
        self.phase_end = self.board.next();
        self.phase = self.calm_phase();
    }

    /// Returns true if something that was sent before the head was (again) has arrived. Of data
    /// sent after it, it says nothing: there the timer runs on, or it would be put off for as long
    /// as anything arrives.
    fn is_sack_of_earlier_data(&self, progress: &Progress, sampled: bool) -> bool {
        sampled
            && !progress.advanced
            && match (progress.sacked, self.board.head()) {
                (Some((first, _)), Some(head)) => first < head.at,
                _ => false,
            }
    }

    /// Returns Open, or Disorder while something is missing.
    fn calm_phase(&self) -> Phase {
        let left = self.board.sacked() + self.board.lost();
        if left > 0 || self.board.is_repairing() { Phase::Disorder } else { Phase::Open }
    }

    /// Moves between the phases; returns the number of segments that were found lost.
    fn update_phase(&mut self, now: Instant, restart_timer: &mut bool) -> u32 {
        if matches!(self.phase, Phase::Recovery | Phase::Loss)
            && self.board.acknowledged() >= self.phase_end
        {
            // Rate reduction may have stopped short of the threshold, or below it (RFC 6937 §3).
            if self.phase == Phase::Recovery {
                self.window.set(self.window.threshold());
            }
            self.phase = Phase::Open;
            self.undo = None;
        }
        // The answer reaches the receiver with what goes behind it; until then it repeats the mark.
        if self.phase == Phase::Reduced && self.board.acknowledged() > self.phase_end {
            self.window.set(self.window.threshold());
            self.phase = Phase::Open;
        }
        let retransmitted_before = self.board.retransmitted();
        let lost = self.detect_losses(now, restart_timer);
        // A repair that is marked lost leaves the account of repairs.
        let lost_again = self.board.retransmitted() < retransmitted_before;
        match self.phase {
            Phase::Recovery => {}
            // After a timeout everything out was marked, so losses are no news; a lost repair is.
            Phase::Loss if !lost_again => {}
            _ if self.board.lost() > 0 => self.enter_recovery(),
            Phase::Reduced => {}
            _ => {
                let phase = self.calm_phase();
                if phase != self.phase {
                    self.phase = phase;
                    self.phase_end = self.board.next();
                }
            }
        }
        lost
    }

    /// Marks losses; if some are only suspected, sets the timer for them.
    fn detect_losses(&mut self, now: Instant, restart_timer: &mut bool) -> u32 {
        if !self.clock.take_advanced() {
            return 0;
        }
        let rack = self.rack();
        let (lost, wait) = self.board.mark_lost(now, &rack);
        if let Some(wait) = wait {
            self.be_patient(now, wait);
            *restart_timer = false;
        }
        lost
    }

    fn rack(&self) -> Rack {
        let recovering = matches!(self.phase, Phase::Recovery | Phase::Loss);
        self.clock.rack(recovering, self.board.sacked(), self.rtt.smoothed().unwrap_or(0))
    }

    fn enter_recovery(&mut self) {
        if self.phase == Phase::Recovery {
            return;
        }
        if self.phase == Phase::Reduced {
            // One reduction for all that a window met.
            self.phase = Phase::Recovery;
            return;
        }
        self.phase = Phase::Recovery;
        self.phase_end = self.board.next();
        self.probe.end();
        self.reduction = Reduction::new(self.window.segments());
        self.reduce();
    }

    /// Lowers the slow start threshold, and remembers what it was.
    fn reduce(&mut self) {
        self.undo = Some(Undo::new(self.window.segments(), self.window.threshold()));
        self.window.reduce();
    }

    /// Reduces or grows the window by what an acknowledgement brought.
    fn update_window(&mut self, now: Instant, progress: &Progress, lost: u32) {
        if self.is_reducing() {
            let clean = progress.advanced && lost == 0;
            self.reduce_window(progress.delivered, clean);
        } else if progress.advanced
            && self.usage.may_grow(self.window.segments(), self.window.in_slow_start())
        {
            self.window.grow(now, progress.delivered);
        }
    }

    /// Returns true while the window follows a reduction.
    fn is_reducing(&self) -> bool {
        matches!(self.phase, Phase::Recovery | Phase::Reduced)
    }

    fn reduce_window(&mut self, delivered: u32, clean: bool) {
        let (in_flight, threshold) = (self.board.in_flight(), self.window.threshold());
        if let Some(window) = self.reduction.window(in_flight, threshold, delivered, clean) {
            self.window.set(window);
        }
    }
}
