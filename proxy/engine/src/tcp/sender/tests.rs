//! The sender's mechanisms, one by one, without a network.

#![allow(clippy::single_range_in_vec_init, reason = "one block is reported")]

use super::timer::TimerKind;
use super::*;
use crate::segment::{Blocks, Data};
use jostle_common::ecn::Ecn;
use std::ops::Range;

const MS: u64 = 1_000_000;

/// A sender under test, which counts in segments of full size.
struct Bench {
    sender: Sender,
    now: Instant,
    /// What acknowledgements say of marks.
    congested: bool,
    marked: u64,
}

impl Bench {
    /// Creates a Reno sender after a handshake of `rtt` milliseconds, with so many segments to
    /// send.
    fn new(rtt: u64, segments: u64) -> Self {
        Self::of(CongestionControl::Reno, rtt, segments)
    }

    /// Creates a sender under another control.
    fn of(control: CongestionControl, rtt: u64, segments: u64) -> Self {
        let mut sender = Sender::new(control);
        let now = Instant::from_millis(rtt);
        sender.start(now, Some(rtt * MS), 0);
        sender.write(segments * u64::from(PAYLOAD_MAX));
        Self { sender, now, congested: false, marked: 0 }
    }

    /// Sends what may be sent; returns the numbers of the segments.
    fn send(&mut self) -> Vec<u64> {
        let polled = std::iter::from_fn(|| self.sender.poll(self.now));
        polled.map(|data: Data| data.start / u64::from(PAYLOAD_MAX)).collect()
    }

    /// Acknowledges, after `ms` milliseconds, segments below `next` and those in `blocks`; returns
    /// what is sent then.
    fn ack(&mut self, ms: u64, next: u64, blocks: &[Range<u64>]) -> Vec<u64> {
        self.now = self.now.plus_nanos(ms * MS);
        self.echo(self.now, next, blocks)
    }

    /// Does the same at once, caused by a segment sent at `echo`.
    fn echo(&mut self, echo: Instant, next: u64, blocks: &[Range<u64>]) -> Vec<u64> {
        let size = u64::from(PAYLOAD_MAX);
        let mut reported = Blocks::default();
        blocks.iter().for_each(|block| reported.push(block.start * size..block.end * size));
        let (congested, marked) = (self.congested, self.marked);
        let ack =
            Ack { next: next * size, blocks: reported, echo, congested, marked, train: (0, 0) };
        self.sender.handle_ack(self.now, &ack);
        self.send()
    }

    /// Lets the timer fire; returns the milliseconds that passed, and what is sent then.
    fn wait(&mut self) -> (u64, Vec<u64>) {
        let at = self.sender.deadline().expect("a timer runs");
        let passed = at.since(self.now).as_millis() as u64;
        self.now = at;
        self.sender.handle_timer(at);
        (passed, self.send())
    }

    fn timer(&self) -> (TimerKind, u64) {
        let timer = self.sender.timer.expect("a timer runs");
        (timer.kind, timer.at.as_nanos() / MS)
    }

    fn window(&self) -> u32 {
        self.sender.window.segments()
    }
}

#[test]
fn slow_start_begins_with_ten_segments_and_doubles() {
    let mut bench = Bench::new(100, 1000);
    assert_eq!(bench.send(), (0..10).collect::<Vec<_>>());
    assert_eq!(bench.ack(100, 2, &[]), [10, 11, 12, 13]);
    assert_eq!(bench.ack(1, 10, &[]).len(), 16);
    assert_eq!(bench.window(), 20);
}

#[test]
fn the_last_segment_carries_the_end() {
    let mut sender = Sender::new(CongestionControl::Reno);
    sender.start(Instant::START, Some(MS), 0);
    sender.write(2000);
    sender.finish();
    let first = sender.poll(Instant::START).unwrap();
    let last = sender.poll(Instant::START).unwrap();
    assert_eq!((first.payload, first.fin, first.end()), (1448, false, 1448));
    assert_eq!((last.start, last.payload, last.fin, last.end()), (1448, 552, true, 2001));
    assert_eq!(sender.poll(Instant::START), None);
    let (blocks, echo) = (Blocks::default(), Instant::START);
    let ack = |next| Ack {
        next,
        blocks: blocks.clone(),
        echo,
        congested: false,
        marked: 0,
        train: (0, 0),
    };
    sender.handle_ack(Instant::START, &ack(2000));
    assert!(!sender.is_done() && sender.sent() == 2000);
    sender.handle_ack(Instant::START, &ack(2001));
    assert!(sender.is_done() && sender.deadline().is_none());
}

