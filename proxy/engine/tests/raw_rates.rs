//! Checks that a speed limit on a raw route costs time and no bytes, unless a queue is asked for.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bytes::Bytes;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_engine::carrier::Carrier;
use jostle_engine::memory::Memory;
use jostle_engine::profile::Profile;
use jostle_engine::route::{TcpMode, Unit};
use jostle_engine::tcp::Event;

const BYTES: usize = 4 << 20;

/// A unit that takes a ninth of a second, even if it is only a short answer.
const LARGE: Unit = Unit::Bytes(64 << 10);

const UNITS: [Unit; 4] = [Unit::Line, Unit::Bytes(1448), LARGE, Unit::Read];

/// What became of an upload that is answered when all of it has come.
#[derive(Debug)]
struct Upload {
    received: usize,
    whole: Option<f64>,
    answered: Option<f64>,
    /// The most bytes by which the sender was ahead of the receiver.
    ahead: usize,
    discarded: u64,
}

/// Uploads through these rules in both directions; they come later if `live`.
fn upload(rules: &str, unit: Unit, live: bool) -> Upload {
    let profile = Profile::from_json(&format!(r#"{{ "both": [ {rules} ] }}"#)).unwrap();
    let begin = if live { Profile::default() } else { profile.clone() };
    let mut carrier = Carrier::new(&begin, TcpMode::Raw(unit), 7, "1", Memory::default());
    let mut now = Instant::START;
    carrier.open(now, 1);
    if live {
        for direction in Direction::BOTH {
            carrier.set_timeline(now, direction, profile.timeline(direction));
        }
    }
    let text: Bytes = (0..BYTES).map(|at| if at % 100 == 99 { b'\n' } else { b'x' }).collect();
    let mut upload = Upload { received: 0, whole: None, answered: None, ahead: 0, discarded: 0 };
    let mut pushed = 0;
    let mut finished = false;
    loop {
        while let Some(event) = carrier.poll(now) {
            match event {
                Event::Data { direction: Direction::Up, bytes, .. } => {
                    assert_eq!(bytes, text[upload.received..upload.received + bytes.len()]);
                    upload.received += bytes.len();
                    carrier.consumed(now, 1, Direction::Up, bytes.len());
                }
                Event::End { direction: Direction::Up, .. } => {
                    upload.whole = Some(now.since(Instant::START).as_secs_f64());
                    carrier.push(now, 1, Direction::Down, "thanks\n".into());
                    carrier.finish(now, 1, Direction::Down);
                }
                Event::Data { direction: Direction::Down, .. } => {
                    upload.answered = Some(now.since(Instant::START).as_secs_f64());
                }
                _ => {}
            }
        }
        let room = carrier.room(1, Direction::Up).min(BYTES - pushed);
        if room > 0 {
            carrier.push(now, 1, Direction::Up, text.slice(pushed..pushed + room));
            pushed += room;
            upload.ahead = upload.ahead.max(pushed - upload.received);
            continue;
        }
        if pushed == BYTES && !std::mem::replace(&mut finished, true) {
            carrier.finish(now, 1, Direction::Up);
            continue;
        }
        let Some(next) = carrier.deadline() else { break };
        now = now.max(next);
    }
    upload.discarded = carrier.link(Direction::Up).counters().discarded_total();
    upload
}

#[test]
fn four_megabytes_arrive_whole_and_in_time() {
    let rules = r#"{ "rule": "rate", "limit": "4800kbit/s" }, { "rule": "delay", "time": "95ms" }"#;
    for unit in UNITS {
        for live in [false, true] {
            let upload = upload(rules, unit, live);
            assert_eq!((upload.received, upload.discarded), (BYTES, 0), "{unit:?}");
            // 6.99 s on the line and 95 ms on the way, and once more 95 ms for the answer.
            let within = |seconds: Option<f64>, right: f64| {
                let error = (seconds.unwrap() / right - 1.0).abs();
                assert!(error < 0.01, "{unit:?}: {upload:?}");
            };
            within(upload.whole, 7.085);
            if unit != LARGE {
                within(upload.answered, 7.18);
            }
            // 600 kB/s for 100 ms in the queue and 95 ms on the way; and what fills it, or is on
            // the line.
            let most = if unit == LARGE { 4 * (64 << 10) } else { 600 * 195 + 5 * 4096 };
            assert!(upload.ahead <= most, "{unit:?}: {upload:?}");
        }
    }
}

#[test]
fn a_queue_that_is_asked_for_discards() {
    for queue in [r#""queue": "20ms""#, r#""discipline": "head""#, r#""discipline": "codel""#] {
        let rules = format!(r#"{{ "rule": "rate", "limit": "4800kbit/s", {queue} }}"#);
        let profile = Profile::from_json(&format!(r#"{{ "up": [ {rules} ] }}"#)).unwrap();
        let raw = TcpMode::Raw(Unit::Bytes(1448));
        let mut carrier = Carrier::new(&profile, raw, 7, "1", Memory::default());
        carrier.open(Instant::START, 1);
        carrier.push(Instant::START, 1, Direction::Up, vec![0; 1_000_000].into());
        while carrier.poll(Instant::from_millis(10_000)).is_some() {}
        assert!(carrier.link(Direction::Up).counters().discarded_total() > 100, "{queue}");
    }
}
