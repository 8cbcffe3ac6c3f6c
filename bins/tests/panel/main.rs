//! The panel, in a browser that a person seems to sit at, in front of a proxy that works.
#![allow(clippy::print_stderr, reason = "it says what it skips")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../proxy_support/mod.rs"]
mod proxy_support;

mod played_again;

use proxy_support::{installed, jostle};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

const PROGRAMS: &str = env!("CARGO_BIN_EXE_jostle");

/// axe-core's script, where `scripts/install-test-programs.sh` puts it.
fn axe() -> Option<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../target/node/node_modules/axe-core/axe.min.js");
    if !script.is_file() {
        eprintln!("SKIPPED: axe-core is not installed (scripts/install-test-programs.sh)");
        return None;
    }
    Some(script)
}

/// Runs one of the scripts beside this file, and returns what it saw.
fn session(script: &str, folder: &Path, axe: Option<&Path>) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/panel").join(script);
    let programs = Path::new(PROGRAMS).parent().unwrap();
    let output = Command::new("python3")
        .arg(script)
        .args([programs, folder])
        .args(axe)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A profile as it is, without what it says of itself.
fn rules(profile: &Value) -> Value {
    let mut profile = profile.clone();
    profile.as_object_mut().unwrap().remove("about");
    profile
}

#[test]
fn a_person_changes_the_weather_and_sees_what_it_does() {
    let needed = ["chromium", "python3", "curl"];
    if !needed.map(installed).iter().all(|there| *there) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let axe = axe();
    let seen = session("session.py", folder.path(), axe.as_deref());
    assert_eq!(seen["tabs"], json!(["ping", "raw <b>&amp;", "web"]));
    assert!(seen["checks"][0].as_u64() > Some(1500), "{}", seen["checks"]);
    assert_eq!(seen["checks"][1], json!([]));
    let [set, file] = [&seen["preset"][0], &seen["preset"][1]].map(rules);
    // What both directions share is written once.
    assert!(set == file || set["both"] == file["up"], "{set} {file}");

    // The chart, the counters and the client agree.
    assert_eq!(seen["down"], Value::Null, "the other direction was not linked");
    let chart = seen["chart"].as_array().unwrap();
    assert!(chart.len() >= 2, "{chart:?}");
    for second in chart {
        let [share, packets] = [0, 1].map(|place| second[place].as_f64().unwrap());
        let five_deviations = 5.0 * (0.2 * 0.8 / packets).sqrt();
        assert!((share - 0.2).abs() < five_deviations, "{chart:?}");
    }
    let ping = &seen["ping"];
    let [missing, lost, waiting] =
        [&seen["lost"], &ping["lost"], &ping["waiting"]].map(|count| count.as_u64().unwrap());
    assert!(lost > 50 && (lost..=lost + waiting).contains(&missing), "{missing}: {ping}");

    assert!(seen["complaint"].as_str().unwrap().contains("write "), "{}", seen["complaint"]);
    let delay = json!({ "rule": "delay", "time": "25ms", "jitter": "5ms" });
    let drop = json!({ "rule": "drop", "chance": "20%" });
    assert_eq!(seen["aside"], json!([delay, delay, drop]));
    assert_eq!((&seen["hostile"][0], &seen["hostile"][1]), (&seen["hostile"][2], &json!(0)));
    assert_eq!(seen["kept"]["max"], "1400B");

    let copied: Value = serde_json::from_str(seen["copies"]["json"].as_str().unwrap()).unwrap();
    assert_eq!((&copied, &seen["curled"]), (&seen["profile"], &seen["profile"]));
    assert_runs_again(folder.path(), &seen["copies"]);

    assert_eq!(
        (&seen["raw"], &seen["udp"], &seen["web"]),
        (&json!(false), &json!(true), &json!("768kbit/s"))
    );
    assert_eq!(seen["reloaded"][0], seen["reloaded"][1], "the last minutes outlive a reload");
    assert_eq!((&seen["reloaded"][2], &seen["gone"][1]), (&json!("20%"), &json!("20%")));
    assert!(seen["gone"][0].as_str().unwrap().starts_with("No connection to the proxy since"));

    assert_eq!((&seen["console"], &seen["elsewhere"]), (&json!([]), &json!([])));
    assert!(seen["asked"].as_u64() > Some(50));
    for (look, wide) in seen["widths"].as_object().unwrap() {
        let width: u64 = look.split('-').next().unwrap().parse().unwrap();
        assert!(wide.as_u64() <= Some(width), "{look}: {wide}");
        let picture = std::fs::read(folder.path().join(format!("panel-{look}.png"))).unwrap();
        assert!(picture.starts_with(b"\x89PNG"));
        keep(look, &picture);
    }
    assert_eq!(seen["cut"], json!({ "names": 0, "flows": 0 }), "what is read is seen whole");
    let wide = seen["long"][0].as_u64().unwrap();
    assert!(wide < 320 && seen["long"][1] == 255, "{}", seen["long"]);
    if axe.is_some() {
        assert_eq!(seen["axe"], json!([[], [], [], []]));
    }
}

/// The copied profile and the copied command line mean what they were copied from.
fn assert_runs_again(folder: &Path, copies: &Value) {
    let [profile, command] = ["json", "command"].map(|form| copies[form].as_str().unwrap());
    std::fs::write(folder.join("copied.json"), profile).unwrap();
    let checked =
        jostle().args(["profile", "check", "copied.json"]).current_dir(folder).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let programs = Path::new(PROGRAMS).parent().unwrap();
    let path = std::env::join_paths(
        std::iter::once(programs.to_owned())
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let run = Command::new("sh")
        .args(["-c", &format!("{command} --for 100ms")])
        .env("PATH", path.unwrap())
        .current_dir(folder)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert!(text.contains("route ping: udp://") && text.contains("drop 20%"), "{text}");
    assert!(text.contains("seed 7"), "{text}");
}

/// The pictures that `docs/panel.md` shows.
const PICTURES: [&str; 3] = ["1280-light", "1920-dark", "390-light"];

/// Keeps the pictures of the documents, when asked to (`scripts/panel-pictures.sh`).
fn keep(look: &str, picture: &[u8]) {
    let Some(folder) = std::env::var_os("JOSTLE_PANEL_PICTURES") else { return };
    if !PICTURES.contains(&look) {
        return;
    }
    std::fs::write(PathBuf::from(folder).join(format!("panel-{look}.png")), picture).unwrap();
}
