//! The receiving half of one direction of a connection: puts segments in order and decides when to
//! acknowledge.

use super::echo::Echo;
use super::ranges::RangeSet;
use crate::segment::{Ack, Blocks, Data};
use jostle_common::time::Instant;
use std::ops::Range;
use std::time::Duration;

/// The longest that an acknowledgement is put off (Linux's TCP_DELACK_MIN).
const DELAY: Duration = Duration::from_millis(40);

/// So many segments are acknowledged at once (RFC 5681 §4.2).
const SEGMENTS_PER_ACK: u32 = 2;

/// So many blocks are remembered for acknowledgements (Linux's TCP_NUM_SACKS; three fit into one).
const BLOCKS_REMEMBERED: usize = 4;

/// The receiving half.
#[derive(Debug, Default)]
pub(super) struct Receiver {
    /// Everything before this offset has arrived.
    next: u64,
    /// The bytes that have arrived beyond.
    held: RangeSet,
    /// Ranges of `held`, the one with the latest arrival first: what the next acknowledgement
    /// reports.
    recent: Vec<Range<u64>>,
    /// The place that the stream's end takes, once it is known.
    fin: Option<u64>,
    /// Segments that arrived since the last acknowledgement was sent.
    unacknowledged: u32,
    /// The time at which the delayed acknowledgement goes.
    delayed: Option<Instant>,
    ack_now: bool,
    /// The offset last acknowledged.
    acknowledged: u64,
    /// The timestamp to echo.
    echo: Instant,
    marks: Echo,
}

impl Receiver {
    /// Creates the receiver for a sender that answers each mark, or the news of marks alone.
    pub(super) fn new(accurate: bool) -> Self {
        Self { marks: Echo::new(accurate), ..Self::default() }
    }

    /// Takes in a segment that arrives at `now`, marked on its way or not.
    pub(super) fn handle(&mut self, now: Instant, data: &Data, marked: bool) {
        self.ack_now |= self.marks.handle(marked, data.answered);
        if data.start <= self.acknowledged {
            // RFC 7323 §4.3: of several segments that one acknowledgement covers, the first is
            // echoed.
            self.echo = self.echo.max(data.sent);
        }
        if data.fin {
            self.fin = Some(data.end() - 1);
        }
        if data.end() <= self.next {
            // It had arrived before: perhaps its acknowledgement was lost.
            self.ack_now = true;
        } else if data.start > self.next {
            self.hold(data.start..data.end());
            self.ack_now = true;
        } else {
            let had_hole = !self.held.is_empty();
            self.advance(data.end());
            self.unacknowledged += 1;
            self.ack_now |= had_hole || data.fin || self.unacknowledged >= SEGMENTS_PER_ACK;
        }
        if !self.ack_now && self.delayed.is_none() {
            self.delayed = Some(now + DELAY);
        }
    }

    fn hold(&mut self, range: Range<u64>) {
        // The block with the latest arrival goes first, and swallows those that it now reaches.
        let whole = self.held.insert(range);
        self.recent.retain(|block| block.end < whole.start || block.start > whole.end);
        self.recent.truncate(BLOCKS_REMEMBERED - 1);
        self.recent.insert(0, whole);
    }

    fn advance(&mut self, end: u64) {
        self.next = end;
        while let Some(range) = self.held.take_reaching(self.next) {
            self.next = self.next.max(range.end);
        }
        let next = self.next;
        self.recent.retain(|block| block.start > next);
    }

    /// Returns the number of bytes of the stream that have arrived in order.
    pub(super) fn in_order(&self) -> u64 {
        self.fin.map_or(self.next, |fin| self.next.min(fin))
    }

    /// Returns true if all of the stream has arrived, and its end.
    pub(super) fn is_complete(&self) -> bool {
        self.fin.is_some_and(|fin| self.next > fin)
    }

    /// Asks for an acknowledgement at once.
    pub(super) const fn request_ack(&mut self) {
        self.ack_now = true;
    }

    /// Returns the time at which a delayed acknowledgement is due.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.delayed
    }

    /// Returns the acknowledgement to send at `now`, if one is due. It says what the receiver has
    /// now: read later, when it arrives, it would tell the sender of segments half a round trip too
    /// early.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Ack> {
        if !self.ack_now && self.delayed.is_none_or(|at| at > now) {
            return None;
        }
        self.ack_now = false;
        self.delayed = None;
        self.unacknowledged = 0;
        self.acknowledged = self.next;
        let mut blocks = Blocks::default();
        self.recent.iter().for_each(|block| blocks.push(block.clone()));
        let (congested, marked) = (self.marks.is_congested(), self.marks.marked());
        Some(Ack { next: self.next, blocks, echo: self.echo, congested, marked, train: (0, 0) })
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "one block is reported")]
mod tests {
    use super::*;
    use jostle_common::ecn::Ecn;

