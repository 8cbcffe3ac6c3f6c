//! Adding, changing and removing the toxics of a proxy. A toxic is a rule of its profile: what is
//! listed is what the profile has.

use super::answer::Refusal;
use super::proxies::refused;
use crate::registry::{Entry, Table};
use axum::http::StatusCode;
use jostle_engine::profile::Profile;
use jostle_engine::route::{
    ListedToxic, Toxic, ToxicError, add_toxic, check_name, is_toxic_name_taken, toxics_of_profile,
};
use serde_json::Value;

/// Returns the toxics of a proxy: upstream first, each direction in the order of its rules.
pub(super) fn of(entry: &Entry) -> Vec<ListedToxic> {
    toxics_of_profile(&entry.route.profile)
}

/// Writes the toxics that Toxiproxy could have: its clients know no others, and some give up all of
/// the list for one that they do not know.
pub(super) fn list(entry: &Entry) -> String {
    let all = of(entry);
    let own = all.iter().filter(|listed| listed.toxic.is_toxiproxys());
    let toxics: Vec<String> = own.map(|listed| listed.toxic.to_json()).collect();
    format!("[{}]", toxics.join(","))
}

/// Writes all toxics, with whether they are enabled.
pub(crate) fn rules(entry: &Entry) -> String {
    let one = |listed: &ListedToxic| {
        let toxic = listed.toxic.to_json();
        format!(r#"{},"enabled":{}}}"#, &toxic[..toxic.len() - 1], listed.enabled)
    };
    let all: Vec<String> = of(entry).iter().map(one).collect();
    format!("[{}]", all.join(","))
}

/// Returns true if there are toxics that Toxiproxy could not have.
pub(super) fn has_more(entry: &Entry) -> bool {
    of(entry).iter().any(|listed| !listed.toxic.is_toxiproxys())
}

/// Finds a proxy, and one of its toxics.
pub(super) fn find(table: &Table<'_>, proxy: &str, name: &str) -> Result<ListedToxic, Refusal> {
    let entry = table.get(proxy).ok_or_else(|| Refusal::missing("proxy"))?;
    let found = of(entry).into_iter().find(|listed| listed.toxic.name == name);
    found.ok_or_else(|| Refusal::missing("toxic"))
}

/// Adds the toxic that a body describes, behind all others of its directions.
pub(super) fn create(table: &mut Table<'_>, proxy: &str, body: &Value) -> Result<Toxic, Refusal> {
    let entry = table.get(proxy).ok_or_else(|| Refusal::missing("proxy"))?;
    let is_taken = |name: &str| is_toxic_name_taken(&entry.route.profile, name);
    let toxic = Toxic::from_value(body, is_taken).map_err(said)?;
    check_name(&toxic.name).map_err(|problem| Refusal::bad(format!("name: {problem}")))?;
    change(table, proxy, |profile| add_toxic(profile, &toxic))?;
    Ok(toxic)
}

/// Changes a toxic's attributes and toxicity, all that the body says or nothing.
pub(super) fn update(
    table: &mut Table<'_>,
    proxy: &str,
    listed: &ListedToxic,
    body: &Value,
) -> Result<Toxic, Refusal> {
    let changed = listed.toxic.updated(body).map_err(said)?;
    change(table, proxy, |profile| listed.replace(profile, &changed))?;
    Ok(changed)
}

/// Removes a toxic.
pub(super) fn remove(
    table: &mut Table<'_>,
    proxy: &str,
    listed: &ListedToxic,
) -> Result<(), Refusal> {
    change(table, proxy, |profile| listed.remove(profile))
}

/// Removes what a reset removes: what was added as a toxic or could have been. The rest of a
/// profile is the proxy's own weather.
pub(super) fn remove_all(table: &mut Table<'_>, proxy: &str) -> Result<(), Refusal> {
    let Some(entry) = table.get(proxy) else { return Ok(()) };
    let listed = of(entry);
    change(table, proxy, |profile| {
        listed.iter().filter(|listed| listed.is_reset()).for_each(|listed| listed.remove(profile));
    })
}

fn change(
    table: &mut Table<'_>,
    proxy: &str,
    work: impl FnOnce(&mut Profile),
) -> Result<(), Refusal> {
    let entry = table.get(proxy).ok_or_else(|| Refusal::missing("proxy"))?;
    let mut profile = entry.route.profile.clone();
    work(&mut profile);
    table.set_profile(proxy, profile).map_err(refused)
}

fn said(error: ToxicError) -> Refusal {
    let status = match error {
        ToxicError::Taken => StatusCode::CONFLICT,
        ToxicError::Body(_) | ToxicError::Attribute(_) | ToxicError::Stream | ToxicError::Kind => {
            StatusCode::BAD_REQUEST
        }
    };
    Refusal::new(status, error.to_string())
}
