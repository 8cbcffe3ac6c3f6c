//! Resets a connection.

use super::Reset;
use crate::rules::setting::{RuleSetting, of_kind};
use crate::rules::stream::{Deed, Deeds, Item, StreamRule};
use jostle_common::time::Instant;
use std::collections::VecDeque;

/// A `reset` rule at work. What it will discard it holds until the reset, so that nothing is lost
/// if the rule is removed before.
#[derive(Debug)]
pub(super) struct Resetting {
    setting: Reset,
    /// The time at which the first thing came.
    first: Option<Instant>,
    waiting: VecDeque<Item>,
}

impl Resetting {
    pub(super) const fn new(setting: Reset) -> Self {
        Self { setting, first: None, waiting: VecDeque::new() }
    }

    fn discard(&mut self, deeds: &mut Deeds) {
        for item in self.waiting.drain(..) {
            if let Item::Data(bytes) = item {
                deeds.push_back(Deed::Discard(bytes));
            }
        }
    }
}

impl StreamRule for Resetting {
    fn handle(&mut self, now: Instant, item: Item, deeds: &mut Deeds) {
        if item == Item::Reset {
            // Its sender was faster.
            self.discard(deeds);
            self.first = None;
            return deeds.push_back(Deed::Pass(item));
        }
        self.first.get_or_insert(now);
        self.waiting.push_back(item);
    }

    fn work(&mut self, now: Instant, deeds: &mut Deeds) {
        if self.deadline().is_some_and(|due| due <= now) {
            self.discard(deeds);
            self.first = None;
            deeds.push_back(Deed::ResetBoth);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.first.map(|first| first + self.setting.after)
    }

    fn retune(&mut self, _: Instant, setting: &dyn RuleSetting) {
        if let Some(setting) = of_kind::<Reset>(Some(setting)) {
            self.setting = *setting;
        }
    }

    fn release(&mut self, deeds: &mut Deeds) {
        deeds.extend(self.waiting.drain(..).map(Deed::Pass));
        self.first = None;
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
