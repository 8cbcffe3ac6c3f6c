//! Every file in `configs/` is what it says it is.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use jostle_engine::profile::Profile;
use jostle_engine::route::Configuration;
use std::path::PathBuf;

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../configs").join(folder);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn every_profile_is_valid() {
    let files = files("profiles");
    for file in &files {
        let profile = Profile::from_json(&std::fs::read_to_string(file).unwrap());
        assert!(profile.is_ok(), "{}: {}", file.display(), profile.unwrap_err());
    }
    assert_eq!(files.len(), 104);
}

#[test]
fn every_configuration_is_valid() {
    let files = files("proxies");
    let no_files = |name: &str| Err(format!("{name} is no file of the project"));
    for file in &files {
        let configuration =
            Configuration::from_json(&std::fs::read_to_string(file).unwrap(), &no_files);
        assert!(configuration.is_ok(), "{}: {}", file.display(), configuration.unwrap_err());
    }
    assert_eq!(files.len(), 8);
}