#[test]
fn an_end_alone_is_a_segment() {
    let mut bench = Bench::new(100, 1);
    assert_eq!(bench.send(), [0]);
    bench.sender.finish();
    let end = bench.sender.poll(bench.now).unwrap();
    assert_eq!((end.start, end.payload, end.fin), (1448, 0, true));
}

#[test]
fn three_segments_beyond_a_hole_begin_recovery_at_once() {
    let mut bench = Bench::new(100, 1000);
    bench.send();
    assert_eq!(bench.ack(100, 0, &[1..2]), [10], "limited transmit");
    assert_eq!(bench.ack(1, 0, &[1..3]), [11]);
    assert_eq!(bench.ack(1, 0, &[1..4]), [0], "the hole");
    assert_eq!(bench.sender.phase, Phase::Recovery);
    assert_eq!(bench.sender.window.threshold(), 5);
    // Eight in flight are above the threshold of five: one goes for two that arrive.
    let sent: usize = (5..10).map(|end| bench.ack(1, 0, &[1..end]).len()).sum();
    assert!((1..=3).contains(&sent), "{sent} for five");
    bench.ack(95, 12, &[]);
    assert_eq!((bench.sender.phase, bench.window()), (Phase::Open, 5));
}

#[test]
fn one_segment_beyond_a_hole_waits_a_quarter_of_a_round_trip() {
    let mut bench = Bench::new(100, 1000);
    bench.send();
    assert_eq!(bench.ack(100, 0, &[1..2]), [10]);
    // Sent at 100 ms, lost at 100 + 100 + 25, looked at 2 ms later.
    assert_eq!(bench.timer(), (TimerKind::Reordering, 227));
    assert_eq!(bench.wait(), (27, vec![0]));
    assert_eq!(bench.sender.phase, Phase::Recovery);
}

#[test]
fn a_filled_hole_was_only_reordered_and_patience_stays() {
    let mut bench = Bench::new(100, 1000);
    bench.send();
    bench.ack(100, 0, &[1..2]);
    bench.ack(5, 2, &[]);
    assert_eq!((bench.sender.phase, bench.window()), (Phase::Open, 11));
    assert_eq!(bench.sender.counters().retransmissions, 0);
    // From now on three segments beyond a hole do not prove a loss.
    assert!(!bench.ack(1, 2, &[3..6]).contains(&2));
    assert_eq!(bench.timer().0, TimerKind::Reordering);
}

#[test]
fn a_needless_recovery_is_undone() {
    let mut bench = Bench::new(100, 1000);
    bench.send();
    let first_sent = bench.now;
    bench.ack(100, 0, &[1..4]);
    assert_eq!((bench.sender.phase, bench.sender.window.threshold()), (Phase::Recovery, 5));
    // The original comes after all, and its timestamp is older than the retransmission.
    bench.now = bench.now.plus_nanos(5 * MS);
    bench.echo(first_sent, 4, &[]);
    assert_eq!((bench.sender.phase, bench.sender.board.lost()), (Phase::Open, 0));
    assert!(bench.window() >= 10 && bench.sender.window.threshold() >= 8, "{}", bench.window());
    // The network reorders: three segments beyond a hole do not prove a loss any more.
    bench.ack(50, 4, &[5..9]);
    assert_eq!((bench.sender.phase, bench.timer().0), (Phase::Disorder, TimerKind::Reordering));
}

#[test]
fn a_needless_timeout_is_undone() {
    let mut bench = Bench::new(100, 1000);
    bench.send();
    let first_sent = bench.now;
    bench.wait();
    assert_eq!(bench.wait().1, [0]);
    assert_eq!((bench.sender.phase, bench.sender.board.lost()), (Phase::Loss, 11));
    // All was only late.
    bench.echo(first_sent, 2, &[]);
    assert_eq!((bench.sender.phase, bench.sender.board.lost()), (Phase::Open, 0));
    assert!(bench.window() >= 10, "{}", bench.window());
    assert_eq!(bench.sender.board.in_flight(), bench.sender.board.out());
}

#[test]
fn a_lost_retransmission_is_seen_by_what_was_sent_after_it() {
    // New data goes behind the retransmission, and arrives while that does not.
    let mut bench = Bench::new(100, 1000);
    bench.send();
    bench.ack(100, 0, &[1..4]);
    assert_eq!(bench.sender.board.retransmitted(), 1);
    let behind = bench.ack(10, 0, &[1..10]);
    assert!(behind.contains(&11), "{behind:?}");
    let again = bench.ack(100, 0, &[1..12]);
    assert_eq!(again[0], 0, "sent a third time");
    assert_eq!(bench.sender.counters().timeouts, 0);
}

