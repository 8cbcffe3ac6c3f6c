//! A profile that is being written from what another tool was told.

use crate::profile::netem::{self, JitterOrder, Translation};
use crate::profile::{Profile, no_files};
use jostle_common::chance::Direction;
use jostle_common::setting::SettingError;
use jostle_common::units::Span;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// The rules so far, and what is to be said of them.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// Up and down, in force at all times.
    rules: Lists,
    /// Further rules by turns, each for its time; the last for ever.
    phases: Vec<(Option<Duration>, Lists)>,
    remarks: Vec<String>,
}

type Lists = [Vec<Value>; 2];

impl Draft {
    /// Adds a rule behind the others of a direction.
    pub(super) fn rule(&mut self, direction: Direction, rule: Value) {
        self.rules[direction.index()].push(rule);
    }

    /// Adds a rule to both directions.
    pub(super) fn both(&mut self, rule: &Value) {
        Direction::BOTH.into_iter().for_each(|direction| self.rule(direction, rule.clone()));
    }

    /// Adds a phase in which rules stand behind the others, in these directions.
    pub(super) fn phase(
        &mut self,
        length: Option<Duration>,
        rule: Option<&Value>,
        directions: &[Direction],
    ) {
        let list = |direction| match rule {
            Some(rule) if directions.contains(&direction) => vec![rule.clone()],
            _ => Vec::new(),
        };
        self.phases.push((length, Direction::BOTH.map(list)));
    }

    /// Adds what a line of netem's options does to a direction.
    pub(super) fn netem(&mut self, direction: Direction, line: &str) -> Result<(), SettingError> {
        let (rules, remarks) = netem::rules_of(line, JitterOrder::AsInNetem)?;
        self.rules[direction.index()].extend(rules);
        remarks.into_iter().for_each(|remark| self.remark(remark));
        Ok(())
    }

    /// Adds a remark, once.
    pub(super) fn remark(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.remarks.contains(&text) {
            self.remarks.push(text);
        }
    }

    /// Returns true if there is no rule.
    pub(super) fn is_empty(&self) -> bool {
        self.rules.iter().all(Vec::is_empty) && self.phases.is_empty()
    }

    /// Returns the profile, in canonical form; it says from which tool, and what that was told.
    pub(super) fn finish(self, tool: &str, told: &str) -> Result<Translation, SettingError> {
        let Self { rules, phases, remarks } = self;
        let about = format!("Translated from {tool}: {told}. {}", remarks.join(" "));
        let mut value = Map::new();
        value.insert("about".to_owned(), about.trim_end().into());
        put_lists(&mut value, rules);
        if !phases.is_empty() {
            let phases = phases.into_iter().map(|(length, lists)| {
                let mut phase = Map::new();
                let length = length.map(|length| Span(length).to_string().into());
                phase.extend(length.map(|length| ("for".to_owned(), length)));
                put_lists(&mut phase, lists);
                Value::Object(phase)
            });
            value.insert("phases".to_owned(), phases.collect());
        }
        let profile = Profile::from_value("", Value::Object(value), &no_files);
        let profile = profile.map_err(|error| {
            SettingError::new(error.place, format!("no profile can say that: {}", error.problem))
        })?;
        profile.check().map_err(|problem| SettingError::new("", problem))?;
        Ok(Translation { profile: profile.to_text(), remarks })
    }
}

fn put_lists(fields: &mut Map<String, Value>, lists: Lists) {
    for (direction, rules) in Direction::BOTH.into_iter().zip(lists) {
        fields.insert(direction.name().to_owned(), rules.into());
    }
}

/// Writes a delay.
pub(super) fn delay(time: Duration) -> Value {
    json!({ "rule": "delay", "time": Span(time).to_string() })
}

/// Writes a loss of a share of packets.
pub(super) fn drop(percent: &str) -> Value {
    json!({ "rule": "drop", "chance": percent })
}
