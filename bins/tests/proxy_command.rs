//! `jostle proxy` as scripts see it: ready lines, exit codes, signals, files left alone.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "it looks at the real clock")]

mod proxy_support;

use proxy_support::{Jostle, PATIENCE, jostle};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Runs `jostle proxy` to its end. One that goes on instead, as it was taken to be right, is ended.
fn run(arguments: &[&str]) -> Output {
    let mut command = jostle();
    command.arg("proxy").args(arguments).stdin(Stdio::null());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let id = Pid::from_child(&child);
    let (ended, end) = mpsc::channel();
    std::thread::spawn(move || ended.send(child.wait_with_output()));
    end.recv_timeout(PATIENCE).map(Result::unwrap).unwrap_or_else(|_| {
        let _ = kill_process(id, Signal::KILL);
        panic!("{arguments:?}: it goes on")
    })
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Asserts that it ended with `code`, said `words` on stderr and nothing on stdout.
fn refused(arguments: &[&str], code: i32, words: &str) {
    let output = run(arguments);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    assert!(text.contains(words), "{arguments:?}: {text}");
    assert!(output.stdout.is_empty(), "{arguments:?} printed");
}

/// The line of the documents that resets the third connection.
#[test]
fn the_third_connection_is_reset_by_a_line() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let route = format!("tcp://127.0.0.1:0={}", listener.local_addr().unwrap());
    let jostle = Jostle::start(&[&route, "--reset", "0s", "--only", "flow=3"], 1);
    for number in 1..=4 {
        let mut client = TcpStream::connect(jostle.address("tcp")).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        for end in [&client, &server] {
            end.set_read_timeout(Some(PATIENCE)).unwrap();
        }
        client.write_all(b"hello").unwrap();
        let mut buffer = [0; 5];
        if number == 3 {
            let error = client.read_exact(&mut buffer).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        } else {
            server.read_exact(&mut buffer).unwrap();
            assert_eq!(&buffer, b"hello");
        }
    }
    jostle.stop();
}

