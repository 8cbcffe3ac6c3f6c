//! The promises of raw streams: units vanish, flip and double whole; what is not hit arrives, in
//! order, and nothing depends on how the stream came or when it was polled.

use super::*;
use crate::profile::{Profile, Rule, RuleKind};
use crate::rules::{Corrupt, Delay, Drop, Duplicate, Flips, Rate, Shape};
use crate::stage::Output;
use jostle_common::units::Probability;
use std::time::Duration;

const UP: Direction = Direction::Up;

fn ms(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn profile(kinds: Vec<RuleKind>) -> Profile {
    let rules = Timeline::constant(kinds.into_iter().map(Rule::only).collect());
    Profile { up: rules.clone(), down: rules, ..Profile::default() }
}

fn delay(millis: u64, jitter: u64) -> RuleKind {
    RuleKind::Delay(Delay::drawn(
        Duration::from_millis(millis),
        Duration::from_millis(jitter),
        Shape::Uniform,
    ))
}

fn chance(p: f64) -> Probability {
    Probability::new(p).unwrap()
}

fn streams(kinds: Vec<RuleKind>, unit: Unit) -> RawStreams {
    let profile = profile(kinds);
    RawStreams::new(Link::both(&profile, 11, "raw"), unit, Memory::default())
}

/// The part of one stream that a receiver sees.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    bytes: Vec<u8>,
    end: Option<&'static str>,
    packets: u64,
    lost: u64,
}

fn take(raw: &mut RawStreams, now: Instant, seen: &mut Seen) {
    while let Some(event) = raw.poll(now) {
        match event {
            Event::Packet(_, output) if output.packet().is_mark() => {}
            Event::Packet(_, Output::Deliver(_)) => seen.packets += 1,
            Event::Packet(_, Output::Discard(..)) => seen.lost += 1,
            Event::Data { id, direction, bytes } => {
                assert_eq!(seen.end, None, "nothing follows the end");
                raw.consumed(now, id, direction, bytes.len());
                seen.bytes.extend_from_slice(&bytes);
            }
            Event::End { .. } => seen.end = Some("end"),
            Event::Reset { .. } => seen.end = Some("reset"),
            _ => {}
        }
    }
}

/// Sends `text` up in pieces of `piece` bytes, a millisecond apart, with a poll every `poll`
/// milliseconds.
fn send(kinds: Vec<RuleKind>, unit: Unit, text: &[u8], piece: usize, poll: u64) -> Seen {
    let mut raw = streams(kinds, unit);
    raw.open(ms(0), 1);
    let mut seen = Seen::default();
    let mut now = 0;
    for bytes in text.chunks(piece) {
        raw.push(ms(now), 1, UP, Bytes::copy_from_slice(bytes));
        now += 1;
        if now % poll == 0 {
            take(&mut raw, ms(now), &mut seen);
        }
    }
    raw.finish(ms(now), 1, UP);
    take(&mut raw, ms(now + 10_000), &mut seen);
    assert_eq!(raw.deadline(), None);
    assert!(raw.is_drained());
    assert_eq!(raw.memory.used(), 0, "everything inside was consumed or lost");
    seen
}

fn lines(count: usize) -> Vec<u8> {
    (0..count).flat_map(|n| format!("line {n} of {count}\n").into_bytes()).collect()
}

#[test]
fn without_rules_a_stream_crosses_whole() {
    let text = lines(1000);
    for unit in [Unit::Line, Unit::Bytes(1), Unit::Bytes(100), Unit::Bytes(1 << 40), Unit::Read] {
        for piece in [1, 7, 10_000] {
            let seen = send(vec![], unit, &text, piece, 1);
            assert!(seen.bytes == text, "{unit:?} {piece}");
            assert_eq!(seen.end, Some("end"));
        }
    }
}

