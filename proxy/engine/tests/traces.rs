//! A rate by a trace: packets leave at the opportunities that mahimahi would send them at.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use jostle_common::chance::{Direction, DrawStream, below};
use jostle_common::time::Instant;
use jostle_common::units::{BitRate, ByteSize};
use jostle_engine::link::Link;
use jostle_engine::packet::{Body, Packet};
use jostle_engine::profile::{Queue, Rule, RuleKind, Timeline};
use jostle_engine::rules::RateTrace;
use jostle_engine::rules::{Discipline, Rate, RateSource};
use jostle_engine::stage::{Output, Stage};
use std::collections::VecDeque;
use std::sync::Arc;
use support::{drain, drain_all, link, packet};

const MS: u64 = 1_000_000;

fn traced(millis: &[u64], queue: Option<Queue>, discipline: Discipline) -> Link {
    let source = RateSource::Trace(Arc::new(RateTrace::new(millis.to_vec()).unwrap()));
    let rate = Rate { source, queue, discipline, ..Rate::constant(BitRate::new(1).unwrap()) };
    link(1, &Timeline::constant(vec![Rule::only(RuleKind::Rate(rate))]))
}

/// Feeds arrivals; the numbers and times of what was delivered, and the numbers of what was not.
fn fates(link: &mut Link, arrivals: &[(u64, usize)]) -> (Vec<(u64, u64)>, Vec<u64>) {
    let (mut delivered, mut discarded) = (Vec::new(), Vec::new());
    let mut see = |outputs: Vec<Output>| {
        for output in outputs {
            match output {
                Output::Deliver(packet) => delivered.push((packet.number, packet.at.as_nanos())),
                Output::Discard(packet, _) => discarded.push(packet.number),
            }
        }
    };
    for (at, size) in arrivals {
        see(drain(link, Instant::from_nanos(*at)));
        link.handle(packet(*at, *size));
    }
    see(drain_all(link));
    (delivered, discarded)
}

/// Mahimahi's link queue, as its `rationalize` does it: every opportunity is used or burnt in its
/// turn.
struct Mahimahi {
    schedule: Vec<u64>,
    next: usize,
    base: u64,
    bytes_max: u64,
    packets_max: usize,
    drops_head: bool,
    queue: VecDeque<(u64, u64)>,
    in_transit: Option<u64>,
    in_transit_left: u64,
    delivered: Vec<(u64, u64)>,
    discarded: Vec<u64>,
}

impl Mahimahi {
    fn next_delivery_time(&self) -> u64 {
        (self.base + self.schedule[self.next]) * MS
    }

    fn rationalize(&mut self, now: u64) {
        while self.next_delivery_time() <= now {
            let this_delivery = self.next_delivery_time();
            let mut bytes_left = 1504;
            self.next = (self.next + 1) % self.schedule.len();
            if self.next == 0 {
                self.base += self.schedule.last().unwrap();
            }
            while bytes_left > 0 {
                if self.in_transit_left == 0 {
                    let Some((number, size)) = self.queue.pop_front() else { break };
                    (self.in_transit, self.in_transit_left) = (Some(number), size);
                }
                let sent = bytes_left.min(self.in_transit_left);
                self.in_transit_left -= sent;
                bytes_left -= sent;
                if self.in_transit_left == 0 {
                    self.delivered.push((self.in_transit.unwrap(), this_delivery));
                }
            }
        }
    }

    fn is_good_with(&self, bytes: u64, packets: usize) -> bool {
        let waiting: u64 = self.queue.iter().map(|(_, size)| size).sum();
        waiting + bytes <= self.bytes_max && self.queue.len() + packets <= self.packets_max
    }

    fn read_packet(&mut self, now: u64, number: u64, size: u64) {
        self.rationalize(now);
        if self.drops_head {
            self.queue.push_back((number, size));
            while !self.is_good_with(0, 0) {
                self.discarded.push(self.queue.pop_front().unwrap().0);
            }
        } else if self.is_good_with(size, 1) {
            self.queue.push_back((number, size));
        } else {
            self.discarded.push(number);
        }
    }
}

/// A trace of so many lines: pauses, single opportunities, and several in a millisecond.
fn made_up(seed: u64, lines: u64) -> Vec<u64> {
    let stream = DrawStream::new(seed, "test", Direction::Up, "trace");
    let mut at = 0;
    let mut millis: Vec<u64> = (0..lines)
        .map(|index| {
            let draw = stream.draw(index, 0, 0);
            at += match below(draw.first(), 20) {
                0 => below(draw.second(), 60),
                1..8 => 0,
                _ => below(draw.second(), 3),
            };
            at
        })
        .collect();
    millis.push(at + 1);
    millis
}

