//! Echo on real sockets, alone and through the proxy.

use crate::proxy_support::Jostle;
use crate::support::{Run, Server, client_fed};
use jostle_common::digest::Digest;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Lines of which any two differ in many bits.
fn unlike_lines(count: u32) -> String {
    (0..count).map(|number| format!("{}\n", Digest::of(&number.to_be_bytes()))).collect()
}

fn counts(run: &Run) -> [u64; 6] {
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    ["sent", "intact", "damaged", "missing", "doubled", "unknown"]
        .map(|name| run.summary[name].as_u64().unwrap())
}

#[test]
fn lines_come_back_as_they_are_and_the_server_prints_them() {
    for over in ["tcp", "udp"] {
        let mut server = Server::start(&["echo", "--over", over, "--once"]);
        let long = "é".repeat(30_000);
        let lines = ["hello", "", "Grüße \u{1b}[2J", "hello", &long, "no newline"];
        let run = client_fed(
            &["echo", &server.address.to_string(), "--over", over],
            lines.join("\n").as_bytes(),
        );
        assert_eq!(counts(&run), [6, 6, 0, 0, 0, 0], "{over}");
        let answers: Vec<_> = run.lines.iter().filter(|line| line["event"] == "answer").collect();
        assert!(
            answers.iter().map(|answer| answer["text"].as_str().unwrap()).eq(lines),
            "in order, one at a time"
        );
        let (status, printed) = server.wait();
        assert_eq!((status, printed.len()), (Some(0), 7));
        assert!(printed.iter().zip(lines).all(|(printed, line)| printed["text"] == line));
        assert_eq!(printed[6]["messages"], 6);
    }
}

#[test]
fn a_line_that_is_too_long_is_not_sent_and_nothing_to_say_is_no_failure() {
    for over in ["tcp", "udp"] {
        let server = Server::start(&["echo", "--over", over]);
        let address = server.address.to_string();
        let input = format!("one\n{}\ntwo\n", "x".repeat(70_000));
        let run = client_fed(&["echo", &address, "--over", over], input.as_bytes());
        assert_eq!(
            (counts(&run), &run.summary["too_long"]),
            ([2, 2, 0, 0, 0, 0], &1.into()),
            "{over}"
        );
        assert!(run.stderr.contains("65507"), "{}", run.stderr);
        assert_eq!(counts(&client_fed(&["echo", &address, "--over", over], b"")), [0; 6]);
    }
}

#[test]
fn a_stream_comes_back_byte_for_byte_however_it_is_cut() {
    let mut server = Server::start(&["echo", "--over", "tcp", "--once"]);
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // A line beyond any bound, bytes that are no text, half a line at the end.
    let sent = [&vec![b'x'; 300_000][..], b"\n\xff\0\r\n\n\n", b"end"].concat();
    let mut writer = stream.try_clone().unwrap();
    let mut back = Vec::new();
    let (status, printed) = std::thread::scope(|scope| {
        // A server whose output nobody reads stops when the pipe is full.
        let printed = scope.spawn(|| server.wait());
        scope.spawn(|| {
            sent.chunks(777).for_each(|piece| writer.write_all(piece).unwrap());
            writer.shutdown(Shutdown::Write).unwrap();
        });
        stream.read_to_end(&mut back).unwrap();
        printed.join().unwrap()
    });
    assert!(back == sent, "{} bytes of {}", back.len(), sent.len());
    // Five pieces of the long line, its newline among the last; three more lines; and the rest.
    assert_eq!((status, &printed.last().unwrap()["messages"]), (Some(0), &9.into()));
}

#[test]
fn over_udp_what_the_proxy_did_is_what_the_client_says() {
    let server = Server::start(&["echo", "--over", "udp"]);
    let route = format!("udp://127.0.0.1:0={}", server.address);
    let weather =
        ["--up-drop", "15%", "--down-duplicate", "10%", "--down-corrupt", "10%", "--seed", "7"];
    let proxy = Jostle::start(&[&[route.as_str()], &weather[..]].concat(), 1);
    let address = proxy.address("udp").to_string();
    let run = client_fed(
        &["echo", &address, "--over", "udp", "--linger", "500ms"],
        unlike_lines(400).as_bytes(),
    );
    let summary = proxy.stop();
    let [sent, intact, damaged, missing, doubled, unknown] = counts(&run);
    let (up, down) = (summary.link("udp", "up"), summary.link("udp", "down"));
    assert_eq!((sent, unknown), (400, 0));
    assert_eq!(sent, intact + damaged + missing);
    assert_eq!(missing, up["discarded"]["drop"].as_u64().unwrap());
    assert_eq!(intact + damaged + doubled, down["delivered"].as_u64().unwrap());
    assert!(missing > 30 && damaged > 15 && doubled > 15, "{}", run.summary);
    assert!(damaged <= down["corrupted"].as_u64().unwrap(), "an intact copy wins");
}

#[test]
fn over_tcp_bad_weather_costs_time_and_a_raw_route_loses_lines() {
    let server = Server::start(&["echo", "--over", "tcp"]);
    let route = format!("tcp://127.0.0.1:0={}", server.address);
    let talk = |weather: &[&str]| {
        let proxy = Jostle::start(&[&[route.as_str(), "--seed", "7"], weather].concat(), 1);
        let address = proxy.address("tcp").to_string();
        let run = client_fed(&["echo", &address, "--over", "tcp"], unlike_lines(200).as_bytes());
        (counts(&run), proxy.stop())
    };
    let (modelled, _) = talk(&["--drop", "3%", "--corrupt", "2%", "--delay", "2ms"]);
    assert_eq!(modelled, [200, 200, 0, 0, 0, 0]);
    let (raw, summary) = talk(&["--drop", "10%", "--tcp", "raw"]);
    let lost = |direction| summary.link("tcp", direction)["discarded"]["drop"].as_u64().unwrap();
    let missing = lost("up") + lost("down");
    assert_eq!(raw, [200, 200 - missing, 0, missing, 0, 0]);
    assert!(missing > 15);
}

#[test]
fn a_name_with_two_addresses_is_tried_at_both() {
    for over in ["tcp", "udp"] {
        for listen in ["127.0.0.1:0", "[::1]:0"] {
            let server = Server::start_on(listen, &["echo", "--over", over]);
            if server.address.is_ipv6() && !names_ipv6() {
                eprintln!("SKIPPED: localhost has no IPv6 address here");
                continue;
            }
            let address = format!("localhost:{}", server.address.port());
            let run = client_fed(&["echo", &address, "--over", over], b"one\ntwo\nthree\n");
            assert_eq!(counts(&run), [3, 3, 0, 0, 0, 0], "{over} {listen}");
            assert_eq!(run.summary["server"], server.address.to_string());
        }
    }
}

fn names_ipv6() -> bool {
    ("localhost", 0).to_socket_addrs().unwrap().any(|address| address.is_ipv6())
}
