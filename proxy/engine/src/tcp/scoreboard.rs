//! The sender's scoreboard: every segment that was sent and is not acknowledged, and what is known
//! of it.
//!
//! Terms are those of RFC 6675: in flight = out − sacked − lost + retransmitted.

use super::rack::{Clock, Rack};
use super::ranges::RangeSet;
use super::sent::Sent;
use jostle_common::time::Instant;
use std::collections::VecDeque;
use std::ops::Range;

/// The news that one acknowledgement brought.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    /// Segments newly known to have arrived, in order or not.
    pub(super) delivered: u32,
    /// True if everything up to a later offset has arrived.
    pub(super) advanced: bool,
    /// True if a retransmitted segment was acknowledged in order.
    pub(super) retransmission: bool,
    /// The times at which the first and the last segment were sent of those acknowledged in order
    /// and never retransmitted.
    pub(super) acked: Option<(Instant, Instant)>,
    /// The same for segments acknowledged out of order.
    pub(super) sacked: Option<(Instant, Instant)>,
    /// True if a segment arrived behind later ones though it was sent only once: the network
    /// reorders.
    pub(super) reordered: bool,
    /// The end of what was known to have arrived before this acknowledgement. Compared with what it
    /// brings itself, a lost acknowledgement would look like reordering.
    highest_before: u64,
}

/// Notes a sending time as the last, and as the first if there was none.
fn note(times: &mut Option<(Instant, Instant)>, at: Instant) {
    *times = Some((times.map_or(at, |(first, _)| first), at));
}

/// The segments in flight, in order of the stream.
#[derive(Debug, Default)]
pub(super) struct Scoreboard {
    segments: VecDeque<Sent>,
    /// The ordinal of the first of `segments`; each ever sent has one.
    first: u64,
    /// The bytes known to have arrived out of order.
    known: RangeSet,
    /// Every transmission (ordinal, time) in order of time, until its segment is resolved or sent
    /// again.
    transmissions: VecDeque<(u64, Instant)>,
    acknowledged: u64,
    next: u64,
    sacked: u32,
    lost: u32,
    retransmitted: u32,
    /// No segment that waits to be sent again has a smaller ordinal.
    missing_from: u64,
}

impl Scoreboard {
    /// Returns the offset before which everything has arrived.
    pub(super) const fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Returns the first offset that was never sent.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// Returns the number of segments out, in order of the stream.
    pub(super) fn out(&self) -> u32 {
        self.segments.len() as u32
    }

    /// Returns the number of segments taken to be in the network.
    pub(super) fn in_flight(&self) -> u32 {
        self.out() - self.sacked - self.lost + self.retransmitted
    }

    /// Returns the number of segments taken to be lost, sent again or not.
    pub(super) const fn lost(&self) -> u32 {
        self.lost
    }

    /// Returns the number of segments known to have arrived out of order.
    pub(super) const fn sacked(&self) -> u32 {
        self.sacked
    }

    /// Returns the number of retransmissions in flight.
    pub(super) const fn retransmitted(&self) -> u32 {
        self.retransmitted
    }

    /// Returns the first segment that is not acknowledged.
    pub(super) fn head(&self) -> Option<&Sent> {
        self.segments.front()
    }

    /// Notes a new segment of `length` places, sent at `now`.
    pub(super) fn send_new(&mut self, now: Instant, length: u32) {
        let ordinal = self.first + self.segments.len() as u64;
        self.segments.push_back(Sent {
            start: self.next,
            length,
            at: now,
            sacked: false,
            lost: false,
            retransmitted: false,
            ever_retransmitted: false,
        });
        self.next += u64::from(length);
        self.transmissions.push_back((ordinal, now));
    }

