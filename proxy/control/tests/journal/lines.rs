//! What each line says, and what is said of lines that are wrong.

use crate::some_journal;
use jostle_common::digest::Digest;
use jostle_control::{Event, History};
use jostle_engine::profile::no_files;
use proptest::prelude::*;
use serde_json::Value;

#[test]
fn each_line_says_what_was_done_by_whom_and_what_holds() {
    let text = some_journal();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said: Vec<String> = lines
        .iter()
        .map(|line| {
            let word = |key: &str| line[key].as_str().unwrap_or("-").to_owned();
            format!("{} {} {}", word("origin"), word("change"), word("proxy"))
        })
        .collect();
    assert_eq!(
        said,
        [
            "- start -",
            "api profile a",
            "key rules -",
            "api disabled b",
            "panel removed b",
            "key rules -",
            "- end -"
        ]
    );
    assert_eq!(lines[0]["configuration"]["seed"], 7);
    assert_eq!(lines[0]["configuration"]["proxies"].as_array().unwrap().len(), 2);
    assert_eq!(lines[1]["route"]["profile"]["up"][0]["chance"], "5%");
    assert_eq!((&lines[1]["revision"], &lines[2]["on"]), (&2.into(), &false.into()));
    assert_eq!((&lines[3]["route"]["enabled"], &lines[4]["route"]), (&false.into(), &Value::Null));
    for line in &lines {
        let time = line["time"].as_str().unwrap();
        assert!(time.starts_with("20") && time.ends_with('Z'), "{time}");
    }
    // The digest is that of the configuration as its one text, which anybody can make.
    let mut holds = lines[0]["configuration"].clone();
    holds["proxies"][0] = lines[1]["route"].clone();
    holds["proxies"].as_array_mut().unwrap().pop();
    holds.sort_all_objects();
    let digest = Digest::of(holds.to_string().as_bytes()).to_string();
    assert_eq!(lines[4]["sha256"], digest);
    assert_eq!(lines[6]["sha256"], digest, "what was switched off is configured still");
    assert_ne!(lines[3]["sha256"], digest);
}

#[test]
fn a_journal_reads_as_what_was_done() {
    let history = History::read(&some_journal(), &no_files).unwrap();
    assert_eq!((history.seed, history.rules_on, history.cut), (7, true, None));
    assert_eq!(history.recorded.len(), 6);
    assert!(matches!(history.recorded[5].event, Event::End { lost: 0 }));
    let there: Vec<(String, bool)> = history.proxies().into_iter().collect();
    assert_eq!(there, [("a".into(), true), ("b".into(), false)]);
    let replay = history.replay("a", &no_files).unwrap();
    // No packet came, so all there is to play again is what holds in the end.
    assert_eq!(replay.route.profile.up.rules().count(), 1);
    assert_eq!(replay.remarks, [] as [&str; 0]);
    let gone = history.replay("b", &no_files).unwrap();
    assert!(gone.remarks[0].starts_with("the proxy listened until "), "{:?}", gone.remarks);
    let error = history.replay("c", &no_files).unwrap_err();
    assert_eq!(error.to_string(), r#"the journal has no proxy "c"; it has a, b"#);
}

#[test]
fn what_is_wrong_with_a_journal_is_said_with_its_line() {
    let text = some_journal();
    let error = |text: &str| History::read(text, &no_files).unwrap_err().to_string();
    assert_eq!(error(""), "line 1: the journal is empty");
    let no_journal = "line 1: this is no journal; write the name of a file that --journal wrote";
    assert!(error("hello\n").starts_with(no_journal));
    assert!(error("{\"t\":1}\n").starts_with(no_journal));
    let other = text.replacen(r#""journal":1"#, r#""journal":2"#, 1);
    assert_eq!(
        error(&other),
        "line 1: the journal is of version 2, and this program reads version 1; use the program \
         that wrote it"
    );
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let with = |place: usize, line: &str| {
        let mut lines = lines.clone();
        lines[place] = line;
        lines.concat()
    };
    assert!(error(&with(2, "{\n")).starts_with("line 3: "), "{}", error(&with(2, "{\n")));
    let wrong = lines[1].replace("5%", "5");
    assert_eq!(
        error(&with(1, &wrong)),
        r#"line 2: route.profile.up[0].chance: "5" has no unit; write "5%""#
    );
    let changed = lines[1].replace("5%", "6%");
    assert!(error(&with(1, &changed)).starts_with("line 2: sha256: the configuration that holds"));
    assert!(
        error(&with(1, "")).starts_with("line 3: sha256: ") || {
            // Without its line the rules are as they were, and all further digests differ.
            error(&with(1, "")).starts_with("line 2: sha256: ")
        }
    );
    assert!(error(&with(3, lines[0])).starts_with("line 4: a second journal begins here"));
    let negative = lines[2].replacen("\"t\":", "\"t\":-", 1);
    assert!(error(&with(2, &negative)).contains("is no time of a run"));
    // Whoever was killed has left half a line.
    let cut = &text[..text.len() - 20];
    let history = History::read(cut, &no_files).unwrap();
    assert_eq!((history.cut, history.recorded.len()), (Some(7), 5));
    let remarks = history.replay("a", &no_files).unwrap().remarks;
    assert_eq!(remarks, ["line 7 of the journal has no end, and is left out"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Any bytes in any place: an answer, and one that names a line.
    #[test]
    fn no_journal_is_too_strange(
        place in any::<prop::sample::Index>(),
        length in 0usize..60,
        checked in any::<bool>(),
        put in prop_oneof!["[\\PC\n]{0,40}", Just("\n".to_owned()), Just("null".to_owned()), Just("1e300".to_owned())],
    ) {
        static TEXT: std::sync::OnceLock<String> = std::sync::OnceLock::new();
        let text = TEXT.get_or_init(some_journal);
        let from = place.index(text.len());
        let to = (from + length).min(text.len());
        let mut strange = format!("{}{put}{}", &text[..from], &text[to..]);
        if !checked {
            strange = strange.replace("sha256", "digest");
        }
        match History::read(&strange, &no_files) {
            Ok(history) => for name in history.proxies().keys() {
                let _ = history.replay(name, &no_files);
            },
            Err(error) => prop_assert!(error.line >= 1 && error.line <= strange.lines().count().max(1)),
        }
    }
}