#[test]
fn packets_leave_when_mahimahi_lets_them_leave() {
    let bounds = [
        (Queue::Packets(5), u64::MAX, 5, Discipline::Tail),
        (Queue::Bytes(ByteSize::new(6000)), 6000, usize::MAX, Discipline::Tail),
        (Queue::Packets(7), u64::MAX, 7, Discipline::Head),
        (Queue::Bytes(ByteSize::new(20_000)), 20_000, usize::MAX, Discipline::Head),
        (Queue::Packets(1_000_000), u64::MAX, usize::MAX, Discipline::Tail),
    ];
    let mut compared = 0;
    for (seed, (queue, bytes_max, packets_max, discipline)) in
        (1..=25).zip(bounds.into_iter().cycle())
    {
        let schedule = made_up(seed, 1 + seed * seed * 3);
        let stream = DrawStream::new(seed, "test", Direction::Up, "arrivals");
        let mut at = 0;
        let arrivals: Vec<(u64, usize)> = (0..3000)
            .map(|index| {
                let draw = stream.draw(index, 0, 0);
                // Many come together, and some just at an opportunity.
                at += match below(draw.first(), 4) {
                    0 => 0,
                    1 => below(draw.second(), 100_000),
                    2 => below(draw.second(), 3_000_000),
                    _ => MS - at % MS,
                };
                (at, 1 + below(draw.first() << 20, 1504) as usize)
            })
            .collect();
        let mut theirs = Mahimahi {
            schedule: schedule.clone(),
            next: 0,
            // Both begin with the first packet.
            base: 0,
            bytes_max,
            packets_max,
            drops_head: discipline == Discipline::Head,
            queue: VecDeque::new(),
            in_transit: None,
            in_transit_left: 0,
            delivered: Vec::new(),
            discarded: Vec::new(),
        };
        let epoch = arrivals[0].0;
        let shifted: Vec<(u64, usize)> =
            arrivals.iter().map(|(at, size)| (at - epoch, *size)).collect();
        for (number, (at, size)) in (1..).zip(&shifted) {
            theirs.read_packet(*at, number, *size as u64);
        }
        theirs.rationalize(at + 3_600_000 * MS);
        let (delivered, discarded) =
            fates(&mut traced(&schedule, Some(queue), discipline), &shifted);
        assert_eq!(delivered, theirs.delivered, "seed {seed}, {queue:?} {discipline:?}");
        assert_eq!(discarded, theirs.discarded, "seed {seed}");
        compared += delivered.len();
    }
    assert!(compared > 30_000, "{compared}");
}

#[test]
fn a_busy_link_delivers_at_every_opportunity_round_after_round() {
    for lines in [1, 7, 5000] {
        let schedule = made_up(lines, lines);
        let period = *schedule.last().unwrap();
        let mut link = traced(&schedule, Some(Queue::Packets(1_000_000)), Discipline::Tail);
        let rounds = 20_000 / schedule.len() as u64 + 2;
        let expected: Vec<u64> = (0..rounds)
            .flat_map(|round| schedule.iter().map(move |at| round * period + at))
            // What comes at 0 finds the opportunity of that moment gone.
            .filter(|at| *at > 0)
            .take(20_000)
            .collect();
        let (delivered, _) = fates(&mut link, &[(0, 1504); 20_000]);
        let found: Vec<u64> = delivered.iter().map(|(_, at)| at / MS).collect();
        assert!(delivered.iter().all(|(_, at)| at % MS == 0));
        assert_eq!(found, expected);
    }
}

#[test]
fn an_opportunity_carries_small_packets_and_parts_of_large_ones() {
    let mut link = traced(&[10, 20, 20, 30], Some(Queue::Packets(100)), Discipline::Tail);
    let arrivals = [(0, 1000), (0, 504), (0, 1505), (0, 3000), (0, 1), (0, 9000)];
    let (delivered, _) = fates(&mut link, &arrivals);
    let times: Vec<u64> = delivered.iter().map(|(_, at)| at / MS).collect();
    // 1505, 3000 and 1 bytes take three opportunities but for 6 bytes; the other 8994 of the last
    // packet take six, up to that at 80.
    assert_eq!(times, [10, 10, 20, 30, 30, 80]);
}

#[test]
fn an_opportunity_nobody_waits_for_is_gone() {
    let mut link = traced(&[10], Some(Queue::Packets(100)), Discipline::Tail);
    let (delivered, _) = fates(
        &mut link,
        &[(0, 100), (10 * MS, 100), (19 * MS + 999_999, 100), (3_600_000 * MS, 100)],
    );
    let times: Vec<u64> = delivered.iter().map(|(_, at)| at / MS).collect();
    assert_eq!(times, [10, 20, 20, 3_600_010]);
}

#[test]
fn the_default_queue_is_a_tenth_of_a_second_of_the_mean_or_ten_packets() {
    let kept = |millis: &[u64], size| {
        let (delivered, _) = fates(&mut traced(millis, None, Discipline::Tail), &[(0, size); 1000]);
        delivered.len()
    };
    // An opportunity each millisecond: 150,400 bytes in 100 ms.
    assert_eq!(kept(&[1], 1504), 100);
    assert_eq!(kept(&[1], 376), 400);
    assert_eq!(kept(&[100], 1504), 10);
}

#[test]
fn marks_pass_in_order_and_take_no_opportunity() {
    let mut link = traced(&[10], Some(Queue::Packets(1)), Discipline::Head);
    let mark = |at: u64| Packet::new(1, Instant::from_nanos(at), Body::End);
    let mut outputs = Vec::new();
    for packet in
        [mark(0), packet(1, 1504), mark(2), packet(3, 1504), mark(4), packet(5, 1504), mark(6)]
    {
        outputs.extend(drain(&mut link, packet.at));
        link.handle(packet);
    }
    outputs.extend(drain_all(&mut link));
    let seen: Vec<(u64, u64, bool)> = outputs
        .iter()
        .map(|output| {
            let packet = output.packet();
            (packet.number, packet.at.as_nanos(), matches!(output, Output::Deliver(_)))
        })
        .collect();
    let expected = [
        (0, 0, true),
        (1, 3, false),
        (2, 5, false),
        // They have come behind a packet, and go with the next.
        (0, 10 * MS, true),
        (0, 10 * MS, true),
        (3, 10 * MS, true),
        (0, 10 * MS, true),
    ];
    assert_eq!(seen, expected);
}
