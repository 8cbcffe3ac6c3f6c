//! Reads the phases of a profile.

use super::Lists;
use super::schema::AnyRule;
use crate::profile::bounds::{RULES_MAX, check_paths};
use crate::profile::{Phase, Start, Then, Timeline};
use crate::rules::ReadFile;
use jostle_common::setting::{SettingError, decode, within};
use jostle_common::units::Span;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

/// A timeline of more phases is no longer written by hand.
const PHASES_MAX: usize = 10_000;
/// Shorter phases that come again and again would be changed more often than packets come.
const REPEATED_LENGTH_MIN: Duration = Duration::from_micros(100);
/// The least that time can tell.
const LENGTH_MIN: Duration = Duration::from_nanos(1);

/// Rules for a span of time, behind those of the whole profile.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPhase {
    /// How long the phase lasts; only the last one may leave it out.
    r#for: Option<Span>,
    /// Rules of the phase in both directions.
    #[serde(default)]
    #[schemars(with = "Vec<AnyRule>")]
    both: Vec<Value>,
    /// Rules of the phase from client to server.
    #[serde(default)]
    #[schemars(with = "Vec<AnyRule>")]
    up: Vec<Value>,
    /// Rules of the phase from server to client.
    #[serde(default)]
    #[schemars(with = "Vec<AnyRule>")]
    down: Vec<Value>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawThen {
    Stay,
    Repeat,
    Clear,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawStart {
    #[default]
    Packet,
    Run,
}

impl From<RawStart> for Start {
    fn from(raw: RawStart) -> Self {
        match raw {
            RawStart::Packet => Self::Packet,
            RawStart::Run => Self::Run,
        }
    }
}

/// Returns the timelines up and down of `values`, with the rules of `front` in front of every
/// phase.
pub(super) fn timelines(
    place: &str,
    front: &Lists,
    values: Vec<Value>,
    then: Option<RawThen>,
    read: ReadFile<'_>,
) -> Result<[Timeline; 2], SettingError> {
    let list = within(place, "phases");
    let count = values.len();
    if count == 0 {
        return Err(SettingError::new(
            list,
            "there is no phase; write [ { \"for\": \"10s\", … } ], or leave it out",
        ));
    }
    if count > PHASES_MAX {
        return Err(SettingError::new(
            list,
            format!("{count} phases are too many; at most {PHASES_MAX}"),
        ));
    }
    let then = match then {
        None | Some(RawThen::Stay) => Then::Stay,
        Some(RawThen::Repeat) => Then::Repeat,
        Some(RawThen::Clear) => Then::Clear,
    };
    let mut phases = [Vec::new(), Vec::new()];
    for (index, value) in values.into_iter().enumerate() {
        let place = format!("{list}[{index}]");
        let raw: RawPhase = decode(&place, value)?;
        let length = length(&place, raw.r#for, index + 1 == count, then)?;
        let rules = front
            .followed_by(Lists::read(&place, [raw.both, raw.up, raw.down], read)?)
            .numbered(&place)?;
        for (phases, rules) in phases.iter_mut().zip(rules) {
            phases.push(Phase { length, rules });
        }
    }
    for phases in &phases {
        let keys: BTreeSet<&str> =
            phases.iter().flat_map(|phase| &phase.rules).map(|rule| rule.key.as_str()).collect();
        if keys.len() > RULES_MAX {
            let problem = format!(
                "{} rules of different names are too many for one direction; at most {RULES_MAX} \
                 over all phases",
                keys.len()
            );
            return Err(SettingError::new(list, problem));
        }
    }
    let timelines = phases.map(|phases| Timeline { start: Start::default(), then, phases });
    for timeline in &timelines {
        check_paths(timeline).map_err(|problem| SettingError::new(&list, problem))?;
    }
    Ok(timelines)
}

fn length(
    place: &str,
    given: Option<Span>,
    is_last: bool,
    then: Then,
) -> Result<Option<Duration>, SettingError> {
    let least = if then == Then::Repeat { REPEATED_LENGTH_MIN } else { LENGTH_MIN };
    match given {
        Some(Span(length)) if length < least => {
            let problem = format!(
                "{} is too short for a phase; write at least {}",
                Span(length),
                Span(least)
            );
            Err(SettingError::new(within(place, "for"), problem))
        }
        Some(Span(length)) => Ok(Some(length)),
        None if is_last && then == Then::Stay => Ok(None),
        None if is_last => Err(SettingError::new(
            place,
            "what follows the last phase needs its end; write \"for\": \"10s\", say",
        )),
        None => Err(SettingError::new(
            place,
            "only the last phase may last for ever; write \"for\": \"10s\", say",
        )),
    }
}
