use super::*;
use jostle_common::chance::Direction;
use jostle_common::statistics::RoundTrips;
use jostle_common::transport::Transport;
use jostle_engine::counters::EcnCounters;
use jostle_engine::route::Configuration;
use jostle_proxy::{Contended, DelaySummary, LatenessSummary, MemorySummary};

fn link(route: &str, direction: Direction, entered: u64) -> LinkSummary {
    LinkSummary {
        route: route.to_owned(),
        protocol: Transport::Udp,
        direction,
        entered,
        copies: 0,
        delivered: entered,
        discarded: [("drop", 0), ("queue_full", 0)].into(),
        corrupted: 0,
        ecn: Some(EcnCounters::default()),
        held: 0,
        missed_by_kernel: Some(0),
        bytes_in: 0,
        bytes_out: 0,
        bytes_discarded: Default::default(),
        cross: None,
        lateness: LatenessSummary::default(),
        delay: DelaySummary::default(),
    }
}

fn sockets(route: &str, flows: u64) -> SocketSummary {
    SocketSummary {
        route: route.to_owned(),
        protocol: Transport::Udp,
        counts: [("flows", flows), ("no_room", 0)].into(),
        round_trips: None,
    }
}

fn routes(profile: &str) -> Vec<Route> {
    let text = format!(
        r#"[ {{ "name": "dns", "listen": "udp://:0", "upstream": "[::1]:53", "profile": {profile} }} ]"#
    );
    Configuration::from_json(&text, &|_| Err("no files".into())).unwrap().routes
}

/// A run in which the route `dns` has lost packets on the way up and two others were silent.
fn run() -> Summary {
    let mut up = link("dns", Direction::Up, 12_000);
    up.copies = 5;
    up.delivered = 9_592;
    up.discarded = [("drop", 2_400), ("no_room", 1)].into();
    up.corrupted = 3;
    up.held = 12;
    up.missed_by_kernel = Some(2);
    up.lateness = LatenessSummary { packets: 9_592, p50_us: 6.1, p99_us: 102.0, max_us: 3e3 };
    up.delay = DelaySummary {
        packets: 9_592,
        mean_ms: 40.1,
        sd_ms: 2.9,
        p50_ms: 40.0,
        ..DelaySummary::default()
    };
    let both = |route, count| Direction::BOTH.map(|direction| link(route, direction, count));
    let links = [both("other", 0), [up, link("dns", Direction::Down, 9_592)], both("last", 0)];
    Summary {
        seed: 7,
        seconds: 12.34,
        workers: 1,
        contended: None,
        events_lost: 1,
        events_left_out: 0,
        capture_lost: 0,
        events_error: None,
        memory: MemorySummary { peak: 100 << 20, bound: 1 << 30, ..Default::default() },
        links: links.concat(),
        sockets: vec![sockets("other", 0), sockets("dns", 1), sockets("last", 0)],
    }
}

#[test]
fn a_table_tells_what_happened_beside_what_was_asked() {
    let profile = r#"{ "up": [ { "rule": "drop", "chance": "20%" }, { "rule": "delay", "time": "40ms", "jitter": "5ms" } ] }"#;
    let text = text(&run(), &routes(profile));
    let expected = "
                          in    lost damaged late p50     p99 delay p50       sd
dns udp up            12,000     20%   0.03%   6.1 µs  102 µs     40 ms   2.9 ms
  asked                          20%                              40 ms  2.89 ms
  12,000 in + 5 copies = 9,592 delivered (3 of them damaged) + 2,401 discarded
    (drop 2,400, no_room 1) + 12 held; the kernel dropped 2 before
dns udp down           9,592      0%      0%        -       -         -        -
dns udp sockets: flows 1
no traffic: other udp, last udp
seed 7, 12.3 s, 1 line of the event log lost, held up to 100 of 1,024 MiB";
    assert_eq!(text, expected.trim_start_matches('\n'));
}

#[test]
fn congestion_is_told_where_there_was_any_and_where_it_is_not_carried() {
    let mut run = run();
    assert!(!text(&run, &[]).contains("congestion"));
    run.links[2].ecn = Some(EcnCounters { ect0: 9_000, ect1: 0, ce: 592, marked: 500 });
    let said = text(&run, &[]);
    assert!(said.contains("\n  congestion: ECT(0) 9,000, CE 592 (500 marked here)\n"), "{said}");
    run.links[2].ecn = None;
    let said = text(&run, &[]);
    assert!(said.contains("\nseed 7, 12.3 s, 1 line of the event log lost, "), "{said}");
    assert!(said.contains(", congestion bits (ECN) not carried"), "{said}");
}

