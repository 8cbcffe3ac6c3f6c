//! `jostle report` as people and scripts see it.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use jostle_study::rows::Row;
use jostle_study::trial::Trial;
use serde_json::Value;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs it in `folder`, with a text on stdin.
fn report(folder: &Path, line: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jostle"));
    command.arg("report").args(line).current_dir(folder);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read its stdin may have ended already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn row(loss: f64, repeat: u32, seconds: f64) -> Row {
    let mut row = Trial { repeat, seed: u64::from(repeat), ..Trial::default() }.row();
    (row.loss, row.ok, row.seconds) = (format!("{loss}").parse().unwrap(), true, Some(seconds));
    row
}

/// Two loss rates, six repetitions; a little noise that differs with `salt`.
fn rows(salt: u32, slowness: f64) -> String {
    let mut text = String::new();
    for loss in [0.0, 0.25] {
        for repeat in 1..=6 {
            let noise = f64::from((repeat * 7 + salt) % 5) / 100.0;
            let slowness = if loss > 0.0 { slowness } else { 1.0 };
            text += &serde_json::to_string(&row(loss, repeat, (1.0 + loss + noise) * slowness))
                .unwrap();
            text.push('\n');
        }
    }
    text
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("old.jsonl", rows(0, 1.0)),
        ("same.jsonl", rows(3, 1.0)),
        ("slow.jsonl", rows(3, 1.5)),
        ("empty.jsonl", String::new()),
        ("broken.jsonl", rows(0, 1.0) + "{\"protocol\":\"saw\"}\n"),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

#[test]
fn rows_become_tables_and_pages() {
    let folder = folder();
    let output = report(folder.path(), &["old.jsonl"], "");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{text}");
    assert!(
        text.starts_with("# Time to completion over loss\n") && text.contains("| 25%"),
        "{text}"
    );

    let output = report(folder.path(), &["-", "--format", "json"], &rows(0, 1.0));
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&object["files"][0], &object["cells"]), (&"stdin".into(), &12.into()));

    for (name, beginning) in [
        ("out.html", "<!doctype html>"),
        ("out.csv", "loss_share,"),
        ("out.md", "# Time"),
        ("out.json", "{\n"),
    ] {
        let output = report(folder.path(), &["old.jsonl", "-o", name], "");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && output.stdout.is_empty(), "{name}: {said}");
        assert!(
            said.contains("12 cells from old.jsonl, none failed.") && said.contains(name),
            "{said}"
        );
        assert!(
            fs::read_to_string(folder.path().join(name)).unwrap().starts_with(beginning),
            "{name}"
        );
    }
    let output = report(folder.path(), &["old.jsonl", "old.jsonl", "-o", "out.md"], "");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("12 rows stand in the files twice"), "{said}");
}

#[test]
fn what_got_worse_is_found_and_fails() {
    let folder = folder();
    let compared = |new: &str, more: &[&str]| {
        let line: Vec<&str> = [new, "--against", "old.jsonl", "--fail-if", "seconds > 1.1"]
            .into_iter()
            .chain(more.iter().copied())
            .collect();
        let output = report(folder.path(), &line, "");
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, text, said) = compared("same.jsonl", &[]);
    assert_eq!(
        (code, text.lines().last()),
        (Some(0), Some("PASS: none of 2 points got worse (seconds > 1.1).")),
        "{said}"
    );
    let (code, text, _) = compared("slow.jsonl", &[]);
    assert_eq!(
        (code, text.lines().last()),
        (Some(1), Some("FAIL: 1 of 2 points got worse (seconds > 1.1)."))
    );
    assert!(text.lines().any(|line| line.starts_with("| 25%  | seconds > 1.1 |")), "{text}");
    // With a report beside it, or within it.
    let (code, text, _) = compared("slow.jsonl", &["-o", "slow.html"]);
    assert!(
        code == Some(1)
            && text.contains("FAIL: 1 of 2")
            && folder.path().join("slow.html").exists(),
        "{text}"
    );
    let (code, text, _) = compared("slow.jsonl", &["--format", "json"]);
    let object: Value = serde_json::from_str(&text).unwrap();
    let gate = &object["gate"];
    assert_eq!(
        (code, &gate["passed"], &gate["worse"][0]["at"]["loss"]),
        (Some(1), &false.into(), &"25%".into())
    );
    let (code, text, said) = compared("slow.jsonl", &["--format", "csv"]);
    assert!(
        code == Some(1) && text.lines().count() == 3 && said.contains("FAIL: 1 of 2"),
        "{text}{said}"
    );
}

#[test]
fn wrong_usage_is_refused_with_place_and_remedy() {
    let folder = folder();
    let against = ["old.jsonl", "--against", "same.jsonl", "--fail-if"];
    let condition = |text: &'static str| [&against[..], &[text]].concat();
    for (line, code, words) in [
        (vec![], 2, "<ROWS>..."),
        (vec!["nowhere.jsonl"], 1, "cannot read nowhere.jsonl"),
        (vec!["empty.jsonl"], 1, "there is no row in empty.jsonl"),
        (vec!["broken.jsonl"], 2, "broken.jsonl:13: this is no result row: missing field `loss`"),
        (vec!["-", "-"], 2, "- is stdin, which can be read once"),
        (vec!["old.jsonl", "-o", "old.jsonl"], 2, "-o old.jsonl: the name says no format"),
        (
            vec!["old.jsonl", "-o", "./old.jsonl", "--format", "csv"],
            2,
            "these are the rows themselves",
        ),
        (
            vec!["old.jsonl", "-o", "page.pdf"],
            2,
            "write report.html, .md, .csv, .json, .svg or .png",
        ),
        (vec!["old.jsonl", "-o", "nowhere/page.html"], 1, "cannot write nowhere/page.html"),
        (vec!["old.jsonl", "--format", "pdf"], 2, "possible values: html, md, csv, json"),
        (
            vec!["old.jsonl", "--x", "speed"],
            2,
            "--x: \"speed\" is no parameter of rows; write one of loss",
        ),
        (
            vec!["old.jsonl", "--by", "delay"],
            2,
            "--by: \"delay\" is the same in all rows; write one of loss",
        ),
        (
            vec!["old.jsonl", "--metric", "fps"],
            2,
            "--metric: no row has \"fps\"; the rows measured seconds",
        ),
        (vec!["old.jsonl", "--against", "same.jsonl"], 2, "--fail-if <CONDITION>"),
        (vec!["old.jsonl", "--fail-if", "seconds > 2"], 2, "--against <OLD>"),
        (vec!["old.jsonl", "--strict"], 2, "--fail-if <CONDITION>"),
        (
            condition("seconds 2"),
            2,
            "'--fail-if <CONDITION>': \"seconds 2\" has no < or >; write 'goodput < 0.9'",
        ),
        (condition("speed < 2"), 2, "there is no metric \"speed\"; write one of goodput, seconds"),
        (
            condition("measured.fps < 2"),
            2,
            "no row has \"measured.fps\"; the rows measured seconds",
        ),
    ] {
        let output = report(folder.path(), &line, "");
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{line:?}: {said}");
        assert!(said.contains(words) && output.stdout.is_empty(), "{line:?}: {said}");
    }
    let kept = fs::read_to_string(folder.path().join("old.jsonl")).unwrap();
    assert_eq!(kept, rows(0, 1.0), "the rows are as they were");
}