#[test]
fn a_timeout_sends_the_head_alone_and_doubles() {
    let mut bench = Bench::new(100, 1000);
    bench.send();
    let probe = bench.wait();
    assert_eq!(probe, (202, vec![10]), "first a probe with new data");
    // Counted from the probe, not from the head: srtt + 200 ms.
    assert_eq!(bench.wait(), (300, vec![0]));
    assert_eq!((bench.sender.phase, bench.window()), (Phase::Loss, 1));
    assert_eq!(bench.sender.window.threshold(), 5);
    assert_eq!(bench.wait(), (600, vec![0]));
    assert_eq!(bench.wait(), (1200, vec![0]));
    assert_eq!(bench.sender.window.threshold(), 5, "once per episode");
    assert_eq!(bench.sender.counters().timeouts, 3);
    // The head arrives: slow start, one segment more for each that arrives.
    assert_eq!(bench.ack(100, 1, &[]), [1, 2]);
    assert_eq!(
        bench.timer().0,
        TimerKind::Retransmission,
        "no probes while all is taken to be lost"
    );
}

#[test]
fn a_timeout_spares_what_was_just_sent() {
    let mut bench = Bench::new(100, 1000);
    bench.send();
    bench.ack(100, 1, &[]);
    bench.wait();
    // The timer is put off until just before new data; that was sent a moment ago and is not lost.
    let at = bench.timer().1;
    bench.now = Instant::from_millis(at - 10);
    bench.sender.board.send_new(bench.now, PAYLOAD_MAX);
    bench.wait();
    let lost = bench.sender.board.lost();
    assert_eq!(lost, bench.sender.board.out() - 1, "all but the last");
}

#[test]
fn a_probe_repeats_the_last_segment_when_there_is_nothing_new() {
    let mut bench = Bench::new(100, 3);
    assert_eq!(bench.send(), [0, 1, 2]);
    assert_eq!(bench.wait(), (202, vec![2]));
    assert_eq!((bench.window(), bench.sender.counters().probes), (10, 1));
    // It arrives: what is before it was lost, and is repaired without a timeout.
    assert!(bench.ack(100, 1, &[2..3]).is_empty(), "perhaps reordered");
    assert_eq!(bench.wait().1, [1]);
    assert_eq!(bench.sender.counters().timeouts, 0);
}

#[test]
fn a_single_segment_is_probed_after_the_delayed_acknowledgement() {
    let mut bench = Bench::new(100, 1);
    bench.send();
    // 2·100 + 200, but the retransmission timeout of 100 + 200 comes first.
    assert_eq!(bench.wait(), (300, vec![0]));
    assert_eq!((bench.sender.counters().probes, bench.sender.counters().timeouts), (1, 0));
    assert_eq!(bench.wait(), (300, vec![0]));
    assert_eq!((bench.sender.counters().probes, bench.sender.counters().timeouts), (1, 1));
}

#[test]
fn an_acknowledgement_that_raises_suspicion_does_not_put_off_the_timeout() {
    let mut bench = Bench::new(100, 1000);
    bench.send();
    bench.ack(100, 1, &[2..3]);
    let (kind, at) = bench.timer();
    assert_eq!((kind, at), (TimerKind::Reordering, 227));
    assert_eq!(bench.wait().1[0], 1);
    // Retransmitting the head restarts the timeout: at 227 ms, after srtt + max(200, 4·rttvar).
    assert_eq!(bench.timer(), (TimerKind::Retransmission, 227 + 300));
}

#[test]
fn a_window_that_is_not_used_does_not_grow() {
    let mut bench = Bench::new(100, 2);
    bench.send();
    bench.ack(100, 2, &[]);
    for round in 1..=50 {
        bench.sender.write(2 * u64::from(PAYLOAD_MAX));
        assert_eq!(bench.send().len(), 2);
        bench.ack(100, 2 * round + 2, &[]);
    }
    assert_eq!(bench.window(), 10);
}

#[test]
fn a_handshake_that_was_repeated_twice_begins_with_one_segment() {
    for (repetitions, want) in [(0, 10), (1, 10), (2, 1)] {
        let mut sender = Sender::new(CongestionControl::Cubic);
        sender.start(Instant::from_secs(2), Some(MS), repetitions);
        sender.write(1 << 20);
        let sent = std::iter::from_fn(|| sender.poll(Instant::from_secs(2))).count();
        assert_eq!(sent, want);
    }
}

