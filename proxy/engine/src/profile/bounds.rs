//! The bounds of a direction's rules taken together.

use super::Timeline;
use crate::packet::Trace;
use crate::rules::{DUPLICATE_RULES_MAX, PATHS_MAX, PathName, Rule};
use std::collections::{BTreeMap, BTreeSet};

/// A link signs packets with one bit per rule.
pub(super) const RULES_MAX: usize = Trace::PLACES_MAX;

/// Copies of copies multiply: what one packet may become in a direction, in one turn of the program
/// that drives the link.
pub(super) const PACKETS_OF_ONE_MAX: u64 = 64;

/// The problem with a rule on sockets in the other direction: clients speak to a socket of the
/// route.
pub(super) const ONLY_UP: &str = "changes where what goes up leaves from; write it under \"up\"";

/// Checks the rules of a direction, over all its phases.
pub(super) fn check(timeline: &Timeline) -> Result<(), String> {
    let keys: BTreeSet<&str> = timeline.rules().map(|rule| rule.key.as_str()).collect();
    if keys.len() > RULES_MAX {
        let problem =
            format!("{} rules are too many; at most {RULES_MAX} per direction", keys.len());
        return Err(problem);
    }
    check_paths(timeline)?;
    timeline.phases.iter().try_for_each(|phase| check_copies(&phase.rules))
}

/// Checks the paths that the rules take over the phases.
pub(super) fn check_paths(timeline: &Timeline) -> Result<(), String> {
    let mut names: BTreeSet<&PathName> = BTreeSet::new();
    let mut paths: BTreeMap<&str, BTreeSet<Option<&PathName>>> = BTreeMap::new();
    for rule in timeline.rules() {
        let path = rule.kind.path();
        if let Some(other) = path.and_then(|path| names.iter().find(|it| it.is_mistaken_for(path)))
        {
            return Err(format!(
                "packets cannot tell the path \"{}\" from another; call it something else",
                other.as_str()
            ));
        }
        names.extend(path);
        let of_rule = paths.entry(&rule.key).or_default();
        of_rule.insert(path);
        if of_rule.len() > PATHS_MAX {
            return Err(format!(
                "the rule \"{}\" takes more than {PATHS_MAX} paths over the phases; use names of \
                 earlier ones again",
                rule.key
            ));
        }
    }
    Ok(())
}

fn check_copies(rules: &[Rule]) -> Result<(), String> {
    let copying = rules.iter().filter(|rule| rule.kind.copies_max() > 0);
    let mut packets_of_one = 1;
    for rule in copying {
        if rule.ordinal >= DUPLICATE_RULES_MAX {
            return Err(format!("at most {DUPLICATE_RULES_MAX} duplicate rules per direction"));
        }
        packets_of_one *= 1 + u64::from(rule.kind.copies_max());
        if packets_of_one > PACKETS_OF_ONE_MAX {
            return Err(format!(
                "with the rule \"{}\" a packet becomes {packets_of_one}; write fewer copies, for \
                 {PACKETS_OF_ONE_MAX} in all",
                rule.key
            ));
        }
    }
    Ok(())
}
