//! What those who watch are told: seconds that add up to the summary, and changes as they are made.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "it looks at the real clock")]

mod support;

use jostle_common::chance::Direction;
use jostle_common::transport::Transport;
use jostle_proxy::Settings;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpStream;
use std::time::Instant;
use support::sse::EventSource;
use support::weather::{RULES, Weather};
use support::{PATIENCE, Running, echo_server};

/// The numbers of one direction, added up.
#[derive(Debug, Default, PartialEq)]
struct Sums {
    counts: BTreeMap<String, u64>,
    discarded: BTreeMap<String, u64>,
    hits: BTreeMap<String, u64>,
}

const COUNTS: [&str; 7] =
    ["packets_in", "packets_out", "bytes_in", "bytes_out", "corrupted", "marked", "copies"];

impl Sums {
    fn add(&mut self, way: &Value) {
        for name in COUNTS {
            *self.counts.entry(name.into()).or_default() += way[name].as_u64().unwrap();
        }
        for (sums, name) in [(&mut self.discarded, "discarded"), (&mut self.hits, "hits")] {
            for (key, count) in way[name].as_object().unwrap() {
                *sums.entry(key.clone()).or_default() += count.as_u64().unwrap();
            }
        }
    }
}

#[test]
fn the_seconds_add_up_to_the_summary() {
    let mut weather = Weather::start("web", RULES, |_| {});
    let api = weather.running.api;
    let mut events = EventSource::open(api, "/live");
    assert_eq!(events.status(), 200);
    assert!(events.head.contains("content-type: text/event-stream"), "{}", events.head);
    let (first, state) = events.next();
    assert_eq!((first.as_str(), &state["proxies"][0]["name"]), ("state", &json!("web")));
    assert_eq!(events.next(), ("history".into(), json!([])));
    // From the first second on everything is in one.
    let second = events.next_of("second");
    assert_eq!(second["proxies"]["web"]["up"]["packets_in"], 0);
    assert_eq!(second["proxies"]["web"]["up"]["delay_ms"], Value::Null);

    let summary = weather.send(2000);
    let (mut up, mut down, mut seconds) = (Sums::default(), Sums::default(), Vec::new());
    let delivered = |sums: &Sums| sums.counts.get("packets_out").copied().unwrap_or(0);
    let told = [Direction::Up, Direction::Down]
        .map(|direction| summary.link("web", Transport::Udp, direction).unwrap().clone());
    while [delivered(&up), delivered(&down)] != [told[0].delivered, told[1].delivered] {
        let second = events.next_of("second");
        let web = &second["proxies"]["web"];
        up.add(&web["up"]);
        down.add(&web["down"]);
        for way in [&web["up"], &web["down"]] {
            if way["packets_out"] != 0 {
                let delay = |name: &str| way["delay_ms"][name].as_f64().unwrap();
                assert!((26.0..34.0).contains(&delay("p50")), "{way}");
                assert!((delay("p50")..=35.2).contains(&delay("p99")), "{way}");
            }
        }
        assert_eq!(web["flows"], 1);
        assert!(second["memory"]["bound"].as_u64().unwrap() > 1 << 20);
        seconds.push(second);
        assert!(seconds.len() < 30, "{up:?} {down:?} {told:?}");
    }
    for (sums, link) in [(&up, &told[0]), (&down, &told[1])] {
        let counts = [
            link.entered,
            link.delivered,
            link.bytes_in,
            link.bytes_out,
            link.corrupted,
            link.ecn.unwrap().marked,
            link.copies,
        ];
        assert_eq!(COUNTS.map(|name| sums.counts[name]), counts);
        assert_eq!(sums.discarded, BTreeMap::from([("drop".into(), link.discarded["drop"])]));
        assert_eq!(sums.hits["drop"], link.discarded["drop"]);
        assert!(sums.hits["corrupt"] >= link.corrupted && sums.hits["duplicate"] >= link.copies);
        assert!(link.delivered > 1000 && link.copies > 50 && link.corrupted > 20, "{link:?}");
    }

    // Who comes later sees the same seconds.
    let history = EventSource::open(api, "/live").next_of("history");
    let history = history.as_array().unwrap();
    assert!(seconds.iter().all(|second| history.contains(second)), "{history:?}");
}

#[test]
fn changes_are_told_and_watchers_come_and_go() {
    let running = Running::wide(Settings::new(Vec::new(), 7));
    let mut first = EventSource::open(running.api, "/live");
    assert_eq!(first.next_of("state")["proxies"], json!([]));
    for round in 0..10 {
        let mut others: Vec<_> = (0..10).map(|_| EventSource::open(running.api, "/live")).collect();
        let state = others.last_mut().unwrap().next_of("state");
        assert_eq!(state["proxies"].as_array().unwrap().len(), round);
        running.create(&format!("p{round}"), "127.0.0.1:9".parse().unwrap());
        let told = loop {
            let state = first.next_of("state");
            let proxies = state["proxies"].as_array().unwrap().clone();
            if proxies.len() > round {
                break proxies;
            }
        };
        assert_eq!(told[round]["name"], format!("p{round}"));
        assert_eq!(told[round]["enabled"], true);
    }
}

#[test]
fn who_watches_leaves_most_of_the_api_to_others() {
    // An API of 16 descriptors serves eleven clients at once.
    let running = Running::start();
    for path in ["/live", "/events"] {
        let open = || EventSource::open(running.api, path);
        let begun = Instant::now();
        let mut watchers: Vec<EventSource> = (0..2).map(|_| open()).collect();
        assert!(watchers.iter().all(|one| one.status() == 200));
        let refused = running.ask("GET", path, "");
        let kind = refused.header("content-type");
        assert_eq!((refused.status, kind), (503, Some("application/json")), "{refused:?}");
        assert_eq!(refused.json()["status"], 503);
        assert_eq!(running.ask("GET", "/version", "").status, 200);
        watchers.truncate(1);
        // A place is free as soon as it was seen that somebody has gone.
        while open().status() != 200 {
            assert!(begun.elapsed() < PATIENCE);
        }
        drop(watchers);
    }
}

#[test]
fn a_rule_that_ends_connections_shows_its_hits() {
    let running = Running::wide(Settings::new(Vec::new(), 7));
    let listen = running.create("p", echo_server());
    let toxic =
        r#"{"type":"reset_peer","name":"tear","stream":"upstream","attributes":{"timeout":0}}"#;
    assert_eq!(running.ask("POST", "/proxies/p/toxics", toxic).status, 200);
    let mut events = EventSource::open(running.api, "/live");
    let second = events.next_of("second");
    assert_eq!(second["proxies"]["p"]["up"]["hits"], json!({}));
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = TcpStream::connect(listen).unwrap();
        client.write_all(b"torn").unwrap();
        clients.push(client);
    }
    let begun = Instant::now();
    let mut torn = 0;
    // Of each a piece was discarded, and then it was reset.
    while torn < 6 {
        let second = events.next_of("second");
        torn += second["proxies"]["p"]["up"]["hits"]["tear"].as_u64().unwrap_or(0);
        assert!(begun.elapsed() < PATIENCE, "{second}");
    }
    assert_eq!(torn, 6);
}
