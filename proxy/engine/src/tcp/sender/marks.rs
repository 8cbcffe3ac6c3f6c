//! The answer to marks: once a window, as to a loss but without sending anything again (RFC 3168
//! §6.1.2), or by as much as was marked (RFC 8257).

use super::{Phase, Reduction, Sender};
use crate::segment::Ack;
use crate::tcp::scoreboard::Progress;
use jostle_common::ecn::Ecn;

/// What a sender knows of marks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marks {
    /// What its segments say.
    ecn: Ecn,
    /// True if it answers each mark.
    scalable: bool,
    /// The number of segments that the receiver said came marked.
    seen: u64,
    /// The end of what was sent at the last answer; no other follows before it is acknowledged.
    answered_end: u64,
    /// True if the next new segment tells the receiver of the answer (CWR).
    tells: bool,
}

impl Marks {
    pub(super) const fn new(ecn: Ecn, scalable: bool) -> Self {
        Self { ecn, scalable, seen: 0, answered_end: 0, tells: false }
    }

    /// Returns what the header of a segment says: one that is sent again takes no marks, unless each
    /// is answered (RFC 3168 §6.1.5).
    pub(super) const fn of_segment(&self, is_new: bool) -> Ecn {
        if is_new || self.scalable { self.ecn } else { Ecn::NotEct }
    }

    /// Returns true if the new segment that goes now tells of an answer.
    pub(super) const fn take_tells(&mut self) -> bool {
        std::mem::replace(&mut self.tells, false)
    }
}

impl Sender {
    /// Answers the marks that an acknowledgement tells of.
    pub(super) fn answer_marks(&mut self, ack: &Ack, progress: &Progress) {
        if self.marks.scalable {
            self.answer_share(ack, progress);
        } else if ack.congested && matches!(self.phase, Phase::Open | Phase::Disorder) {
            self.enter_reduced();
        }
    }

    /// Lowers the window by the share that is marked, once a round trip; growth goes on.
    fn answer_share(&mut self, ack: &Ack, progress: &Progress) {
        let marked = ack.marked.saturating_sub(self.marks.seen) as u32;
        self.marks.seen = self.marks.seen.max(ack.marked);
        let (acknowledged, next) = (self.board.acknowledged(), self.board.next());
        self.window.note_marks(acknowledged, next, progress.delivered, marked);
        let is_calm = matches!(self.phase, Phase::Open | Phase::Disorder);
        if marked == 0 || !is_calm || acknowledged < self.marks.answered_end {
            return;
        }
        self.marks.answered_end = next;
        self.window.answer_marks();
        self.counters.mark_reductions += 1;
    }

    /// Begins to reduce the window as for a loss.
    fn enter_reduced(&mut self) {
        self.phase = Phase::Reduced;
        self.phase_end = self.board.next();
        self.probe.end();
        self.undo = None;
        self.reduction = Reduction::new(self.window.segments());
        self.window.reduce();
        self.marks.tells = true;
        self.counters.mark_reductions += 1;
    }
}