    /// Sends the first segment that waits to be sent again, and returns it, with true if it is the
    /// head.
    pub(super) fn send_missing(&mut self, now: Instant) -> Option<(Sent, bool)> {
        // Everything lost is out again: no search.
        if self.lost == self.retransmitted {
            return None;
        }
        // Losses are repaired in order, so the search goes on where the last one ended. What is
        // marked lost in front of that place moves it back.
        let from = self.missing_from.max(self.first);
        let skipped =
            self.segments.range((from - self.first) as usize..).position(Sent::is_missing)? as u64;
        let ordinal = from + skipped;
        self.missing_from = ordinal + 1;
        let segment = &mut self.segments[(ordinal - self.first) as usize];
        segment.retransmitted = true;
        segment.ever_retransmitted = true;
        // The new time tells RACK which transmission an acknowledgement may speak of, and makes the
        // older entry among the transmissions void.
        segment.at = now;
        self.retransmitted += 1;
        self.transmissions.push_back((ordinal, now));
        Some((segment.clone(), ordinal == self.first))
    }

    /// Sends the last segment once more, as a probe: it does not count as in flight twice.
    pub(super) fn send_last(&mut self, now: Instant) -> Option<Sent> {
        let segment = self.segments.back_mut()?;
        segment.ever_retransmitted = true;
        segment.at = now;
        self.transmissions.push_back((self.first + self.segments.len() as u64 - 1, now));
        self.segments.back().cloned()
    }

    /// Creates the account of an acknowledgement that is about to be taken in.
    pub(super) fn progress(&self) -> Progress {
        Progress {
            highest_before: self.known.end().unwrap_or(self.acknowledged),
            ..Progress::default()
        }
    }

    /// Takes in a block that arrived out of order.
    pub(super) fn sack(
        &mut self,
        block: &Range<u64>,
        now: Instant,
        rack: &mut Clock,
        progress: &mut Progress,
    ) {
        // A block repeats what earlier acknowledgements said and adds a little at its end; only the
        // gaps in what is known are walked, so a long block costs what is new in it.
        let mut rest = block.start.max(self.acknowledged)..block.end.min(self.next);
        while let Some(gap) = self.known.first_gap(&rest) {
            let mut index = self.segments.partition_point(|segment| segment.start < gap.start);
            while let Some(segment) =
                self.segments.get_mut(index).filter(|segment| segment.end() <= gap.end)
            {
                rack.advance(now, segment);
                progress.delivered += 1;
                // Of a segment that was sent twice it is not known which arrived, so it says
                // nothing about round trips or order (Karn's rule).
                if !segment.ever_retransmitted {
                    progress.reordered |= segment.start < progress.highest_before;
                    note(&mut progress.sacked, segment.at);
                }
                // It was not lost, or its repair arrived: either way it leaves both accounts, so
                // that "in flight" stays out − sacked − lost + retransmitted.
                if segment.lost {
                    self.lost -= 1;
                    self.retransmitted -= u32::from(segment.retransmitted);
                }
                (segment.lost, segment.retransmitted, segment.sacked) = (false, false, true);
                self.sacked += 1;
                index += 1;
            }
            rest.start = gap.end;
            self.known.insert(gap);
        }
    }

    /// Takes in that everything before `offset` has arrived.
    pub(super) fn acknowledge(
        &mut self,
        offset: u64,
        now: Instant,
        rack: &mut Clock,
        progress: &mut Progress,
    ) {
        if offset <= self.acknowledged {
            return;
        }
        while let Some(segment) = self.segments.pop_front_if(|segment| segment.end() <= offset) {
            self.first += 1;
            if segment.ever_retransmitted {
                progress.retransmission = true;
            } else if !segment.sacked {
                note(&mut progress.acked, segment.at);
                progress.reordered |= segment.start < progress.highest_before;
            }
            // What was sacked has been counted as delivered when its block came.
            if segment.sacked {
                self.sacked -= 1;
            } else {
                progress.delivered += 1;
                rack.advance(now, &segment);
            }
            self.lost -= u32::from(segment.lost);
            self.retransmitted -= u32::from(segment.retransmitted);
        }
        progress.advanced = true;
        self.acknowledged = offset;
        self.known.remove_below(offset);
    }

