//! Stdout and stderr that are closed, full, or taken by something else.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "it looks at the real clock")]

mod proxy_support;

use proxy_support::{Jostle, PATIENCE, jostle};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead as _, BufReader, PipeWriter};
use std::net::UdpSocket;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const ROUTE: &str = "udp://127.0.0.1:0=127.0.0.1:9";

/// A pipe whose reader has gone.
fn closed() -> PipeWriter {
    std::io::pipe().unwrap().1
}

/// A disk without room, where the system has one.
fn full() -> Option<File> {
    File::options().write(true).open("/dev/full").ok()
}

fn run(line: &str) -> Command {
    let mut command = jostle();
    command.args(line.split_whitespace()).stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_proxy_outlives_the_reader_of_its_stderr() {
    let mut command = jostle();
    command.stderr(closed());
    // A drawn seed is said on stderr before anything else.
    let jostle = Jostle::start_with(command, &[ROUTE, "--delay", "1ms"], 1);
    for _ in 0..3 {
        jostle.signal(Signal::USR1);
        std::thread::park_timeout(Duration::from_millis(100));
    }
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"x", jostle.address("udp")).unwrap();
    let summary = jostle.stop();
    summary.assert_conserved();
}

#[test]
fn a_closed_stderr_does_not_change_a_status() {
    let programs = [
        env!("CARGO_BIN_EXE_jostle"),
        env!("CARGO_BIN_EXE_jostle-server"),
        env!("CARGO_BIN_EXE_jostle-client"),
    ];
    for program in programs {
        let status = Command::new(program).arg("no-such-command").stderr(closed()).status();
        assert_eq!(status.unwrap().code(), Some(2), "{program}");
    }
    for (line, code) in [
        ("profile check no-such-profile", 2),
        ("profile check /no/such/file.json", 1),
        ("profile from-netem delay 100ms 10ms loss 1% 25%", 0),
        ("simulate --drop 5% --count 100", 0),
        ("trial --protocol saw --size 8KiB --virtual", 0),
        ("proxy udp://127.0.0.1:0=127.0.0.1:9 --for 10ms", 0),
    ] {
        let status = run(line).stdout(Stdio::null()).stderr(closed()).status().unwrap();
        assert_eq!(status.code(), Some(code), "{line}");
    }
}

#[test]
fn a_reader_of_stdout_that_has_gone_is_no_error() {
    for line in [
        "profile list",
        "profile list --json",
        "simulate --drop 5% --count 100",
        "simulate --drop 5% --count 10000 --events -",
        "proxy udp://127.0.0.1:0=127.0.0.1:9 --for 10ms",
        "--help",
    ] {
        let output = run(line).stdout(closed()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{line}: {}", text(&output.stderr));
    }
}

#[test]
fn a_full_disk_is_status_1() {
    let Some(disk) = full() else { return };
    for line in [
        "simulate --drop 5% --count 100",
        "simulate --drop 5% --count 100 --json",
        "simulate --drop 5% --count 100 --packet 3",
        "simulate --drop 5% --count 100 --events -",
        "profile list",
        "profile list --json",
        "profile show coffee-shop-wifi",
        "profile check coffee-shop-wifi",
        "profile check coffee-shop-wifi --json",
        "profile schema",
        "profile from-netem delay 100ms",
        "profile from-netem --json delay 100ms",
        "proxy udp://127.0.0.1:0=127.0.0.1:9 --for 10ms",
        "proxy udp://127.0.0.1:0=127.0.0.1:9 --for 10ms --json",
        "trial --protocol saw --size 8KiB --virtual --seed 1",
        "completions bash",
        "--help",
        "--version",
    ] {
        let output = run(line).stdout(disk.try_clone().unwrap()).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{line}: {said}");
        // The parser of the command line tells help itself, and nothing about a failure.
        assert!(line.starts_with("--") || said.contains("No space left"), "{line}: {said}");
    }
}

#[test]
fn a_server_whose_stdout_is_full_ends_with_1() {
    let Some(disk) = full() else { return };
    let mut server = Command::new(env!("CARGO_BIN_EXE_jostle-server"))
        .args(["echo", "--over", "udp", "--listen", "127.0.0.1:0"])
        .stdout(disk)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It cannot say when it listens.
    std::thread::park_timeout(Duration::from_millis(500));
    kill_process(Pid::from_child(&server), Signal::TERM).unwrap();
    server.wait().unwrap();
    let output = server.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("jostle-server: cannot write to stdout: No space left"), "{said}");
}

#[test]
fn a_server_whose_stdout_is_not_read_serves_on_and_ends() {
    let mut server = Command::new(env!("CARGO_BIN_EXE_jostle-server"))
        .args(["echo", "--over", "udp", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(server.stdout.take().unwrap());
    let mut ready = String::new();
    stdout.read_line(&mut ready).unwrap();
    let address = ready.trim().rsplit_once("udp://").unwrap().1.to_owned();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(&address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let message = [b'x'; 1000];
    // A pipe holds 64 KiB, and the queue 4 MiB.
    for _ in 0..6_000 {
        client.send(&message).unwrap();
        assert_eq!(client.recv(&mut [0; 2000]).unwrap(), message.len());
    }
    kill_process(Pid::from_child(&server), Signal::TERM).unwrap();
    let begun = Instant::now();
    while server.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(10), "it does not end");
        std::thread::park_timeout(Duration::from_millis(10));
    }
    let output = server.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let said = text(&output.stderr);
    assert!(said.contains("lines are not printed: the reader of stdout stands still"), "{said}");
}

/// Asserts that every line of stdout is an event, and returns how many there are.
fn events(output: &Output) -> usize {
    let lines = text(&output.stdout);
    for line in lines.lines() {
        let event: Value = serde_json::from_str(line).expect(line);
        assert!(event["fate"].is_string(), "{line}");
    }
    lines.lines().count()
}

#[test]
fn events_go_to_stdout_by_the_name_of_a_dash() {
    let folder = tempfile::tempdir().unwrap();
    let simulate = run("simulate --drop 5% --count 100 --direction up --seed 7 --events -")
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(simulate.status.code(), Some(0));
    assert_eq!(events(&simulate), 100);
    assert!(text(&simulate.stderr).contains("lost"), "{}", text(&simulate.stderr));
    let proxy = run(&format!("proxy {ROUTE} --seed 7 --for 50ms --events -"))
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!((proxy.status.code(), events(&proxy)), (Some(0), 0));
    let said = text(&proxy.stderr);
    assert!(said.starts_with("route 1: udp://") && said.contains("\nseed 7, 0."), "{said}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "no file is called -");
    for line in
        ["simulate --drop 5% --json --events -", &format!("proxy {ROUTE} --json --events -")]
    {
        let output = run(line).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{line}: {said}");
        assert!(said.contains("write the events to a file"), "{line}: {said}");
    }
}
