//! jostle's own clients through a SOCKS5 listener, and programs that jostle itself starts.

use super::{Forward, WEATHER, assert_came_through, forward};
use crate::proxy_support::{installed, jostle};
use crate::support::{Server, bytes};
use serde_json::Value;
use std::process::{Command, Stdio};

fn client(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jostle-client"));
    let output = command.args(arguments).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn ping_goes_by_udp_and_a_file_by_tcp() {
    let reflector = Server::start(&["ping"]);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("body"), bytes(120_000)).unwrap();
    let site = Server::start(&["http", "--root", folder.path().to_str().unwrap()]);

    let (jostle, proxy) = forward(Forward::Socks5);
    let server = reflector.address.to_string();
    let told = client(&["ping", &server, "--socks5", &proxy, "--count", "20", "--json"]);
    let summary: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    // What the rules lose is asked for again.
    assert_eq!(summary["answered"], 20, "{summary}");
    assert!(summary["rtt_ms"]["min"].as_f64().unwrap() >= 6.0, "3 ms either way: {summary}");

    let got = folder.path().join("got");
    let url = format!("http://{}/body", site.address);
    client(&["http", "get", &url, "--socks5", &proxy, "-o", got.to_str().unwrap()]);
    assert!(std::fs::read(got).unwrap() == bytes(120_000));
    assert_came_through(jostle, 120_000);
}

/// The command of `docs/clients.md` that starts a program behind a listener of its own.
#[test]
fn a_program_is_started_behind_a_listener_of_its_own() {
    const DOCUMENT: &str = include_str!("../../../docs/clients.md");
    if !installed("curl") {
        return;
    }
    let document = DOCUMENT.replace(" \\\n", " ");
    let line = document.lines().find(|line| line.contains("$JOSTLE_PROXY")).expect("it is there");
    let inner = line.split('\'').nth(1).expect("a command in quotes");
    let options = line.split(" -- ").next().unwrap().trim_start_matches("jostle proxy ");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("body"), bytes(50_000)).unwrap();
    let site = Server::start(&["http", "--root", folder.path().to_str().unwrap()]);
    let inner = inner.replace("https://example.org/", &format!("http://{}/body", site.address));
    let mut command = jostle();
    command.arg("proxy").args(options.split_whitespace()).args(&WEATHER[..2]);
    let run = command.args(["--", "sh", "-c", &inner]).stdin(Stdio::null()).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert!(run.stdout == bytes(50_000), "{} bytes", run.stdout.len());
}
