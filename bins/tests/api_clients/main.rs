//! Toxiproxy's client libraries, unchanged, against the API of `jostle proxy`; and a hostile page in
//! a browser.
#![allow(clippy::print_stderr, reason = "it says what it skips")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../proxy_support/mod.rs"]
mod proxy_support;

use proxy_support::{installed, jostle};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A running API.
struct Api {
    child: Child,
    port: String,
}

impl Api {
    fn start(arguments: &[&str]) -> Self {
        let mut child = jostle()
            .args(["proxy", "--json", "--api=127.0.0.1:0"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().expect("it says where its API is").unwrap();
            let value: Value = serde_json::from_str(&line).unwrap();
            if value["event"] == "api" {
                break value["address"].as_str().unwrap().to_owned();
            }
        };
        // Whatever it says later has a reader, or it could not end.
        std::thread::spawn(move || lines.for_each(drop));
        let port = address.rsplit(':').next().unwrap().to_owned();
        Self { child, port }
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns what `scripts/install-test-programs.sh` has made; says aloud if it has not.
fn made(path: &str) -> Option<PathBuf> {
    let path = [env!("CARGO_MANIFEST_DIR"), "..", "target", path].iter().collect::<PathBuf>();
    if !path.exists() {
        eprintln!("SKIPPED: {} is missing (scripts/install-test-programs.sh)", path.display());
        return None;
    }
    Some(path.canonicalize().unwrap())
}

fn script(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "api_clients", name].iter().collect()
}

/// Runs a client to its end; it has to say that it is done.
fn assert_done(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said.lines().last(), Some("done"), "{said}");
}

#[test]
fn the_client_for_python_finds_what_it_expects() {
    if made("python/bin/python").is_none() {
        return;
    }
    // The link is the environment; what it leads to is not.
    let python = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/python/bin/python");
    let has_it = Command::new(&python).args(["-c", "import toxiproxy"]).output().unwrap();
    if !has_it.status.success() {
        eprintln!("SKIPPED: toxiproxy-python is missing (scripts/install-test-programs.sh)");
        return;
    }
    let api = Api::start(&[]);
    assert_done(Command::new(python).arg(script("client.py")).arg(&api.port));
}

#[test]
fn the_client_for_node_finds_what_it_expects() {
    let Some(modules) = made("node/node_modules/toxiproxy-node-client") else { return };
    if !installed("node") {
        return;
    }
    let api = Api::start(&[]);
    let modules = modules.parent().unwrap().parent().unwrap();
    assert_done(Command::new("node").arg(script("client.mjs")).arg(&api.port).arg(modules));
}

/// Its own tests know one port, 8474, so they run in a network of their own.
#[test]
fn the_tests_of_the_client_for_rust_pass() {
    let Some(tests) = made("toxiproxy_rust/tests") else { return };
    let alone = ["--map-root-user", "--net", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh"];
    let unshared = |command: &[&str]| {
        let mut all = Command::new("unshare");
        all.args(alone).args(command);
        all
    };
    let can = unshared(&["true"]).output();
    if !can.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: no network of its own (unshare, ip) for the tests of toxiproxy_rust");
        return;
    }
    let jostle = env!("CARGO_BIN_EXE_jostle");
    let tests = tests.to_str().unwrap();
    let output = unshared(&[jostle, "proxy", "--api", "--", tests, "--test-threads=1"]).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("11 passed; 0 failed"), "{said}");
}

/// A page of another origin tries what a page can: nothing is changed and nothing is read.
#[test]
fn a_hostile_page_reaches_nothing() {
    if !installed("chromium") || !installed("python3") {
        return;
    }
    let api = Api::start(&["tcp://127.0.0.1:0=127.0.0.1:9"]);
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("python3")
        .arg(script("page.py"))
        .args(["chromium", &api.port, folder.path().to_str().unwrap()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(seen["before"], seen["after"], "{seen}");
    let attempts = seen["attempts"].as_object().unwrap();
    assert!(attempts.len() >= 14, "{seen}");
    for (name, result) in attempts {
        assert_eq!(result, "nothing", "{name}: {seen}");
    }
    // They did arrive, or this would show nothing.
    assert_eq!(seen["honest"], 200, "{seen}");
}
