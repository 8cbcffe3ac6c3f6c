//! Holds the end of a stream.

use super::SlowClose;
use crate::rules::setting::{RuleSetting, of_kind};
use crate::rules::stream::{Deed, Deeds, Item, StreamRule};
use jostle_common::time::Instant;

/// A `slow_close` rule at work.
#[derive(Debug)]
pub(super) struct SlowEnd {
    setting: SlowClose,
    /// The end that waits, and since when.
    waiting: Option<(Instant, Item)>,
}

impl SlowEnd {
    pub(super) const fn new(setting: SlowClose) -> Self {
        Self { setting, waiting: None }
    }
}

impl StreamRule for SlowEnd {
    fn handle(&mut self, now: Instant, item: Item, deeds: &mut Deeds) {
        match item {
            Item::End | Item::Close if !self.setting.delay.is_zero() => {
                self.waiting.get_or_insert((now, item));
            }
            Item::Reset => {
                // Who tears a connection down does not wait for its end.
                self.waiting = None;
                deeds.push_back(Deed::Pass(item));
            }
            Item::Data(_) | Item::End | Item::Close => deeds.push_back(Deed::Pass(item)),
        }
    }

    fn work(&mut self, now: Instant, deeds: &mut Deeds) {
        if self.deadline().is_some_and(|due| due <= now) {
            self.release(deeds);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.waiting.as_ref().map(|(since, _)| *since + self.setting.delay)
    }

    /// Lets an end that waits do so anew.
    fn retune(&mut self, now: Instant, setting: &dyn RuleSetting) {
        let Some(setting) = of_kind::<SlowClose>(Some(setting)) else { return };
        self.setting = *setting;
        if let Some((since, _)) = &mut self.waiting {
            *since = now;
        }
    }

    fn release(&mut self, deeds: &mut Deeds) {
        deeds.extend(self.waiting.take().map(|(_, item)| Deed::Pass(item)));
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_none()
    }
}
