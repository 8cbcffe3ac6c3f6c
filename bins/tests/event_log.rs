//! The event log and the end of a proxy: nothing that is not read, or full, holds either up in
//! silence.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "it looks at the real clock")]

mod proxy_support;

use proxy_support::{PATIENCE, jostle};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

/// A proxy with these arguments, and the address that it listens at.
fn start(arguments: &[&str]) -> (Child, String) {
    let mut child = jostle()
        .args(["proxy", "--seed", "7"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    child.stdout = Some(lines.into_inner());
    let address = line.split("://").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    (child, address)
}

/// Lets a datagram cross a route to and fro.
fn cross(address: &str, server: &UdpSocket) {
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    client.send_to(b"there", address).unwrap();
    let (_, from) = server.recv_from(&mut [0; 100]).unwrap();
    server.send_to(b"and back", from).unwrap();
    assert_eq!(client.recv(&mut [0; 100]).unwrap(), 8);
}

fn end(child: Child) -> (Output, f64) {
    let begun = Instant::now();
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    (output, begun.elapsed().as_secs_f64())
}

fn route(server: &UdpSocket) -> String {
    format!("udp://127.0.0.1:0={}", server.local_addr().unwrap())
}

fn pipe(folder: &Path) -> String {
    let path = folder.join("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_full_disk_is_status_one_and_said() {
    if !Path::new("/dev/full").exists() {
        eprintln!("SKIPPED: there is no /dev/full");
        return;
    }
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    for (crossings, status) in [(0, 0), (3, 1)] {
        let (child, address) = start(&[&route(&server), "--events", "/dev/full"]);
        (0..crossings).for_each(|_| cross(&address, &server));
        let (output, _) = end(child);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert_eq!(
            said.contains("the event log is not whole: No space left"),
            status == 1,
            "{said}"
        );
    }
}

#[test]
fn a_pipe_without_a_reader_holds_nothing_up() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = pipe(folder.path());
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    for (crossings, status) in [(0, 0), (3, 1)] {
        let (child, address) = start(&[&route(&server), "--events", &pipe]);
        (0..crossings).for_each(|_| cross(&address, &server));
        let (output, took) = end(child);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert_eq!(said.contains("nobody reads the pipe"), status == 1, "{said}");
        assert!(took < PATIENCE.as_secs_f64(), "{took} s");
    }
}

#[test]
fn a_reader_that_comes_late_gets_the_lines() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = pipe(folder.path());
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (child, address) = start(&[&route(&server), "--events", &pipe]);
    (0..3).for_each(|_| cross(&address, &server));
    let reader = std::thread::spawn(move || {
        let mut lines = BufReader::new(std::fs::File::open(pipe).unwrap());
        let mut first = String::new();
        lines.read_line(&mut first).unwrap();
        (first, lines)
    });
    // It has opened the pipe once it has a line.
    let (first, mut lines) = reader.join().unwrap();
    let (output, _) = end(child);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8(output.stderr).unwrap());
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    let lines: Vec<&str> = first.lines().chain(rest.lines()).collect();
    assert_eq!(lines.len(), 6, "{lines:?}");
    assert!(lines.iter().all(|line| line.contains(r#""fate":"delivered""#)), "{lines:?}");
}

#[test]
fn an_end_that_waits_says_for_what() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let route = format!("tcp://127.0.0.1:0={}", listener.local_addr().unwrap());
    let (mut child, address) = start(&[&route, "--drain", "60s"]);
    let clients = [(), ()].map(|()| TcpStream::connect(&address).unwrap());
    let servers = [(), ()].map(|()| listener.accept().unwrap());
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let mut said = String::new();
    while !said.contains("waiting") {
        assert!(stderr.read_line(&mut said).unwrap() > 0, "{said}");
    }
    let right = "waiting up to 60s for 2 connections; a second signal ends it at once";
    assert!(said.contains(right), "{said}");
    drop((clients, servers));
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "it ends once they are closed");
}

#[test]
fn what_is_left_out_on_purpose_is_counted_apart() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.jsonl");
    let (child, address) = start(&[
        &route(&server),
        "--drop",
        "100%",
        "--events",
        file.to_str().unwrap(),
        "--events-only",
        "direction=up,fate=drop,fate=no_room",
        "--events-every",
        "10",
    ]);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..100 {
        client.send_to(b"there", &address).unwrap();
    }
    let (output, _) = end(child);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains(", 90 left out of the event log"), "{said}");
    assert!(!said.contains("lost, "), "{said}");
    let lines = std::fs::read_to_string(file).unwrap();
    let packets = lines.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((&line["reason"], &line["rules"]), (&"drop".into(), &vec!["--drop"].into()));
        line["packet"].as_u64().unwrap()
    });
    let blocks: Vec<u64> = packets.map(|packet| (packet - 1) / 10).collect();
    assert_eq!(blocks, (0..10).collect::<Vec<_>>(), "one of each ten");
}

#[test]
fn a_choice_that_is_none_is_refused_with_the_remedy() {
    let run = |filter: &str| {
        let route = ["proxy", "udp://127.0.0.1:0=127.0.0.1:9", "--events", "-"];
        jostle().args(route).args(["--events-only", filter]).output().unwrap()
    };
    let output = run("fate=eaten");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    let told = "fate: \"eaten\" is none; write delivered, discarded, or a reason: drop";
    assert!(said.contains(told), "{said}");
}
