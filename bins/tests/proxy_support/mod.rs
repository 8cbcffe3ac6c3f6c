//! `jostle proxy` as a child process: what it printed, and a clean end.
#![allow(clippy::print_stderr, reason = "it says what it skips or measures")]
#![allow(dead_code, reason = "every test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../../../proxy/tests/support/vacant.rs"]
mod vacant;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead, BufReader, Lines};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;
#[allow(unused_imports, reason = "every test file uses a part of it")]
pub(crate) use vacant::vacant_address;

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running `jostle proxy --json`.
pub(crate) struct Jostle {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// The ready lines: name and address.
    pub(crate) listeners: Vec<(String, String)>,
}

/// The command without arguments.
pub(crate) fn jostle() -> Command {
    Command::new(env!("CARGO_BIN_EXE_jostle"))
}

impl Jostle {
    /// Starts it and waits for `listeners` ready lines.
    pub(crate) fn start(arguments: &[&str], listeners: usize) -> Self {
        Self::start_with(jostle(), arguments, listeners)
    }

    /// The same with a command that runs it.
    pub(crate) fn start_with(mut command: Command, arguments: &[&str], listeners: usize) -> Self {
        let mut child = command
            .args(["proxy", "--json"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = (0..listeners).map(|_| {
            let line = lines.next().expect("a ready line").unwrap();
            let value: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(value["event"], "listening", "{line}");
            (
                value["name"].as_str().unwrap().to_owned(),
                value["address"].as_str().unwrap().to_owned(),
            )
        });
        let listeners = ready.collect();
        Self { child, lines, listeners }
    }

    /// The address of the first listener with this scheme.
    pub(crate) fn address(&self, scheme: &str) -> SocketAddr {
        let prefix = format!("{scheme}://");
        let mut found =
            self.listeners.iter().filter_map(|(_, address)| address.strip_prefix(&prefix));
        found.next().expect("there is such a listener").parse().unwrap()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its process, to be looked at.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it with SIGTERM and returns what it printed last.
    pub(crate) fn stop(self) -> Summary {
        self.signal(Signal::TERM);
        let (status, summary) = self.wait();
        assert!(status.success(), "{status}");
        summary
    }

    /// Waits for its end, which left it no time to say anything.
    pub(crate) fn wait_killed(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Waits for it to end by itself.
    pub(crate) fn wait(mut self) -> (ExitStatus, Summary) {
        let rest: Vec<Value> =
            self.lines.by_ref().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
        (self.child.wait().unwrap(), Summary(rest))
    }
}

impl Drop for Jostle {
    fn drop(&mut self) {
        // A test that fails must not leave it behind. After `wait` there is nothing left to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The objects printed at the end.
#[derive(Debug)]
pub(crate) struct Summary(pub(crate) Vec<Value>);

impl Summary {
    /// The counters of one direction of the route called `1`.
    pub(crate) fn link(&self, protocol: &str, direction: &str) -> &Value {
        let is_it = |value: &&Value| {
            value["event"] == "link"
                && value["protocol"] == protocol
                && value["direction"] == direction
        };
        self.0.iter().find(is_it).expect("there is such a link")
    }

    /// A count of the sockets of a protocol of the route called `1`.
    pub(crate) fn sockets(&self, protocol: &str, name: &str) -> u64 {
        let is_it = |value: &&Value| value["event"] == "sockets" && value["protocol"] == protocol;
        let sockets = self.0.iter().find(is_it).expect("there are such sockets");
        sockets["counts"][name].as_u64().expect("there is such a count")
    }

    /// Checks that nothing disappeared in any link.
    pub(crate) fn assert_conserved(&self) {
        let links: Vec<&Value> = self.0.iter().filter(|value| value["event"] == "link").collect();
        assert!(!links.is_empty());
        for link in links {
            let count = |name: &str| link[name].as_u64().unwrap();
            let discarded: u64 =
                link["discarded"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
            assert_eq!(
                count("in") + count("copies"),
                count("delivered") + discarded + count("held"),
                "{link}"
            );
        }
    }
}

/// Whether a program is installed; says so aloud when it is not.
pub(crate) fn installed(program: &str) -> bool {
    let found = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    });
    if !found {
        eprintln!("SKIPPED: {program} is not installed");
    }
    found
}

/// The interpreter of the environment that `scripts/install-test-programs.sh` makes, if it has a
/// module; says so aloud when not.
pub(crate) fn python_with(module: &str) -> Option<PathBuf> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/python/bin/python");
    let import = format!("import {module}");
    let works = Command::new(&python)
        .args(["-c", &import])
        .output()
        .is_ok_and(|output| output.status.success());
    if !works {
        eprintln!("SKIPPED: {module} is not installed (scripts/install-test-programs.sh)");
    }
    works.then_some(python)
}

/// A program that is killed when the test is over.
pub(crate) struct Background(pub(crate) Child);

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that is free, for programs that cannot pick one themselves.
pub(crate) fn free_port() -> u16 {
    vacant_address().port()
}

/// Waits until something listens on a TCP port.
pub(crate) fn wait_for_port(port: u16) {
    for _ in 0..1200 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(25));
    }
    panic!("nothing listens on port {port}");
}