#[test]
fn lines_vanish_whole() {
    let text = lines(2000);
    let drop = || vec![RuleKind::Drop(Drop::Chance(chance(0.2)))];
    let seen = send(drop(), Unit::Line, &text, 13, 5);
    assert_eq!(seen.packets + seen.lost, 2000);
    // 400 expected, sd 18; five of them.
    assert!((310..=490).contains(&seen.lost), "{}", seen.lost);
    let arrived: Vec<&[u8]> = seen.bytes.split_inclusive(|byte| *byte == b'\n').collect();
    assert_eq!(arrived.len() as u64, seen.packets);
    let mut sent = text.split_inclusive(|byte| *byte == b'\n');
    assert!(arrived.iter().all(|line| sent.any(|other| other == *line)), "whole lines, in order");
    assert!(send(drop(), Unit::Line, &text, 10_000, 1) == seen, "however the stream came");
}

#[test]
fn blocks_share_a_fate_however_the_stream_came() {
    let text = lines(3000);
    for kinds in [
        vec![RuleKind::Drop(Drop::Every(3))],
        vec![RuleKind::Corrupt(Corrupt {
            flips: Flips::Bits { chance: chance(0.3), bits: 3 },
            range: None,
        })],
        vec![RuleKind::Duplicate(Duplicate {
            chance: chance(0.3),
            copies: 2,
            gap: Duration::ZERO,
        })],
        vec![RuleKind::Drop(Drop::Chance(chance(0.2))), delay(20, 0)],
        vec![
            RuleKind::Duplicate(Duplicate { chance: chance(0.3), copies: 1, gap: Duration::ZERO }),
            RuleKind::Drop(Drop::Chance(chance(0.3))),
            delay(20, 0),
        ],
    ] {
        // A length that blocks divide: a copy of a block that never becomes whole would not come.
        let text = &text[..text.len() / 96 * 96];
        let reference = send(kinds.clone(), Unit::Bytes(96), text, 96, 1);
        assert!(reference.bytes != text, "the rule did something: {kinds:?}");
        for (piece, poll) in [(1, 1), (7, 3), (1000, 1), (100_000, 1)] {
            assert!(
                send(kinds.clone(), Unit::Bytes(96), text, piece, poll) == reference,
                "{kinds:?} {piece}"
            );
        }
    }
}

#[test]
fn a_copy_comes_though_its_original_is_lost_and_its_block_is_the_last() {
    // The copy has a draw of its own.
    let kinds = || {
        vec![
            RuleKind::Duplicate(Duplicate {
                chance: Probability::ALWAYS,
                copies: 1,
                gap: Duration::ZERO,
            }),
            RuleKind::Drop(Drop::Chance(chance(0.5))),
            delay(20, 0),
        ]
    };
    let text: Vec<u8> = (0..96 * 400 + 50).map(|n| (n / 96 % 251) as u8).collect();
    for piece in [1, 50, 1000] {
        let seen = send(kinds(), Unit::Bytes(96), &text, piece, 1);
        assert_eq!(seen.packets + seen.lost, 802);
        // 401 expected, sd 14; five of them.
        assert!((331..=471).contains(&seen.packets), "{}", seen.packets);
        let short = seen.bytes.len() % 96 / 50 + if seen.bytes.len() % 96 == 4 { 2 } else { 0 };
        assert!(short <= 2, "the last block has 50 bytes, once or twice");
        let whole = (seen.bytes.len() - 50 * short) / 96;
        assert_eq!((whole + short) as u64, seen.packets);
    }
}

#[test]
fn every_third_block_vanishes() {
    let text: Vec<u8> = (0..96 * 30).map(|n| (n / 96) as u8).collect();
    let seen = send(vec![RuleKind::Drop(Drop::Every(3))], Unit::Bytes(96), &text, 50, 1);
    let expected: Vec<u8> = text.iter().copied().filter(|block| block % 3 != 2).collect();
    assert_eq!(seen.bytes, expected);
    assert_eq!((seen.packets, seen.lost), (20, 10));
}

