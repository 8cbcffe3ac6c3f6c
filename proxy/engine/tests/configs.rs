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

/// Reads what the documents show of `open`, `accept` and `match` as the programs do.
#[test]
fn what_the_documents_show_is_valid() {
    let document = |name: &str| {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs");
        std::fs::read_to_string(folder.join(name)).unwrap()
    };
    let no_files = |name: &str| Err(format!("{name} is no file of the project"));
    let config = document("config.md");
    let blocks: Vec<&str> =
        config.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let whole = blocks.iter().filter(|block| block.contains("\"proxies\""));
    let read: Vec<Configuration> =
        whole.map(|block| Configuration::from_json(block, &no_files).unwrap()).collect();
    assert!(read.len() >= 2, "{}", read.len());
    let with_upstream = |one: &&Configuration| one.routes[0].listening.with_upstream;
    let connecting = read.iter().find(with_upstream).unwrap();
    assert!(connecting.routes[1].listening.accept.is_some());
    // The rows of the table: what stands in its second column is a rule.
    let models = document("models.md");
    let rules = models.lines().filter(|line| line.contains("`--") && line.contains("--only "));
    let rules: Vec<&str> = rules.filter_map(|line| line.split('`').nth(1)).collect();
    let rules: Vec<&&str> = rules.iter().filter(|text| text.starts_with('{')).collect();
    assert_eq!(rules.len(), 3);
    for rule in rules {
        Profile::from_json(&format!(r#"{{ "up": [ {rule} ] }}"#)).unwrap();
    }
}
