//! Every kind of rule has all its parts.

use super::*;
use crate::link::Link;
use crate::packet::{Body, Packet};
use crate::profile::{Profile, schema};
use crate::stage::Stage;
use jostle_common::time::Instant;
use jostle_common::units::{BitRate, ByteSize, Probability, Span};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns a profile with the example of a kind as its only rule.
fn example(entry: &KindEntry) -> Profile {
    let KindEntry { name, example, .. } = entry;
    Profile::from_json(&format!(r#"{{ "up": [ {{ "rule": "{name}", {example} }} ] }}"#)).unwrap()
}

fn kind(entry: &KindEntry) -> RuleKind {
    example(entry).up.phases[0].rules[0].kind.clone()
}

#[test]
fn each_kind_has_a_folder_and_each_folder_a_kind() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/rules");
    let is_kind = |folder: &std::fs::DirEntry| folder.path().join("promise.rs").exists();
    let folders: BTreeSet<String> = std::fs::read_dir(&rules)
        .unwrap()
        .map(Result::unwrap)
        .filter(is_kind)
        .map(|folder| folder.file_name().into_string().unwrap())
        .collect();
    let names: BTreeSet<String> = KINDS.iter().map(|entry| entry.name.to_owned()).collect();
    assert_eq!(folders, names);
    assert_eq!(names.len(), KINDS.len(), "no name is used twice");
    for name in names {
        for file in ["mod.rs", "written.rs", "promise.rs"] {
            assert!(rules.join(&name).join(file).exists(), "{name} has no {file}");
        }
    }
}

#[test]
fn each_kind_reads_its_example_and_the_schema_knows_its_fields() {
    let schema: Value = serde_json::from_str(&schema()).unwrap();
    let described = schema["definitions"]["Rule"]["oneOf"].as_array().unwrap();
    assert_eq!(described.len(), KINDS.len());
    for (entry, described) in KINDS.iter().zip(described) {
        assert_eq!(kind(entry).name(), entry.name);
        assert_eq!(described["title"], entry.name);
        let fields: Value = serde_json::from_str(&format!("{{ {} }}", entry.example)).unwrap();
        let written = fields.as_object().unwrap().keys().map(String::as_str);
        for field in written.chain(entry.one_of.iter().copied()) {
            assert!(described["properties"][field].is_object(), "{}: {field}", entry.name);
        }
    }
}

#[test]
fn each_kind_promises_something_in_numbers_and_in_words() {
    let traffic = Traffic { packets_per_second: Some(100.0), ..Traffic::of_size(1000) };
    let mut all = BTreeSet::new();
    for entry in KINDS {
        let kind = kind(entry);
        let words = kind.words(&traffic);
        assert!(words.len() > 10, "{}: {words}", entry.name);
        assert!(!kind.numbers(&traffic).as_object().unwrap().is_empty(), "{}", entry.name);
        assert!(!kind.promise(&traffic).is_idle, "{}: its example does something", entry.name);
        assert!(all.insert(words), "{} says what another kind says", entry.name);
    }
}

#[test]
fn each_kind_works_in_a_link_and_leaves_it_empty() {
    for entry in KINDS {
        let [mut link, _] = Link::both(&example(entry), 1, "test");
        let mut left = 0;
        for number in 0..1000 {
            let at = Instant::from_millis(number);
            left += std::iter::from_fn(|| link.poll(at)).count();
            link.handle(Packet::new(1, at, Body::data(vec![0; 1400])));
        }
        left += std::iter::from_fn(|| link.poll(Instant::from_secs(3600))).count();
        let counters = link.counters();
        assert_eq!(left as u64, 1000 + counters.copies, "{}", entry.name);
        assert_eq!((link.held(), counters.held), (0, 0), "{}", entry.name);
        let copies = u64::from(kind(entry).copies_max()) * 1000;
        assert!(counters.copies <= copies, "{}", entry.name);
    }
}

#[test]
fn each_shorthand_belongs_to_one_kind_which_makes_a_rule_of_it() {
    let half = Probability::new(0.5);
    let all = Shorthand {
        drop: half,
        burst: Some(BurstLength::Packets(3.0)),
        mark: half,
        duplicate: half,
        corrupt: half,
        rate: BitRate::new(1000),
        queue: Some(Queue::Packets(50)),
        delay: Some(Span(Duration::from_millis(5))),
        jitter: Some(Span(Duration::from_millis(1))),
        shape: Some(JitterShape::Normal),
        jitter_memory: Some(Span(Duration::from_millis(50))),
        allow_reorder: Some(true),
        reorder: half,
        stall: Some(ByteSize::new(1000)),
        reset: Some(Span(Duration::ZERO)),
    };
    for entry in KINDS {
        let made = (entry.from_shorthand)(&all).unwrap();
        assert_eq!(made.is_some(), !entry.shorthands.is_empty(), "{}", entry.name);
        assert!(made.is_none_or(|kind| kind.name() == entry.name));
        assert_eq!((entry.from_shorthand)(&Shorthand::default()).unwrap(), None);
    }
    let mut claimed: Vec<&str> = KINDS.iter().flat_map(|entry| entry.shorthands).copied().collect();
    claimed.sort_unstable();
    // The fields, by their names in the debug form.
    let debug = format!("{:?}", Shorthand::default());
    let mut fields: Vec<String> = debug
        .split(['{', ',', '}'])
        .filter_map(|part| Some(part.split_once(": ")?.0.trim().replace('_', "-")))
        .collect();
    fields.sort_unstable();
    assert_eq!(claimed, fields);
}

#[test]
fn the_profiles_in_the_documents_are_profiles() {
    let models = text("../../docs/models.md");
    let blocks: Vec<&str> = models
        .split("```json\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap_or_default())
        .collect();
    for block in &blocks {
        let profile = Profile::from_json(block).unwrap_or_else(|error| panic!("{error}: {block}"));
        assert!(!profile.is_empty());
    }
    assert!(!blocks.is_empty());
}

#[test]
fn each_kind_is_in_the_documents() {
    let (models, readme) = (text("../../docs/models.md"), text("../../README.md"));
    let adding = text("../../docs/adding-a-rule.md");
    let rows: Vec<&str> = readme.lines().filter(|line| line.starts_with("| `")).collect();
    let headings: Vec<&str> = models.lines().filter(|line| line.starts_with("## `")).collect();
    let expected: Vec<String> = KINDS.iter().map(|entry| format!("## `{}`", entry.name)).collect();
    assert_eq!(headings, expected, "docs/models.md has a section per kind, in their order");
    for entry in KINDS {
        let row = format!("| `{}` |", entry.name);
        assert_eq!(rows.iter().filter(|line| line.starts_with(&row)).count(), 1, "README: {row}");
        let all = readme.clone() + &models;
        for shorthand in entry.shorthands {
            assert!(all.contains(&format!("--{shorthand}")), "no document says --{shorthand}");
        }
    }
    assert!(adding.contains("rules/size/"), "the walk goes through a kind that exists");
}
