//! Running the programs, and files to send.
#![allow(dead_code, reason = "every test takes what it needs")]

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

/// Bytes without a pattern that a shifted or repeated chunk would share.
pub(crate) fn bytes(size: usize) -> Vec<u8> {
    let mut state = size as u32 | 1;
    let step = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..size).map(step).collect()
}

/// A folder with a file of `size` bytes in it.
pub(crate) fn folder_with(name: &str, size: usize) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes(size)).unwrap();
    (folder, path)
}

/// The names in a folder, in order.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A server that is running; it is ended when dropped.
pub(crate) struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts `jostle-server` with these arguments, `--json` and a port of its own, and waits for
    /// its ready line.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_on("127.0.0.1:0", arguments)
    }

    pub(crate) fn start_on(listen: &str, arguments: &[&str]) -> Self {
        Self::start_in(Path::new("."), listen, arguments)
    }

    /// The same in a folder.
    pub(crate) fn start_in(folder: &Path, listen: &str, arguments: &[&str]) -> Self {
        Self::spawn(
            Command::new(env!("CARGO_BIN_EXE_jostle-server"))
                .current_dir(folder)
                .args(arguments)
                .args(["--json", "--listen", listen]),
        )
    }

    /// The same as [`Self::start`], with what it says on stderr in a file.
    #[allow(dead_code, reason = "not every test file looks")]
    pub(crate) fn start_telling(arguments: &[&str], stderr: std::fs::File) -> Self {
        Self::spawn(
            Command::new(env!("CARGO_BIN_EXE_jostle-server"))
                .args(arguments)
                .args(["--json", "--listen", "127.0.0.1:0"])
                .stderr(stderr),
        )
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(ready["event"], "listening");
        let url = ready["address"].as_str().unwrap();
        let address = url.split_once("://").unwrap().1.parse().unwrap();
        Self { child, stdout, address }
    }

    /// Its process, to be looked at.
    #[allow(dead_code, reason = "not every test file looks")]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next object that it prints.
    pub(crate) fn line(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// Asks it to end with SIGTERM; returns its status and the objects it still prints.
    pub(crate) fn terminate(mut self) -> (Option<i32>, Vec<Value>) {
        let killed =
            Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        self.wait()
    }

    /// Waits for its end; returns its status and the objects it still prints.
    pub(crate) fn wait(&mut self) -> (Option<i32>, Vec<Value>) {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        let lines = rest.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (self.child.wait().unwrap().code(), lines)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended cannot be killed, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a client came to.
pub(crate) struct Run {
    pub(crate) status: Option<i32>,
    /// The objects on stdout.
    pub(crate) lines: Vec<Value>,
    /// The last of them; null when there is none.
    pub(crate) summary: Value,
    pub(crate) stderr: String,
}

/// Runs `jostle-client` with these arguments and `--json` to its end.
pub(crate) fn client(arguments: &[&str]) -> Run {
    let program = env!("CARGO_BIN_EXE_jostle-client");
    run(Command::new(program).args(arguments).arg("--json").output().unwrap())
}

/// The same with this on its stdin.
pub(crate) fn client_fed(arguments: &[&str], input: &[u8]) -> Run {
    let mut child = Command::new(env!("CARGO_BIN_EXE_jostle-client"))
        .args(arguments)
        .arg("--json")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A client that fails early reads nothing more.
    let feeding = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    feeding.join().unwrap();
    run(output)
}

/// Runs `jostle-server` with arguments that let it end by itself.
pub(crate) fn failing_server(arguments: &[&str]) -> Run {
    run(Command::new(env!("CARGO_BIN_EXE_jostle-server")).args(arguments).output().unwrap())
}

fn run(output: Output) -> Run {
    let stdout = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> =
        stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let summary = lines.last().cloned().unwrap_or_default();
    Run {
        status: output.status.code(),
        lines,
        summary,
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
