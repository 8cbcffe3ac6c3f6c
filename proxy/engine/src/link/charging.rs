//! What the packets inside a link cost besides their bytes, charged in steps: not every packet is
//! worth the counting.

use super::Link;
use crate::memory::{Charge, Memory};

/// The number of packets and runs that are charged at a time.
const CHARGED_AT_ONCE: u64 = 16;

/// So many more than are inside may be charged.
const CHARGED_BEYOND: u64 = 4 * CHARGED_AT_ONCE;

/// The packets, runs and marks inside a link, each of which is charged.
#[derive(Debug)]
pub(super) struct Pieces {
    inside: u64,
    /// The most and the fewest for which what is charged is right.
    most: u64,
    least: u64,
    charge: Option<(Charge, u64)>,
}

impl Default for Pieces {
    /// Charges nothing.
    fn default() -> Self {
        Self { inside: 0, most: u64::MAX, least: 0, charge: None }
    }
}

impl Pieces {
    /// Notes that so many came in.
    #[inline]
    pub(super) const fn add(&mut self, count: u64) {
        self.inside += count;
    }

    /// Notes that one is gone.
    #[inline]
    pub(super) const fn remove_one(&mut self) {
        self.inside -= 1;
    }

    /// Charges what those inside cost.
    #[inline]
    pub(super) fn settle(&mut self) {
        if self.inside > self.most || self.inside < self.least {
            self.charge_anew();
        }
    }

    #[cold]
    fn charge_anew(&mut self) {
        let Some((charge, each)) = &mut self.charge else { return };
        let more = if self.inside > self.most { self.inside.min(CHARGED_AT_ONCE) } else { 0 };
        self.most = self.inside + more;
        self.least = self.most.saturating_sub(CHARGED_BEYOND).max(self.most.min(1));
        charge.set(self.most * *each);
    }

    /// Returns the memory that is charged, if one is.
    #[inline]
    pub(super) fn memory(&self) -> Option<&Memory> {
        self.charge.as_ref().map(|(charge, _)| charge.memory())
    }
}

impl Link {
    /// Charges to `memory` from now on what packets cost besides their bytes, which is `each`, and
    /// the bytes that rules make anew.
    pub fn charge_to(&mut self, memory: &Memory, each: u64) {
        let charge = Some((Charge::new(memory, 0), each));
        self.pieces = Pieces { inside: self.pieces.inside, most: 0, least: 0, charge };
        self.pieces.settle();
    }

    /// Returns what so many more packets cost at most, besides their bytes.
    pub fn cost(&self, packets: u64) -> u64 {
        let each = self.pieces.charge.as_ref().map_or(0, |(_, each)| *each);
        (packets + CHARGED_AT_ONCE) * each
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_charged_is_enough_and_little_more() {
        let memory = Memory::new(1 << 30);
        let charge = Some((Charge::new(&memory, 0), 100));
        let mut pieces = Pieces { inside: 0, most: 0, least: 0, charge };
        let mut changes = 0;
        for step in 0..2000_u64 {
            if step < 1000 {
                pieces.add(1)
            } else {
                pieces.remove_one()
            }
            let before = memory.used();
            pieces.settle();
            changes += u64::from(memory.used() != before);
            let charged = memory.used() / 100;
            assert!(charged >= pieces.inside && charged <= pieces.inside + CHARGED_BEYOND);
        }
        assert_eq!((pieces.inside, memory.used()), (0, 0), "nothing is inside");
        assert!((50..100).contains(&changes), "{changes}");
    }
}
