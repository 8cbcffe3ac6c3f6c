//! Rules for one flow alone stand among the others of a profile, and are replaced and removed
//! together.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use jostle_engine::profile::Profile;

fn profile(text: &str) -> Profile {
    Profile::from_json(text).unwrap()
}

fn keys(profile: &Profile) -> Vec<Vec<&str>> {
    let phases = profile.up.phases.iter().chain(&profile.down.phases);
    phases.map(|phase| phase.rules.iter().map(|rule| rule.key.as_str()).collect()).collect()
}

const PHASES: &str = r#"{
    "both": [ { "rule": "delay", "time": "5ms" } ],
    "phases": [ { "for": "1s" }, { "for": "1s", "up": [ { "rule": "drop", "chance": "1%" } ] } ],
    "then": "repeat" }"#;

const RULES: &str = r#"{
    "up": [ { "rule": "drop", "chance": "50%" },
            { "rule": "drop", "chance": "1%", "match": { "first": 7 } },
            { "rule": "delay", "time": "1ms", "enabled": false } ],
    "down": [ { "rule": "reset", "name": "end", "after": "1s" } ] }"#;

#[test]
fn they_stand_behind_all_others_in_each_phase_and_are_replaced_together() {
    let mut changed = profile(PHASES);
    changed.set_flow_rules(3, &profile(RULES)).unwrap();
    let own = ["flow-3-drop", "flow-3-drop#2", "flow-3-delay"];
    let up = [vec!["delay"], vec!["delay", "drop"]].map(|others| [&others[..], &own].concat());
    let down = vec!["delay", "flow-3-end"];
    assert_eq!(keys(&changed), [up[0].clone(), up[1].clone(), down.clone(), down]);
    assert_eq!(changed.flow_rules(3), profile(RULES));
    assert_eq!(changed.flow_rules(30), Profile::default());
    // Another flow's are its own, also where the number begins alike.
    changed.set_flow_rules(30, &profile(RULES)).unwrap();
    changed
        .set_flow_rules(3, &profile(r#"{ "down": [ { "rule": "size", "max": "9B" } ] }"#))
        .unwrap();
    assert_eq!(changed.flow_rules(30), profile(RULES));
    assert_eq!(keys(&changed)[2], ["delay", "flow-30-end", "flow-3-size"]);
    // The same when it is written and read again.
    let again = Profile::from_value("", changed.to_value(), &|_| Err(String::new())).unwrap();
    assert_eq!(again.flow_rules(30), profile(RULES));
    assert!(changed.remove_flow_rules(3) && !changed.remove_flow_rules(3));
    assert!(changed.remove_all_flow_rules() && !changed.remove_all_flow_rules());
    assert_eq!(changed, profile(PHASES));
}

#[test]
fn a_rule_that_a_person_wrote_for_a_flow_is_not_among_them() {
    let text = r#"{ "up": [ { "rule": "drop", "chance": "1%", "match": { "flow": 3 } },
        { "rule": "drop", "name": "flow-3-all", "chance": "1%" } ] }"#;
    let mut changed = profile(text);
    assert!(!changed.remove_all_flow_rules());
    assert_eq!(changed.flow_rules(3), Profile::default());
    changed.set_flow_rules(3, &Profile::default()).unwrap();
    assert_eq!(changed, profile(text));
}

#[test]
fn what_cannot_be_set_changes_nothing_and_says_where() {
    let many = |rule: &str, count: usize| {
        profile(&format!(r#"{{ "up": [ {} ] }}"#, vec![rule; count].join(",")))
    };
    let mut full = many(r#"{ "rule": "drop", "chance": "1%" }"#, 60);
    let before = full.clone();
    for (rules, said) in [
        (many(r#"{ "rule": "drop", "chance": "1%" }"#, 4), "64 rules are too many"),
        (profile(PHASES), "phases: the rules of one flow do not change with time"),
        (
            profile(r#"{ "down": [ { "rule": "size", "max": "9B", "match": { "flow": 1 } } ] }"#),
            "down[0].match.flow: these are the rules of flow 3 alone",
        ),
    ] {
        let error = full.set_flow_rules(3, &rules).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
        assert_eq!(full, before);
    }
    let copies = r#"{ "rule": "duplicate", "chance": "1%" }"#;
    let mut full = many(copies, 5);
    let error = full.set_flow_rules(3, &many(copies, 1)).unwrap_err().to_string();
    assert!(error.contains("at most 5 duplicate rules per direction"), "{error}");
    let mut full = many(copies, 4);
    full.set_flow_rules(3, &many(copies, 1)).unwrap();
    let ordinals: Vec<u32> = full.up.rules().map(|rule| rule.ordinal).collect();
    assert_eq!(ordinals, [0, 1, 2, 3, 4], "no two draw alike");
}
