//! Discards a stream.

use super::Stall;
use crate::rules::setting::{RuleSetting, of_kind};
use crate::rules::stream::{Deed, Deeds, Item, StreamRule};
use jostle_common::time::Instant;

/// A `stall` rule at work.
#[derive(Debug)]
pub(super) struct Stalled {
    setting: Stall,
    /// The bytes that have passed.
    passed: u64,
    /// The last time at which something came, or at which the rule came.
    last: Instant,
    /// Set when the connection is over.
    is_over: bool,
}

impl Stalled {
    pub(super) const fn new(setting: Stall, since: Instant) -> Self {
        Self { setting, passed: 0, last: since, is_over: false }
    }

    /// Returns true if it discards.
    const fn acts(&self) -> bool {
        self.passed >= self.setting.after
    }

    fn close(&mut self, deeds: &mut Deeds) {
        if !std::mem::replace(&mut self.is_over, true) {
            deeds.push_back(Deed::Pass(Item::Close));
        }
    }
}

impl StreamRule for Stalled {
    fn handle(&mut self, now: Instant, item: Item, deeds: &mut Deeds) {
        self.last = now;
        match item {
            Item::Data(mut bytes) => {
                let rest = self.setting.after.saturating_sub(self.passed);
                let whole = bytes.len();
                let passing = bytes.split_to(usize::try_from(rest).map_or(whole, |n| n.min(whole)));
                if !passing.is_empty() {
                    self.passed += passing.len() as u64;
                    deeds.push_back(Deed::Pass(Item::Data(passing)));
                }
                if !bytes.is_empty() {
                    deeds.push_back(Deed::Discard(bytes));
                }
            }
            // An end that nothing came in front of would tell of a whole stream.
            Item::End if self.acts() => self.close(deeds),
            Item::End | Item::Reset | Item::Close => {
                self.is_over = true;
                deeds.push_back(Deed::Pass(item));
            }
        }
    }

    fn work(&mut self, now: Instant, deeds: &mut Deeds) {
        if self.deadline().is_some_and(|due| due <= now) {
            self.close(deeds);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let close = self.setting.close.filter(|_| self.acts() && !self.is_over)?;
        Some(self.last + close)
    }

    fn retune(&mut self, now: Instant, setting: &dyn RuleSetting) {
        let Some(setting) = of_kind::<Stall>(Some(setting)) else { return };
        (self.setting, self.last) = (*setting, now);
    }

    /// Closes a connection that it acted on: the bytes that it discarded will never come.
    fn release(&mut self, deeds: &mut Deeds) {
        if self.acts() {
            self.close(deeds);
        }
    }
}
