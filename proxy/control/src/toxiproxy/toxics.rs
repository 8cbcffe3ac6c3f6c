//! Adding, changing and removing the toxics of a proxy. A toxic is a rule of its profile: what is
//! listed is what the profile has.

use super::answer::Refusal;
use super::proxies::refused;
use crate::registry::{Entry, Table};
use axum::http::StatusCode;
use jostle_common::chance::Direction;
use jostle_engine::packet::Trace;
use jostle_engine::profile::Timeline;
use jostle_engine::route::{Toxic, ToxicError, toxics_of_profile};
use serde_json::Value;

/// Returns the toxics of a proxy: upstream first, each direction in the order of its rules.
pub(super) fn of(entry: &Entry) -> Vec<Toxic> {
    toxics_of_profile(&entry.route.profile)
}

/// Writes a list of toxics.
pub(super) fn list(entry: &Entry) -> String {
    let toxics: Vec<String> = of(entry).iter().map(Toxic::to_json).collect();
    format!("[{}]", toxics.join(","))
}

/// Finds a proxy, and one of its toxics.
pub(super) fn find(table: &Table<'_>, proxy: &str, name: &str) -> Result<Toxic, Refusal> {
    let entry = table.get(proxy).ok_or_else(|| Refusal::missing("proxy"))?;
    let found = of(entry).into_iter().find(|toxic| toxic.name == name);
    found.ok_or_else(|| Refusal::missing("toxic"))
}

/// Adds the toxic that a body describes, behind all others of its direction.
pub(super) fn create(table: &mut Table<'_>, proxy: &str, body: &Value) -> Result<Toxic, Refusal> {
    let entry = table.get(proxy).ok_or_else(|| Refusal::missing("proxy"))?;
    let mut profile = entry.route.profile.clone();
    let is_taken = |name: &str| {
        let rules = Direction::BOTH.into_iter().flat_map(|way| profile.timeline(way).rules());
        rules.into_iter().any(|rule| rule.key == name)
    };
    let toxic = Toxic::from_value(body, is_taken).map_err(said)?;
    let timeline = profile.timeline_mut(toxic.direction);
    if timeline.phases.iter().any(|phase| phase.rules.len() >= Trace::PLACES_MAX) {
        return Err(Refusal::bad(format!(
            "a direction has room for {} toxics; remove one first",
            Trace::PLACES_MAX
        )));
    }
    timeline.phases.iter_mut().for_each(|phase| phase.rules.push(toxic.rule()));
    table.set_profile(proxy, profile).map_err(refused)?;
    Ok(toxic)
}

/// Changes a toxic's attributes and toxicity, all that the body says or nothing.
pub(super) fn update(
    table: &mut Table<'_>,
    proxy: &str,
    toxic: &Toxic,
    body: &Value,
) -> Result<Toxic, Refusal> {
    let changed = toxic.updated(body).map_err(said)?;
    change(table, proxy, toxic, |timeline| {
        let rules = timeline.phases.iter_mut().flat_map(|phase| &mut phase.rules);
        for rule in rules.filter(|rule| rule.key == toxic.name) {
            *rule = changed.rule();
        }
    })?;
    Ok(changed)
}

/// Removes a toxic.
pub(super) fn remove(table: &mut Table<'_>, proxy: &str, toxic: &Toxic) -> Result<(), Refusal> {
    change(table, proxy, toxic, |timeline| {
        for phase in &mut timeline.phases {
            phase.rules.retain(|rule| rule.key != toxic.name);
        }
    })
}

/// Removes all toxics of a proxy.
pub(super) fn remove_all(table: &mut Table<'_>, proxy: &str) -> Result<(), Refusal> {
    let Some(entry) = table.get(proxy) else { return Ok(()) };
    let mut profile = entry.route.profile.clone();
    for direction in Direction::BOTH {
        for phase in &mut profile.timeline_mut(direction).phases {
            phase.rules.retain(|rule| Toxic::of_rule(rule, direction).is_none());
        }
    }
    table.set_profile(proxy, profile).map_err(refused)
}

fn change(
    table: &mut Table<'_>,
    proxy: &str,
    toxic: &Toxic,
    work: impl FnOnce(&mut Timeline),
) -> Result<(), Refusal> {
    let entry = table.get(proxy).ok_or_else(|| Refusal::missing("proxy"))?;
    let mut profile = entry.route.profile.clone();
    work(profile.timeline_mut(toxic.direction));
    table.set_profile(proxy, profile).map_err(refused)
}

fn said(error: ToxicError) -> Refusal {
    let status = match error {
        ToxicError::Taken => StatusCode::CONFLICT,
        ToxicError::Body(_) | ToxicError::Stream | ToxicError::Kind => StatusCode::BAD_REQUEST,
    };
    Refusal::new(status, error.to_string())
}
