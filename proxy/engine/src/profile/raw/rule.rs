//! Reads one rule, and numbers the rules of a direction.

use crate::profile::bounds::{PACKETS_OF_ONE_MAX, RULES_MAX};
use crate::rules::{
    DUPLICATE_RULES_MAX, KINDS, Per, RawSelection, ReadFile, Rule, RuleKind, Selection, Timing,
};
use jostle_common::setting::{SettingError, one_of, within};
use jostle_common::units::Probability;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// A rule that does not yet know its place among its kind.
#[derive(Clone)]
pub(super) struct RawRule {
    pub(super) place: String,
    name: Option<String>,
    selection: Selection,
    pub(super) kind: RuleKind,
    enabled: bool,
}

pub(super) fn rules(
    place: &str,
    values: Vec<Value>,
    read: ReadFile<'_>,
) -> Result<Vec<RawRule>, SettingError> {
    values
        .into_iter()
        .enumerate()
        .map(|(index, value)| rule(format!("{place}[{index}]"), value, read))
        .collect()
}

/// Gives each rule its key, and holds the bounds of a whole direction.
pub(super) fn numbered(place: &str, raw: Vec<RawRule>) -> Result<Vec<Rule>, SettingError> {
    if raw.len() > RULES_MAX {
        return Err(SettingError::new(
            place,
            format!("{} rules are too many; at most {RULES_MAX} per direction", raw.len()),
        ));
    }
    let mut rules: Vec<Rule> = Vec::new();
    let mut packets_of_one = 1;
    let identities = identities(&raw);
    for (rule, (key, ordinal)) in raw.into_iter().zip(identities) {
        let RawRule { place, name: _, selection, kind, enabled } = rule;
        if kind.copies_max() > 0 && ordinal >= DUPLICATE_RULES_MAX {
            return Err(SettingError::new(
                place,
                format!("at most {DUPLICATE_RULES_MAX} duplicate rules per direction"),
            ));
        }
        packets_of_one *= 1 + u64::from(kind.copies_max());
        if packets_of_one > PACKETS_OF_ONE_MAX {
            let problem = format!(
                "with the duplicate rules before it a packet becomes {packets_of_one}; write fewer \
                 copies, for {PACKETS_OF_ONE_MAX} in all"
            );
            return Err(SettingError::new(within(&place, "copies"), problem));
        }
        if rules.iter().any(|rule| rule.key == key) {
            let problem = format!(
                "a second rule is called \"{key}\"; give each rule of a direction its own name"
            );
            return Err(SettingError::new(within(&place, "name"), problem));
        }
        rules.push(Rule { key, ordinal, selection, kind, enabled, toxic: None });
    }
    Ok(rules)
}

/// Returns the key of each rule, and its ordinal among its kind.
///
/// A name that says the ordinal (`duplicate#2`) keeps it when rules in front are gone, and those
/// that shorthands put in front (`--duplicate`) are counted behind the others, as they were when
/// they came. So what was written from a profile reads as the same profile, the draws of copies
/// included.
fn identities(raw: &[RawRule]) -> Vec<(String, u32)> {
    let is_shorthand =
        |rule: &RawRule| rule.name.as_ref().is_some_and(|name| name.starts_with(Rule::SHORTHAND));
    let count = |rules: &[RawRule], kind: &RuleKind, shorthands: bool| {
        let own =
            |rule: &&RawRule| rule.kind.name() == kind.name() && is_shorthand(rule) == shorthands;
        rules.iter().filter(own).count() as u32
    };
    let mut taken: BTreeSet<(&str, u32)> = BTreeSet::new();
    let mut identities = Vec::new();
    for (index, rule) in raw.iter().enumerate() {
        let (kind, before) = (rule.kind.name(), &raw[..index]);
        let place = match is_shorthand(rule) {
            true => count(raw, &rule.kind, false) + count(before, &rule.kind, true),
            false => count(before, &rule.kind, false),
        };
        let said = rule.name.as_deref().and_then(|name| Rule::ordinal_of(kind, name));
        let said = said.filter(|said| rule.kind.copies_max() == 0 || *said < DUPLICATE_RULES_MAX);
        let mut wanted = said.into_iter().chain(place..);
        let ordinal = wanted.find(|one| !taken.contains(&(kind, *one))).unwrap_or(place);
        taken.insert((kind, ordinal));
        identities.push((rule.name.clone().unwrap_or_else(|| Rule::key_of(kind, place)), ordinal));
    }
    identities
}

