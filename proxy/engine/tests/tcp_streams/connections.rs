//! How connections begin and end.

use crate::ends::{DOWN, Ends, LINE, UP, bytes};
use jostle_common::chance::Direction;
use jostle_common::time::Instant;

#[test]
fn the_handshake_takes_its_round_trip_and_data_follows_at_once() {
    let mut ends = Ends::connected(1, r#"{ "rule": "delay", "time": "20ms" }"#);
    ends.push(UP, 0, 100);
    ends.run(Instant::from_millis(39));
    assert!(ends.established.is_empty());
    ends.run(Instant::from_millis(59));
    assert!(ends.established.is_empty() && ends.received(UP).is_empty());
    ends.run(Instant::from_millis(60));
    assert_eq!(ends.established[&1], Instant::from_millis(60));
    assert_eq!(
        ends.received(UP).len(),
        100,
        "the data came right behind the client's acknowledgement"
    );
}

#[test]
fn a_half_closed_connection_still_carries_the_reply() {
    let mut ends = Ends::connected(1, LINE);
    ends.push(UP, 0, 5000);
    ends.model.finish(ends.now, 1, UP);
    ends.run_for(1500);
    assert!(ends.ended(UP).is_some() && ends.ended(DOWN).is_none());
    assert_eq!(ends.model.room(1, UP), 0, "nothing goes behind the end");
    ends.push(UP, 5000, 1000);
    ends.push(DOWN, 0, 200_000);
    ends.run_for(1000);
    assert!(ends.received(DOWN) == bytes(1, 0, 200_000));
    assert!(ends.closed.is_empty() && ends.received(UP).len() == 5000);
    ends.model.finish(ends.now, 1, DOWN);
    ends.run_for(1000);
    assert!(ends.ended(DOWN).is_some());
    assert_eq!(ends.closed, [1]);
}

#[test]
fn an_idle_connection_has_nothing_to_do() {
    let mut ends = Ends::connected(1, LINE);
    ends.push(UP, 0, 5000);
    ends.run_for(1000);
    assert_eq!(ends.model.deadline(), None);
    assert_eq!(ends.model.connections(), 1);
}

#[test]
fn a_reset_follows_what_was_sent_and_discards_the_rest() {
    for direction in Direction::BOTH {
        let mut ends = Ends::connected(1, LINE);
        ends.run_for(100);
        ends.push(direction, 0, 1_000_000);
        ends.run_for(100);
        ends.model.reset(ends.now, 1, direction);
        assert_eq!(ends.model.room(1, direction), 0);
        let at = ends.now;
        ends.run_for(10_000);
        let got = ends.received(direction);
        assert!((50_000..500_000).contains(&got.len()), "{} bytes", got.len());
        assert!(
            got == bytes(direction.index() as u64, 0, got.len() as u64),
            "what was sent came first"
        );
        let reset = ends.reset(direction).unwrap();
        // Behind the queue of up to 100 ms, and 20 ms of delay.
        assert!((20..=125).contains(&reset.since(at).as_millis()), "{reset}");
        assert_eq!(
            (ends.closed.as_slice(), ends.reset(direction.opposite())),
            ([1].as_slice(), None)
        );
        assert_eq!((ends.model.connections(), ends.model.deadline()), (0, None));
        ends.assert_conserved();
    }
}

#[test]
fn a_reset_is_never_lost() {
    let json = r#"{ "rule": "drop", "chance": "50%" }, { "rule": "delay", "time": "10ms" }"#;
    for seed in 1..=50 {
        let mut ends = Ends::connected(seed, json);
        ends.run_for(10_000_000);
        assert!(ends.established.contains_key(&1));
        ends.push(UP, 0, 10_000);
        ends.model.reset(ends.now, 1, DOWN);
        ends.run_for(10);
        assert!(ends.reset(DOWN).is_some() && ends.closed == [1]);
        ends.run_for(1_000_000);
        assert_eq!(ends.model.deadline(), None);
    }
}

#[test]
fn a_refused_upstream_reaches_the_client() {
    let mut ends = Ends::connected(1, LINE);
    ends.push(UP, 0, 100);
    ends.run_for(100);
    ends.model.reset(ends.now, 1, DOWN);
    ends.run_for(100);
    assert!(ends.reset(DOWN).is_some());
}

#[test]
fn a_client_that_leaves_early_is_never_heard_of_by_the_server() {
    let mut ends = Ends::connected(1, LINE);
    ends.push(UP, 0, 100);
    ends.run_for(5);
    ends.model.reset(ends.now, 1, UP);
    ends.run_for(100_000);
    assert!(ends.established.is_empty() && ends.received.is_empty());
    assert_eq!((ends.closed.as_slice(), ends.model.deadline()), ([1].as_slice(), None));
}

#[test]
fn resets_from_both_ends_cross() {
    let mut ends = Ends::connected(1, LINE);
    ends.run_for(100);
    ends.model.reset(ends.now, 1, UP);
    ends.model.reset(ends.now, 1, DOWN);
    ends.run_for(1000);
    assert!(ends.reset(UP).is_none() && ends.reset(DOWN).is_none(), "nobody is left to hear of it");
    assert_eq!(ends.closed, [1]);
}

#[test]
fn calls_for_a_connection_that_is_gone_are_ignored() {
    let mut ends = Ends::connected(1, LINE);
    ends.model.reset(ends.now, 1, UP);
    ends.run_for(1000);
    ends.push(UP, 0, 100);
    ends.model.finish(ends.now, 1, DOWN);
    ends.model.reset(ends.now, 1, DOWN);
    ends.model.consumed(ends.now, 1, UP, 100);
    assert_eq!(
        (ends.model.room(1, UP), ends.model.room(77, DOWN), ends.model.deadline()),
        (0, 0, None)
    );
}
