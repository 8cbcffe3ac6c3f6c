//! The numbers of relays that are gone, so that the summary of a run leaves nothing out.

use crate::relay::RelayReport;
use jostle_common::transport::Transport;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most names that are told apart; those of later names are added up.
const NAMES_MAX: usize = 1024;

/// The name under which they are added up.
const OTHERS: &str = "(removed)";

/// The reports of relays that are gone, added up by name and transport. A clone shares them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Past {
    reports: BTreeMap<(String, Transport), Arc<RelayReport>>,
    /// How many relays are in it.
    pub(crate) relays: u64,
}

impl Past {
    /// Adds the numbers of a relay.
    pub(crate) fn add(&mut self, mut report: RelayReport) {
        self.relays += 1;
        let known = |name: &str| self.reports.contains_key(&(name.to_owned(), report.transport));
        if self.reports.len() >= NAMES_MAX && !known(&report.route) {
            report.route = OTHERS.to_owned();
        }
        match self.reports.get_mut(&(report.route.clone(), report.transport)) {
            Some(known) => Arc::make_mut(known).absorb(&report),
            None => {
                self.reports.insert((report.route.clone(), report.transport), Arc::new(report));
            }
        }
    }

    /// Adds those that another loop has kept.
    pub(crate) fn absorb(&mut self, other: &Self) {
        let relays = self.relays + other.relays;
        for report in other.reports.values() {
            self.add(RelayReport::clone(report));
        }
        self.relays = relays;
    }

    /// Returns the reports with those of `present` relays added, which come first and in their
    /// order.
    pub(crate) fn with(&self, present: impl Iterator<Item = RelayReport>) -> Vec<RelayReport> {
        let mut past = self.reports.clone();
        let mut all: Vec<RelayReport> = Vec::new();
        let mut places: BTreeMap<(String, Transport), usize> = BTreeMap::new();
        for report in present {
            let key = (report.route.clone(), report.transport);
            if let Some(&place) = places.get(&key) {
                all[place].absorb(&report);
                continue;
            }
            places.insert(key.clone(), all.len());
            let mut report = report;
            if let Some(before) = past.remove(&key) {
                report.absorb(&before);
            }
            all.push(report);
        }
        all.extend(past.into_values().map(Arc::unwrap_or_clone));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(route: &str, count: u64) -> RelayReport {
        RelayReport {
            route: route.to_owned(),
            transport: Transport::Udp,
            links: Default::default(),
            counts: BTreeMap::from([("flows", count)]),
            round_trips: None,
        }
    }

    fn flows(reports: &[RelayReport]) -> Vec<(&str, u64)> {
        reports.iter().map(|report| (report.route.as_str(), report.counts["flows"])).collect()
    }

    #[test]
    fn those_of_one_name_are_one_and_those_present_come_first() {
        let mut past = Past::default();
        [report("a", 1), report("b", 2), report("a", 4)].into_iter().for_each(|one| past.add(one));
        let present = [report("c", 8), report("b", 16), report("c", 32)];
        let all = past.with(present.into_iter());
        assert_eq!(flows(&all), [("c", 40), ("b", 18), ("a", 5)]);
        assert_eq!(flows(&past.with(std::iter::empty())), [("a", 5), ("b", 2)]);
    }

    #[test]
    fn many_names_are_bounded_and_nothing_is_left_out() {
        let mut past = Past::default();
        for number in 0..3 * NAMES_MAX {
            past.add(report(&format!("r{number}"), 1));
        }
        past.add(report("r0", 1));
        let all = past.with(std::iter::empty());
        assert_eq!(all.len(), NAMES_MAX + 1);
        assert_eq!(
            all.iter().map(|one| one.counts["flows"]).sum::<u64>(),
            3 * NAMES_MAX as u64 + 1
        );
        let others = all.iter().find(|report| report.route == OTHERS).unwrap();
        assert_eq!(others.counts["flows"], 2 * NAMES_MAX as u64);
    }
}