#[test]
fn an_acknowledgement_of_what_was_never_sent_is_ignored() {
    let mut bench = Bench::new(100, 100);
    bench.send();
    assert!(bench.ack(100, 11, &[]).is_empty());
    assert!(bench.ack(0, 0, &[50..60]).is_empty());
    assert_eq!((bench.sender.board.acknowledged(), bench.sender.board.sacked()), (0, 0));
}

/// Acknowledges one more segment each millisecond, from `from` to `to`; returns what was sent then:
/// the number of each segment, what its header says, and whether it tells of an answer.
fn acknowledge(bench: &mut Bench, from: u64, to: u64) -> Vec<(u64, Ecn, bool)> {
    let mut sent = Vec::new();
    for next in from..=to {
        let (blocks, echo) = (Blocks::default(), bench.now);
        let (congested, marked) = (bench.congested, bench.marked);
        let next = next * u64::from(PAYLOAD_MAX);
        bench.now = bench.now.plus_nanos(MS);
        bench
            .sender
            .handle_ack(bench.now, &Ack { next, blocks, echo, congested, marked, train: (0, 0) });
        let polled = std::iter::from_fn(|| bench.sender.poll(bench.now));
        sent.extend(
            polled.map(|data| (data.start / u64::from(PAYLOAD_MAX), data.ecn, data.answered)),
        );
    }
    sent
}

#[test]
fn a_mark_halves_the_window_once_and_has_nothing_sent_again() {
    let mut bench = Bench::of(CongestionControl::RenoEcn, 100, 1000);
    bench.send();
    bench.ack(100, 10, &[]);
    assert_eq!(bench.window(), 20);
    bench.congested = true;
    // Ten go for twenty that arrive, the first of them with the answer.
    let sent = acknowledge(&mut bench, 11, 30);
    assert_eq!(bench.sender.phase, Phase::Reduced);
    let numbers: Vec<u64> = sent.iter().map(|sent| sent.0).collect();
    assert_eq!(numbers, (30..40).collect::<Vec<_>>());
    assert!(sent.iter().all(|sent| sent.1 == Ecn::Ect0));
    assert!(sent.iter().all(|sent| sent.2 == (sent.0 == 30)), "{sent:?}");
    // The receiver has it: it is over, and growth begins again.
    bench.congested = false;
    acknowledge(&mut bench, 31, 31);
    assert_eq!((bench.sender.phase, bench.window()), (Phase::Open, 10));
    acknowledge(&mut bench, 32, 45);
    assert_eq!(bench.window(), 11);
    let counters = bench.sender.counters();
    assert_eq!((counters.mark_reductions, counters.retransmissions), (1, 0));
}

#[test]
fn a_loss_amid_the_answer_to_a_mark_lowers_nothing_further() {
    let mut bench = Bench::of(CongestionControl::RenoEcn, 100, 1000);
    bench.send();
    bench.ack(100, 10, &[]);
    bench.congested = true;
    acknowledge(&mut bench, 11, 14);
    let threshold = bench.sender.window.threshold();
    let again = bench.ack(1, 14, &[15..19]);
    assert_eq!((bench.sender.phase, again.first()), (Phase::Recovery, Some(&14)));
    assert_eq!(bench.sender.window.threshold(), threshold, "one reduction a window");
    // What is sent again takes no marks.
    assert_eq!(bench.sender.counters().retransmissions, 1);
    assert_eq!(bench.sender.marks.of_segment(false), Ecn::NotEct);
}

#[test]
fn dctcp_lowers_the_window_by_half_the_share_and_goes_on_growing() {
    let mut bench = Bench::of(CongestionControl::Prague, 100, 10_000);
    bench.send();
    bench.ack(100, 10, &[]);
    bench.marked = 1;
    let sent = acknowledge(&mut bench, 11, 11);
    // The share was 1, and a round trip without a mark has made it 15/16: nine of twenty go.
    assert!(sent.is_empty() && bench.window() == 11, "{}", bench.window());
    // The next answer waits for what was sent by then.
    bench.marked = 2;
    acknowledge(&mut bench, 12, 29);
    assert_eq!(bench.sender.counters().mark_reductions, 1);
    bench.marked = 3;
    let sent = acknowledge(&mut bench, 30, 30);
    assert_eq!(bench.sender.counters().mark_reductions, 2);
    assert!(sent.iter().all(|sent| sent.1 == Ecn::Ect1 && !sent.2));
}
