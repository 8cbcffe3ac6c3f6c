//! The numbers of relays that are gone, so that the summary of a run leaves nothing out.

use crate::relay::RelayReport;
use jostle_common::transport::Transport;
use std::collections::BTreeMap;

/// The most names that are told apart; those of later names are added up.
const NAMES_MAX: usize = 1024;

/// The name under which they are added up.
const OTHERS: &str = "(removed)";

/// The reports of relays that are gone, added up by name and transport.
#[derive(Debug, Default)]
pub(crate) struct Past(BTreeMap<(String, Transport), RelayReport>);

impl Past {
    /// Adds the numbers of a relay.
    pub(crate) fn add(&mut self, mut report: RelayReport) {
        let known = |name: &str| self.0.contains_key(&(name.to_owned(), report.transport));
        if self.0.len() >= NAMES_MAX && !known(&report.route) {
            report.route = OTHERS.to_owned();
        }
        add(&mut self.0, report);
    }

    /// Returns the reports with those of `present` relays added, which come first and in their
    /// order.
    pub(crate) fn with(&self, present: impl Iterator<Item = RelayReport>) -> Vec<RelayReport> {
        let mut past = self.0.clone();
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
        all.extend(past.into_values());
        all
    }
}

fn add(reports: &mut BTreeMap<(String, Transport), RelayReport>, report: RelayReport) {
    match reports.get_mut(&(report.route.clone(), report.transport)) {
        Some(known) => known.absorb(&report),
        None => {
            reports.insert((report.route.clone(), report.transport), report);
        }
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
