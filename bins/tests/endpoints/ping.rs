//! Ping on real sockets, alone and through the proxy.

use crate::proxy_support::Jostle;
use crate::support::{Server, client};
use jostle_common::statistics::{Z_999, proportion_margin};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn any_datagram_comes_back_but_not_to_another_service() {
    let server = Server::start(&["ping"]);
    // The same port number on another address of this machine is what another server of ours would
    // have.
    let other = UdpSocket::bind(("127.0.0.2", server.address.port())).unwrap();
    other.send_to(b"loop", server.address).unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server.address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut buffer = vec![0; 1 << 16];
    for payload in [&b"hello"[..], b"", b"\0\xff\n", &[7; 65_507]] {
        socket.send(payload).unwrap();
        let length = socket.recv(&mut buffer).unwrap();
        assert!(buffer[..length] == *payload, "{} bytes", payload.len());
    }
    let (status, lines) = server.terminate();
    let summary = &lines[0];
    assert_eq!(
        (status, &summary["received"], &summary["answered"]),
        (Some(0), &5.into(), &4.into())
    );
    assert_eq!(summary["refused"], 1, "what came first was counted, and not answered");
    other.set_nonblocking(true).unwrap();
    assert!(other.recv(&mut buffer).is_err());
}

#[test]
fn a_clean_way_loses_nothing_whatever_the_pace() {
    let server = Server::start(&["ping"]);
    let address = server.address.to_string();
    for (arguments, requests) in [
        (&["--count", "20"][..], Some(20)),
        (&["--count", "20", "--size", "1400", "--interval", "2ms"], Some(20)),
        (&["--count", "2000", "--flood"], Some(2000)),
        (&["--deadline", "200ms", "--interval", "10ms"], None),
    ] {
        let run = client(&[&["ping", &address], arguments].concat());
        assert_eq!(run.status, Some(0), "{}", run.stderr);
        let count = |name: &str| run.summary[name].as_u64().unwrap();
        requests
            .into_iter()
            .for_each(|requests| assert_eq!(count("requests"), requests, "{arguments:?}"));
        // A deadline may come before the last answer.
        let open = if requests.is_some() { 0 } else { count("waiting") };
        assert_eq!(
            (count("answered") + open, count("doubled")),
            (count("requests"), 0),
            "{}",
            run.summary
        );
        assert_eq!(count("sent"), count("received") + count("lost") + count("waiting"));
        let rtt = |name: &str| run.summary["rtt_ms"][name].as_f64().unwrap();
        assert!(rtt("min") <= rtt("avg") && rtt("avg") <= rtt("max") && rtt("p50") <= rtt("p99"));
        assert!(
            run.summary["jitter_ms"].as_f64().unwrap() <= rtt("max") && rtt("mdev") <= rtt("max")
        );
        let answers = run.lines.iter().filter(|line| line["event"] == "answer").count() as u64;
        assert_eq!(answers, if arguments.contains(&"--flood") { 0 } else { count("received") });
    }
}

#[test]
fn loss_through_the_proxy_is_what_the_proxy_lost() {
    const COUNT: u64 = 3000;
    let server = Server::start(&["ping"]);
    let route = format!("udp://127.0.0.1:0={}", server.address);
    let proxy = Jostle::start(&[&route, "--drop", "10%", "--delay", "5ms", "--seed", "7"], 1);
    let address = proxy.address("udp").to_string();
    let run = client(&["ping", &address, "--count", &COUNT.to_string(), "--interval", "1ms"]);
    let summary = proxy.stop();
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    let expected = 1.0 - 0.9 * 0.9;
    let (loss, margin) = (
        run.summary["loss"].as_f64().unwrap(),
        proportion_margin(expected, COUNT as f64, 0.0, Z_999),
    );
    assert!((loss - expected).abs() < margin, "{loss} is not {expected} ± {margin}");
    assert_eq!(
        (&run.summary["sent"], &run.summary["waiting"]),
        (&COUNT.into(), &0.into()),
        "no retries"
    );
    let lost = |direction| {
        let link = summary.link("udp", direction);
        assert_eq!(link["missed_by_kernel"], 0, "{link}");
        link["discarded"]["drop"].as_u64().unwrap()
    };
    assert_eq!(run.summary["lost"], lost("up") + lost("down"));
    assert!(run.summary["rtt_ms"]["min"].as_f64().unwrap() >= 10.0);
}

