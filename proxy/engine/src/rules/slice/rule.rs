//! Cuts a stream into pieces.

use super::Slice;
use crate::rules::setting::{RuleSetting, of_kind};
use crate::rules::source::Source;
use crate::rules::stream::{Deed, Deeds, Item, StreamRule};
use bytes::{Bytes, BytesMut};
use jostle_common::chance::below;
use jostle_common::time::Instant;
use std::collections::VecDeque;

/// A `slice` rule at work. A piece is cut when it goes: of what has come by then, and no larger
/// than its number drew.
#[derive(Debug)]
pub(super) struct Slicer {
    setting: Slice,
    source: Source,
    /// The number of pieces that have gone.
    pieces: u64,
    waiting: VecDeque<Item>,
    /// The end of the gap behind the last piece.
    free: Instant,
    /// The time at which the next piece goes, if there is one.
    due: Option<Instant>,
}

impl Slicer {
    pub(super) const fn new(setting: Slice, source: Source) -> Self {
        Self {
            setting,
            source,
            pieces: 0,
            waiting: VecDeque::new(),
            free: Instant::START,
            due: None,
        }
    }

    /// Draws the size of the next piece.
    fn draw(&self) -> usize {
        let Slice { size, spread, .. } = self.setting;
        let values = spread.saturating_mul(2).saturating_add(1);
        let offset = below(self.source.draw_at(self.pieces).first(), values);
        let size = size.saturating_sub(spread).saturating_add(offset).max(1);
        usize::try_from(size).unwrap_or(usize::MAX)
    }

    /// Takes the next piece out of the bytes in front.
    fn cut(&mut self) -> Bytes {
        let size = self.draw();
        let Some(Item::Data(first)) = self.waiting.front_mut() else { return Bytes::new() };
        // Most pieces are a part of one chunk: no copy.
        if first.len() > size {
            return first.split_to(size);
        }
        let mut piece = BytesMut::new();
        while let Some(Item::Data(bytes)) = self.waiting.front_mut()
            && piece.len() < size
        {
            let part = bytes.split_to(bytes.len().min(size - piece.len()));
            let is_used_up = bytes.is_empty();
            if is_used_up {
                self.waiting.pop_front();
            }
            if piece.is_empty() && !matches!(self.waiting.front(), Some(Item::Data(_))) {
                return part;
            }
            piece.extend_from_slice(&part);
        }
        piece.freeze()
    }
}

impl StreamRule for Slicer {
    fn handle(&mut self, now: Instant, item: Item, _: &mut Deeds) {
        self.waiting.push_back(item);
        self.due.get_or_insert(self.free.max(now));
    }

    fn work(&mut self, now: Instant, deeds: &mut Deeds) {
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        if matches!(self.waiting.front(), Some(Item::Data(_))) {
            let piece = self.cut();
            self.pieces += 1;
            self.free = now + self.setting.gap;
            deeds.push_back(Deed::Pass(Item::Data(piece)));
        } else {
            deeds.extend(self.waiting.pop_front().map(Deed::Pass));
        }
        self.due = (!self.waiting.is_empty()).then_some(self.free.max(now));
    }

    fn deadline(&self) -> Option<Instant> {
        self.due
    }

    fn retune(&mut self, now: Instant, setting: &dyn RuleSetting) {
        let Some(setting) = of_kind::<Slice>(Some(setting)) else { return };
        self.setting = *setting;
        // What waits need not wait for a gap that is longer than the new one.
        self.free = self.free.min(now + setting.gap);
        self.due = self.due.map(|due| due.min(self.free).max(now));
    }

    fn release(&mut self, deeds: &mut Deeds) {
        deeds.extend(self.waiting.drain(..).map(Deed::Pass));
        self.due = None;
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
