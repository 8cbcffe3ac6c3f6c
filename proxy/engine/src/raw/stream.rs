//! One direction of a raw connection.

use super::blocks::Blocks;
use super::lines::Lines;
use crate::tcp::Budget;
use jostle_common::time::Instant;

/// One direction of a connection.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) cut: Cut,
    /// Bytes read from the sender and not yet taken by the receiver's socket.
    pub(super) inside: usize,
    /// Bytes kept for copies.
    pub(super) kept: usize,
    /// Units in the link, copies not counted.
    pub(super) units: usize,
    /// The time of its timer.
    pub(super) timer: Option<Instant>,
    /// Whether nobody wants what comes out any more.
    pub(super) unwanted: bool,
    /// Whether its end has come out.
    pub(super) ended: bool,
}

/// How a stream is cut.
#[derive(Debug)]
pub(super) enum Cut {
    Lines(Lines),
    Blocks(Blocks),
    Reads,
}

impl Stream {
    /// A stream of which nothing came yet.
    pub(super) const fn new(cut: Cut) -> Self {
        Self { cut, inside: 0, kept: 0, units: 0, timer: None, unwanted: false, ended: false }
    }

    /// Adds to what is inside, or takes from it.
    pub(super) fn change(&mut self, growth: isize, budget: &Budget) {
        self.inside = self.inside.saturating_add_signed(growth);
        settle(growth, budget);
    }

    /// Takes over how much is kept for copies. Returns whether anything is.
    pub(super) fn settle_kept(&mut self, budget: &Budget) -> bool {
        if let Cut::Blocks(blocks) = &self.cut {
            settle(blocks.kept() as isize - self.kept as isize, budget);
            self.kept = blocks.kept();
        }
        self.kept > 0
    }
}

fn settle(growth: isize, budget: &Budget) {
    let amount = growth.unsigned_abs() as u64;
    if growth > 0 {
        budget.take(amount);
    } else {
        budget.give_back(amount);
    }
}
