//! The scripts that run a sweep: in a loop, in shards with GNU parallel; and the manifest for
//! Kubernetes.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod proxy_support;

use proxy_support::{installed, python_with};
use serde_json::Value;
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const JOSTLE: &str = env!("CARGO_BIN_EXE_jostle");
/// 64 cells that take no time.
const SWEEP: &str = r#"{ "seed": 7, "repeat": 4, "virtual": true, "set": { "size": "16KiB" },
    "vary": { "protocol": ["saw", "udp"], "loss": "0..35%:5%" } }"#;

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts").join(name)
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    output
}

fn lines(path: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines: BTreeSet<String> = text.lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), text.lines().count(), "no row is there twice");
    lines
}

/// The rows of the sweep, run in one piece.
fn unsharded(folder: &Path) -> BTreeSet<String> {
    std::fs::write(folder.join("mine.json"), SWEEP).unwrap();
    run(Command::new(JOSTLE).args(["sweep", "mine.json", "-o", "whole.jsonl"]).current_dir(folder));
    lines(&folder.join("whole.jsonl"))
}

/// A `jostle` that writes down how it is called, and fails at one call of the many.
fn fails_once(folder: &Path, at: usize) -> PathBuf {
    let path = folder.join("jostle-that-fails");
    let text = format!(
        "#!/bin/sh\necho \"$*\" >>'{0}/calls'\n[ \"$(wc -l <'{0}/calls')\" -eq {at} ] && exit 1\nexec '{JOSTLE}' \"$@\"\n",
        folder.display()
    );
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn shards_by_gnu_parallel_are_the_whole_and_an_interrupted_run_goes_on() {
    if !installed("parallel") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let whole = unsharded(folder.path());
    assert_eq!(whole.len(), 64);
    let parallel = |jostle: &Path, more: &[&str]| {
        let mut command = Command::new("bash");
        command.arg(script("sweep-parallel.sh")).args(["mine.json", "rows", "8"]).args(more);
        command.current_dir(folder.path()).env("JOSTLE", jostle).env("HOME", folder.path());
        command
    };
    let broken = fails_once(folder.path(), 4);
    let interrupted =
        parallel(&broken, &["--retries", "1", "--halt", "now,fail=1"]).output().unwrap();
    assert!(!interrupted.status.success());
    assert!(!folder.path().join("rows/rows.jsonl").exists(), "what is not whole is not merged");
    let done = |shard: usize| folder.path().join(format!("rows/shard-{shard}-of-8.jsonl")).exists();
    assert_eq!((1..=8).filter(|shard| done(*shard)).collect::<Vec<_>>(), [1, 2, 3]);

    run(&mut parallel(&broken, &[]));
    let calls = std::fs::read_to_string(folder.path().join("calls")).unwrap();
    let shards: Vec<&str> =
        calls.lines().filter_map(|call| call.split_whitespace().nth(3)).collect();
    assert_eq!(shards, ["1/8", "2/8", "3/8", "4/8", "4/8", "5/8", "6/8", "7/8", "8/8"], "{calls}");
    assert_eq!(lines(&folder.path().join("rows/rows.jsonl")), whole);
}

#[test]
fn the_loop_over_loss_rates_ends_with_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(Command::new("bash")
        .arg(script("loss-sweep.sh"))
        .envs([
            ("JOSTLE", JOSTLE),
            ("TRIAL", "--virtual --delay 5ms --size 64KiB"),
            ("LOSSES", "0% 5% 10%"),
            ("REPEATS", "2"),
        ])
        .current_dir(folder.path()));
    let rows = lines(&folder.path().join("loss-sweep.jsonl"));
    assert_eq!(rows.len(), 18);
    for row in &rows {
        let row: Value = serde_json::from_str(row).unwrap();
        assert_eq!(
            (&row["virtual"], &row["ok"], &row["seed"]),
            (&true.into(), &true.into(), &row["repeat"]),
            "{row}"
        );
    }
    assert!(String::from_utf8(output.stdout).unwrap().contains("| loss"));
    assert!(
        std::fs::read_to_string(folder.path().join("loss-sweep.html")).unwrap().contains("<svg")
    );
}

#[test]
fn the_manifest_is_what_kubernetes_takes() {
    let Some(python) = python_with("kubernetes_validate") else { return };
    let validate = |manifest: &Path| {
        let program = python.with_file_name("kubernetes-validate");
        Command::new(program).args(["--strict", "-k", "1.31"]).arg(manifest).output().unwrap()
    };
    let manifest = script("sweep-k8s.yaml");
    let output = validate(&manifest);
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("job/jostle-sweep"), "{text}");
    // A check that takes anything would be none.
    let folder = tempfile::tempdir().unwrap();
    let wrong = folder.path().join("wrong.yaml");
    let text = std::fs::read_to_string(manifest).unwrap();
    assert!(text.contains("completionMode:"));
    std::fs::write(&wrong, text.replace("completionMode:", "completionMood:")).unwrap();
    assert!(!validate(&wrong).status.success());
}