    /// Marks lost what RACK takes to be lost at `now`; returns their number, and the time until the
    /// next would be (the longest such wait).
    pub(super) fn mark_lost(&mut self, now: Instant, rack: &Rack) -> (u32, Option<u64>) {
        // The list is in order of time, so it ends at the first transmission that is younger than
        // the latest one that arrived: RACK says nothing about those behind it.
        let (mut marked, mut wait, mut place) = (0, None, 0);
        while let Some(&(ordinal, at)) = self.transmissions.get(place) {
            let pending = ordinal
                .checked_sub(self.first)
                .and_then(|index| self.segments.get_mut(index as usize))
                // An entry of another time was replaced by a later transmission.
                .filter(|segment| segment.at == at && !segment.sacked && !segment.is_missing());
            if let Some(segment) = pending {
                if !rack.is_later_than(segment) {
                    break;
                }
                let left = rack.time_left(segment.at, now);
                // It is older, but within the time allowed for reordering: it stays, and the caller
                // comes back.
                if left > 0 {
                    wait = wait.max(Some(left));
                    place += 1;
                    continue;
                }
                self.mark(ordinal);
                marked += 1;
            }
            // Few wait in front of it, so this moves little.
            self.transmissions.remove(place);
        }
        (marked, wait)
    }

    /// Marks lost what is out after a timeout: the head, and everything that was sent long enough
    /// ago; returns their number.
    pub(super) fn mark_timed_out(&mut self, now: Instant, rack: &Rack) -> u32 {
        let mut marked = 0;
        for index in 0..self.segments.len() {
            let segment = &self.segments[index];
            // The timer was the head's. Young segments may still arrive: sending them again would
            // only fill the path that just lost some.
            let due = index == 0 || rack.time_left(segment.at, now) == 0;
            if due && !segment.sacked && !segment.is_missing() {
                self.mark(self.first + index as u64);
                marked += 1;
            }
        }
        marked
    }

    /// Takes back that segments are lost which were not sent again; those that were are in flight.
    pub(super) fn unmark_lost(&mut self) {
        if self.lost == 0 {
            return;
        }
        for (ordinal, segment) in (self.first..).zip(&mut self.segments) {
            if segment.is_missing() {
                // Its transmission is no longer waited for: it was taken out when it was marked.
                self.transmissions.push_back((ordinal, segment.at));
            }
            if segment.lost {
                self.lost -= 1;
                self.retransmitted -= u32::from(segment.retransmitted);
            }
            (segment.lost, segment.retransmitted) = (false, false);
        }
        self.transmissions.make_contiguous().sort_by_key(|(ordinal, at)| (*at, *ordinal));
    }

    fn mark(&mut self, ordinal: u64) {
        let segment = &mut self.segments[(ordinal - self.first) as usize];
        if segment.retransmitted {
            segment.retransmitted = false;
            self.retransmitted -= 1;
        }
        if !segment.lost {
            segment.lost = true;
            self.lost += 1;
        }
        self.missing_from = self.missing_from.min(ordinal);
    }