#[test]
fn wrong_usage_ends_with_2_and_a_remedy() {
    let route = "udp://127.0.0.1:0=127.0.0.1:9";
    for (arguments, words) in [
        (&[][..], "there is no route; write udp://127.0.0.1:5353=127.0.0.1:53, say"),
        (&["--panel", "127.0.0.1:0"], "if it is of --panel, write --panel=127.0.0.1:0"),
        (&["--api", "127.0.0.1:0"], "if it is of --api, write --api=127.0.0.1:0"),
        (&["--api=9000"], "write 127.0.0.1:9000, say"),
        (&["--panel=localhost:9000"], "write 127.0.0.1:9000, say"),
        (&["socks5h://127.0.0.1:0"], "\"socks5h://\" is not relayed; write udp://"),
        (&["8080=127.0.0.1:80"], "\"8080\" names no host; write 127.0.0.1:8080, say"),
        (&["socks5://127.0.0.1:0", "--allow", "10.0.0.256"], "\"10.0.0.256\" is no host"),
        (&["socks5://127.0.0.1:0", "--user", "ann"], "no colon between user and password"),
        (&["udp://127.0.0.1:0"], "does not say where the packets go"),
        (&["sctp://127.0.0.1:0=127.0.0.1:9"], "write udp://, tcp:// or both://"),
        (&["127.0.0.1:0=127.0.0.1:0"], "port 0"),
        (&[route, "--drop", "5"], "write \"5%\""),
        (&[route, "--drop", "120%"], "write 0 to 100%"),
        (&[route, "--drop", "-5%"], "\"-5%\" is negative; write \"5%\""),
        (&[route, "--up-drop", "0x7"], "\"0x7\" is hexadecimal; write \"7%\""),
        (
            &[route, "--only", "flow=3"],
            "--only: it says what the shorthands look at, and there is none",
        ),
        (&[route, "--drop", "5%", "--only", "127.0.0.2"], "write client=127.0.0.2, say"),
        (&[route, "--up-drop", "5%", "--down-only", "flow=3"], "--down-only: it says"),
        (&[route, "--drop", "5%", "--only", "client=localhost"], "clients have addresses alone"),
        (&[route, "--reset", "0s"], "acts on TCP streams, and the route relays UDP alone"),
        (&[route, "--rate", "1mbit"], "write \"1Mbit/s\""),
        (&[route, "--bandwidth", "1mbit"], "write \"1Mbit/s\""),
        (&[route, "--lag", "100msecs"], "write \"100ms\""),
        (&[route, "--for", "5"], "\"5\" has no unit; write \"5s\""),
        (&[route, "--delay", "20"], "20ms"),
        (&[route, "--jitter", "5ms"], "add --delay"),
        (&[route, "--burst", "3"], "add --drop"),
        (&[route, "--queue", "200ms"], "add --rate"),
        (&[route, "--rate", "1Mbit/s", "--up-queue", "long"], "packets (\"50 packets\")"),
        (&[route, "--tcp", "lossy"], "possible values"),
        (&[route, "--unit", "line"], "--tcp raw"),
        (&[route, "--tcp", "raw", "--unit", "words"], "write line, read or a size"),
        (&["tcp://127.0.0.1:0=127.0.0.1:9", "--follow"], "leave it out"),
        (&[route, "--tcp", "raw"], "leave it out"),
        (&["udp://127.0.0.1:4999=127.0.0.1:4999"], "write the address of the server"),
        (&[route, "--profile", "cofee-shop"], "coffee-shop-wifi"),
        (&[route, "--seed", "seven"], "--seed"),
        (&[route, "--seed", "-1"], "\"-1\" is not a seed; write a whole number from 0"),
        (&[route, "--per-source", "x"], "\"x\" is not a whole number; write digits alone"),
        (&["--config", "x.json", "--profile", "y"], "cannot be used with"),
    ] {
        refused(arguments, 2, words);
    }
}

#[test]
fn a_wrong_file_ends_with_2_and_an_unreadable_one_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        path(name)
    };
    let route = "udp://127.0.0.1:0=127.0.0.1:9";
    let profile = write("profile.json", r#"{ "up": [ { "rule": "drop", "chance": "3" } ] }"#);
    refused(&[route, "--profile", &profile], 2, "up[0].chance");
    let broken = write("broken.json", "{ not json");
    refused(&["--config", &broken], 2, "not JSON");
    let config = write(
        "config.json",
        r#"{ "proxies": [ { "listen": "udp://127.0.0.1:0", "upstraem": "127.0.0.1:9" } ] }"#,
    );
    refused(&["--config", &config], 2, "proxies[0]");
    let disabled = write(
        "disabled.json",
        r#"{ "proxies": [ { "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9", "enabled": false } ] }"#,
    );
    refused(&["--config", &disabled], 2, "every route is disabled");
    refused(&["--config", &path("missing.json")], 1, "missing.json");
    refused(&[route, "--profile", &path("missing.json")], 1, "missing.json");
    let names = write(
        "names.json",
        r#"{ "proxies": [ { "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9", "profile": "missing.json" } ] }"#,
    );
    refused(&["--config", &names], 1, "missing.json");
    refused(&[route, "--events", &path("no/such/folder.jsonl")], 1, "folder.jsonl");
}

