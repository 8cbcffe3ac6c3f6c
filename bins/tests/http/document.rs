//! The document's section on HTTP: its Python client and its shell lines work.

use crate::proxy_support::installed;
use crate::support::bytes;
use crate::tools::{Site, names_in};
use jostle_common::digest::Digest;
use std::process::Command;

const DOCUMENT: &str = include_str!("../../../docs/protocols.md");

/// The fenced block of the document that begins with `start`.
fn block(language: &str, start: &str) -> &'static str {
    let fence = format!("```{language}\n{start}");
    let begin = DOCUMENT.find(&fence).unwrap() + language.len() + 4;
    DOCUMENT[begin..].split("```").next().unwrap()
}

#[test]
fn the_python_client_fetches_resumes_and_checks() {
    if !installed("python3") {
        return;
    }
    let site = Site::new();
    let server = site.serve(&[]);
    site.write("http.script.py", block("python", "# http-get.py ").as_bytes());
    site.write("out", &bytes(300_000)[..100_000]);
    let (host, port) = (server.address.ip().to_string(), server.address.port().to_string());
    let script = site.text("http.script.py");
    let output = Command::new("python3")
        .args([&script, &host, &port, "/song.mp3", &site.text("out")])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        text,
        "206 300000 bytes, digest as promised\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(std::fs::read(site.path("out")).unwrap() == bytes(300_000));
}

#[test]
fn the_shell_lines_work() {
    if !installed("curl") {
        return;
    }
    let site = Site::new();
    let server = site.serve(&[]);
    let script = block("sh", "# curl\n").replace("127.0.0.1:12345", &server.address.to_string());
    let output = Command::new("sh")
        .args(["-ec", &script])
        .current_dir(site.path("public"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let digest = Digest::of(&bytes(300_000));
    assert!(
        text.contains(&format!("song.mp3 300000 {digest}"))
            && text.contains(&format!("song-2.mp3 300000 {digest}")),
        "{text}"
    );
    assert_eq!(names_in(&site.path("incoming")), ["song-2.mp3", "song.mp3"]);
}
