//! The shipped JSON Schema takes every profile that the reader takes, and refuses what an editor
//! can see to be wrong. The judge is Python's `jsonschema`, a validator that nobody here wrote.
#![allow(clippy::print_stderr, reason = "it says what it skips or measures")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::PathBuf;
use std::process::Command;

/// Prints the names of the files that are JSON and valid; arguments: the schema, then the files.
const JUDGE: &str = r"
import json, sys
from jsonschema import Draft7Validator
schema = json.load(open(sys.argv[1]))
Draft7Validator.check_schema(schema)
judge = Draft7Validator(schema)
for path in sys.argv[2:]:
    try:
        value = json.load(open(path))
    except ValueError:
        continue
    if judge.is_valid(value):
        print(path)
";

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder);
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect()
}

/// How many of the files are valid, and their names; `None` where there is no judge.
fn valid(files: &[PathBuf]) -> Option<Vec<String>> {
    judged("profile.schema.json", files)
}

/// The same by any schema of `configs/`.
fn judged(schema: &str, files: &[PathBuf]) -> Option<Vec<String>> {
    let schema = format!("{}/../../configs/{schema}", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("python3").args(["-c", JUDGE, &schema]).args(files).output();
    match output {
        Ok(output) if output.status.success() => {
            Some(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
        }
        Ok(output)
            if String::from_utf8_lossy(&output.stderr).contains("No module named 'jsonschema'") =>
        {
            eprintln!("SKIPPED: the schema was not tried: python3 has no jsonschema");
            None
        }
        Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => {
            eprintln!("SKIPPED: the schema was not tried: python3: {error}");
            None
        }
    }
}

#[test]
fn every_profile_is_valid() {
    let files = files("../../configs/profiles");
    let Some(valid) = valid(&files) else { return };
    let refused: Vec<&PathBuf> = files
        .iter()
        .filter(|file| !valid.iter().any(|name| file.as_os_str() == name.as_str()))
        .collect();
    assert!(refused.is_empty(), "{refused:?}");
    assert!(files.len() >= 40, "{}", files.len());
}

#[test]
fn every_configuration_is_valid_and_mistakes_are_not() {
    let files = files("../../configs/proxies");
    let Some(valid) = judged("config.schema.json", &files) else { return };
    assert_eq!((valid.len(), files.len()), (8, 8), "{valid:?}");
    let folder = std::env::temp_dir().join(format!("jostle-schema-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let route = |fields: &str| {
        format!(r#"{{ "proxies": [ {{ "listen": "127.0.0.1:1", "upstream": "b:2"{fields} }} ] }}"#)
    };
    let texts = [
        (true, route("")),
        (true, route(r#", "tcp": { "model": "reno" }, "toxics": [], "idle": "5m", "seed": 7"#)),
        (true, route(r#", "profile": { "up": [ { "rule": "drop", "chance": "1%" } ] }"#)),
        (false, route(r#", "profil": "satellite""#)),
        (true, route(r#", "tcp": "cubic""#)),
        (false, route(r#", "tcp": "vegas""#)),
        (false, route(r#", "profile": { "up": [ { "rule": "dropp" } ] }"#)),
        (false, r#"{ "proxies": [] }"#.to_owned()),
        (false, r#"{ "routes": [] }"#.to_owned()),
    ];
    for (number, (expected, text)) in texts.iter().enumerate() {
        let file = folder.join(format!("{number}.json"));
        std::fs::write(&file, text).unwrap();
        let valid = judged("config.schema.json", &[file]).unwrap();
        assert_eq!(valid.len() == 1, *expected, "{text}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_an_editor_can_see_to_be_wrong_is_refused() {
    let files = files("tests/wrong_profiles");
    let Some(valid) = valid(&files) else { return };
    // What takes two fields, two rules or a file to judge only the reader sees.
    let share = valid.len() as f64 / files.len() as f64;
    assert!(share < 0.4, "{} of {} pass: {valid:?}", valid.len(), files.len());
    for (name, words) in [
        ("unknown-rule", "a kind"),
        ("unknown-key", "a key"),
        ("drop-how", "no model"),
        ("drop-two-ways", "two models"),
        ("drop-chance-3", "a bare number"),
        ("drop-chance-120", "too much"),
        ("delay-time-bare", "a bare time"),
        ("rate-without-unit", "a bare rate"),
        ("delay-misspelt", "a misspelt field"),
        ("rate-queue-word", "no queue"),
    ] {
        assert!(files.iter().any(|file| file.file_stem().unwrap() == name), "{name} is gone");
        assert!(
            !valid.iter().any(|path| path.ends_with(&format!("/{name}.json"))),
            "{words} passes"
        );
    }
}