    const MS: fn(u64) -> Instant = Instant::from_millis;

    fn data(number: u64) -> Data {
        let (start, sent) = (number * 100, MS(number));
        Data { start, payload: 100, fin: false, sent, ecn: Ecn::NotEct, answered: false }
    }

    /// Returns what is acknowledged at the moment segment `number` arrives.
    fn arrive(receiver: &mut Receiver, at: u64, number: u64) -> Option<(u64, Vec<Range<u64>>)> {
        receiver.handle(MS(at), &data(number), false);
        receiver.poll(MS(at)).map(|ack| (ack.next, ack.blocks.as_slice().to_vec()))
    }

    #[test]
    fn acknowledges_each_second_segment_or_after_forty_milliseconds() {
        let mut receiver = Receiver::default();
        assert_eq!(arrive(&mut receiver, 100, 0), None);
        assert_eq!(receiver.deadline(), Some(MS(140)));
        assert_eq!(arrive(&mut receiver, 101, 1), Some((200, vec![])));
        assert_eq!(receiver.deadline(), None);
        assert_eq!(arrive(&mut receiver, 110, 2), None);
        assert_eq!(receiver.poll(MS(149)), None);
        assert_eq!(receiver.poll(MS(150)).unwrap().next, 300);
    }

    #[test]
    fn acknowledges_at_once_while_something_is_missing_and_when_it_comes() {
        let mut receiver = Receiver::default();
        assert_eq!(arrive(&mut receiver, 1, 1), Some((0, vec![100..200])));
        assert_eq!(arrive(&mut receiver, 2, 3), Some((0, vec![300..400, 100..200])));
        assert_eq!(arrive(&mut receiver, 3, 4), Some((0, vec![300..500, 100..200])));
        assert_eq!(arrive(&mut receiver, 4, 0), Some((200, vec![300..500])), "a hole closes");
        assert_eq!(arrive(&mut receiver, 5, 2), Some((500, vec![])), "the last hole closes");
        assert_eq!(arrive(&mut receiver, 6, 5), None, "all is in order again");
    }

    #[test]
    fn reports_the_three_latest_blocks() {
        let mut receiver = Receiver::default();
        for number in [1, 3, 5, 7] {
            arrive(&mut receiver, number, number);
        }
        let (_, blocks) = arrive(&mut receiver, 9, 9).unwrap();
        assert_eq!(blocks, [900..1000, 700..800, 500..600]);
        // A block that was crowded out comes back whole when it grows.
        let (_, blocks) = arrive(&mut receiver, 10, 2).unwrap();
        assert_eq!(blocks, [100..400, 900..1000, 700..800]);
    }

    #[test]
    fn a_duplicate_is_acknowledged_at_once_and_harmless() {
        let mut receiver = Receiver::default();
        arrive(&mut receiver, 1, 0);
        arrive(&mut receiver, 2, 1);
        assert_eq!(arrive(&mut receiver, 3, 0), Some((200, vec![])));
        arrive(&mut receiver, 4, 5);
        assert_eq!(arrive(&mut receiver, 5, 5), Some((200, vec![500..600])));
        assert_eq!(receiver.in_order(), 200);
    }

    #[test]
    fn echoes_the_first_segment_that_waited() {
        let mut receiver = Receiver::default();
        receiver.handle(MS(50), &data(0), false);
        receiver.handle(MS(60), &data(1), false);
        assert_eq!(receiver.poll(MS(60)).unwrap().echo, MS(0));
        receiver.handle(MS(70), &data(2), false);
        receiver.handle(MS(71), &data(3), false);
        assert_eq!(receiver.poll(MS(71)).unwrap().echo, MS(2));
    }

    #[test]
    fn the_end_waits_for_what_is_before_it() {
        let mut receiver = Receiver::default();
        let fin = Data { fin: true, ..data(1) };
        receiver.handle(MS(1), &fin, false);
        assert!(!receiver.is_complete() && receiver.in_order() == 0);
        receiver.handle(MS(2), &data(0), false);
        assert!(receiver.is_complete() && receiver.in_order() == 200);
        assert_eq!(receiver.poll(MS(2)).unwrap().next, 201);
    }
}
