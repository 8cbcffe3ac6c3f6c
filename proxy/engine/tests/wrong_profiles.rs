//! Every wrong profile in `wrong_profiles/` is refused with the message in
//! `wrong_profiles/messages.txt`: the place, what was found there and what to write instead.
//!
//! `JOSTLE_BLESS=1 cargo test -p jostle-engine --test wrong_profiles` writes the messages anew, to
//! be read before they are kept.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use jostle_engine::profile::Profile;
use std::fmt::Write as _;
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/wrong_profiles")
}

/// Names and texts, by name.
fn wrong_profiles() -> Vec<(String, String)> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    let name = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    files.iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn every_wrong_profile_is_refused_with_place_and_remedy() {
    let profiles = wrong_profiles();
    let mut found = String::new();
    for (name, text) in &profiles {
        let Err(error) = Profile::from_json(text) else { panic!("{name} is accepted: {text}") };
        writeln!(found, "{name}\n    {error}").unwrap();
    }
    let messages = folder().join("messages.txt");
    if std::env::var_os("JOSTLE_BLESS").is_some() {
        std::fs::write(&messages, &found).unwrap();
    }
    let expected = std::fs::read_to_string(messages).unwrap();
    for (found, expected) in found.lines().zip(expected.lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.lines().count(), expected.lines().count());
    assert!(profiles.len() > 170, "the folder is read whole");
}