#[test]
fn blocks_do_not_wait_to_be_whole() {
    let mut raw = streams(vec![delay(20, 0)], Unit::Bytes(4096));
    raw.open(ms(0), 1);
    let mut seen = Seen::default();
    raw.push(ms(5), 1, UP, "first".into());
    take(&mut raw, ms(5), &mut seen);
    assert_eq!(raw.deadline(), Some(ms(25)));
    raw.push(ms(10), 1, UP, "second".into());
    take(&mut raw, ms(25), &mut seen);
    assert_eq!(seen.bytes, b"first");
    raw.push(ms(26), 1, UP, "third".into());
    take(&mut raw, ms(30), &mut seen);
    assert_eq!(seen.bytes, b"firstsecond", "later bytes have the same delay each");
    take(&mut raw, ms(46), &mut seen);
    assert_eq!(seen.bytes, b"firstsecondthird");
}

#[test]
fn corruption_flips_exactly_so_many_bits_of_a_block() {
    let text = vec![0u8; 96 * 200];
    let flips = Flips::Bits { chance: Probability::ALWAYS, bits: 3 };
    let corrupt = RuleKind::Corrupt(Corrupt { flips, range: Some(10..20) });
    let seen = send(vec![corrupt], Unit::Bytes(96), &text, 17, 1);
    assert_eq!(seen.bytes.len(), text.len());
    for block in seen.bytes.chunks(96) {
        assert_eq!(block.iter().map(|byte| byte.count_ones()).sum::<u32>(), 3);
        assert!(block[..10].iter().chain(&block[20..]).all(|byte| *byte == 0));
    }
}

#[test]
fn nothing_depends_on_when_it_was_polled() {
    let text = lines(500);
    let rate = RuleKind::Rate(Rate {
        queue: Some(crate::profile::Queue::Packets(40)),
        ..Rate::constant("1Mbit/s".parse().unwrap())
    });
    for unit in [Unit::Line, Unit::Bytes(64), Unit::Read] {
        let kinds = || vec![RuleKind::Drop(Drop::Chance(chance(0.1))), rate.clone(), delay(30, 20)];
        let often = send(kinds(), unit, &text, 40, 1);
        assert!(send(kinds(), unit, &text, 40, 8) == often, "{unit:?}");
        assert!(send(kinds(), unit, &text, 40, 1 << 40) == often, "{unit:?}");
    }
}

#[test]
fn an_unfinished_line_goes_after_200_ms() {
    let mut raw = streams(vec![], Unit::Line);
    raw.open(ms(0), 1);
    raw.open(ms(0), 2);
    let mut seen = Seen::default();
    raw.push(ms(10), 1, UP, "login: ".into());
    raw.push(ms(60), 2, UP, "password: ".into());
    take(&mut raw, ms(60), &mut seen);
    assert_eq!(raw.deadline(), Some(ms(210)));
    take(&mut raw, ms(209), &mut seen);
    assert_eq!(seen.bytes, b"");
    take(&mut raw, ms(210), &mut seen);
    assert_eq!(seen.bytes, b"login: ");
    assert_eq!(raw.deadline(), Some(ms(260)));
    raw.reset(ms(220), 2, UP);
    take(&mut raw, ms(220), &mut seen);
    assert_eq!(raw.deadline(), None, "an unfinished line goes with its connection");
    assert_eq!(raw.memory.used(), 0);
}

