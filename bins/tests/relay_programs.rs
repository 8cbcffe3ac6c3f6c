//! Programs that nobody here wrote, through `jostle proxy`: what they count is what the proxy
//! counts.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "it looks at the real clock")]

#[path = "relay_programs/forward.rs"]
mod forward;
mod proxy_support;

use bytes::Bytes;
use jostle_common::chance::Direction;
use jostle_common::time::Instant as Virtual;
use jostle_engine::link::{Link, LinkKey};
use jostle_engine::packet::{Body, Packet};
use jostle_engine::profile::{Profile, Shorthand};
use jostle_engine::stage::{Output, Stage};
use proxy_support::{Background, Jostle, free_port, installed, wait_for_port};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Which of `count` datagrams a 5 % drop loses, by number from 1: fates are a function of the seed.
fn fates(seed: u64, count: u64) -> Vec<bool> {
    let up = Shorthand { drop: Some("5%".parse().unwrap()), ..Shorthand::default() };
    let profile = Profile::default().with_shorthands(up, Shorthand::default()).unwrap();
    let key = LinkKey { seed, route: "1".into(), direction: Direction::Up };
    let mut link = Link::new(key, &profile.up);
    let fate = |_| {
        link.handle(Packet::new(1, Virtual::START, Body::data(Bytes::new())));
        matches!(link.poll(Virtual::START), Some(Output::Discard(..)))
    };
    (0..count).map(fate).collect()
}

/// A server of iperf3 for one client.
fn iperf3_server(port: u16) -> Background {
    let server = Command::new("iperf3")
        .args(["-s", "-1", "-B", "127.0.0.1", "-p", &port.to_string()])
        .stdout(Stdio::null())
        .spawn()
        .map(Background)
        .unwrap();
    // A look at its port would be taken for its one client.
    std::thread::park_timeout(Duration::from_millis(500));
    server
}

/// Lets iperf3 send so many datagrams to a port, with these further words; returns its report.
fn send_by_iperf3(port: u16, datagrams: u64, words: &[&str]) -> Value {
    let client = Command::new("iperf3")
        .args(["-u", "-b", "8M", "-l", "1000", "-J", "-c", "127.0.0.1"])
        .args(["-k", &datagrams.to_string(), "-p", &port.to_string()])
        .args(words)
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&client.stdout).unwrap();
    assert!(client.status.success(), "{}", report["error"]);
    report
}

/// What iperf3 sends with `-S 2` says ECT(0), so nothing of it is lost.
#[test]
fn iperf3_that_takes_marks_loses_nothing() {
    const BLOCKS: u64 = 2000;
    if !installed("iperf3") {
        return;
    }
    let (port, listen) = (free_port(), free_port());
    let mut server = iperf3_server(port);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("routes.json");
    // It has a TCP connection beside, on the same port, and its first datagram may say Not-ECT.
    let routes = format!(
        r#"{{ "seed": 7, "proxies": [
            {{ "name": "1", "listen": "udp://127.0.0.1:{listen}", "upstream": "127.0.0.1:{port}",
               "profile": {{ "up": [ {{ "rule": "mark", "chance": "20%", "match": {{ "after": 1 }} }} ] }} }},
            {{ "name": "2", "listen": "tcp://127.0.0.1:{listen}", "upstream": "127.0.0.1:{port}" }} ] }}"#
    );
    std::fs::write(&file, routes).unwrap();
    let jostle = Jostle::start(&["--config", file.to_str().unwrap()], 2);
    let report = send_by_iperf3(listen, BLOCKS, &["-S", "2"]);
    let summary = jostle.stop();
    let up = summary.link("udp", "up");
    assert_eq!((&up["in"], &up["delivered"]), (&(BLOCKS + 1).into(), &(BLOCKS + 1).into()), "{up}");
    assert_eq!(report["end"]["sum"]["lost_packets"], 0, "{}", report["end"]["sum"]);
    let count = |name: &str| up["ecn"][name].as_u64().unwrap();
    assert!((BLOCKS..=BLOCKS + 1).contains(&(count("ect0") + count("ce"))), "{up}");
    // 400 on average, with a standard deviation of 18.
    assert!((320..=480).contains(&count("marked")) && count("ce") == count("marked"), "{up}");
    assert!(server.0.wait().unwrap().success());
}

