//! The choice by what is known of a flow: its client, its target and its age.

use super::link;
use jostle_common::time::Instant;
use jostle_engine::flow::FlowFacts;
use jostle_engine::link::Link;
use jostle_engine::packet::{Body, Packet};
use jostle_engine::stage::{Output, Stage};
use std::net::SocketAddr;
use std::sync::Arc;

fn ms(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn client(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Returns the facts of a flow that begins at once.
fn facts(address: &str) -> FlowFacts {
    FlowFacts::since(Instant::START).with_client(client(address))
}

fn tell(link: &mut Link, flow: u32, facts: FlowFacts) {
    link.tell(facts.since, flow, &Arc::new(facts));
}

/// Sends a packet of a flow at a time; true if it is lost.
fn is_lost(link: &mut Link, flow: u32, at: Instant) -> bool {
    link.handle(Packet::new(flow, at, Body::data(vec![0; 100])));
    let output = link.poll(at).expect("nothing holds it");
    matches!(output, Output::Discard(..))
}

fn drops(matching: &str) -> Link {
    link(1, &format!(r#"{{ "rule": "drop", "chance": "100%", "match": {{ {matching} }} }}"#))
}

#[test]
fn a_match_by_client() {
    let clients = [
        "127.0.0.2:5000",
        "127.0.0.3:5000",
        "10.1.2.3:53",
        "[::1]:5999",
        "[::ffff:127.0.0.2]:6000",
        "[2001:db8::7]:443",
    ];
    for (matching, chosen) in [
        (r#""127.0.0.2""#, &[1, 5][..]),
        (r#""127.0.0.0/8""#, &[1, 2, 5]),
        (r#""127.0.0.2:5000""#, &[1]),
        (r#""*:5000-5999""#, &[1, 2, 4]),
        (r#"["10.0.0.0/8", "::1"]"#, &[3, 4]),
        (r#""[2001:db8::]/32:443""#, &[6]),
        (r#""127.0.0.9""#, &[]),
    ] {
        let mut link = drops(&format!(r#""client": {matching}"#));
        for (index, address) in clients.into_iter().enumerate() {
            tell(&mut link, index as u32 + 1, facts(address));
        }
        // Of flow 7 nothing is known.
        let lost: Vec<u32> = (1..=7).filter(|flow| is_lost(&mut link, *flow, ms(1))).collect();
        assert_eq!(lost, chosen, "{matching}");
        let again: Vec<u32> = (1..=7).filter(|flow| is_lost(&mut link, *flow, ms(2))).collect();
        assert_eq!(again, chosen, "{matching}: the answer stays");
    }
}

#[test]
fn a_match_by_target() {
    let base = FlowFacts::since(Instant::START);
    let flows = [
        base.clone().with_target("Example.org", 443),
        base.clone().with_target("api.example.org.", 80),
        base.clone().with_target("10.0.0.1", 443),
        base.clone().with_target("other.test", 443).with_address("10.0.0.2".parse().unwrap()),
        base.clone().with_target("10.9.9.9", 8443).with_server_name("API.example.ORG"),
        base,
    ];
    for (matching, chosen) in [
        (r#""example.org""#, &[1][..]),
        (r#""*.example.org""#, &[2, 5]),
        (r#""*.example.org:8443""#, &[5]),
        (r#""10.0.0.0/30""#, &[3, 4]),
        (r#""*:443""#, &[1, 3, 4]),
        (r#"["example.org:443", "*.example.org:1-80"]"#, &[1, 2]),
        (r#""other.test:443""#, &[4]),
        (r#""org""#, &[]),
    ] {
        let mut link = drops(&format!(r#""target": {matching}"#));
        for (index, facts) in flows.iter().enumerate() {
            tell(&mut link, index as u32 + 1, facts.clone());
        }
        let lost: Vec<u32> = (1..=7).filter(|flow| is_lost(&mut link, *flow, ms(1))).collect();
        assert_eq!(lost, chosen, "{matching}");
    }
}

#[test]
fn a_fact_that_comes_later_counts_from_then_on() {
    let mut link = drops(r#""target": "api.example.org""#);
    let known = facts("127.0.0.2:5000").with_target("10.0.0.1", 443);
    tell(&mut link, 1, known.clone());
    tell(&mut link, 2, known.clone());
    assert!(!is_lost(&mut link, 1, ms(1)) && !is_lost(&mut link, 2, ms(1)));
    tell(&mut link, 1, known.clone().with_server_name("api.example.org"));
    assert!(is_lost(&mut link, 1, ms(2)) && !is_lost(&mut link, 2, ms(2)));
    // Over and known anew under the same number it is another flow.
    link.forget(1);
    assert!(!is_lost(&mut link, 1, ms(3)));
    tell(&mut link, 1, known);
    assert!(!is_lost(&mut link, 1, ms(4)));
}

#[test]
fn a_rule_that_comes_later_finds_what_was_told_before() {
    let mut link = link(1, "");
    tell(&mut link, 1, facts("127.0.0.2:5000"));
    tell(&mut link, 2, facts("127.0.0.3:5000"));
    assert!(!is_lost(&mut link, 1, ms(1)));
    let rules = r#"{ "up": [ { "rule": "drop", "chance": "100%",
                              "match": { "client": "127.0.0.3" } } ] }"#;
    let profile = jostle_engine::profile::Profile::from_json(rules).unwrap();
    link.set_timeline(ms(2), &profile.up);
    assert!(!is_lost(&mut link, 1, ms(3)) && is_lost(&mut link, 2, ms(3)));
}

#[test]
fn a_match_by_age_is_exact_to_the_nanosecond() {
    for (age, within) in [
        ("2s..", &[(1_999_999_999, false), (2_000_000_000, true), (9_000_000_000, true)][..]),
        ("..500ms", &[(0, true), (499_999_999, true), (500_000_000, false)]),
        ("1s..3s", &[(999_999_999, false), (1_000_000_000, true), (3_000_000_000, false)]),
    ] {
        let mut link = drops(&format!(r#""age": "{age}""#));
        // Flow 1 is told of and 7 ms old when its first packet comes; flow 2 is not told of.
        let since = FlowFacts::since(ms(13));
        tell(&mut link, 1, since);
        assert_eq!(is_lost(&mut link, 1, ms(20)), age == "..500ms", "{age}");
        let first = ms(20);
        is_lost(&mut link, 2, first);
        for (nanos, lost) in within {
            assert_eq!(is_lost(&mut link, 1, ms(13).plus_nanos(*nanos)), *lost, "{age} {nanos}");
            assert_eq!(is_lost(&mut link, 2, first.plus_nanos(*nanos)), *lost, "{age} {nanos}");
        }
    }
}

/// The age is that of the packet's arrival at the link, wherever the rule stands.
#[test]
fn age_counts_when_a_packet_enters_the_link() {
    let mut link = link(
        1,
        r#"{ "rule": "delay", "time": "300ms" },
           { "rule": "drop", "chance": "100%", "match": { "age": "..500ms" } }"#,
    );
    for at in [0, 400, 499, 500, 700] {
        link.handle(Packet::new(1, ms(at), Body::data(vec![0; 100])));
    }
    let fates: Vec<(u64, bool)> = std::iter::from_fn(|| link.poll(ms(5000)))
        .map(|output| (output.packet().number, matches!(output, Output::Deliver(_))))
        .collect();
    assert_eq!(fates, [(1, false), (2, false), (3, false), (4, true), (5, true)]);
}

/// `player 2 has 200 ms`: the others are not held, and keep their own order.
#[test]
fn one_client_is_delayed_and_no_other() {
    let mut link =
        link(1, r#"{ "rule": "delay", "time": "200ms", "match": { "client": "127.0.0.3" } }"#);
    for flow in 1..=3 {
        tell(&mut link, flow, facts(&format!("127.0.0.{}:5000", flow + 1)));
    }
    for at in 0..50 {
        for flow in 1..=3 {
            link.handle(Packet::new(flow, ms(at), Body::data(vec![0; 100])));
        }
    }
    let left: Vec<Packet> =
        std::iter::from_fn(|| link.poll(ms(5000))).map(|output| output.packet().clone()).collect();
    assert_eq!(left.len(), 150);
    for packet in left {
        let delay = if packet.flow == 2 { 200 } else { 0 };
        assert_eq!(packet.at, packet.entered.plus_nanos(delay * 1_000_000));
    }
}

#[test]
fn what_a_rule_draws_does_not_depend_on_whom_it_looks_at() {
    let rule = |matching: &str| {
        let mut link = link(5, &format!(r#"{{ "rule": "drop", "chance": "40%"{matching} }}"#));
        (1..=20).for_each(|flow| tell(&mut link, flow, facts(&format!("10.0.0.{flow}:53"))));
        let sent = (0..400_u32).map(|index| index % 20 + 1);
        sent.enumerate()
            .filter(|(index, flow)| is_lost(&mut link, *flow, ms(*index as u64)))
            .collect::<Vec<_>>()
    };
    let (all, some) = (rule(""), rule(r#", "match": { "client": "10.0.0.0/29" }"#));
    let expected: Vec<_> = all.into_iter().filter(|(_, flow)| *flow < 8).collect();
    assert_eq!(some, expected);
    assert!((30..80).contains(&some.len()), "{}", some.len());
}

#[test]
fn a_changed_choice_lets_what_is_held_drain_in_order() {
    let rule = |client: &str| {
        let text = format!(
            r#"{{ "up": [ {{ "rule": "delay", "time": "100ms", "match": {{ "client": "{client}" }} }} ] }}"#
        );
        jostle_engine::profile::Profile::from_json(&text).unwrap()
    };
    let mut link = link(1, "");
    tell(&mut link, 1, facts("127.0.0.2:5000"));
    tell(&mut link, 2, facts("127.0.0.3:5000"));
    link.set_timeline(ms(0), &rule("127.0.0.2").up);
    let send = |link: &mut Link, flow, at| {
        link.handle(Packet::new(flow, ms(at), Body::data(vec![0; 100])));
    };
    send(&mut link, 1, 0);
    link.set_timeline(ms(10), &rule("127.0.0.3").up);
    send(&mut link, 1, 20);
    send(&mut link, 2, 20);
    let left: Vec<(u32, Instant)> = std::iter::from_fn(|| link.poll(ms(5000)))
        .map(|output| (output.packet().flow, output.packet().at))
        .collect();
    // The second packet of flow 1 stays behind the first, which has 100 ms.
    assert_eq!(left, [(1, ms(100)), (1, ms(100)), (2, ms(120))]);
}
