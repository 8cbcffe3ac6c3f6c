//! `jostle proxy … -- CMD`: whose stdout it is, whose status, and who gets which signal.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "it looks at the real clock")]

mod proxy_support;

use proxy_support::{Background, PATIENCE, installed, jostle};
use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process};
use serde_json::Value;
use std::io::{BufRead, BufReader, Lines};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

const ROUTE: &str = "tcp://127.0.0.1:0=127.0.0.1:9";

fn run(arguments: &[&str]) -> Output {
    jostle().arg("proxy").args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn stdout_is_the_command_s() {
    let output = run(&[ROUTE, "--seed", "7", "--", "sh", "-c", "echo \"at $JOSTLE_LISTEN\""]);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(stdout.starts_with("at tcp://127.0.0.1:"), "{stdout}");
    assert_eq!(stdout.lines().count(), 1, "{stdout}");
    let lines: Vec<&str> = stderr.lines().collect();
    assert!(lines[0].starts_with("route 1: tcp://127.0.0.1:"), "{stderr}");
    assert!(lines.last().unwrap().starts_with("seed 7, "), "{stderr}");
}

#[test]
fn the_command_finds_proxy_and_server_whole_and_in_parts() {
    let script = "echo $JOSTLE_PROXY $JOSTLE_PROXY_HOST $JOSTLE_PROXY_PORT $JOSTLE_SERVER \
                  $JOSTLE_SERVER_HOST $JOSTLE_SERVER_PORT $JOSTLE_LISTEN";
    for (route, host, upstream, server_host) in [
        (ROUTE, "127.0.0.1", "127.0.0.1:9", "127.0.0.1"),
        ("udp://[::1]:0=[::1]:9", "::1", "[::1]:9", "::1"),
    ] {
        let output = run(&[route, "--seed", "7", "--", "sh", "-c", script]);
        let said = text(&output.stdout);
        let words: Vec<&str> = said.split_whitespace().collect();
        let [proxy, proxy_host, port, server, own_host, server_port, listen] = words[..] else {
            panic!("{said}: {}", text(&output.stderr));
        };
        assert_eq!((proxy_host, server, own_host, server_port), (host, upstream, server_host, "9"));
        assert!(proxy.ends_with(&format!(":{port}")) && listen.ends_with(proxy), "{said}");
        assert!(port.parse::<u16>().unwrap() > 0);
    }
}

#[test]
fn a_summary_goes_into_a_file_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("summary.jsonl");
    let name = file.to_str().unwrap();
    std::fs::write(&file, "something old that is longer than all of the summary\n".repeat(99))
        .unwrap();
    let output = run(&[ROUTE, "--seed", "7", "--json", "--summary", name, "--", "echo", "done"]);
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("done\n", Some(0)));
    let said = text(&output.stderr);
    assert!(said.lines().count() == 1 && said.contains("\"event\":\"listening\""), "{said}");
    let summary = std::fs::read_to_string(&file).unwrap();
    let events: Vec<Value> =
        summary.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["link", "link", "sockets", "summary"]);
    let output = run(&[ROUTE, "--seed", "7", "--for", "10ms", "--summary", name]);
    assert_eq!(text(&output.stdout).lines().count(), 1, "without a command too");
    assert!(std::fs::read_to_string(&file).unwrap().contains("\nseed 7, 0."));
}

