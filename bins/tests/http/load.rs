//! Load generators: keep-alive traffic from many connections without an error.

use crate::proxy_support::installed;
use crate::tools::{Site, end};
use std::process::Command;

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn wrk_finds_no_error() {
    if !installed("wrk") {
        return;
    }
    let site = Site::new();
    let server = site.serve(&[]);
    let text = run(
        "wrk",
        &["-t1", "-c32", "-d5s", "--latency", &format!("http://{}/hello.txt", server.address)],
    );
    assert!(!text.contains("Non-2xx") && !text.contains("Socket errors"), "{text}");
    let rate = text.lines().find_map(|line| line.strip_prefix("Requests/sec:")).unwrap();
    assert!(rate.trim().parse::<f64>().unwrap() > 500.0, "{text}");
    eprintln!("{text}");
    let (_, summary) = end(server.terminate());
    let count = |name: &str| summary[name].as_u64().unwrap();
    assert_eq!((count("refused"), count("failed")), (0, 0));
    assert!(count("succeeded") > 2500 && count("connections") <= 33, "{}", summary);
}

#[test]
fn ab_keeps_its_connections_and_fails_none() {
    if !installed("ab") {
        return;
    }
    let site = Site::new();
    let server = site.serve(&[]);
    let text = run(
        "ab",
        &["-q", "-k", "-n", "3000", "-c", "8", &format!("http://{}/song.mp3", server.address)],
    );
    let field = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("none").trim().to_owned()
    };
    assert_eq!(
        (field("Complete requests:"), field("Failed requests:")),
        ("3000".to_owned(), "0".to_owned()),
        "{text}"
    );
    assert_eq!(field("Keep-Alive requests:"), "3000", "{text}");
}
