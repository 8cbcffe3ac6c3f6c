//! Closes a connection.

use super::CloseAfter;
use crate::rules::setting::{RuleSetting, of_kind};
use crate::rules::stream::{Deed, Deeds, Item, StreamRule};
use jostle_common::time::Instant;

/// A `close_after` rule at work.
#[derive(Debug)]
pub(super) struct Closing {
    setting: CloseAfter,
    since: Instant,
    /// The bytes that have passed; they outlive a change of the setting.
    passed: u64,
    /// Set when the connection is over.
    is_over: bool,
}

impl Closing {
    pub(super) const fn new(setting: CloseAfter, since: Instant) -> Self {
        Self { setting, since, passed: 0, is_over: false }
    }

    fn close(&mut self, deeds: &mut Deeds) {
        if !std::mem::replace(&mut self.is_over, true) {
            deeds.push_back(Deed::Pass(Item::Close));
        }
    }
}

impl StreamRule for Closing {
    fn handle(&mut self, _: Instant, item: Item, deeds: &mut Deeds) {
        let Item::Data(mut bytes) = item else {
            self.is_over = true;
            return deeds.push_back(Deed::Pass(item));
        };
        if self.is_over {
            return deeds.push_back(Deed::Discard(bytes));
        }
        let whole = bytes.len();
        let rest = self.setting.bytes.map(|bound| bound.saturating_sub(self.passed));
        let passing =
            rest.map_or(whole, |rest| usize::try_from(rest).map_or(whole, |n| n.min(whole)));
        let passing = bytes.split_to(passing);
        self.passed += passing.len() as u64;
        if !passing.is_empty() {
            deeds.push_back(Deed::Pass(Item::Data(passing)));
        }
        if !bytes.is_empty() {
            deeds.push_back(Deed::Discard(bytes));
        }
        if self.setting.bytes.is_some_and(|bound| self.passed >= bound) {
            self.close(deeds);
        }
    }

    fn work(&mut self, now: Instant, deeds: &mut Deeds) {
        if self.deadline().is_some_and(|due| due <= now) {
            self.close(deeds);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.setting.time.filter(|_| !self.is_over).map(|time| self.since + time)
    }

    fn retune(&mut self, _: Instant, setting: &dyn RuleSetting) {
        if let Some(setting) = of_kind::<CloseAfter>(Some(setting)) {
            self.setting = *setting;
        }
    }

    fn release(&mut self, _: &mut Deeds) {}
}
