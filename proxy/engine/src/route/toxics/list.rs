//! The toxics of a profile: its rules, each once, and how they are added, changed and removed.
//!
//! A rule that holds at all times is a toxic of its key. What holds in some phases only is weather,
//! and no toxic. A rule that both directions have alike is one toxic; of two that share nothing but
//! the key each gets its direction behind its name.

use super::{Toxic, ToxicStream};
use crate::profile::{Profile, Rule, Timeline};
use jostle_common::chance::Direction;
use std::collections::BTreeSet;

/// A toxic of a profile.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedToxic {
    /// What it is; its name is the one that it is found by.
    pub toxic: Toxic,
    /// The key of the rules that it is.
    key: String,
    /// Set if it was added as a toxic.
    pub was_written: bool,
    /// False if its rules are disabled.
    pub enabled: bool,
}

impl ListedToxic {
    /// Puts another one in its place.
    pub fn replace(&self, profile: &mut Profile, with: &Toxic) {
        let new = Rule { key: self.key.clone(), ..with.rule() };
        for direction in self.toxic.stream.directions() {
            let timeline = profile.timeline_mut(direction);
            let is_own = |rule: &&Rule| rule.key == self.key;
            let Some(old) = timeline.rules().find(is_own) else { continue };
            let ordinal = match old.kind.name() == new.kind.name() {
                true => old.ordinal,
                false => free_ordinal(timeline, &new),
            };
            // Who switched it off decides when it acts again.
            let new = Rule { ordinal, enabled: old.enabled && new.enabled, ..new.clone() };
            let rules = timeline.phases.iter_mut().flat_map(|phase| &mut phase.rules);
            rules.filter(|rule| rule.key == self.key).for_each(|rule| *rule = new.clone());
        }
    }

    /// Removes it.
    pub fn remove(&self, profile: &mut Profile) {
        for direction in self.toxic.stream.directions() {
            for phase in &mut profile.timeline_mut(direction).phases {
                phase.rules.retain(|rule| rule.key != self.key);
            }
        }
    }

    /// Returns true if Toxiproxy's reset removes it: it was added as a toxic, or is one of
    /// Toxiproxy's.
    pub fn is_reset(&self) -> bool {
        self.was_written || self.toxic.kind().is_some()
    }
}

/// Adds a toxic behind all rules of its directions, at all times.
pub fn add_toxic(profile: &mut Profile, toxic: &Toxic) {
    for direction in toxic.stream.directions() {
        let timeline = profile.timeline_mut(direction);
        let rule = toxic.rule();
        let rule = Rule { ordinal: free_ordinal(timeline, &rule), ..rule };
        timeline.phases.iter_mut().for_each(|phase| phase.rules.push(rule.clone()));
    }
}

/// Returns the first ordinal that no rule of the same kind has: those that are there keep theirs.
fn free_ordinal(timeline: &Timeline, rule: &Rule) -> u32 {
    let of_kind = timeline.rules().filter(|other| other.kind.name() == rule.kind.name());
    let taken: BTreeSet<u32> = of_kind.map(|other| other.ordinal).collect();
    (0..).find(|ordinal| !taken.contains(ordinal)).expect("there are fewer rules than numbers")
}

/// Returns the profile of a proxy with these toxics, each direction in their order.
pub fn profile_of_toxics(toxics: &[Toxic]) -> Profile {
    let mut profile = Profile::default();
    toxics.iter().for_each(|toxic| add_toxic(&mut profile, toxic));
    profile
}

/// Returns true if a rule or a toxic of the profile has a name already.
pub fn is_toxic_name_taken(profile: &Profile, name: &str) -> bool {
    keys(profile).contains(name)
        || toxics_of_profile(profile).iter().any(|listed| listed.toxic.name == name)
}

/// Returns the toxics of a profile, as Toxiproxy lists them: upstream first. No two have one name.
pub fn toxics_of_profile(profile: &Profile) -> Vec<ListedToxic> {
    let mut taken: BTreeSet<String> = keys(profile).into_iter().map(str::to_owned).collect();
    let (up, down) = (at_all_times(&profile.up), at_all_times(&profile.down));
    let mut listed = Vec::new();
    let mut list = |rule: &Rule, name: Option<&str>, stream: ToxicStream| {
        let Some(mut toxic) = Toxic::of_rule(rule, stream) else { return };
        toxic.name = match name {
            None => rule.key.clone(),
            Some(name) => free_name(&taken, name),
        };
        taken.insert(toxic.name.clone());
        let (key, was_written, enabled) = (rule.key.clone(), rule.toxic.is_some(), rule.enabled);
        listed.push(ListedToxic { toxic, key, was_written, enabled });
    };
    let one = |direction| ToxicStream::one(direction);
    for rule in &up {
        match down.iter().find(|other| other.key == rule.key) {
            Some(other) if is_alike(rule, other) => list(rule, None, ToxicStream::both()),
            None if !profile.down.rules().any(|other| other.key == rule.key) => {
                list(rule, None, one(Direction::Up));
            }
            _ => list(rule, Some(&format!("{}_upstream", rule.key)), one(Direction::Up)),
        }
    }
    for rule in &down {
        match up.iter().find(|other| other.key == rule.key) {
            Some(other) if is_alike(rule, other) => {}
            None if !profile.up.rules().any(|other| other.key == rule.key) => {
                list(rule, None, one(Direction::Down));
            }
            _ => list(rule, Some(&format!("{}_downstream", rule.key)), one(Direction::Down)),
        }
    }
    listed
}

/// Returns the keys of all rules.
fn keys(profile: &Profile) -> BTreeSet<&str> {
    profile.up.rules().chain(profile.down.rules()).map(|rule| rule.key.as_str()).collect()
}

fn free_name(taken: &BTreeSet<String>, name: &str) -> String {
    let numbered = (2..).map(|number| format!("{name}#{number}"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    names.find(|name| !taken.contains(name)).expect("there are fewer names than numbers")
}

/// Returns the rules that every phase has, and has alike.
fn at_all_times(timeline: &Timeline) -> Vec<&Rule> {
    let [first, others @ ..] = timeline.phases.as_slice() else { return Vec::new() };
    let everywhere = |rule: &&Rule| others.iter().all(|phase| phase.rules.contains(rule));
    first.rules.iter().filter(everywhere).collect()
}

/// Returns true if two rules differ at most in which of their kind they are.
fn is_alike(one: &Rule, other: &Rule) -> bool {
    Rule { ordinal: 0, ..one.clone() } == Rule { ordinal: 0, ..other.clone() }
}
