//! Counters, event log, `/events` and `/metrics` of one seeded run: they agree, packet by packet.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "it looks at the real clock")]

mod support;

use jostle_common::chance::Direction;
use jostle_common::transport::Transport;
use jostle_engine::counters::CrossCounters;
use jostle_engine::route::Configuration;
use jostle_proxy::{Distribution, Selection};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::{TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::sse::EventSource;
use support::weather::{RULES, Weather, of_lines, of_summary, samples, take_events};
use support::{Answer, PATIENCE, Running, echo_server};

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what} does not come");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

fn metrics(running: &Running) -> String {
    let answer = running.ask("GET", "/metrics", "");
    assert_eq!(answer.status, 200);
    let kind = answer.header("content-type");
    assert_eq!(kind, Some("text/plain; version=0.0.4; charset=utf-8"));
    answer.body
}

#[test]
fn all_that_is_told_of_a_run_agrees_packet_by_packet() {
    let mut weather = Weather::start("web", RULES, |_| {});
    let mut events = EventSource::open(weather.running.api, "/events");
    assert_eq!(events.status(), 200);
    let summary = weather.send(1500);
    let text = metrics(&weather.running);

    // Each line is in both, and in the same order.
    let fates = of_summary(&summary);
    let count = fates.values().sum::<u64>() as usize;
    assert!(count > 2500, "{fates:?}");
    let told = take_events(&mut events, count);
    assert_eq!(of_lines(&told), fates);
    let log = weather.log.clone();
    wait_until("the last line", || log.lines().len() >= count);
    assert_eq!(log.lines(), told);

    // So are the metrics.
    let found = samples(&text);
    let labels = |direction: &str| format!(r#"route="web",protocol="udp",direction="{direction}""#);
    for ((direction, fate), count) in &fates {
        let labels = labels(direction);
        let name = match fate.as_str() {
            "delivered" => format!(r#"{{{labels},fate="delivered",reason=""}}"#),
            reason => format!(r#"{{{labels},fate="discarded",reason="{reason}"}}"#),
        };
        assert_eq!(found[&format!("jostle_packets_total{name}")], *count as f64, "{name}");
    }
    for direction in Direction::BOTH {
        let link = summary.link("web", Transport::Udp, direction).unwrap();
        let labels = labels(direction.name());
        for (name, count) in [
            ("jostle_packets_received_total", link.entered),
            ("jostle_packets_copied_total", link.copies),
            ("jostle_packets_corrupted_total", link.corrupted),
            ("jostle_packets_marked_total", link.ecn.unwrap().marked),
            ("jostle_received_bytes_total", link.bytes_in),
            ("jostle_sent_bytes_total", link.bytes_out),
            ("jostle_held_packets", 0),
            ("jostle_delay_seconds_count", link.delivered),
            ("jostle_lateness_seconds_count", link.lateness.packets),
        ] {
            assert_eq!(found[&format!("{name}{{{labels}}}")], count as f64, "{name}");
        }
        let sum = found[&format!("jostle_delay_seconds_sum{{{labels}}}")];
        let mean = link.delay.mean_ms * link.delivered as f64 / 1e3;
        assert!((sum / mean - 1.0).abs() < 1e-9, "{sum} {mean}");
        let edge = |millis: u64| (Distribution::edge(millis * 1_000_000) as f64 / 1e9).to_string();
        // All delays are from 25 to 35 ms: between two edges.
        let bucket =
            |le: &str| found[&format!(r#"jostle_delay_seconds_bucket{{{labels},le="{le}"}}"#)];
        assert_eq!(bucket(&edge(20)), 0.0);
        assert_eq!(bucket(&edge(50)), link.delivered as f64);
        assert_eq!(bucket("+Inf"), link.delivered as f64);
        let direction = match direction {
            Direction::Up => "upstream",
            Direction::Down => "downstream",
        };
        let routes = weather.running.control.routes().unwrap();
        let toxiproxys = format!(
            r#"{{direction="{direction}",listener="{}",proxy="web",upstream="{}"}}"#,
            weather.listen(),
            routes[0].route.destination
        );
        let of = |name: &str| found[&format!("toxiproxy_proxy_{name}_bytes_total{toxiproxys}")];
        assert_eq!((of("received"), of("sent")), (link.bytes_in as f64, link.bytes_out as f64));
    }
    assert_eq!(found[r#"jostle_flows_total{route="web"}"#], 1.0);
    assert_eq!(found["jostle_event_readers"], 1.0);
    let lines = found["jostle_event_lines_written_total"] + found["jostle_event_lines_queued"];
    assert_eq!((lines, found["jostle_event_lines_lost_total"]), (count as f64, 0.0));
}

/// A packet each millisecond for the first 300, and one at once. Of four the rule takes one, and the
/// others are doubled; what comes from outside has the same rules and its own counts.
#[test]
fn traffic_of_others_has_counts_of_its_own() {
    const PROFILE: &str = r#"{ "phases": [
        { "for": "300ms", "up": [
            { "rule": "cross", "rate": "1Mbit/s", "size": "125B" }, { "rule": "drop", "every": 4 },
            { "rule": "duplicate", "chance": "100%" }, { "rule": "delay", "time": "1ms" } ] },
        {} ] }"#;
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let upstream = server.local_addr().unwrap();
    let text = format!(
        r#"{{ "proxies": [ {{ "name": "web", "listen": "udp://127.0.0.1:0",
            "upstream": "{upstream}", "profile": {PROFILE} }} ] }}"#
    );
    let no_files = |_: &str| Err("no files".to_owned());
    let routes = Configuration::from_json(&text, &no_files).unwrap().routes;
    let running = Running::with(routes);
    let labels = r#"route="web",protocol="udp",direction="up""#;
    let cross = |found: &BTreeMap<String, f64>, what: &str| {
        found.get(&format!(r#"jostle_cross_packets_total{{{labels},what="{what}"}}"#)).copied()
    };
    assert_eq!(cross(&samples(&metrics(&running)), "sent"), None, "there is none yet");

    let listen = running.control.routes().unwrap()[0].listeners[0].address;
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"ping", listen).unwrap();
    // Nothing of it is left inside then.
    wait_until("the end of it", || {
        let link = &running.control.counters().unwrap().links[0];
        link.cross.is_some_and(|cross| cross.delivered == 452) && link.delivered == 2
    });
    let found = samples(&metrics(&running));
    let counts =
        ["sent", "copied", "delivered", "discarded", "refused"].map(|what| cross(&found, what));
    assert_eq!(counts, [301.0, 226.0, 452.0, 75.0, 0.0].map(Some));
    assert_eq!(found[&format!("jostle_cross_bytes_total{{{labels}}}")], 452.0 * 125.0);
    let summary = running.control.counters().unwrap();
    let link = summary.link("web", Transport::Udp, Direction::Up).unwrap();
    let CrossCounters { sent, copies, delivered, discarded, held, refused, bytes, goodput } =
        link.cross.unwrap();
    assert_eq!([sent, copies, delivered, discarded, held, refused], [301, 226, 452, 75, 0, 0]);
    // Of constant traffic all that arrives is of use, but for the last and its copy: these find
    // that their rule has gone.
    assert_eq!((bytes, goodput), (452 * 125, 450 * 125));

    // In no other count is anything of it, nor on the way back.
    let of = |name: &str| found[&format!("{name}{{{labels}}}")];
    assert_eq!(of("jostle_packets_received_total"), 1.0);
    assert_eq!(of("jostle_packets_copied_total"), 1.0);
    assert_eq!(of("jostle_sent_bytes_total"), 8.0);
    assert_eq!(of("jostle_held_packets"), 0.0);
    let fates = found.iter().filter(|(name, _)| name.starts_with("jostle_packets_total"));
    assert_eq!(fates.map(|(_, count)| count).sum::<f64>(), 2.0);
    let names = found.keys().filter(|name| name.starts_with("jostle_cross"));
    assert!(names.clone().count() == 6 && names.clone().all(|name| name.contains("\"up\"")));
    for body in [metrics(&running), open_metrics(&running).body] {
        assert!(body.contains("# TYPE jostle_cross_"), "{body}");
    }
}

#[test]
fn what_is_left_out_is_the_same_in_each_run_and_not_lost() {
    let only = "route=web,direction=up,every=10";
    let run = || {
        let mut weather =
            Weather::start("web", RULES, |s| s.events_only = Selection::parse(only).unwrap());
        let mut events =
            EventSource::open(weather.running.api, &format!("/events?{}", only.replace(',', "&")));
        let mut drops =
            EventSource::open(weather.running.api, "/events?fate=drop&fate=no_room&flow=1-2");
        let summary = weather.send(600);
        let dropped: u64 = summary.links.iter().map(|link| link.discarded["drop"]).sum();
        assert!(dropped > 100);
        let drops = take_events(&mut drops, dropped as usize);
        assert!(drops.iter().all(|line| line["reason"] == "drop"));
        let log = weather.log.clone();
        let control = weather.running.control.clone();
        let all = summary.links.iter().map(|link| link.delivered + link.discarded_total());
        let all: u64 = all.sum();
        wait_until("the last line", || {
            let now = control.counters().unwrap();
            assert_eq!(now.events_lost, 0);
            log.lines().len() as u64 + now.events_left_out == all
        });
        let lines = log.lines();
        assert_eq!(take_events(&mut events, lines.len()), lines);
        assert!(lines.iter().all(|line| line["direction"] == "up"));
        let number = |line: &Value| line["packet"].as_u64().unwrap();
        let numbers: BTreeSet<u64> = lines.iter().map(number).collect();
        let fate = |line: &Value| (number(line), line["copy"].as_u64(), line["reason"].to_string());
        let fates: BTreeSet<_> = lines.iter().map(fate).collect();
        (numbers, fates)
    };
    let (numbers, fates) = run();
    assert_eq!(numbers.len(), 60, "one of ten: {numbers:?}");
    assert_eq!(run(), (numbers, fates));
}

#[test]
fn wrong_questions_are_refused_with_the_remedy() {
    let running = Running::start();
    for (query, said) in [
        ("fate=eaten", "fate: \"eaten\" is none; write delivered, discarded, or a reason: drop"),
        ("every=0", "every: \"0\" is none"),
        ("rout=web", "\"rout\" is no key; write route"),
    ] {
        let answer = running.ask("GET", &format!("/events?{query}"), "");
        assert_eq!((answer.status, answer.header("content-type")), (400, Some("application/json")));
        let json = answer.json();
        assert!(json["error"].as_str().unwrap().starts_with(said), "{json}");
        assert_eq!(json["status"], 400);
    }
    for (method, path) in [("POST", "/live"), ("PUT", "/metrics"), ("DELETE", "/events")] {
        assert_eq!(running.ask(method, path, "").status, 405, "{method} {path}");
    }
}

/// A reader that does not read, with little room in its kernel.
fn stuck(running: &Running, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(running.api).unwrap();
    let request = format!("GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", running.api);
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

#[test]
fn a_reader_that_does_not_read_loses_lines_and_costs_traffic_nothing() {
    let rules = r#"[ { "rule": "drop", "chance": "10%" } ]"#;
    let mut weather = Weather::start("web", rules, |_| {});
    let stuck = stuck(&weather.running, "/events");
    let _watcher = self::stuck(&weather.running, "/live");
    wait_until("the reader", || samples(&metrics(&weather.running))["jostle_event_readers"] == 1.0);
    let lost =
        |running: &Running| samples(&metrics(running))["jostle_event_reader_lines_lost_total"];
    let (mut sent, mut summary) = (0, weather.send(0));
    while lost(&weather.running) == 0.0 {
        assert!(sent < 200_000, "it never fills");
        summary = weather.send(2000);
        sent += 2000;
    }
    // Nothing but the rule took anything, and nothing was late for the reader's sake.
    let fates = of_summary(&summary);
    let kinds: BTreeSet<&str> = fates.keys().map(|(_, fate)| fate.as_str()).collect();
    assert_eq!(kinds, BTreeSet::from(["delivered", "drop"]), "{fates:?}");
    assert!(summary.links.iter().all(|link| link.missed_by_kernel == Some(0)));

    // When it reads at last, what it gets and what it is told that it missed is everything.
    let total: u64 = fates.values().sum();
    let mut source = EventSource::of(stuck);
    let (mut read, mut missed) = (0, 0);
    while read + missed < total {
        let (name, data) = source.next();
        match name.as_str() {
            "lost" => missed += data["lost"].as_u64().unwrap(),
            _ => read += 1,
        }
    }
    assert_eq!(read + missed, total);
    assert_eq!(missed as f64, lost(&weather.running));
    assert!(missed > 0 && read > 1000, "{read} {missed}");
}

fn open_metrics(running: &Running) -> Answer {
    let accept = "Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3";
    running.ask_with("GET", "/metrics", &[accept], "")
}

#[test]
fn both_formats_are_read_by_prometheuss_own_library() {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/python/bin/python");
    let has = |module: &str| {
        let import = Command::new(&python).args(["-c", &format!("import {module}")]).output();
        import.is_ok_and(|output| output.status.success())
    };
    // Names that a format could stumble over, TCP with a model, and what is gone.
    let mut weather = Weather::start(r#"a "b" \ é"#, RULES, |_| {});
    weather.send(100);
    let name = r#"x\"y\\n{},"#;
    let echo = echo_server();
    let body = format!(r#"{{"name":"{name}","listen":"127.0.0.1:0","upstream":"{echo}"}}"#);
    assert_eq!(weather.running.ask("POST", "/proxies", &body).status, 201);
    let gone = weather.running.create("gone", echo);
    drop(TcpStream::connect(gone).unwrap());
    assert_eq!(weather.running.ask("DELETE", "/proxies/gone", "").status, 204);

    let classic = metrics(&weather.running);
    let open = open_metrics(&weather.running);
    let kind = open.header("content-type");
    assert_eq!(kind, Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert!(open.body.ends_with("# EOF\n") && !classic.contains("# EOF"));
    if !has("prometheus_client") {
        eprintln!("skipped: prometheus_client is not installed (scripts/install-test-programs.sh)");
        return;
    }
    let program = r#"
import sys
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics
read = openmetrics.text_string_to_metric_families if sys.argv[1] == "open" else parser.text_string_to_metric_families
families = list(read(sys.stdin.read()))
assert len(families) > 25, len(families)
assert len({family.name for family in families}) == len(families)
routes = {sample.labels["route"] for family in families for sample in family.samples if "route" in sample.labels}
assert routes == {'a "b" \\ é', 'x"y\\n{},', "gone"}, routes
kinds = {family.name: family.type for family in families}
assert kinds["jostle_packets"] == kinds["toxiproxy_proxy_sent_bytes"] == "counter", kinds
assert kinds["jostle_delay_seconds"] == "histogram" and kinds["jostle_held_packets"] == "gauge"
print(len(families))
"#;
    for (format, text) in [("classic", &classic), ("open", &open.body)] {
        let mut child = Command::new(&python)
            .args(["-c", program, format])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{format}: {said}\n{text}");
    }
}