#[test]
fn doubled_and_damaged_answers_are_counted_and_retries_reach_the_server() {
    let server = Server::start(&["ping"]);
    let route = format!("udp://127.0.0.1:0={}", server.address);
    let weather =
        ["--up-drop", "30%", "--down-duplicate", "20%", "--down-corrupt", "10%", "--seed", "7"];
    let proxy = Jostle::start(&[&[route.as_str()], &weather[..]].concat(), 1);
    let address = proxy.address("udp").to_string();
    let run =
        client(&["ping", &address, "--count", "200", "--retries", "20", "--timeout", "fixed:20ms"]);
    let summary = proxy.stop();
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    let count = |name: &str| run.summary[name].as_u64().unwrap();
    assert_eq!((count("requests"), count("answered")), (200, 200));
    let (up, down) = (summary.link("udp", "up"), summary.link("udp", "down"));
    assert_eq!(count("sent"), up["in"]);
    assert_eq!(count("received") + count("doubled") + count("damaged"), down["delivered"]);
    assert_eq!(count("damaged"), down["corrupted"]);
    assert!(
        count("doubled") > 10 && count("damaged") > 10 && count("lost") > 50,
        "{}",
        run.summary
    );
}

#[test]
fn once_ends_behind_the_first_client_and_silence_is_status_one() {
    let mut server = Server::start(&["ping", "--once"]);
    let run = client(&["ping", &server.address.to_string(), "--count", "3"]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    let (status, lines) = server.wait();
    assert_eq!((status, &lines[0]["answered"]), (Some(0), &3.into()));

    let mute = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = mute.local_addr().unwrap().to_string();
    let run = client(&["ping", &address, "--count", "2", "--timeout", "fixed:20ms"]);
    assert_eq!(
        (run.status, &run.summary["sent"], &run.summary["loss"]),
        (Some(1), &8.into(), &1.0.into())
    );
    assert!(
        run.stderr.contains(&format!("no answer from {address} to 8 datagrams")),
        "{}",
        run.stderr
    );
}

#[test]
fn a_client_that_is_interrupted_says_what_it_knows() {
    let server = Server::start(&["ping"]);
    let mut client = Command::new(env!("CARGO_BIN_EXE_jostle-client"))
        .args([
            "ping",
            &server.address.to_string(),
            "--count",
            "1000000",
            "--interval",
            "10ms",
            "--json",
        ])
        .args(["--timeout", "fixed:10s"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(client.stdout.take().unwrap());
    let mut answer = String::new();
    stdout.read_line(&mut answer).unwrap();
    assert!(answer.starts_with(r#"{"event":"answer","number":1,"#), "{answer}");
    Command::new("kill").args(["-INT", &client.id().to_string()]).status().unwrap();
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(client.wait().unwrap().code(), Some(0));
    let summary: Value = serde_json::from_str(rest.lines().last().unwrap()).unwrap();
    assert_eq!((&summary["stopped"], &summary["ok"]), (&true.into(), &false.into()));
    let count = |name: &str| summary[name].as_u64().unwrap();
    assert!(
        count("received") >= 1
            && count("sent") == count("received") + count("lost") + count("waiting")
    );
}

#[test]
fn people_read_lines_as_ping_prints_them() {
    let server = Server::start(&["ping"]);
    let output = Command::new(env!("CARGO_BIN_EXE_jostle-client"))
        .args(["ping", &server.address.to_string(), "--count", "2", "--timeout", "fixed:10s"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let starts: Vec<_> = text.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(starts, ["56", "56", "---", "requests", "sent", "rtt", "rtt", "time"], "{text}");
    assert!(text.starts_with(&format!("56 bytes from {}: seq=1 time=", server.address)), "{text}");
    assert!(
        text.contains(
            "\nrequests 2 answered 2\nsent 2 received 2 lost 0 (0.0%) doubled 0 late 0\n"
        ),
        "{text}"
    );
}
