//! The page of `jostle report` in a browser.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../proxy_support/mod.rs"]
mod proxy_support;

use jostle_common::units::Span;
use jostle_study::rows::{Row, goodput_bps};
use jostle_study::trial::Trial;
use proxy_support::installed;
use serde_json::Value;
use std::process::Command;
use std::time::Duration;

/// A row of a protocol at a loss rate and a delay; the higher the loss the slower.
fn row(protocol: &str, loss: f64, delay: u64, repeat: u32) -> Row {
    let mut row = Trial { repeat, seed: u64::from(repeat), ..Trial::default() }.row();
    let seconds = (1.0 + 20.0 * loss) * (1.0 + f64::from(repeat) / 20.0) * delay as f64 / 10.0;
    row.protocol = protocol.to_owned();
    (row.loss, row.ok, row.seconds) = (format!("{loss}").parse().unwrap(), true, Some(seconds));
    row.delay = Span(Duration::from_millis(delay));
    row.goodput_bps = goodput_bps(65_536, seconds);
    let missing = if protocol == "udp" { (loss * 16.0).round() as u64 } else { 0 };
    (row.intact, row.missing, row.damaged) = (Some(16 - missing), Some(missing), Some(0));
    if protocol == "saw" && loss > 0.25 {
        (row.ok, row.error) = (false, Some("it took longer than 60s <script>".to_owned()));
    }
    row
}

#[test]
fn chromium_shows_the_page_without_complaint() {
    if !installed("chromium") || !installed("python3") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::new();
    for protocol in ["tcp", "udp", "saw"] {
        for (loss, delay) in [0.0, 0.05, 0.1, 0.2, 0.3]
            .iter()
            .flat_map(|loss| [10, 50, 200].map(|delay| (*loss, delay)))
        {
            for repeat in 1..=3 {
                text += &format!(
                    "{}\n",
                    serde_json::to_string(&row(protocol, loss, delay, repeat)).unwrap()
                );
            }
        }
    }
    std::fs::write(folder.path().join("rows.jsonl"), text).unwrap();
    let report = Command::new(env!("CARGO_BIN_EXE_jostle"))
        .args(["report", "rows.jsonl", "-o", "report.html"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(report.status.success(), "{}", String::from_utf8_lossy(&report.stderr));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/report/page.py");
    let output = Command::new("python3")
        .args([script, "chromium", "report.html", "."])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    let nothing = serde_json::json!([]);
    assert_eq!((&seen["console"], &seen["requests"]), (&nothing, &nothing), "{seen}");
    assert_eq!((&seen["loads"], seen["looks"].as_array().unwrap().len()), (&4.into(), 4), "{seen}");
    for look in seen["looks"].as_array().unwrap() {
        assert_eq!([&look["clipped"], &look["overlaps"], &look["wide"]], [&nothing; 3], "{look}");
        assert!(look["scroll"].as_f64() <= look["width"].as_f64(), "{look}");
        assert!(
            look["charts"].as_u64() >= Some(6) && look["letters"].as_f64() >= Some(12.0),
            "{look}"
        );
        let paper = if look["scheme"] == "dark" { "rgb(20, 23, 26)" } else { "rgb(251, 250, 248)" };
        assert_eq!(look["paper"], paper);
        let name = format!("page-{}-{}.png", look["width"], look["scheme"].as_str().unwrap());
        assert!(std::fs::read(folder.path().join(name)).unwrap().starts_with(b"\x89PNG"));
    }
    assert_eq!(seen["looks"][2]["width"], 390);
    assert_eq!(
        (&seen["opened"]["wide"], &seen["opened"]["scroll"]),
        (&nothing, &390.into()),
        "the tables scroll in their boxes"
    );
    let sheet = &seen["sheet"];
    assert_eq!([&sheet["clipped"], &sheet["overlaps"], &sheet["wide"]], [&nothing; 3], "{sheet}");
    assert_eq!(sheet["paper"], "rgb(255, 255, 255)", "paper is white: {sheet}");
    let two = serde_json::json!(2);
    assert_eq!([&sheet["facts"], &sheet["charts"]], [&two; 2], "paper has two columns: {sheet}");
}
