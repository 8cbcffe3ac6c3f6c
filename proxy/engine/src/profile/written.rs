//! Profiles as they are written: the way back from a valid profile to the language that it was read
//! from.
//!
//! The form is canonical: what its absence says too is left out, rules of both directions stand in
//! `both` as far as they are the same in front, those of all phases stand in front of the phases,
//! and each quantity has one spelling.

use super::{Profile, Rule, Start, Then, Timeline, laid_out};
use crate::rules::{NamedFile, write_selection};
use jostle_common::units::Span;
use serde_json::{Map, Value};
use std::path::Path;

impl Profile {
    /// Returns the profile as its language says it; reading that gives the same profile.
    ///
    /// A rule that was written as a toxic is written as the rule that it is, and what a rule read
    /// from a file by the name of the file.
    ///
    /// ```
    /// use jostle_engine::profile::Profile;
    /// let text = r#"{ "both": [ { "rule": "drop", "chance": 0.02 } ], "up": [], "start": "packet" }"#;
    /// let profile = Profile::from_json(text)?;
    /// let written = profile.to_value().to_string();
    /// assert_eq!(written, r#"{"both":[{"rule":"drop","chance":"2%"}]}"#);
    /// assert_eq!(Profile::from_json(&written)?, profile);
    /// # Ok::<(), jostle_common::setting::SettingError>(())
    /// ```
    pub fn to_value(&self) -> Value {
        let mut fields = Map::new();
        if !self.about.is_empty() {
            fields.insert("about".to_owned(), self.about.as_str().into());
        }
        let [up, down] = [&self.up, &self.down];
        let longer = if up.phases.len() < down.phases.len() { down } else { up };
        let mut phases: Vec<Lists> = (0..longer.phases.len())
            .map(|index| Lists([up, down].map(|timeline| written_rules(timeline, index))))
            .collect();
        match phases.as_slice() {
            [only] if longer.phases[0].length.is_none() && longer.then == Then::Stay => {
                only.write(&mut fields);
            }
            _ => {
                if phases.len() > 1 {
                    Lists::take_front(&mut phases).write(&mut fields);
                }
                let written = phases.iter().zip(&longer.phases).map(|(lists, phase)| {
                    let mut fields = Map::new();
                    let length = phase.length.map(|length| Span(length).to_string());
                    fields.extend(length.map(|length| ("for".to_owned(), length.into())));
                    lists.write(&mut fields);
                    Value::Object(fields)
                });
                fields.insert("phases".to_owned(), written.collect());
            }
        }
        let then = match longer.then {
            Then::Stay => None,
            Then::Repeat => Some("repeat"),
            Then::Clear => Some("clear"),
        };
        let start = match longer.start {
            Start::Packet => None,
            Start::Run => Some("run"),
        };
        for (name, word) in [("then", then), ("start", start)] {
            fields.extend(word.map(|word| (name.to_owned(), word.into())));
        }
        Value::Object(fields)
    }

    /// Returns the same as text, laid out as people do it: with a rule on each line.
    pub fn to_text(&self) -> String {
        laid_out(&self.to_value())
    }

    /// Returns the text of a file that a rule of the profile was read from, so that the profile can
    /// be read again where no files are: equal to it, not letter by letter.
    pub fn file(&self, name: &str) -> Option<String> {
        let rules = self.up.rules().chain(self.down.rules());
        let mut files = rules.filter_map(|rule| rule.kind.file());
        files.find(|file| file.name == name).map(|NamedFile { text, .. }| text)
    }

    /// Calls the files that its rules were read from by their names within `folder`.
    #[must_use]
    pub(crate) fn within_folder(mut self, folder: &Path) -> Self {
        if !folder.as_os_str().is_empty() {
            let rename = |name: &str| folder.join(name).to_string_lossy().into_owned();
            for timeline in [&mut self.up, &mut self.down] {
                let rules = timeline.phases.iter_mut().flat_map(|phase| &mut phase.rules);
                rules.for_each(|rule| rule.kind.rename_file(&rename));
            }
        }
        self
    }
}

impl Rule {
    /// Returns the rule as a profile has it, alone in its list.
    pub fn to_value(&self) -> Value {
        self.written(0)
    }

    /// Returns it as it is written behind so many of its kind.
    fn written(&self, before: u32) -> Value {
        let mut fields = Map::new();
        fields.insert("rule".to_owned(), self.kind.name().into());
        if self.key != Self::key_of(self.kind.name(), before) {
            fields.insert("name".to_owned(), self.key.as_str().into());
        }
        let own = write_selection(self.kind.write(), &self.selection, !self.kind.is_for_packets());
        fields.extend(own.into_map());
        if !self.enabled {
            fields.insert("enabled".to_owned(), false.into());
        }
        Value::Object(fields)
    }
}

/// Returns the rules of a phase as they are written, one behind the other. A direction with fewer
/// phases stays in its last.
fn written_rules(timeline: &Timeline, index: usize) -> Vec<Value> {
    let phase = timeline.phases.get(index).or_else(|| timeline.phases.last());
    let rules = phase.map_or(&[][..], |phase| &phase.rules);
    let written = rules.iter().enumerate().map(|(index, rule)| {
        let counts = |other: &&Rule| {
            other.kind.name() == rule.kind.name() && !other.key.starts_with(Rule::SHORTHAND)
        };
        rule.written(rules[..index].iter().filter(counts).count() as u32)
    });
    written.collect()
}

/// The rules of a profile or of a phase, up and down, as they are written.
#[derive(Default)]
struct Lists([Vec<Value>; 2]);

impl Lists {
    /// Takes out what stands in front in every one of several.
    fn take_front(phases: &mut [Self]) -> Self {
        let front = [0, 1].map(|way: usize| {
            let first = &phases[0].0[way];
            let shared = phases.iter().map(|phase| same_in_front(first, &phase.0[way])).min();
            let shared = shared.unwrap_or(0);
            let taken = first[..shared].to_vec();
            phases.iter_mut().for_each(|phase| drop(phase.0[way].drain(..shared)));
            taken
        });
        Self(front)
    }

    fn write(&self, fields: &mut Map<String, Value>) {
        let [up, down] = &self.0;
        let shared = same_in_front(up, down);
        for (name, rules) in
            [("both", &up[..shared]), ("up", &up[shared..]), ("down", &down[shared..])]
        {
            if !rules.is_empty() {
                fields.insert(name.to_owned(), rules.to_vec().into());
            }
        }
    }
}

/// Counts the rules that two lists have in common in front.
fn same_in_front(one: &[Value], other: &[Value]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}
