//! What is held for streams that do not move, and where senders have to wait.

use crate::ends::{Ends, SEGMENT, UP, WINDOW, bytes, model};
use crate::support::rules;
use bytes::Bytes;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_engine::link::{Link, LinkKey};
use jostle_engine::memory::Memory;
use jostle_engine::route::CongestionControl;
use jostle_engine::tcp::transfer;
use std::time::Duration;

#[test]
fn a_reader_that_stops_closes_the_window_and_opens_it_again() {
    let memory = Memory::default();
    let mut ends = Ends::new(model(1, r#"{ "rule": "delay", "time": "5ms" }"#, memory.clone()));
    ends.model.open(ends.now, 1);
    ends.reading = false;
    let mut pushed = 0;
    for _ in 0..200 {
        let count = (ends.model.room(1, UP) as u64).min(1 << 16);
        ends.push(UP, pushed, count);
        pushed += count;
        ends.run_for(50);
    }
    assert!((WINDOW - SEGMENT + 1..=WINDOW).contains(&pushed), "{pushed}");
    assert_eq!(ends.received(UP).len() as u64, pushed);
    assert_eq!(memory.used(), 0, "what came out was copied, and is held by nobody");
    assert_eq!(
        (ends.model.room(1, UP), ends.model.deadline()),
        (0, None),
        "nothing to do until it reads"
    );
    let left = WINDOW - pushed;
    ends.model.consumed(ends.now, 1, UP, (SEGMENT - 1 - left) as usize);
    assert_eq!(ends.model.room(1, UP), 0, "less than a segment");
    ends.model.consumed(ends.now, 1, UP, 1_000_000);
    assert!(ends.model.room(1, UP) as u64 >= 10 * SEGMENT);
    ends.push(UP, pushed, 1_000_000);
    ends.run_for(1000);
    assert!(ends.received(UP) == bytes(0, 0, pushed + 1_000_000));
    // More than it was given cannot be consumed.
    ends.model.consumed(ends.now, 1, UP, usize::MAX);
    assert_eq!(memory.used(), 0);
    assert!(ends.model.room(1, UP) as u64 >= 10 * SEGMENT);
}

#[test]
fn the_memory_bounds_all_connections_together() {
    const LIMIT: u64 = 8 << 20;
    let memory = Memory::new(LIMIT);
    let mut ends = Ends::new(model(1, r#"{ "rule": "delay", "time": "1s" }"#, memory.clone()));
    for id in 1..=40 {
        ends.model.open(ends.now, id);
    }
    let mut pushed = [0; 40];
    // What the senders may be ahead grows with each round trip, up to what there is.
    for _ in 0..120 {
        for id in 1..=40 {
            let room = ends.model.room(id, UP);
            pushed[id as usize - 1] += room;
            ends.model.push(ends.now, id, UP, Bytes::from(vec![0; room]));
        }
        ends.run_for(250);
    }
    assert!(memory.peak() <= LIMIT && memory.peak() > LIMIT / 2, "{}", memory.peak());
    assert!(pushed.iter().all(|pushed| *pushed > 64 << 10), "{pushed:?}");
    for id in 1..=40 {
        ends.model.reset(ends.now, id, UP);
    }
    ends.run_for(2000);
    assert_eq!((memory.used(), ends.model.connections()), (0, 0));
    drop(ends);
    assert_eq!(memory.used(), 0);
}

/// The virtual time that a megabyte takes up through 20 ms of delay.
fn time_of_a_megabyte(memory: Memory) -> Duration {
    const BYTES: u64 = 1_000_000;
    let mut ends = Ends::new(model(1, r#"{ "rule": "delay", "time": "20ms" }"#, memory));
    ends.model.open(ends.now, 1);
    let (begun, mut pushed) = (ends.now, 0);
    while (ends.received(UP).len() as u64) < BYTES {
        let more = (ends.model.room(1, UP) as u64).min(BYTES - pushed);
        ends.push(UP, pushed, more);
        pushed += more;
        ends.run_for(1);
        assert!(ends.now.since(begun) < Duration::from_secs(60), "{pushed} of {BYTES}");
    }
    ends.now.since(begun)
}

#[test]
fn connections_that_stand_still_cost_the_others_nothing() {
    const WINDOW: usize = 6 << 20;
    const LIMIT: u64 = 512 << 20;
    let alone = time_of_a_megabyte(Memory::default());
    let memory = Memory::new(LIMIT);
    let mut stalled = Ends::new(model(1, r#"{ "rule": "delay", "time": "1s" }"#, memory.clone()));
    let zeros = Bytes::from(vec![0; WINDOW]);
    for id in 1..=300 {
        stalled.model.open(stalled.now, id);
    }
    // Windows grow with each round trip, and with them what a sender may be ahead.
    for _ in 0..120 {
        for id in 1..=300 {
            let room = stalled.model.room(id, UP);
            stalled.model.push(stalled.now, id, UP, zeros.slice(..room));
        }
        if memory.is_short() {
            break;
        }
        stalled.run_for(250);
    }
    assert!(memory.is_short() && memory.used() > LIMIT / 2, "{}", memory.used());
    assert!(memory.used() < LIMIT - LIMIT / 4, "the floors of others are kept back");
    assert_eq!(time_of_a_megabyte(memory), alone);
}

#[test]
fn a_sender_is_ahead_by_what_its_kernel_would_take() {
    const RATE: u64 = 125_000;
    for (seed, queue, chance) in
        [(1, "64kB", "0%"), (2, "64kB", "1%"), (3, "100kB", "0%"), (4, "20kB", "3%")]
    {
        let mut ends = Ends::connected(
            seed,
            &format!(
                r#"{{ "rule": "drop", "chance": "{chance}" }},
                   {{ "rule": "rate", "limit": "1Mbit/s", "queue": "{queue}" }},
                   {{ "rule": "delay", "time": "20ms" }}"#
            ),
        );
        let (mut pushed, mut most) = (0, 0);
        for _ in 0..5000 {
            let room = ends.model.room(1, UP) as u64;
            ends.push(UP, pushed, room);
            pushed += room;
            most = most.max(pushed - ends.received(UP).len() as u64);
            ends.run_for(1);
        }
        let received = ends.received(UP).len() as u64;
        assert!(most <= 384 << 10, "queue {queue}, loss {chance}: {most} bytes ahead");
        assert!(most >= 20 * SEGMENT, "twice the initial window: {most}");
        let least = if chance == "0%" { RATE * 5 * 90 / 100 } else { RATE * 5 / 2 };
        assert!(received > least, "queue {queue}, loss {chance}: {received} bytes in 5 s");
    }
}

#[test]
fn the_send_buffer_costs_no_time() {
    const BYTES: u64 = 3_000_000;
    for (chance, delay, rate) in [
        ("0%", "5ms", "5Mbit/s"),
        ("0%", "50ms", "50Mbit/s"),
        ("0.1%", "25ms", "50Mbit/s"),
        ("1%", "5ms", "50Mbit/s"),
        ("3%", "50ms", "5Mbit/s"),
        ("10%", "5ms", "50Mbit/s"),
    ] {
        let json = format!(
            r#"{{ "rule": "drop", "chance": "{chance}" }},
               {{ "rule": "rate", "limit": "{rate}", "queue": "200kB" }},
               {{ "rule": "delay", "time": "{delay}" }}"#
        );
        let links = Direction::BOTH.map(|direction| {
            Link::new(LinkKey { seed: 7, route: "test".into(), direction }, &rules(&json))
        });
        let outcome = transfer(links, CongestionControl::Cubic, BYTES, Duration::from_secs(1000));
        // The same with a buffer that takes all at once.
        let mut ends = Ends::connected(7, &json);
        ends.push(UP, 0, BYTES);
        ends.model.finish(ends.now, 1, UP);
        while (ends.received(UP).len() as u64) < BYTES {
            ends.now = ends.model.deadline().unwrap();
            ends.take();
        }
        let unbounded = ends.now.since(Instant::START);
        assert_eq!(outcome.time, Some(unbounded), "loss {chance}, delay {delay}, {rate}");
    }
}

#[test]
fn a_stream_of_single_bytes_is_bounded_too() {
    let mut ends = Ends::connected(1, r#"{ "rule": "drop", "chance": "100%" }"#);
    let mut pushed = 0;
    while ends.model.room(1, UP) > 0 {
        ends.push(UP, pushed, 1);
        pushed += 1;
        assert!(pushed < 10_000);
    }
    assert!(pushed > 1000);
}
