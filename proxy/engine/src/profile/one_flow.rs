//! Rules for one flow alone, among the others of a profile: each is called after the flow and looks
//! at nothing else, so that they can be replaced and removed together.

use super::{Phase, Profile, Rule, Then, Timeline};
use crate::rules::{FlowMatch, Match, Selection};
use jostle_common::chance::Direction;
use jostle_common::setting::{SettingError, within};
use std::collections::BTreeSet;

impl Profile {
    /// Puts `rules` behind all others, at all times, for the flow of this number alone and in place
    /// of those that it has; without any it has none then. A rule `drop` becomes `flow-3-drop`.
    ///
    /// ```
    /// use jostle_engine::profile::Profile;
    /// let mut profile = Profile::from_json(r#"{ "up": [ { "rule": "delay", "time": "5ms" } ] }"#)?;
    /// let rules = Profile::from_json(r#"{ "up": [ { "rule": "drop", "chance": "50%" } ] }"#)?;
    /// profile.set_flow_rules(3, &rules)?;
    /// assert_eq!(profile.up.rules().map(|rule| rule.key.as_str()).last(), Some("flow-3-drop"));
    /// assert_eq!(profile.flow_rules(3), rules);
    /// profile.set_flow_rules(3, &Profile::default())?;
    /// assert_eq!(profile.up.rules().count(), 1);
    /// # Ok::<(), jostle_common::setting::SettingError>(())
    /// ```
    ///
    /// # Errors
    /// When `rules` change with time, one of them chooses flows by number itself, or there are too
    /// many of them beside those that there are. Nothing has changed then.
    pub fn set_flow_rules(&mut self, flow: u32, rules: &Self) -> Result<(), SettingError> {
        let mut changed = self.clone();
        changed.remove_flow_rules(flow);
        for direction in Direction::BOTH {
            let timeline = changed.timeline_mut(direction);
            for (index, rule) in constant(rules.timeline(direction))?.iter().enumerate() {
                let place = format!("{}[{index}]", direction.name());
                let rule = for_flow(flow, rule, timeline, &place)?;
                timeline.phases.iter_mut().for_each(|phase| phase.rules.push(rule.clone()));
            }
        }
        // What a whole direction may have is known where profiles are read.
        let file = |name: &str| {
            let known = [&changed, rules].into_iter().find_map(|profile| profile.file(name));
            known.ok_or_else(|| format!("{name}: it was read before, and is not known any more"))
        };
        Self::from_value("", changed.to_value(), &file)?;
        *self = changed;
        Ok(())
    }

    /// Returns the rules of one flow, as they were set.
    pub fn flow_rules(&self, flow: u32) -> Self {
        let [up, down] = Direction::BOTH.map(|direction| {
            // They are the same in all phases.
            let phase = &self.timeline(direction).phases[0];
            let rules = phase.rules.iter().filter(|rule| flow_of(rule) == Some(flow));
            Timeline::constant(as_set(flow, rules))
        });
        Self { about: String::new(), up, down }
    }

    /// Removes the rules of one flow. Returns true if it had any.
    pub fn remove_flow_rules(&mut self, flow: u32) -> bool {
        self.remove_rules(|of| of == flow)
    }

    /// Removes the rules that single flows have. Returns true if there were any.
    pub fn remove_all_flow_rules(&mut self) -> bool {
        self.remove_rules(|_| true)
    }

    fn remove_rules(&mut self, is_over: impl Fn(u32) -> bool) -> bool {
        let mut removed = false;
        for direction in Direction::BOTH {
            for Phase { rules, .. } in &mut self.timeline_mut(direction).phases {
                let before = rules.len();
                rules.retain(|rule| !flow_of(rule).is_some_and(&is_over));
                removed |= rules.len() < before;
            }
        }
        removed
    }
}

/// Returns the rules of a timeline that does not change.
fn constant(timeline: &Timeline) -> Result<&[Rule], SettingError> {
    match timeline.phases.as_slice() {
        [Phase { length: None, rules }] if timeline.then == Then::Stay => Ok(rules),
        _ => Err(SettingError::new(
            "phases",
            "the rules of one flow do not change with time; leave the phases to the profile of the \
             proxy, where a rule may say { \"match\": { \"flow\": 3 } }",
        )),
    }
}

/// Returns the beginning of the names of one flow's rules.
fn prefix(flow: u32) -> String {
    format!("flow-{flow}-")
}

/// Returns the rule as it is for one flow alone, behind those that a direction has.
fn for_flow(
    flow: u32,
    rule: &Rule,
    timeline: &Timeline,
    place: &str,
) -> Result<Rule, SettingError> {
    let mut selection = rule.selection.clone();
    let matching = selection.matching.get_or_insert_with(|| Match {
        size: 0..=u32::MAX,
        number: 1..=u64::MAX,
        bytes: None,
        flow: None,
    });
    if matching.flow.replace(FlowMatch::one(flow)).is_some() {
        let problem = format!("these are the rules of flow {flow} alone; leave it out");
        return Err(SettingError::new(within(&within(place, "match"), "flow"), problem));
    }
    let of_kind = timeline.rules().filter(|other| other.kind.name() == rule.kind.name());
    let taken: BTreeSet<u32> = of_kind.map(|other| other.ordinal).collect();
    let free = (0..).find(|ordinal| !taken.contains(ordinal));
    let ordinal = free.expect("there are fewer rules than numbers");
    let key = prefix(flow) + &rule.key;
    Ok(Rule { key, ordinal, selection, toxic: None, ..rule.clone() })
}

/// Returns the flow that a rule was set for, if it is of one flow.
fn flow_of(rule: &Rule) -> Option<u32> {
    match rule.selection.matching.as_ref()?.flow? {
        FlowMatch::Between { first, last } if first == last => {
            rule.key.starts_with(&prefix(first)).then_some(first)
        }
        FlowMatch::Between { .. } | FlowMatch::Every(_) => None,
    }
}

/// Returns rules of a flow as they were before they were its own.
fn as_set<'a>(flow: u32, rules: impl Iterator<Item = &'a Rule>) -> Vec<Rule> {
    let mut counts = std::collections::BTreeMap::new();
    let before = |rule: &Rule| {
        let key = rule.key[prefix(flow).len()..].to_owned();
        let matching = rule.selection.matching.clone();
        let matching = matching
            .map(|matching| Match { flow: None, ..matching })
            .filter(|matching| !matching.is_of_flows_alone());
        let selection = Selection { matching, ..rule.selection.clone() };
        let count: &mut u32 = counts.entry(rule.kind.name()).or_default();
        let ordinal = std::mem::replace(count, *count + 1);
        Rule { key, ordinal, selection, ..rule.clone() }
    };
    rules.map(before).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
            .set_flow_rules(3, &profile(r#"{ "down": [ { "rule": "size", "max": 9 } ] }"#))
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
                profile(r#"{ "down": [ { "rule": "size", "max": 9, "match": { "flow": 1 } } ] }"#),
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
}