#[test]
fn a_port_in_use_ends_with_1_and_overwrites_nothing() {
    let (udp, tcp) =
        (UdpSocket::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (folder.path().join("old.jsonl"), folder.path().join("new.jsonl"));
    std::fs::write(&old, "kept\n").unwrap();
    for (scheme, address) in
        [("udp", udp.local_addr().unwrap()), ("tcp", tcp.local_addr().unwrap())]
    {
        for events in [&old, &new] {
            // The first route could start, and does not.
            let (first, second) =
                ("udp://127.0.0.1:0=127.0.0.1:9", format!("{scheme}://{address}=127.0.0.1:9"));
            let named =
                format!("route 2: cannot listen on {scheme}://{address}: Address already in use");
            let arguments = [first, &second, "--events", events.to_str().unwrap()];
            refused(&arguments, 1, &named);
            refused(&arguments, 1, "or choose another port");
        }
    }
    assert_eq!(std::fs::read_to_string(&old).unwrap(), "kept\n");
    assert!(!new.exists());
}

#[test]
fn an_unknown_upstream_is_told_and_the_route_listens() {
    let route = "tcp://127.0.0.1:0=no-such-host.invalid:80";
    let output = run(&[route, "--for", "100ms", "--seed", "7"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(String::from_utf8(output.stdout.clone()).unwrap().starts_with("route 1: tcp://"));
    let text = stderr(&output);
    assert!(text.contains("route 1: no-such-host.invalid:80 has no address"), "{text}");
}

#[test]
fn an_unknown_address_to_listen_at_ends_with_1() {
    refused(
        &["tcp://no-such-host.invalid:80=127.0.0.1:80"],
        1,
        "route 1: cannot resolve no-such-host.invalid:80",
    );
}

#[test]
fn it_says_where_it_listens_and_ends_after_a_time() {
    let route = "both://127.0.0.1:0=127.0.0.1:9";
    let weather = ["--drop", "20%", "--delay", "40ms"];
    let output = run(&[&[route, "--for", "100ms", "--seed", "7"][..], &weather].concat());
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let port = |line: &str, scheme: &str| -> u16 {
        // As the documents say: the address is the word before the arrow.
        let (front, behind) = line.split_once(" -> ").expect(line);
        assert_eq!(behind, "127.0.0.1:9  up, down: drop 20%, delay 40 ms");
        let url = front.rsplit(' ').next().unwrap();
        url.strip_prefix(&format!("{scheme}://127.0.0.1:")).expect(line).parse().unwrap()
    };
    assert_eq!(port(lines[0], "udp"), port(lines[1], "tcp"), "both on one port number");
    assert_eq!(lines[2], "no traffic: 1 udp, 1 tcp");
    assert!(lines.last().unwrap().starts_with("seed 7, 0."), "{text}");
    assert!(output.stderr.is_empty(), "{}", stderr(&output));
}

/// With privileges or without: it says what it got, why it did not get more, and runs.
#[test]
fn precedence_is_granted_or_refused_in_words() {
    let route = "udp://127.0.0.1:0=127.0.0.1:9";
    let output = run(&["--json", "--realtime", "--spin", "0s", route, "--for", "10ms"]);
    let text = stderr(&output);
    assert!(output.status.success(), "{text}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let line = lines.lines().find(|line| line.contains("realtime")).expect("a line of it");
    let said: Value = serde_json::from_str(line).unwrap();
    for (granted, remedy) in [("scheduled", "CAP_SYS_NICE"), ("locked", "CAP_IPC_LOCK")] {
        let is_granted = said[granted].as_bool().unwrap();
        assert_eq!(is_granted, !text.contains(remedy), "{granted}: {line} {text}");
    }
    refused(&["--spin", "50", route], 2, "--spin");
}

#[test]
fn a_drawn_seed_is_told() {
    let output = run(&["udp://127.0.0.1:0=127.0.0.1:9", "--for", "10ms"]);
    let drawn =
        stderr(&output).trim().strip_prefix("seed ").expect("it is told at once").to_owned();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().last().unwrap().starts_with(&format!("seed {drawn}, ")), "{text}");
}

#[test]
fn signals_end_it_cleanly() {
    for signal in [Signal::TERM, Signal::INT] {
        let route = "udp://127.0.0.1:0=127.0.0.1:9";
        let jostle = Jostle::start(&[route, "--delay", "1h", "--drain", "2s"], 1);
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"held", jostle.address("udp")).unwrap();
        // It is inside before the signal comes.
        std::thread::park_timeout(Duration::from_millis(200));
        let begun = Instant::now();
        jostle.signal(signal);
        let (status, summary) = jostle.wait();
        assert!(status.success(), "{status}");
        assert!(
            begun.elapsed() < Duration::from_secs(4),
            "two seconds of drain: {:?}",
            begun.elapsed()
        );
        assert_eq!(summary.link("udp", "up")["held"], 1);
        summary.assert_conserved();
    }
}

#[test]
fn the_first_packet_of_a_route_is_told_once_and_the_delay_is_summed_up() {
    let folder = tempfile::tempdir().unwrap();
    let said = folder.path().join("stderr");
    let mut command = jostle();
    command.stderr(std::fs::File::create(&said).unwrap());
    // People are told, machines are not.
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let route = format!("udp://127.0.0.1:0={}", server.local_addr().unwrap());
    let arguments = [route.as_str(), "--delay", "30ms", "--seed", "7"];
    let quiet = Jostle::start_with(command, &arguments, 1);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..20 {
        client.send_to(b"x", quiet.address("udp")).unwrap();
    }
    let summary = quiet.stop();
    let delay = &summary.link("udp", "up")["delay"];
    let number = |name: &str| delay[name].as_f64().unwrap();
    assert_eq!(delay["packets"], summary.link("udp", "up")["delivered"], "{delay}");
    assert!(number("packets") > 0.0, "{delay}");
    for name in ["mean_ms", "p50_ms", "p99_ms", "max_ms"] {
        assert!((number(name) - 30.0).abs() < 1e-6, "{name}: {delay}");
    }
    assert!(number("sd_ms") < 1e-6, "{delay}");
    assert_eq!(std::fs::read_to_string(&said).unwrap(), "");

    let mut child = jostle()
        .args(["proxy", route.as_str(), "--seed", "7"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    let address = ready.split(" -> ").next().unwrap().rsplit("udp://").next().unwrap();
    for _ in 0..3 {
        client.send_to(b"x", address).unwrap();
    }
    let mut told = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    told.read_line(&mut line).unwrap();
    let from = client.local_addr().unwrap();
    assert_eq!(line, format!("route 1: first packet from udp://{from}\n"));
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let mut rest = String::new();
    told.read_to_string(&mut rest).unwrap();
    child.wait().unwrap();
    assert!(!rest.contains("first packet"), "{rest}");
}

/// The number of requests that are under way when a signal comes.
const REQUESTS: usize = 100;

#[test]
fn a_signal_lets_requests_that_wait_for_their_upstream_finish() {
    for rules in [&[][..], &["--delay", "5ms"], &["--tcp", "raw", "--delay", "5ms"]] {
        let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
        let route = format!("tcp://127.0.0.1:0={}", upstream.local_addr().unwrap());
        let patient = [&[route.as_str(), "--drain", "10m"], rules].concat();
        let jostle = Jostle::start(&patient, 1);
        let mut clients: Vec<TcpStream> = Vec::new();
        let mut servers: Vec<TcpStream> = Vec::new();
        for _ in 0..REQUESTS {
            let mut client = TcpStream::connect(jostle.address("tcp")).unwrap();
            client.write_all(b"question\n").unwrap();
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            clients.push(client);
            servers.push(upstream.accept().unwrap().0);
        }
        // A client that comes from now on is hung up on.
        std::thread::spawn(move || upstream.incoming().for_each(drop));
        jostle.signal(Signal::TERM);
        // It is known to stop when no other client is let in; nothing was answered so far.
        let begun = Instant::now();
        while TcpStream::connect(jostle.address("tcp")).is_ok() {
            assert!(begun.elapsed() < PATIENCE, "it still listens");
        }
        for mut server in servers {
            let mut question = [0; 9];
            server.set_read_timeout(Some(PATIENCE)).unwrap();
            server.read_exact(&mut question).unwrap();
            server.write_all(b"answer").unwrap();
        }
        for mut client in clients {
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
            assert_eq!(answer, "answer", "{rules:?}");
        }
        let (status, summary) = jostle.wait();
        assert!(status.success(), "{status}");
        // It does not wait for the time to be over.
        assert!(begun.elapsed() < 5 * PATIENCE, "{:?}", begun.elapsed());
        assert_eq!(summary.sockets("tcp", "cut"), 0, "{rules:?}");
        assert!(summary.sockets("tcp", "finished") >= REQUESTS as u64, "{rules:?}");
    }
}

#[test]
fn what_stays_open_is_cut_when_the_time_to_drain_is_over() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let route = format!("tcp://127.0.0.1:0={}", upstream.local_addr().unwrap());
    let jostle = Jostle::start(&[&route, "--drain", "700ms"], 1);
    let mut client = TcpStream::connect(jostle.address("tcp")).unwrap();
    let (_server, _) = upstream.accept().unwrap();
    let begun = Instant::now();
    jostle.signal(Signal::TERM);
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let end = client.read(&mut [0; 10]).map_err(|error| error.kind());
    assert_eq!(end, Err(ErrorKind::ConnectionReset));
    assert!(begun.elapsed() >= Duration::from_millis(700), "{:?}", begun.elapsed());
    let (status, summary) = jostle.wait();
    assert!(status.success(), "{status}");
    assert_eq!(summary.sockets("tcp", "cut"), 1);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let jostle = Jostle::start(&["udp://127.0.0.1:0=127.0.0.1:9", "--delay", "1h"], 1);
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"held", jostle.address("udp")).unwrap();
    std::thread::park_timeout(Duration::from_millis(200));
    let begun = Instant::now();
    jostle.signal(Signal::TERM);
    std::thread::park_timeout(Duration::from_millis(200));
    jostle.signal(Signal::TERM);
    let (status, _) = jostle.wait();
    assert_eq!(status.code(), Some(143));
    assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());
}

#[test]
fn sigusr1_switches_the_rules() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let route = format!("udp://127.0.0.1:0={}", server.local_addr().unwrap());
    let jostle = Jostle::start(&[&route, "--drop", "100%"], 1);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    let passes = || {
        client.send_to(b"probe", jostle.address("udp")).unwrap();
        server.recv(&mut [0; 10]).is_ok()
    };
    let becomes = |wanted: bool| {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if passes() == wanted {
                return true;
            }
        }
        false
    };
    assert!(!passes());
    jostle.signal(Signal::USR1);
    assert!(becomes(true), "off");
    jostle.signal(Signal::USR1);
    assert!(becomes(false), "on again");
    jostle.stop();
}