#[test]
fn jitter_that_kept_order_took_away_is_warned_of() {
    let profile = r#"{ "up": [ { "rule": "delay", "time": "40ms", "jitter": "5ms" } ] }"#;
    let mut run = run();
    assert_eq!(warnings(&run, &routes(profile)), Vec::<String>::new());
    run.links[2].delay.sd_ms = 1.0;
    let told = warnings(&run, &routes(profile)).join("\n");
    assert!(told.starts_with("warning: route dns udp, up, delay: kept order narrows"), "{told}");
    assert!(told.contains("from a standard\n         deviation of 2.9 ms to 1 ms here"), "{told}");
}

#[test]
fn no_line_is_wider_than_a_terminal() {
    let mut run = run();
    for link in &mut run.links {
        link.route = "a route with a name of about the greatest length that it may have".into();
        link.entered = link.entered.max(1) * 123_456_789;
        link.discarded = [("drop", 1), ("send_failed", 123_456_789)].into();
        link.corrupted = 1;
        link.lateness = LatenessSummary { packets: 1, p50_us: 1234.5, p99_us: 6e7, max_us: 6e7 };
        link.delay =
            DelaySummary { p50_ms: 3_599_999.0, sd_ms: 1234.5, mean_ms: 1.0, ..link.delay };
    }
    for sockets in &mut run.sockets {
        sockets.counts = [
            ("a_count", 1_234_567_890),
            ("connections_open", 1),
            ("idle", 999),
            ("cut", 12_345),
            ("starved", 7),
        ]
        .into();
    }
    let profile = r#"{ "up": [ { "rule": "drop", "burst": { "mean": "0.00012%", "length": 3 } }, { "rule": "delay", "time": "1234567us" } ] }"#;
    let text = text(&run, &routes(profile));
    assert!(text.lines().count() > 12, "{text}");
    for line in text.lines() {
        assert!(line.chars().count() <= WIDTH, "{}: {line}", line.chars().count());
    }
}

#[test]
fn a_run_without_traffic_is_two_lines() {
    let mut run = run();
    run.links = vec![link("dns", Direction::Up, 0), link("dns", Direction::Down, 0)];
    run.sockets = vec![sockets("dns", 0)];
    run.events_lost = 0;
    run.memory = MemorySummary::default();
    assert_eq!(text(&run, &routes("{}")), "no traffic: dns udp\nseed 7, 12.3 s");
    // A client that was refused is traffic, though no packet came of it.
    run.sockets = vec![sockets("dns", 1)];
    assert!(text(&run, &routes("{}")).contains("dns udp sockets: flows 1"));
}

#[test]
fn the_sockets_of_a_model_tell_its_round_trips() {
    let mut trips = RoundTrips::default();
    trips.record(Duration::from_millis(40));
    let mut sockets = SocketSummary {
        route: "1".to_owned(),
        protocol: Transport::Tcp,
        counts: [("segments", 4), ("timeouts", 0)].into(),
        round_trips: Some(trips),
    };
    let line = "1 tcp sockets: segments 4; rtt p50 40 ms, p99 40 ms, max 40 ms";
    assert_eq!(sockets_line(&sockets), line);
    sockets.round_trips = None;
    assert_eq!(sockets_line(&sockets), "1 tcp sockets: segments 4");
}

#[test]
fn the_last_object_has_all_that_is_told_of_the_run() {
    let keys = |summary: &Summary| {
        let objects = objects(Printer::new(true), summary);
        let last: Value = serde_json::from_str(objects.lines().last().unwrap()).unwrap();
        let Value::Object(last) = last else { panic!("{last} is an object") };
        last.keys().cloned().collect::<Vec<_>>()
    };
    let one = ["event", "seed", "seconds", "events_lost", "events_left_out", "capture_lost"];
    assert_eq!(keys(&run()), [&one[..], &["memory"]].concat());
    let several = Summary { workers: 2, contended: Some(Contended::default()), ..run() };
    assert_eq!(keys(&several), [&one[..], &["workers", "contended", "memory"]].concat());
}
