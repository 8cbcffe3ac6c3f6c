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
