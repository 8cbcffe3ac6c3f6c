//! Headless Chromium: follows a link, plays and fetches the MP3, uploads through the page and
//! through the bare form.

use crate::proxy_support::installed;
use crate::tools::{Site, end, names_in};
use serde_json::Value;
use std::process::Command;

const TUNE: &[u8] = include_bytes!("../../assets/jostle-tune.mp3");

#[test]
fn chromium_follows_plays_and_uploads() {
    if !installed("chromium") || !installed("python3") {
        return;
    }
    let site = Site::new();
    site.write(
        "public/index.html",
        b"<!doctype html><title>First</title><a href='second.html'>on</a>",
    );
    site.write(
        "public/second.html",
        b"<!doctype html><title>Second</title><audio src='tune.mp3' preload='auto'></audio>",
    );
    site.write("public/tune.mp3", TUNE);
    let server = site.serve(&[]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/http/browser.py");
    let base = format!("http://{}", server.address);
    let output = Command::new("python3")
        .args([script, "chromium", &base, &site.text("public/tune.mp3"), &site.text("")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&seen["first"], &seen["fetched"]), (&"First".into(), &TUNE.len().into()));
    // 960,613 bytes at 128 kbit/s.
    assert!((59.0..61.0).contains(&seen["duration"].as_f64().unwrap()), "{seen}");
    assert_eq!(
        seen["states"],
        serde_json::json!(["whole: digests agree", "whole: digests agree"]),
        "{seen}"
    );
    assert!(seen["notes"][1].as_str().unwrap().starts_with("stored as tune-2.mp3"), "{seen}");
    assert_eq!(seen["form"], "tune-3.mp3");
    assert_eq!(
        names_in(&site.path("incoming")),
        ["tune-2.mp3", "tune-3.mp3", "tune.mp3"],
        "and nothing from elsewhere"
    );
    for name in names_in(&site.path("incoming")) {
        assert!(std::fs::read(site.path("incoming").join(&name)).unwrap() == TUNE, "{name}");
    }
    let picture = std::fs::read(site.path("upload.png")).unwrap();
    assert!(picture.starts_with(b"\x89PNG") && picture.len() > 5000);
    let (_, summary) = end(server.terminate());
    assert_eq!((&summary["stored"], &summary["failed"]), (&3.into(), &0.into()), "{}", summary);
    assert!(
        summary["refused"].as_u64().unwrap() >= 1,
        "the page of nobody was refused: {}",
        summary
    );
}
