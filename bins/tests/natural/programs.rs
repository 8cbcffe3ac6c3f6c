//! Running the programs of others in Python, and ours with what they say on stderr.
#![allow(clippy::print_stderr, reason = "it says what it skips")]

use crate::proxy_support::{Jostle, PATIENCE, installed};
use crate::support::{Run, Server};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Returns the path of a program in a folder of this test.
fn path(folder: &str, name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/natural").join(folder).join(name)
}

/// Waits for a program that ends by itself; one that hangs is ended, and is a failure.
fn wait(child: &mut Child, name: &str) -> bool {
    for _ in 0..PATIENCE.as_millis() / 10 {
        if let Some(status) = child.try_wait().unwrap() {
            return status.success();
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    panic!("{name} hangs");
}

/// Runs a client in Python against a server, and returns the lines that it prints; `None`, said
/// aloud, where there is no Python.
pub(crate) fn client(name: &str, address: SocketAddr, arguments: &[&str]) -> Option<Vec<String>> {
    if !installed("python3") {
        return None;
    }
    let mut child = Command::new("python3")
        .arg(path("clients", name))
        .args([address.ip().to_string(), address.port().to_string()])
        .args(arguments)
        .env("PYTHONIOENCODING", "utf-8")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let is_well = wait(&mut child, name);
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(is_well, "{name} {arguments:?}: {said}");
    Some(said.lines().map(str::to_owned).collect())
}

/// A server in Python that runs until it is dropped.
pub(crate) struct PythonServer {
    child: Child,
    pub(crate) address: String,
}

impl PythonServer {
    /// Starts it; `None`, said aloud, where there is no Python.
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Option<Self> {
        if !installed("python3") {
            return None;
        }
        let mut child = Command::new("python3")
            .arg(path("servers", name))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Some(Self { child, address: format!("127.0.0.1:{}", port.trim()) })
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait(&mut self) {
        assert!(wait(&mut self.child, "the server"));
    }
}

impl Drop for PythonServer {
    fn drop(&mut self) {
        // One that has ended cannot be killed, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server of ours whose stderr is kept.
pub(crate) struct Told {
    server: Server,
    stderr: tempfile::NamedTempFile,
}

impl Told {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let stderr = tempfile::NamedTempFile::new().unwrap();
        let server = Server::start_telling(arguments, stderr.reopen().unwrap());
        Self { server, stderr }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Returns the objects that it prints up to the `count`-th of this event.
    pub(crate) fn until(&mut self, name: &str, count: usize) -> Vec<Value> {
        let mut lines = Vec::new();
        while lines.iter().filter(|line: &&Value| line["event"] == name).count() < count {
            lines.push(self.server.line());
        }
        lines
    }

    /// Ends it; returns the objects that it still prints, and the lines on its stderr.
    pub(crate) fn end(self) -> (Vec<Value>, Vec<String>) {
        let (status, lines) = self.server.terminate();
        assert_eq!(status, Some(0));
        let said = std::fs::read_to_string(self.stderr.path()).unwrap();
        (lines, said.lines().map(str::to_owned).collect())
    }
}

/// The addresses of a server: its own, and that of a proxy without rules in front of it.
pub(crate) fn addresses(scheme: &str, server: SocketAddr) -> (Jostle, [SocketAddr; 2]) {
    let proxy = Jostle::start(&[&format!("{scheme}://127.0.0.1:0={server}")], 1);
    let listener = proxy.address(scheme);
    (proxy, [server, listener])
}

/// The value of the last object with this event.
pub(crate) fn event<'a>(lines: &'a [Value], name: &str) -> &'a Value {
    lines.iter().rfind(|line| line["event"] == name).expect("there is such an event")
}

/// Checks that a client of ours came to a good end.
pub(crate) fn assert_well(run: &Run) {
    assert_eq!(run.status, Some(0), "{} {}", run.stderr, run.summary);
}