    /// Returns true if the head was ever sent again, or a retransmission is in flight.
    pub(super) fn is_repairing(&self) -> bool {
        self.retransmitted > 0 || self.head().is_some_and(|head| head.ever_retransmitted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl Scoreboard {
        /// Counts anew, and compares with the running counts.
        fn assert_consistent(&self) {
            let count = |what: fn(&Sent) -> bool| {
                self.segments.iter().filter(|sent| what(sent)).count() as u32
            };
            assert_eq!(self.sacked, count(|sent| sent.sacked));
            assert_eq!(self.lost, count(|sent| sent.lost));
            assert_eq!(self.retransmitted, count(|sent| sent.retransmitted));
            assert_eq!(
                0,
                count(|sent| sent.sacked && sent.lost || sent.retransmitted && !sent.lost)
            );
            assert!(self.in_flight() <= self.out());
            let missing = (self.first..).zip(&self.segments).find(|(_, sent)| sent.is_missing());
            assert!(missing.is_none_or(|(ordinal, _)| ordinal >= self.missing_from));
            assert!(self.segments.iter().all(
                |sent| sent.sacked == self.known.first_gap(&(sent.start..sent.end())).is_none()
            ));
            let waited_for = |sent: &Sent, ordinal| {
                sent.sacked || sent.is_missing() || self.transmissions.contains(&(ordinal, sent.at))
            };
            assert!(
                (self.first..).zip(&self.segments).all(|(ordinal, sent)| waited_for(sent, ordinal))
            );
            assert!(self.transmissions.iter().is_sorted_by_key(|(_, at)| *at));
        }
    }

    proptest! {
        #[test]
        fn its_counts_hold_whatever_happens(steps in prop::collection::vec((0u8..8, 0u64..40, 1u64..10), 1..200)) {
            let mut board = Scoreboard::default();
            let mut clock = Clock::default();
            let mut missing_sent = 0;
            for (step, (action, offset, length)) in (1u64..).zip(steps) {
                let now = Instant::from_millis(step);
                let mut progress = board.progress();
                // Blocks and acknowledgements end where segments do: each has ten places.
                let start = board.acknowledged() + offset * 10;
                let end = (start + length * 10).min(board.next());
                match action {
                    0 | 1 => (0..length).for_each(|_| board.send_new(now, 10)),
                    2 | 3 => board.sack(&(start.min(end)..end), now, &mut clock, &mut progress),
                    4 if offset < 5 => board.acknowledge(end.min(start), now, &mut clock, &mut progress),
                    5 => drop(board.mark_lost(now, &clock.with_patience(0))),
                    6 if offset < 10 => drop(board.mark_timed_out(now, &clock.with_patience(0))),
                    6 if offset < 15 => board.unmark_lost(),
                    6 if offset < 20 => drop(board.send_last(now)),
                    _ => {
                        if let Some((sent, is_head)) = board.send_missing(now) {
                            missing_sent += 1;
                            prop_assert_eq!(is_head, sent.start == board.acknowledged());
                        }
                    }
                }
                board.assert_consistent();
            }
            prop_assert!(missing_sent < 200);
        }
    }

    #[test]
    fn the_first_missing_segment_goes_first() {
        let mut board = Scoreboard::default();
        let mut clock = Clock::default();
        (0..6).for_each(|ms| board.send_new(Instant::from_millis(ms), 10));
        let now = Instant::from_millis(100);
        let mut progress = board.progress();
        board.sack(&(10..20), now, &mut clock, &mut progress);
        board.sack(&(50..60), now, &mut clock, &mut progress);
        assert_eq!((progress.delivered, board.sacked(), board.in_flight()), (2, 2, 4));
        let later = Instant::from_millis(200);
        assert_eq!(board.mark_lost(later, &clock.with_patience(0)), (4, None));
        let starts: Vec<u64> =
            std::iter::from_fn(|| board.send_missing(later)).map(|(sent, _)| sent.start).collect();
        assert_eq!(starts, [0, 20, 30, 40]);
        assert_eq!((board.lost(), board.retransmitted(), board.in_flight()), (4, 4, 4));
        // A segment sent after these retransmissions arrives: they are lost again.
        board.send_new(Instant::from_millis(201), 10);
        let mut progress = board.progress();
        board.sack(&(60..70), Instant::from_millis(300), &mut clock, &mut progress);
        assert_eq!(board.mark_lost(Instant::from_millis(400), &clock.with_patience(0)).0, 4);
        assert_eq!(board.in_flight(), 0);
    }
}