#[test]
fn iperf3_reports_exactly_the_datagrams_that_were_dropped() {
    const BLOCKS: u64 = 3000;
    if !installed("iperf3") {
        return;
    }
    // Its first datagram greets the server. Neither that may be lost nor the first block nor the
    // last: a lost tail it cannot see.
    let delivers_the_ends = |seed: &u64| {
        let lost = fates(*seed, BLOCKS + 1);
        !lost[0] && !lost[1] && !lost[BLOCKS as usize]
    };
    let seed = (1..).find(delivers_the_ends).unwrap();
    let expected = fates(seed, BLOCKS + 1).into_iter().filter(|lost| *lost).count() as u64;
    assert!((90..=220).contains(&expected), "about 150: {expected}");

    let port = free_port();
    let mut server = iperf3_server(port);
    let route = format!("both://127.0.0.1:0=127.0.0.1:{port}");
    let jostle = Jostle::start(&[&route, "--up-drop", "5%", "--seed", &seed.to_string()], 2);
    assert_eq!(jostle.address("udp"), jostle.address("tcp"), "one port number for both");
    let report = send_by_iperf3(jostle.address("udp").port(), BLOCKS, &[]);
    let summary = jostle.stop();
    let up = summary.link("udp", "up");
    assert_eq!(up["in"], BLOCKS + 1, "{up}");
    assert_eq!(up["missed_by_kernel"], 0, "{up}");
    assert_eq!(up["discarded"]["drop"], expected, "{up}");
    assert_eq!(report["end"]["sum"]["lost_packets"], expected, "{}", report["end"]["sum"]);
    summary.assert_conserved();
    assert!(server.0.wait().unwrap().success());
}

#[test]
fn redis_benchmark_pays_the_round_trip_and_loses_nothing() {
    if !installed("redis-server") || !installed("redis-benchmark") {
        return;
    }
    let port = free_port();
    let folder = tempfile::tempdir().unwrap();
    let _server = Command::new("redis-server")
        .args([
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--port",
            &port.to_string(),
        ])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .spawn()
        .map(Background)
        .unwrap();
    wait_for_port(port);
    let jostle =
        Jostle::start(&[&format!("tcp://127.0.0.1:0=127.0.0.1:{port}"), "--delay", "5ms"], 1);
    let begun = Instant::now();
    let output = Command::new("redis-benchmark")
        .args([
            "-p",
            &jostle.address("tcp").port().to_string(),
            "-n",
            "2000",
            "-c",
            "20",
            "-t",
            "set,get",
            "--csv",
        ])
        .output()
        .unwrap();
    let took = begun.elapsed();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    // "test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms",...
    for test in ["SET", "GET"] {
        let line =
            text.lines().find(|line| line.starts_with(&format!("\"{test}\""))).expect("its result");
        let numbers: Vec<f64> =
            line.split(',').skip(1).map(|field| field.trim_matches('"').parse().unwrap()).collect();
        let (rate, least, median) = (numbers[0], numbers[2], numbers[3]);
        // 20 clients with one request each in 10 ms or more.
        assert!(rate <= 2000.0 && rate > 1000.0, "{line}");
        assert!(least >= 10.0 && median < 14.0, "{line}");
    }
    assert!(took >= Duration::from_secs(2), "two times 100 round trips of 10 ms: {took:?}");
    let summary = jostle.stop();
    summary.assert_conserved();
    assert!(summary.sockets("tcp", "connections") >= 40, "20 per test");
    assert_eq!(summary.sockets("tcp", "reset_by_upstream"), 0);
}

/// Serves `body` to everyone, a connection each.
fn serve(body: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte).unwrap() == 0 {
                    break;
                }
                request.push(byte[0]);
            }
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    address
}

#[test]
fn curl_gets_the_file_whole_and_late() {
    if !installed("curl") {
        return;
    }
    let body: Vec<u8> =
        (0..1_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let server = serve(body.clone());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    for (options, least) in [
        (&["--delay", "30ms"][..], 0.120),
        (&["--delay", "30ms", "--drop", "2%", "--seed", "3"], 0.120),
        (&["--delay", "30ms", "--tcp", "raw", "--unit", "read"], 0.060),
        // 1 MB at 8 Mbit/s is a second.
        (&["--down-rate", "8Mbit/s"], 1.0),
    ] {
        let route = format!("tcp://127.0.0.1:0={server}");
        let jostle = Jostle::start(&[&[route.as_str()], options].concat(), 1);
        let url = format!("http://{}/", jostle.address("tcp"));
        let output = Command::new("curl")
            .args(["-sS", "-w", "%{http_code} %{time_total}", "--max-time", "30", "-o"])
            .arg(&file)
            .arg(url)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (code, seconds) = text.split_once(' ').unwrap();
        assert_eq!(code, "200", "{options:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(std::fs::read(&file).unwrap() == body, "{options:?}: every byte arrives");
        let seconds: f64 = seconds.parse().unwrap();
        assert!((least..least * 10.0 + 5.0).contains(&seconds), "{options:?}: {seconds} s");
        jostle.stop().assert_conserved();
    }
}