pub(super) fn rule(
    place: String,
    value: Value,
    read: ReadFile<'_>,
) -> Result<RawRule, SettingError> {
    let kinds = || one_of(&KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>());
    let Value::Object(mut fields) = value else {
        return Err(SettingError::new(
            place,
            "a rule is an object; write { \"rule\": \"drop\", \"chance\": \"2%\" }, say",
        ));
    };
    let kind = match fields.remove("rule") {
        Some(Value::String(kind)) => kind,
        Some(other) => {
            return Err(SettingError::new(
                within(&place, "rule"),
                format!("{other} is not a rule; write {}", kinds()),
            ));
        }
        None => {
            return Err(SettingError::new(
                place,
                format!("no \"rule\" says what it is; write \"rule\": {}", kinds()),
            ));
        }
    };
    let Some(entry) = KINDS.iter().find(|entry| entry.name == kind) else {
        return Err(SettingError::new(
            within(&place, "rule"),
            format!("\"{kind}\" is not a rule; write {}", kinds()),
        ));
    };
    let name = rule_name(&place, &mut fields)?;
    let per_link = fields.get("per").is_some_and(|per| per == "link");
    let common = RawSelection::taken_from(&place, &mut fields)?;
    let enabled = common.is_enabled();
    let mut selection = common.selection(&place)?;
    let kind = (entry.read)(&place, Value::Object(fields), read)?;
    if !kind.is_for_packets() {
        check_flow_selection(&place, &kind, per_link, &selection)?;
        selection.per = Per::Flow;
    }
    if kind.timing() == Timing::Sending {
        check_no_selection(&place, entry.name, &selection)?;
    }
    Ok(RawRule { place, name, selection, kind, enabled })
}

/// Refuses a choice of packets for a rule that sends its own and looks at none.
fn check_no_selection(place: &str, kind: &str, selection: &Selection) -> Result<(), SettingError> {
    let Selection { per, flows, matching } = selection;
    let given = [
        ("match", matching.is_some()),
        ("per", *per != Per::Link),
        ("flows", *flows != Probability::ALWAYS),
    ];
    match given.into_iter().find(|(_, given)| *given) {
        Some((field, _)) => {
            let problem = format!("{kind} looks at no packets, it sends some; leave it out");
            Err(SettingError::new(within(place, field), problem))
        }
        None => Ok(()),
    }
}

/// Refuses what a rule that acts on whole flows or connections cannot heed.
fn check_flow_selection(
    place: &str,
    kind: &RuleKind,
    per_link: bool,
    selection: &Selection,
) -> Result<(), SettingError> {
    let name = kind.name();
    let (what, some, each) = match kind.is_for_sockets() {
        true => ("the socket of a UDP flow", "flows", "flow"),
        false => ("the stream of a TCP connection", "connections", "connection"),
    };
    if selection.matching.as_ref().is_some_and(|matching| !matching.is_of_flows_alone()) {
        let problem = format!(
            "{name} acts on {what}, which has no packets to look at; choose {some} by \"flow\", \
             \"client\", \"target\" and \"age\" alone or by \"flows\", or leave it out"
        );
        return Err(SettingError::new(within(place, "match"), problem));
    }
    if per_link {
        let problem = format!("{name} acts on each {each} for itself; leave it out");
        return Err(SettingError::new(within(place, "per"), problem));
    }
    Ok(())
}

fn rule_name(place: &str, fields: &mut Map<String, Value>) -> Result<Option<String>, SettingError> {
    match fields.remove("name") {
        None => Ok(None),
        Some(Value::String(name)) if !name.is_empty() && name.len() <= 255 => Ok(Some(name)),
        Some(other) => Err(SettingError::new(
            within(place, "name"),
            format!("{other} is not a name; write 1 to 255 characters"),
        )),
    }
}