#[test]
fn a_reset_follows_what_is_under_way_and_ends_the_other_direction() {
    for unit in [Unit::Line, Unit::Bytes(4), Unit::Read] {
        let mut raw = streams(vec![delay(20, 0)], unit);
        raw.open(ms(0), 1);
        let (mut up, mut down) = (Vec::new(), Vec::new());
        raw.push(ms(0), 1, Direction::Down, "answer\n".into());
        raw.push(ms(1), 1, UP, "line\n".into());
        raw.push(ms(2), 1, UP, "cut off".into());
        raw.reset(ms(3), 1, UP);
        let mut reset_at = None;
        for now in 3..100 {
            while let Some(event) = raw.poll(ms(now)) {
                match event {
                    Event::Data { direction: UP, bytes, .. } => up.extend_from_slice(&bytes),
                    Event::Data { bytes, .. } => down.extend_from_slice(&bytes),
                    Event::Reset { id: 1, direction: UP } => reset_at = Some(now),
                    Event::Packet(..)
                    | Event::Established { .. }
                    | Event::Room { .. }
                    | Event::Closed { .. } => {}
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(reset_at, Some(23));
        let expected: &[u8] = if matches!(unit, Unit::Line) { b"line\n" } else { b"line\ncut off" };
        assert_eq!(up, expected, "{unit:?}");
        assert_eq!(down, b"", "nobody is there to read it");
        assert_eq!(raw.room(1, UP), 0, "the connection is forgotten");
        assert_eq!(raw.memory.used(), 0);
    }
}

#[test]
fn both_directions_end_on_their_own() {
    let mut raw = streams(vec![delay(20, 0)], Unit::Line);
    raw.open(ms(0), 7);
    raw.push(ms(0), 7, UP, "question".into());
    raw.finish(ms(0), 7, UP);
    let mut seen = Seen::default();
    take(&mut raw, ms(20), &mut seen);
    assert_eq!(seen, Seen { bytes: b"question".to_vec(), end: Some("end"), packets: 1, lost: 0 });
    raw.push(ms(1500), 7, Direction::Down, "late answer".into());
    raw.finish(ms(1500), 7, Direction::Down);
    let mut seen = Seen::default();
    take(&mut raw, ms(1520), &mut seen);
    assert_eq!(
        seen,
        Seen { bytes: b"late answer".to_vec(), end: Some("end"), packets: 1, lost: 0 }
    );
}

#[test]
fn room_is_bounded_in_bytes_and_in_units() {
    let mut raw = streams(vec![delay(1000, 0)], Unit::Line);
    raw.open(ms(0), 1);
    assert_eq!(raw.room(1, UP), UNITS_MAX);
    raw.push(ms(0), 1, UP, vec![b'\n'; UNITS_MAX].into());
    assert_eq!(raw.room(1, UP), 0);
    assert_eq!(raw.room(1, Direction::Down), UNITS_MAX);
    assert!(raw.memory.used() >= UNITS_MAX as u64 * PACKET_BYTES);
    let mut raw = streams(vec![delay(1000, 0)], Unit::Read);
    raw.open(ms(0), 1);
    while raw.room(1, UP) > 0 {
        raw.push(ms(0), 1, UP, vec![0; raw.room(1, UP)].into());
    }
    assert_eq!(raw.stream(1, UP).unwrap().inside, ROOM);
    let beside = raw.memory.used() - ROOM as u64;
    assert!((1..ROOM as u64 / 20).contains(&beside), "{beside} bytes besides what was pushed");
}

#[test]
fn packets_of_a_forgotten_connection_still_count() {
    let mut raw = streams(vec![delay(20, 0)], Unit::Line);
    raw.open(ms(0), 1);
    raw.reset(ms(0), 1, UP);
    raw.push(ms(10), 1, Direction::Down, "for nobody\n".into());
    let mut seen = Seen::default();
    take(&mut raw, ms(20), &mut seen);
    assert_eq!((seen.end, raw.room(1, UP)), (Some("reset"), 0));
    take(&mut raw, ms(30), &mut seen);
    assert_eq!((seen.packets, seen.bytes.len()), (1, 0));
    let counters = raw.link(Direction::Down).counters();
    assert_eq!((counters.entered, counters.delivered, counters.held), (1, 1, 0));
}

#[test]
fn a_connection_is_closed_when_both_streams_are_consumed() {
    let mut raw = streams(vec![], Unit::Read);
    raw.open(ms(0), 1);
    assert_eq!(raw.poll(ms(0)), Some(Event::Established { id: 1 }));
    raw.push(ms(0), 1, UP, "abc".into());
    raw.finish(ms(0), 1, UP);
    raw.finish(ms(0), 1, Direction::Down);
    let ended = std::iter::from_fn(|| raw.poll(ms(1)))
        .filter(|event| matches!(event, Event::End { .. }))
        .count();
    assert_eq!(ended, 2);
    raw.consumed(ms(2), 1, UP, 2);
    assert_eq!(raw.poll(ms(2)), None);
    raw.consumed(ms(2), 1, UP, 1);
    assert_eq!(raw.poll(ms(2)), Some(Event::Closed { id: 1 }));
}
