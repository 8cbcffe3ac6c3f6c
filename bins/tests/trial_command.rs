//! `jostle trial` as scripts see it: one row on stdout, exit codes, signals, and nothing left
//! behind.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod proxy_support;

use proxy_support::{installed, jostle};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::process::{Output, Stdio};
use std::time::Duration;

fn trial(arguments: &[&str]) -> Output {
    jostle().arg("trial").args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The one line on stdout.
fn row(output: &Output) -> Value {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(text.matches('\n').count(), 1, "{text:?}: {}", stderr(output));
    serde_json::from_str(&text).unwrap()
}

/// A server that listens, and does nothing else.
const SERVER: &str = "exec python3 -c 'import os, socket, time
host, port = os.environ[\"JOSTLE_LISTEN\"].split(\":\")
server = socket.create_server((host, int(port))); time.sleep(600)'";

#[test]
fn wrong_usage_ends_with_2_and_no_row() {
    for (arguments, words) in [
        (
            &["--protocol", "http", "--virtual"][..],
            "--virtual: http runs on real sockets only; leave it out",
        ),
        (
            &["--client", "a", "--server", "b", "--virtual"],
            "--virtual: programs live in real time; leave it out",
        ),
        (&["--client", "a"], "--server: there is a client and no server; add --server"),
        (&["--protocol", "quic"], "write one of tcp, udp, saw, ping, messages, http"),
        (&["--protocol", "saw", "--check", "true"], "cannot be used with"),
        (&["--loss", "5"], "write \"5%\""),
        (&["--repeat", "0"], "--repeat"),
    ] {
        let output = trial(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(words), "{arguments:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty(), "{arguments:?} printed");
    }
}

#[test]
fn a_row_says_what_came_of_it_and_the_status_says_it_too() {
    if !installed("python3") {
        return;
    }
    let programs =
        ["--server", SERVER, "--client", "echo noise; echo '{\"mbit\":9.5}'", "--loss", "1%"];
    // Of a server that takes its time it would tell.
    let quietly = [&programs[..], &["--seed", "7", "--repeat", "3"]].concat();
    let mut command = jostle();
    command.arg("trial").args(quietly).env("RUST_LOG", "error").stdin(Stdio::null());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(
        stderr(&output),
        "",
        "a seed that was given is not printed, nor what programs write"
    );
    let found = row(&output);
    assert_eq!(
        (&found["protocol"], &found["loss"], &found["repeat"]),
        (&"commands".into(), &0.01.into(), &3.into())
    );
    assert_eq!((&found["ok"], &found["measured"]["mbit"]), (&true.into(), &9.5.into()));
    let output = trial(&[&programs[..], &["--check", "echo not equal >&2; exit 1"]].concat());
    assert_eq!(output.status.code(), Some(1));
    let found = row(&output);
    assert_eq!(
        (&found["ok"], &found["error"]),
        (&false.into(), &"the check ended with status 1: not equal".into())
    );
    assert_eq!(stderr(&output), format!("seed {}\n", found["seed"]));
}

#[test]
fn our_own_protocols_run_virtually_and_on_real_sockets_with_the_same_counts() {
    let cell = [
        "--protocol",
        "saw",
        "--loss",
        "10%",
        "--size",
        "64KiB",
        "--timeout",
        "fixed:50ms",
        "--seed",
        "7",
    ];
    let virtually = || trial(&[&cell[..], &["--virtual"]].concat());
    let (first, again, really) = (virtually(), virtually(), trial(&cell));
    assert_eq!(first.stdout, again.stdout, "a row in virtual time is the same each time");
    let (virtually, really) = (row(&first), row(&really));
    assert_eq!((&virtually["virtual"], &really["virtual"]), (&true.into(), &false.into()));
    assert!(virtually["retransmissions"].as_u64().unwrap() > 0, "{virtually}");
    for key in [
        "protocol",
        "loss",
        "size",
        "ok",
        "digest_equal",
        "intact",
        "packets",
        "retransmissions",
        "proxy",
        "version",
    ] {
        assert_eq!(virtually[key], really[key], "{key}");
    }
    for (row, output) in [(virtually, first), (really, again)] {
        assert_eq!((&row["ok"], output.status.code()), (&true.into(), Some(0)), "{row}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_a_failed_job_and_a_trial_over_its_limit_is_a_row() {
    let output = trial(&["--protocol", "saw", "--file", "nowhere/none"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{}", stderr(&output));
    assert!(stderr(&output).contains("cannot read nowhere/none"), "{}", stderr(&output));
    for arguments in [&["--limit", "200ms"][..], &["--virtual"]] {
        let output = trial(&[&["--protocol", "saw", "--loss", "100%"], arguments].concat());
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        let found = row(&output);
        assert!(found["ok"] == false && found["error"].is_string(), "{found}");
    }
}

#[test]
fn a_signal_ends_the_programs_and_there_is_no_row() {
    if !installed("python3") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let client =
        format!("sleep 608 & echo $$ $! > '{0}.part'; mv '{0}.part' '{0}'; wait", pids.display());
    for signal in [Signal::INT, Signal::TERM] {
        let mut child = jostle()
            .args(["trial", "--server", SERVER, "--client", &client])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        while !pids.exists() {
            assert_eq!(child.try_wait().unwrap(), None, "it has ended before its client began");
            std::thread::park_timeout(Duration::from_millis(5));
        }
        let line = std::fs::read_to_string(&pids).unwrap();
        std::fs::remove_file(&pids).unwrap();
        kill_process(Pid::from_child(&child), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            (output.status.code(), output.stdout.len()),
            (Some(1), 0),
            "{}",
            stderr(&output)
        );
        assert!(
            stderr(&output).contains("stopped before the trial was done"),
            "{}",
            stderr(&output)
        );
        let left: Vec<&str> = line.split_whitespace().filter(|pid| lives(pid)).collect();
        assert!(line.contains(' ') && left.is_empty(), "{left:?} of {line:?}");
    }
}

/// Whether a process runs; one that is only not reaped yet does not.
fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.rsplit_once(')').unwrap().1.starts_with(" Z"))
}