#[test]
fn a_command_s_status_is_passed_on() {
    let route = "tcp://127.0.0.1:0=127.0.0.1:9";
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143)] {
        let output = run(&[route, "--", "sh", "-c", script]);
        assert_eq!(output.status.code(), Some(code), "{script}");
    }
    let output = run(&[route, "--seed", "1", "--", "sh", "-c", "echo \"it is $JOSTLE_LISTEN\""]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("it is tcp://127.0.0.1:"), "{text}");
    let output = run(&[route, "--", "no-such-program-anywhere"]);
    assert_eq!(output.status.code(), Some(127));
    assert!(stderr(&output).contains("cannot run no-such-program-anywhere"));
    // A command that outlives the time is asked to end.
    let begun = Instant::now();
    let output = run(&[route, "--for", "100ms", "--", "sleep", "60"]);
    assert_eq!(output.status.code(), Some(143));
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn events_tell_each_packet_s_fate() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let events = folder.path().join("events.jsonl");
    std::fs::write(&events, "something old\n").unwrap();
    let route = format!("udp://127.0.0.1:0={}", server.local_addr().unwrap());
    let arguments = [
        &route,
        "--up-drop",
        "20%",
        "--up-corrupt",
        "20%",
        "--up-duplicate",
        "20%",
        "--seed",
        "7",
        "--delay",
        "2ms",
    ];
    let jostle =
        Jostle::start(&[&arguments[..], &["--events", events.to_str().unwrap()]].concat(), 1);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    for number in 0..200u32 {
        client.send_to(&number.to_be_bytes(), jostle.address("udp")).unwrap();
    }
    let summary = jostle.stop();
    let text = std::fs::read_to_string(&events).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let count =
        |wanted: &dyn Fn(&Value) -> bool| lines.iter().filter(|line| wanted(line)).count() as u64;
    let up = summary.link("udp", "up");
    assert_eq!(up["in"], 200);
    assert_eq!(
        lines.len() as u64,
        200 + up["copies"].as_u64().unwrap(),
        "a line per packet and copy"
    );
    assert_eq!(up["delivered"], count(&|line| line["fate"] == "delivered"));
    assert_eq!(
        up["discarded"]["drop"],
        count(&|line| line["fate"] == "discarded" && line["reason"] == "drop")
    );
    let flipped = |line: &Value| line["fate"] == "delivered" && line["flipped_bits"] == 1;
    assert_eq!(up["corrupted"], count(&flipped));
    assert!(
        count(&flipped) > 10 && count(&|line| line["copy"] != 0) > 10,
        "the test saw something"
    );
    for line in &lines {
        let acted = |rule: &str| line["rules"].as_array().unwrap().iter().any(|key| key == rule);
        assert_eq!(acted("--drop"), line["fate"] == "discarded", "{line}");
        assert_eq!(acted("--corrupt"), line["flipped_bits"] != 0, "{line}");
        if line["fate"] == "delivered" {
            assert_eq!(line["delay"].as_f64(), Some(0.002), "{line}");
            assert!(line["lateness"].as_f64().unwrap() >= 0.0, "{line}");
        }
    }
}

