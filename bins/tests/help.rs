//! Help that fits, manual pages, and completions that know names.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::process::Command;

const PROGRAMS: [&str; 3] = [
    env!("CARGO_BIN_EXE_jostle"),
    env!("CARGO_BIN_EXE_jostle-server"),
    env!("CARGO_BIN_EXE_jostle-client"),
];

fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the commands of a program, and those below them, as its help lists them.
fn commands(program: &str, above: &[&str]) -> Vec<String> {
    let help = said(Command::new(program).args(above).arg("-h"));
    let listed = help.split("Commands:").nth(1).unwrap_or_default();
    let names = listed.lines().skip(1).take_while(|line| !line.is_empty());
    let names = names.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.map(|line| line.split_whitespace().next().unwrap().to_owned());
    names.filter(|name| name != "help").collect()
}

#[test]
fn help_fits_a_terminal_of_any_width() {
    let mut seen = 0;
    for program in PROGRAMS {
        for name in commands(program, &[]) {
            for columns in [72, 80, 100] {
                for form in ["-h", "--help"] {
                    let mut command = Command::new(program);
                    let help =
                        said(command.args([&name, form]).env("COLUMNS", columns.to_string()));
                    // A usage is one line, however long.
                    for line in help.lines().filter(|line| !line.starts_with("Usage")) {
                        assert!(line.chars().count() <= columns, "{name} {form} {columns}: {line}");
                    }
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 100, "{seen}");
}

#[test]
fn paragraphs_behind_the_options_fill_their_lines() {
    let mut command = Command::new(PROGRAMS[0]);
    let help = said(command.args(["proxy", "-h"]).env("COLUMNS", "80"));
    let prose = help.split("While it runs,").nth(1).unwrap();
    let lines: Vec<&str> = prose.trim_end().lines().skip(1).collect();
    let (last, full) = lines.split_last().unwrap();
    assert!(full.len() >= 4 && !last.is_empty(), "{prose}");
    for line in full {
        assert!(line.len() > 60, "ragged: {line:?} in\n{prose}");
    }
}

#[test]
fn one_way_options_are_named_in_a_line_and_listed_in_the_long_help() {
    for name in ["proxy", "trial", "simulate", "sweep", "compare"] {
        let help = |form| said(Command::new(PROGRAMS[0]).args([name, form]));
        let (short, long) = (help("-h"), help("--help"));
        assert!(short.contains("--up-drop 5%, --down-delay 20ms"), "{name}");
        assert!(!short.contains("--up-jitter") && long.contains("--up-jitter"), "{name}");
        assert!(short.lines().count() < 100, "{name}: {}", short.lines().count());
    }
}

#[test]
fn manual_pages_cover_all_programs_and_commands() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("new/man1");
    said(Command::new(PROGRAMS[0]).arg("man").arg(&pages));
    let page = |name: &str| std::fs::read_to_string(pages.join(format!("{name}.1"))).expect(name);
    for (program, name) in PROGRAMS.iter().zip(["jostle", "jostle-server", "jostle-client"]) {
        assert!(page(name).contains(".SH NAME"), "{name}");
        let below = commands(program, &[]);
        assert!(below.len() > 5, "{below:?}");
        for below in &below {
            assert!(page(&format!("{name}-{below}")).contains(".SH SYNOPSIS"), "{name}-{below}");
        }
    }
    let proxy = page("jostle-proxy");
    for word in ["up\\-jitter", "SIGUSR1", "drain"] {
        assert!(proxy.contains(word), "{word}");
    }
    let refused = Command::new(PROGRAMS[0]).args(["man", "/dev/null/man1"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
}

/// What a shell is told that may come next.
fn completed(program: &str, words: &[&str]) -> Vec<String> {
    let name = program.rsplit('/').next().unwrap();
    let mut command = Command::new(program);
    let text = said(command.env("COMPLETE", "fish").args(["--", name]).args(words));
    text.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

#[test]
fn completions_know_profiles_protocols_metrics_and_parameters() {
    let [jostle, server, _] = PROGRAMS;
    for (words, expected) in [
        (&["proxy", "--profile", "coffee"][..], "coffee-shop-wifi"),
        (&["simulate", "webpagetest-3g-f"], "webpagetest-3g-fast"),
        (&["profile", "show", "starl"], "starlink"),
        (&["profile", "check", "starl"], "starlink"),
        (&["compare", "--profile", "coffee"], "coffee-shop-wifi"),
        (&["trial", "--profile", "coffee"], "coffee-shop-wifi"),
        (&["trial", "--protocol", "s"], "saw"),
        (&["sweep", "--protocol", "pi"], "ping"),
        (&["report", "--metric", "good"], "goodput"),
        (&["report", "--x", "lo"], "loss"),
        (&["proxy", "--up-dr"], "--up-drop"),
        (&["comp"], "compare"),
    ] {
        let found = completed(jostle, words);
        assert!(found.iter().any(|word| word == expected), "{words:?}: {found:?}");
    }
    assert!(completed(server, &["sa"]).contains(&"saw".to_owned()));
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = said(Command::new(jostle).args(["completions", shell]));
        assert!(script.contains("COMPLETE") && script.contains("jostle"), "{shell}: {script}");
    }
}
