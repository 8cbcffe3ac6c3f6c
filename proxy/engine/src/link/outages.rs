//! Whether a link is cut for everybody: what its `outage` rules say of a time, asked without a
//! packet.

use super::key::LinkKey;
use super::schedule::Schedule;
use crate::rules::{Outage, Rule, RuleKind, Selection, Sojourns};
use jostle_common::time::Instant;

/// The outages of a link as far as they were asked about.
#[derive(Debug, Default)]
pub(super) struct Outages(Vec<(String, Outage, Sojourns)>);

impl Outages {
    /// Returns true if a link is cut for everybody at `now`, which never goes back, and when that
    /// may change.
    pub(super) fn at(
        &mut self,
        now: Instant,
        epoch: Instant,
        key: &LinkKey,
        schedule: &Schedule,
    ) -> (bool, Option<Instant>) {
        let (rules, next) = schedule.at(now.as_nanos().saturating_sub(epoch.as_nanos()));
        let mut until = next.map(|elapsed| epoch.plus_nanos(elapsed));
        let mut is_cut = false;
        for rule in rules.iter().filter(|rule| is_for_everybody(rule)) {
            let RuleKind::Outage(outage) = rule.kind else { continue };
            let (is_up, end) = self.spans(rule, outage, key, epoch).at(now);
            is_cut |= !is_up;
            until = Some(until.map_or(end, |until| until.min(end)));
        }
        (is_cut, until)
    }

    fn spans(
        &mut self,
        rule: &Rule,
        outage: Outage,
        key: &LinkKey,
        epoch: Instant,
    ) -> &mut Sojourns {
        let known =
            self.0.iter().position(|(name, known, _)| *name == rule.key && *known == outage);
        let index = known.unwrap_or_else(|| {
            self.0.retain(|(name, ..)| *name != rule.key);
            self.0.push((rule.key.clone(), outage, outage.spans(key.origin(rule, epoch))));
            self.0.len() - 1
        });
        &mut self.0[index].2
    }
}

/// Returns true if a rule looks at every packet as one.
fn is_for_everybody(rule: &Rule) -> bool {
    rule.selection == Selection::default()
}
