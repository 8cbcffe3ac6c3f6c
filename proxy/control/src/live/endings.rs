//! The rules that end connections. No packet tells of what they do, but a count at the sockets.

use crate::registry::Entry;
use jostle_common::chance::Direction;
use jostle_engine::profile::Profile;
use std::collections::BTreeMap;

/// The keys of a proxy's rules that end connections, by direction, each with the count that it
/// raises.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Endings([Vec<(String, &'static str)>; 2]);

impl Endings {
    /// Finds those of a proxy.
    pub(super) fn of(entry: &Entry) -> Self {
        Self::in_profile(&entry.route.profile)
    }

    fn in_profile(profile: &Profile) -> Self {
        Self(Direction::BOTH.map(|direction| {
            let rules = profile.timeline(direction).rules().filter(|rule| rule.enabled);
            rules.filter_map(|rule| Some((rule.key.clone(), count(rule.kind.name())?))).collect()
        }))
    }

    /// Adds to `hits` of one direction what the counts went up by. Which of two rules that raise
    /// the same count did it is not known: both show it.
    pub(super) fn add_to(
        &self,
        hits: &mut BTreeMap<String, u64>,
        direction: Direction,
        more: impl Fn(&str) -> u64,
    ) {
        for (key, count) in &self.0[direction.index()] {
            let ended = more(count);
            if ended > 0 {
                *hits.entry(key.clone()).or_default() += ended;
            }
        }
    }
}

/// Returns the count that a kind of rule raises.
fn count(kind: &str) -> Option<&'static str> {
    match kind {
        "reset" => Some("reset_by_rule"),
        "stall" | "close_after" => Some("closed_by_rule"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_shows_at_the_rules_that_raise_it() {
        let profile = r#"{
            "up":   [ { "rule": "reset", "name": "tear", "after": "1s" }, { "rule": "drop", "chance": "1%" } ],
            "down": [ { "rule": "close_after", "bytes": "1KiB" },
                      { "rule": "reset", "after": "1s", "enabled": false } ] }"#;
        let endings = Endings::in_profile(&Profile::from_json(profile).unwrap());
        let more = |count: &str| u64::from(count == "reset_by_rule") * 3;
        let mut hits = [BTreeMap::from([("tear".to_owned(), 1)]), BTreeMap::new()];
        for (hits, direction) in hits.iter_mut().zip(Direction::BOTH) {
            endings.add_to(hits, direction, more);
        }
        assert_eq!(hits, [BTreeMap::from([("tear".to_owned(), 4)]), BTreeMap::new()]);
        endings.add_to(&mut hits[1], Direction::Down, |_| 2);
        assert_eq!(hits[1], BTreeMap::from([("close_after".to_owned(), 2)]));
    }
}