#[test]
fn a_status_says_whose_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain");
    std::fs::write(&plain, "no program\n").unwrap();
    let plain = plain.to_str().unwrap();
    for (arguments, code) in [
        (&[ROUTE, "--", "sh", "-c", "exit 0"][..], 0),
        (&[ROUTE, "--", "sh", "-c", "exit 2"], 2),
        (&[ROUTE, "--", "sh", "-c", "kill -KILL $$"], 137),
        (&[ROUTE, "--", "no-such-program-anywhere"], 127),
        (&[ROUTE, "--", plain], 126),
        (&[ROUTE, "--no-such-option", "--", "true"], 125),
        (&[ROUTE, "--drop", "5", "--", "true"], 125),
        (&[ROUTE, "--jitter", "5ms", "--", "true"], 125),
        (&["tcp://192.0.2.1:1=127.0.0.1:9", "--", "true"], 125),
        (&[ROUTE, "--events", "/no/such/folder/e", "--", "true"], 125),
        (&[ROUTE, "--events", "-", "--", "true"], 125),
    ] {
        let output = run(arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

/// A proxy and its command in a process group of their own, as a shell starts them.
struct Wrapping {
    child: Background,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Wrapping {
    /// Starts it, and waits for the first line of the command, which is returned.
    fn start(script: &str) -> (Self, String) {
        Self::start_with(jostle(), script)
    }

    fn start_with(mut command: Command, script: &str) -> (Self, String) {
        command.args(["proxy", ROUTE, "--seed", "7", "--", "sh", "-c", script]);
        let mut child: Child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        (Self { child: Background(child), lines }, first)
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child.0)
    }

    /// What a terminal does on Ctrl-C.
    fn interrupt(&self) {
        kill_process_group(self.pid(), Signal::INT).unwrap();
    }

    fn runs(&mut self) -> bool {
        self.child.0.try_wait().unwrap().is_none()
    }

    /// Waits for it to end: its status, and the rest of what it and its command said.
    fn wait(mut self) -> (Option<i32>, String, String) {
        let begun = Instant::now();
        while self.runs() {
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            std::thread::park_timeout(Duration::from_millis(10));
        }
        let stdout = self.lines.by_ref().map(|line| line.unwrap() + "\n").collect();
        let stderr = self.child.0.stderr.take().unwrap();
        let stderr = BufReader::new(stderr).lines().map(|line| line.unwrap() + "\n").collect();
        (self.child.0.wait().unwrap().code(), stdout, stderr)
    }
}

fn pause() {
    std::thread::park_timeout(Duration::from_millis(400));
}

#[test]
fn ctrl_c_waits_for_the_command() {
    let (wrapping, _) = Wrapping::start(
        "trap 'sleep 0.5; echo cleaned; exit 9' INT; echo ready; while :; do sleep 0.05; done",
    );
    wrapping.interrupt();
    let (status, stdout, stderr) = wrapping.wait();
    assert_eq!((status, stdout.as_str()), (Some(9), "cleaned\n"));
    assert!(stderr.contains("\nseed 7, "), "{stderr}");
}

#[test]
fn a_second_ctrl_c_ends_the_command() {
    let (mut wrapping, _) = Wrapping::start("trap '' INT; echo ready; exec sleep 60");
    wrapping.interrupt();
    pause();
    assert!(wrapping.runs(), "the command takes no notice of the first");
    wrapping.interrupt();
    let (status, _, stderr) = wrapping.wait();
    assert_eq!(status, Some(143));
    assert!(stderr.contains("\nseed 7, "), "{stderr}");
}

#[test]
fn a_command_that_takes_no_notice_is_killed_with_the_proxy() {
    let (wrapping, pid) = Wrapping::start("trap '' TERM INT; echo $$; while :; do sleep 0.1; done");
    let command = Pid::from_raw(pid.parse().unwrap()).unwrap();
    for _ in 0..2 {
        kill_process(wrapping.pid(), Signal::TERM).unwrap();
        pause();
    }
    assert_eq!(wrapping.wait().0, Some(143));
    let begun = Instant::now();
    // It is reaped by another.
    while test_kill_process(command).is_ok() && !is_zombie(command) {
        assert!(begun.elapsed() < PATIENCE, "the command has survived");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

fn is_zombie(pid: Pid) -> bool {
    std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()))
        .is_ok_and(|stat| stat.contains(") Z "))
}

#[test]
fn a_hang_up_ends_the_command_and_leaves_a_summary() {
    for signal in [Signal::HUP, Signal::TERM] {
        // Whatever these tests themselves run under, a hang-up is not ignored here.
        let mut listening = Command::new("env");
        listening.arg("--default-signal=HUP").arg(jostle().get_program());
        let (wrapping, _) = Wrapping::start_with(listening, "echo ready; exec sleep 60");
        kill_process(wrapping.pid(), signal).unwrap();
        let (status, _, stderr) = wrapping.wait();
        assert_eq!(status, Some(143));
        assert!(stderr.contains("\nseed 7, "), "{stderr}");
    }
}

#[test]
fn a_hang_up_is_ignored_under_nohup() {
    if !installed("nohup") {
        return;
    }
    let mut nohup = Command::new("nohup");
    nohup.arg(jostle().get_program());
    let (mut wrapping, _) = Wrapping::start_with(nohup, "echo ready; exec sleep 60");
    kill_process(wrapping.pid(), Signal::HUP).unwrap();
    pause();
    assert!(wrapping.runs());
    kill_process(wrapping.pid(), Signal::TERM).unwrap();
    assert_eq!(wrapping.wait().0, Some(143));
}
