//! A set of offsets, kept as sorted ranges: what a receiver holds out of order, and what a sender
//! knows of it.

use std::ops::Range;

/// Disjoint ranges that do not touch, in ascending order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RangeSet {
    ranges: Vec<Range<u64>>,
}

impl RangeSet {
    pub(super) const fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Adds a range; returns the whole range in which it lies now.
    pub(super) fn insert(&mut self, range: Range<u64>) -> Range<u64> {
        let start = self.ranges.partition_point(|known| known.end < range.start);
        let touched =
            self.ranges[start..].iter().take_while(|known| known.start <= range.end).count();
        let touching = &self.ranges[start..start + touched];
        let merged = match touching {
            [] => {
                self.ranges.insert(start, range.clone());
                return range;
            }
            [first, ..] => {
                let last = &touching[touched - 1];
                range.start.min(first.start)..range.end.max(last.end)
            }
        };
        self.ranges[start] = merged.clone();
        self.ranges.drain(start + 1..start + touched);
        merged
    }

    /// Returns the first part of `range` that is not in the set.
    pub(super) fn first_gap(&self, range: &Range<u64>) -> Option<Range<u64>> {
        let place = self.ranges.partition_point(|known| known.end <= range.start);
        let (mut start, mut end) = (range.start, range.end);
        if let Some(known) = self.ranges.get(place) {
            if known.start > start {
                end = end.min(known.start);
            } else {
                start = known.end;
                end = self.ranges.get(place + 1).map_or(end, |next| end.min(next.start));
            }
        }
        (start < end).then_some(start..end)
    }

    /// Forgets everything before `offset`.
    pub(super) fn remove_below(&mut self, offset: u64) {
        let gone = self.ranges.partition_point(|known| known.end <= offset);
        self.ranges.drain(..gone);
        if let Some(first) = self.ranges.first_mut() {
            first.start = first.start.max(offset);
        }
    }

    /// Takes out the range that begins at or before `offset` and reaches it.
    pub(super) fn take_reaching(&mut self, offset: u64) -> Option<Range<u64>> {
        (self.ranges.first()?.start <= offset).then(|| self.ranges.remove(0))
    }

    /// Returns the last offset in the set, plus one.
    pub(super) fn end(&self) -> Option<u64> {
        self.ranges.last().map(|range| range.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn offsets(set: &RangeSet) -> BTreeSet<u64> {
        set.ranges.iter().cloned().flatten().collect()
    }

    proptest! {
        #[test]
        fn agrees_with_a_set_of_offsets(steps in prop::collection::vec((0u64..60, 1u64..9, 0u8..8), 1..60)) {
            let mut set = RangeSet::default();
            let mut model = BTreeSet::new();
            for (start, length, action) in steps {
                let range = start..start + length;
                let missing: Vec<u64> = range.clone().filter(|offset| !model.contains(offset)).collect();
                match set.first_gap(&range) {
                    Some(gap) => {
                        prop_assert_eq!(gap.start, missing[0]);
                        prop_assert!(gap.clone().all(|offset| missing.contains(&offset)));
                        prop_assert!(gap.end == range.end || model.contains(&gap.end));
                    }
                    None => prop_assert!(missing.is_empty()),
                }
                if action == 0 {
                    set.remove_below(start);
                    model.retain(|offset| *offset >= start);
                } else {
                    let merged = set.insert(range.clone());
                    model.extend(range.clone());
                    prop_assert!(merged.start <= range.start && merged.end >= range.end);
                    prop_assert!(merged.clone().all(|offset| model.contains(&offset)));
                    prop_assert!(!model.contains(&merged.end));
                }
                prop_assert_eq!(offsets(&set), model.clone());
                prop_assert!(set.ranges.windows(2).all(|pair| pair[0].end < pair[1].start));
                prop_assert_eq!(set.end(), model.last().map(|last| last + 1));
            }
        }
    }
}
