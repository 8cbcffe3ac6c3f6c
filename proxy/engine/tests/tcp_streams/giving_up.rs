//! When a connection without answers gives up, and when it does not.

use crate::ends::{DOWN, Ends, LINE, UP, bytes, model};
use crate::support::rules;
use jostle_common::chance::Direction;
use jostle_engine::memory::Memory;
use jostle_engine::profile::Timeline;

#[test]
fn a_live_change_repairs_a_dead_link() {
    let mut ends = Ends::connected(1, r#"{ "rule": "drop", "chance": "100%" }"#);
    ends.push(UP, 0, 300_000);
    ends.run_for(10_000);
    assert!(ends.established.is_empty());
    for direction in Direction::BOTH {
        ends.model.set_timeline(ends.now, direction, &rules(LINE));
    }
    // The next SYN goes at 11 s, and 300 KB take 0.25 s.
    ends.run_for(2_000);
    assert!(ends.received(UP) == bytes(0, 0, 300_000));
    for direction in Direction::BOTH {
        ends.model.set_timeline(ends.now, direction, &Timeline::default());
    }
    ends.push(UP, 300_000, 300_000);
    ends.take();
    assert!(ends.received(UP) == bytes(0, 0, 600_000), "links without rules take no time");
}

const NOTHING: &str = r#"{ "rule": "drop", "chance": "100%" }"#;

#[test]
fn a_client_without_an_answer_gives_up_as_linux_does() {
    // Linux 6.18 was measured with 134 s, as its timer wheel rounds long waits up.
    const PATIENCE_MS: u64 = 131_000;
    let memory = Memory::default();
    let mut ends = Ends::new(model(1, NOTHING, memory.clone()));
    ends.model.open(ends.now, 1);
    ends.push(UP, 0, 300_000);
    ends.run_for(PATIENCE_MS - 1);
    assert_eq!((ends.model.connections(), ends.closed.len()), (1, 0));
    ends.run_for(1);
    assert_eq!((ends.model.connections(), &ends.closed[..]), (0, &[1][..]));
    assert_eq!((memory.used(), ends.model.deadline()), (0, None));
    assert_eq!(ends.model.link(UP).counters().entered, 11, "a SYN and ten repetitions");
}

#[test]
fn a_sender_whose_bytes_are_never_acknowledged_gives_up_as_linux_does() {
    for (direction, bytes) in [(UP, 1000), (DOWN, 1000), (UP, 300_000)] {
        let mut ends = Ends::connected(1, r#"{ "rule": "delay", "time": "1ms" }"#);
        ends.run_for(10);
        for direction in Direction::BOTH {
            ends.model.set_timeline(ends.now, direction, &rules(NOTHING));
        }
        // An end that has nothing to say never learns of it.
        ends.run_for(10_000_000);
        assert_eq!((ends.model.connections(), ends.closed.len()), (1, 0));
        ends.push(direction, 0, bytes);
        // 924.6 s behind the first timeout, at the end of the one under way then.
        ends.run_for(924_600);
        assert_eq!((ends.model.connections(), ends.closed.len()), (1, 0), "{direction}");
        ends.run_for(121_000);
        assert_eq!((ends.model.connections(), &ends.closed[..]), (0, &[1][..]), "{direction}");
    }
}

#[test]
fn a_sender_that_is_answered_now_and_then_never_gives_up() {
    let mut ends = Ends::connected(1, r#"{ "rule": "delay", "time": "1ms" }"#);
    ends.run_for(10);
    let clear = rules(r#"{ "rule": "delay", "time": "1ms" }"#);
    for round in 0..5 {
        ends.model.set_timeline(ends.now, UP, &rules(NOTHING));
        ends.push(UP, round * 1000, 1000);
        ends.run_for(800_000);
        ends.model.set_timeline(ends.now, UP, &clear);
        ends.run_for(121_000);
        assert_eq!(ends.received(UP).len() as u64, (round + 1) * 1000);
    }
    assert_eq!((ends.model.connections(), ends.closed.len()), (1, 0));
}