#[test]
fn a_file_holds_many_routes() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let upstream = server.local_addr().unwrap();
    let routes: Vec<String> = (0..300)
        .map(|n| format!(r#"{{ "name": "route-{n}", "listen": "udp://127.0.0.1:0", "upstream": "{upstream}", "profile": "coffee-shop-wifi" }}"#))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("routes.json");
    std::fs::write(&config, format!(r#"{{ "seed": 7, "proxies": [ {} ] }}"#, routes.join(",")))
        .unwrap();
    let jostle = Jostle::start(&["--config", config.to_str().unwrap()], 300);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut names = std::collections::BTreeSet::new();
    for (name, address) in &jostle.listeners {
        client.send_to(name.as_bytes(), address.strip_prefix("udp://").unwrap()).unwrap();
        names.insert(name.clone());
    }
    assert_eq!(names.len(), 300);
    // Stopped at once, a busy machine's proxy has not read them all.
    while server.recv(&mut [0; 100]).is_ok() {
        server.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    }
    let summary = jostle.stop();
    let links: Vec<&Value> = summary.0.iter().filter(|value| value["event"] == "link").collect();
    assert_eq!(links.len(), 600);
    let sum = |name: &str| links.iter().map(|link| link[name].as_u64().unwrap()).sum::<u64>();
    assert_eq!(sum("in"), 300);
    assert!(sum("delivered") > 250, "{}", sum("delivered"));
    summary.assert_conserved();
}

#[test]
fn completions_for_a_full_disk_are_an_error_and_no_panic() {
    let Ok(full) = std::fs::File::options().write(true).open("/dev/full") else { return };
    let mut command = jostle();
    let output =
        command.args(["completions", "bash"]).stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).starts_with("jostle: cannot write the completions: "),
        "{}",
        stderr(&output)
    );
}
