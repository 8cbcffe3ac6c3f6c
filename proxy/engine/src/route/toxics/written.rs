//! Toxics beyond Toxiproxy's: every other kind of rule under its own name, its fields as
//! attributes.

use super::{ToxicError, wrong};
use crate::profile::{ReadFile, no_files, one_rule};
use crate::rules::{KINDS, KindEntry, Rule};
use jostle_common::setting::{SettingError, within};
use serde_json::{Map, Value};

/// Where attributes stand, in errors.
const PLACE: &str = "attributes";

/// The fields of a rule that a toxic says elsewhere, and where.
const ELSEWHERE: [(&str, &str); 3] = [
    ("rule", "the toxic's \"type\" says it"),
    ("name", "the toxic's \"name\" says it"),
    ("flows", "\"toxicity\" says which share of connections is affected"),
];

/// A rule of the profile language whose fields are the attributes of a toxic.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct WrittenRule {
    fields: Map<String, Value>,
    rule: Rule,
}

/// Returns the kind of rule that has a name, if it is one.
pub(super) fn kind(name: &str) -> Option<&'static KindEntry> {
    KINDS.iter().find(|entry| entry.name == name)
}

impl WrittenRule {
    /// Reads the rule of a kind whose fields are the `attributes`. Nothing that a client of the API
    /// writes reads a file.
    pub(super) fn read(entry: &KindEntry, attributes: Option<&Value>) -> Result<Self, ToxicError> {
        Self::of_fields(entry, given(attributes)?.cloned().unwrap_or_default(), &no_files)
    }

    /// Returns the rule with other fields, as far as `attributes` has some: `null` is the default
    /// again, and of fields of which exactly one is written the new one counts.
    pub(super) fn updated(&self, attributes: Option<&Value>) -> Result<Self, ToxicError> {
        let entry = kind(self.rule.kind.name()).expect("it was read as one");
        let mut fields = self.fields.clone();
        for (name, value) in given(attributes)?.into_iter().flatten() {
            if entry.one_of.contains(&name.as_str()) && !value.is_null() {
                let gives_way = |other: &str| other != name && entry.one_of.contains(&other);
                fields.retain(|other, _| !gives_way(other));
            }
            fields.insert(name.clone(), value.clone());
        }
        // What it was read from is known.
        let known = self.rule.kind.file();
        let read = |name: &str| match &known {
            Some(file) if file.name == name => Ok(file.text.clone()),
            _ => no_files(name),
        };
        Self::of_fields(entry, fields, &read)
    }

    /// Makes one of a rule that a profile has.
    pub(super) fn of_rule(rule: &Rule) -> Option<Self> {
        let Value::Object(mut fields) = rule.to_value() else { return None };
        for (field, _) in ELSEWHERE {
            fields.remove(field);
        }
        Some(Self { fields, rule: Rule { toxic: None, ..rule.clone() } })
    }

    fn of_fields(
        entry: &KindEntry,
        mut fields: Map<String, Value>,
        read: ReadFile<'_>,
    ) -> Result<Self, ToxicError> {
        fields.retain(|_, value| !value.is_null());
        if let Some((field, says)) =
            ELSEWHERE.into_iter().find(|(field, _)| fields.contains_key(*field))
        {
            let problem = format!("{says}; leave it out here");
            return Err(SettingError::new(within(PLACE, field), problem).into());
        }
        let mut value = fields.clone();
        value.insert("rule".to_owned(), entry.name.into());
        let rule = one_rule(PLACE, value.into(), read)?;
        Ok(Self { fields, rule })
    }

    /// Returns the fields.
    pub(super) const fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// Returns the rule.
    pub(super) const fn rule(&self) -> &Rule {
        &self.rule
    }
}

/// The attributes of `packet_loss`: a chance for each packet.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PacketLoss {
    /// The share of packets that are lost, from 0 to 1.
    loss_rate: f64,
    drop: WrittenRule,
}

impl PacketLoss {
    /// The name after `"type":`.
    pub(super) const NAME: &'static str = "packet_loss";

    /// What is lost when nothing is said.
    const RATE_DEFAULT: f64 = 0.1;

    /// Reads the attributes `loss_rate` and `correlation`.
    pub(super) fn read(attributes: Option<&Value>) -> Result<Self, ToxicError> {
        Self::changed(Self::RATE_DEFAULT, attributes)
    }

    /// Returns the same with another rate, if `attributes` has one.
    pub(super) fn updated(&self, attributes: Option<&Value>) -> Result<Self, ToxicError> {
        Self::changed(self.loss_rate, attributes)
    }

    fn changed(rate: f64, attributes: Option<&Value>) -> Result<Self, ToxicError> {
        let given = given(attributes)?;
        let number = |name: &str| match super::field(given, name) {
            None => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or_else(|| wrong(value, name)),
        };
        let loss_rate = number("loss_rate")?.unwrap_or(rate);
        let refuse = |name, problem: String| {
            Err(ToxicError::from(SettingError::new(within(PLACE, name), problem)))
        };
        if !(0.0..=1.0).contains(&loss_rate) {
            return refuse("loss_rate", format!("{loss_rate} is no share; write 0 to 1"));
        }
        if number("correlation")?.is_some_and(|correlation| correlation != 0.0) {
            let problem = "the chance of each packet is its own here; write 0, or for losses that \
                           come together a toxic of the type drop with \"burst\": { \"mean\": \"2%\", \
                           \"length\": 3 }";
            return refuse("correlation", problem.to_owned());
        }
        let fields = Map::from_iter([("chance".to_owned(), loss_rate.into())]);
        let drop = WrittenRule::of_fields(kind("drop").expect("it is a kind"), fields, &no_files)?;
        Ok(Self { loss_rate, drop })
    }

    /// Returns the attributes as JSON.
    pub(super) fn attributes(&self) -> String {
        format!(r#"{{"loss_rate":{},"correlation":0}}"#, self.loss_rate)
    }

    /// Returns the rule.
    pub(super) const fn rule(&self) -> &Rule {
        self.drop.rule()
    }
}

/// Returns the attributes that are given: an object, or nothing.
fn given(attributes: Option<&Value>) -> Result<Option<&Map<String, Value>>, ToxicError> {
    match attributes {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(given)) => Ok(Some(given)),
        Some(other) => Err(wrong(other, PLACE)),
    }
}
