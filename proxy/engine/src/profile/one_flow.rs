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
    let matching = selection.matching.get_or_insert_default();
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
    let flow = rule.selection.matching.as_ref()?.flow.as_ref()?.only()?;
    rule.key.starts_with(&prefix(flow)).then_some(flow)
}

/// Returns rules of a flow as they were before they were its own.
fn as_set<'a>(flow: u32, rules: impl Iterator<Item = &'a Rule>) -> Vec<Rule> {
    let mut counts = std::collections::BTreeMap::new();
    let before = |rule: &Rule| {
        let key = rule.key[prefix(flow).len()..].to_owned();
        let matching = rule.selection.matching.clone();
        let matching = matching
            .map(|matching| Match { flow: None, ..matching })
            .filter(|matching| *matching != Match::default());
        let selection = Selection { matching, ..rule.selection.clone() };
        let count: &mut u32 = counts.entry(rule.kind.name()).or_default();
        let ordinal = std::mem::replace(count, *count + 1);
        Rule { key, ordinal, selection, ..rule.clone() }
    };
    rules.map(before).collect()
}
