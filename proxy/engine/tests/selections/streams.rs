//! Rules on delivered streams that choose connections by client, target and age.

use super::support::streams::{DOWN, RAW, Run, Told, UP, ms};
use jostle_engine::flow::FlowFacts;
use jostle_engine::route::TcpMode;
use std::sync::Arc;

fn facts(since: u64, client: &str) -> FlowFacts {
    FlowFacts::since(ms(since)).with_client(client.parse().unwrap())
}

fn run(rule: &str, mode: TcpMode) -> Run {
    Run::new(rule, mode)
}

#[test]
fn the_third_connection_is_reset() {
    for mode in [RAW, TcpMode::default()] {
        let mut run = run(r#"{ "rule": "reset", "after": "0s", "match": { "flow": 3 } }"#, mode);
        (2..=4).for_each(|id| run.open(id));
        run.until(1);
        (1..=4).for_each(|id| run.push_to(id, UP, 100));
        run.until(10);
        for id in [1, 2, 4] {
            assert_eq!(run.of(id), [(1.0, Told::Data(UP, 100))], "{id}");
        }
        let discarded = Told::Discarded(UP, "reset".to_owned(), 100);
        assert_eq!(run.of(3), [(1.0, discarded), (1.0, Told::ResetBoth)]);
    }
}

#[test]
fn one_clients_connections_are_stalled() {
    let rule = r#"{ "rule": "stall", "after": "150B", "match": { "client": "127.0.0.3" } }"#;
    let mut run = run(rule, RAW);
    run.carrier.open_known(ms(0), 2, &Arc::new(facts(0, "127.0.0.2:1")));
    run.carrier.open_known(ms(0), 3, &Arc::new(facts(0, "127.0.0.3:1")));
    for _ in 0..2 {
        (1..=3).for_each(|id| run.push_to(id, UP, 100));
    }
    run.until(10);
    let whole = [(0.0, Told::Data(UP, 100)), (0.0, Told::Data(UP, 100))];
    assert_eq!((run.of(1), run.of(2)), (whole.to_vec(), whole.to_vec()));
    let discarded = Told::Discarded(UP, "stall".to_owned(), 50);
    let stalled = [(0.0, Told::Data(UP, 100)), (0.0, Told::Data(UP, 50)), (0.0, discarded)];
    assert_eq!(run.of(3), stalled);
}

#[test]
fn a_name_that_comes_later_brings_the_rule_with_it() {
    let rule = r#"{ "rule": "reset", "after": "5ms", "match": { "target": "*.example.org" } }"#;
    let mut run = run(rule, RAW);
    let known = facts(0, "127.0.0.2:1").with_target("10.0.0.1", 443);
    run.carrier.open_known(ms(0), 2, &Arc::new(known.clone()));
    run.push_to(2, UP, 10);
    run.until(20);
    run.carrier.tell(ms(20), 2, &Arc::new(known.with_server_name("api.example.org")));
    run.push_to(2, UP, 30);
    run.until(100);
    let discarded = Told::Discarded(UP, "reset".to_owned(), 30);
    let told = [(0.0, Told::Data(UP, 10)), (25.0, discarded), (25.0, Told::ResetBoth)];
    assert_eq!(run.of(2), told);
    // It is over: a fact that comes too late is kept nowhere.
    run.carrier.tell(ms(100), 2, &Arc::new(facts(0, "127.0.0.2:1")));
    assert_eq!(run.carrier.link(UP).facts(2), None);
    assert_eq!(run.carrier.link(DOWN).facts(2), None);
}

#[test]
fn a_rule_acts_at_an_age_of_the_connection() {
    // From two seconds on what comes resets it; what has come before is nothing to the rule.
    let rule = r#"{ "rule": "reset", "after": "0s", "match": { "age": "2s.." } }"#;
    for since in [0, 500] {
        let mut run = run(rule, RAW);
        run.until(500);
        run.carrier.open_known(ms(500), 2, &Arc::new(facts(since, "127.0.0.2:1")));
        let (before, after) = (1999 + since, 2000 + since);
        for at in [before, after] {
            run.until(at);
            run.push_to(2, UP, 10);
        }
        run.until(9000);
        let discarded = Told::Discarded(UP, "reset".to_owned(), 10);
        let reset = [(after as f64, discarded), (after as f64, Told::ResetBoth)];
        assert_eq!(run.of(2)[0], (before as f64, Told::Data(UP, 10)));
        assert_eq!(run.of(2)[1..], reset);
    }
}

#[test]
fn a_rule_leaves_at_an_age_and_lets_go_what_it_holds() {
    let rule =
        r#"{ "rule": "slice", "size": "10B", "gap": "100ms", "match": { "age": "1s..2s" } }"#;
    let mut run = run(rule, RAW);
    run.push(UP, 30);
    run.until(1000);
    // Ten bytes each 100 ms from 1 s on; at 2 s the rest comes at once.
    run.push(UP, 200);
    run.until(5000);
    let seen = run.seen();
    assert_eq!(seen[0], (0.0, Told::Data(UP, 30)));
    for (index, told) in seen[1..=10].iter().enumerate() {
        assert_eq!(*told, (1000.0 + 100.0 * index as f64, Told::Data(UP, 10)));
    }
    let rest: usize = seen[11..]
        .iter()
        .map(|(at, told)| {
            assert_eq!(*at, 2000.0);
            let Told::Data(UP, count) = told else { panic!("{told:?}") };
            count
        })
        .sum();
    assert_eq!(rest, 100);
    assert_eq!(run.carrier.deadline(), None, "nothing is left to do");
}

/// What an age brings does not depend on when somebody asks.
#[test]
fn ages_are_kept_whoever_polls_when() {
    let rule = r#"{ "rule": "close_after", "bytes": "25B", "match": { "age": "1s..3s" } }"#;
    let told = |polls: bool| {
        let mut run = run(rule, RAW);
        for at in (500..=2500).step_by(500) {
            if polls {
                run.until(at);
            } else {
                run.jump(at);
            }
            run.push(UP, 10);
        }
        run.until(9000);
        run.seen().into_iter().map(|(_, told)| told).collect::<Vec<_>>()
    };
    let (polled, jumped) = (told(true), told(false));
    assert_eq!(polled, jumped);
    assert!(polled.contains(&Told::CloseBoth), "{polled:?}");
}
