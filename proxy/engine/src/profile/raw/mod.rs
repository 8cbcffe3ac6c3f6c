//! Profiles as people write them, and how they become valid ones or an error that names the place
//! and the remedy. Each kind of rule is read in its own folder.

mod phases;
mod rule;
mod schema;

pub use schema::schema;
pub(crate) use schema::schema_of;

use super::bounds::ONLY_UP;
use super::{Profile, ReadFile, Timeline, no_files};
use jostle_common::chance::Direction;
use jostle_common::setting::{SettingError, decode, parse_json, within};
use phases::RawThen;
use rule::{RawRule, numbered, rule, rules};
use schema::AnyRule;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// A profile of jostle: what happens to packets, as lists of rules per direction.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawProfile {
    /// What the profile is, where its numbers come from, and what is doubtful.
    #[serde(default)]
    about: String,
    /// Rules in both directions, in front of the others.
    #[serde(default)]
    #[schemars(with = "Vec<AnyRule>")]
    both: Vec<Value>,
    /// Rules from client to server, applied from top to bottom.
    #[serde(default)]
    #[schemars(with = "Vec<AnyRule>")]
    up: Vec<Value>,
    /// Rules from server to client, applied from top to bottom.
    #[serde(default)]
    #[schemars(with = "Vec<AnyRule>")]
    down: Vec<Value>,
    /// Rules that change over time.
    #[schemars(with = "Option<Vec<phases::RawPhase>>", length(min = 1))]
    phases: Option<Vec<Value>>,
    /// What follows the last phase; it stays unless stated.
    then: Option<RawThen>,
    /// When time begins to count; with the first packet unless stated.
    #[serde(default)]
    start: phases::RawStart,
}

impl Profile {
    /// Reads a profile from JSON text that names no files.
    ///
    /// ```
    /// use jostle_engine::profile::Profile;
    /// let profile = Profile::from_json(r#"{ "both": [ { "rule": "drop", "chance": "2%" } ] }"#).unwrap();
    /// assert_eq!(profile.up, profile.down);
    /// let error = Profile::from_json(r#"{ "up": [ { "rule": "drop", "chance": "2" } ] }"#).unwrap_err();
    /// assert_eq!(error.to_string(), r#"up[0].chance: "2" has no unit; write "2%""#);
    /// ```
    ///
    /// # Errors
    /// When the text is not JSON, or says something impossible; with the place and the remedy.
    pub fn from_json(text: &str) -> Result<Self, SettingError> {
        Self::from_json_with(text, &no_files)
    }

    /// Reads a profile from JSON text; `read` finds the traces and tables that it names.
    ///
    /// # Errors
    /// When the text is not JSON, names a file that cannot be read, or says something impossible.
    pub fn from_json_with(text: &str, read: ReadFile<'_>) -> Result<Self, SettingError> {
        Self::from_value("", parse_json(text)?, read)
    }

    /// Reads a profile that stands at `place` of a larger JSON value.
    ///
    /// # Errors
    /// When it names a file that cannot be read, or says something impossible.
    pub fn from_value(
        place: &str,
        mut value: Value,
        read: ReadFile<'_>,
    ) -> Result<Self, SettingError> {
        if let Value::Object(fields) = &mut value {
            // It is for editors.
            fields.remove("$schema");
        }
        let raw: RawProfile = decode(place, value)?;
        let front = Lists::read(place, [raw.both, raw.up, raw.down], read)?;
        let (start, then) = (raw.start.into(), raw.then);
        let [up, down] = match raw.phases {
            Some(values) => phases::timelines(place, &front, values, then, read)?,
            None if then.is_some() => {
                let problem =
                    "nothing follows rules that have no phases; leave it out, or write \"phases\"";
                return Err(SettingError::new(within(place, "then"), problem));
            }
            None => front.numbered(place)?.map(Timeline::constant),
        };
        let timeline = |timeline| Timeline { start, ..timeline };
        Ok(Self { about: raw.about, up: timeline(up), down: timeline(down) })
    }
}

/// Reads a rule that stands for itself at `place`: the first of its kind.
pub(crate) fn one_rule(
    place: &str,
    value: Value,
    read: ReadFile<'_>,
) -> Result<super::Rule, SettingError> {
    let raw = rule(place.to_owned(), value, read)?;
    Ok(numbered(place, vec![raw])?.remove(0))
}

/// The rules of a profile or of a phase, by direction, before they are numbered.
#[derive(Clone, Default)]
struct Lists([Vec<RawRule>; 2]);

impl Lists {
    /// Reads the lists `both`, `up` and `down` of the object at `place`.
    fn read(
        place: &str,
        [both, up, down]: [Vec<Value>; 3],
        read: ReadFile<'_>,
    ) -> Result<Self, SettingError> {
        let both = rules(&within(place, "both"), both, read)?;
        let direction = |name: &str, own: Vec<Value>| -> Result<Vec<RawRule>, SettingError> {
            Ok(both.iter().cloned().chain(rules(&within(place, name), own, read)?).collect())
        };
        Ok(Self([direction("up", up)?, direction("down", down)?]))
    }

    /// Returns these rules, and behind them those of `other`.
    fn followed_by(&self, other: Self) -> Self {
        let Self([up, down]) = other;
        Self([
            self.0[0].iter().cloned().chain(up).collect(),
            self.0[1].iter().cloned().chain(down).collect(),
        ])
    }

    /// Gives the rules their keys.
    fn numbered(self, place: &str) -> Result<[Vec<super::Rule>; 2], SettingError> {
        let Self([up, down]) = self;
        if let Some(rule) = down.iter().find(|rule| rule.kind.is_for_sockets()) {
            let problem = format!("{} {ONLY_UP}", rule.kind.name());
            return Err(SettingError::new(&rule.place, problem));
        }
        let direction =
            |direction: Direction, rules| numbered(&within(place, direction.name()), rules);
        Ok([direction(Direction::Up, up)?, direction(Direction::Down, down)?])
    }
}

#[cfg(test)]
mod tests;
