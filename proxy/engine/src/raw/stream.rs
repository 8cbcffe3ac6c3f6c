//! One direction of a raw connection.

use super::blocks::Blocks;
use super::lines::Lines;
use crate::memory::{FLOOR, Memory};
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
    /// Set when what comes out is not wanted any more.
    pub(super) unwanted: bool,
    /// Set when its sender has ended it, one way or the other.
    pub(super) finished: bool,
    /// Set when its end has come out.
    pub(super) ended: bool,
}

/// The way in which a stream is cut.
#[derive(Debug)]
pub(super) enum Cut {
    Lines(Lines),
    Blocks(Blocks),
    Reads,
}

impl Stream {
    /// Makes a stream of which nothing came yet.
    pub(super) const fn new(cut: Cut) -> Self {
        Self {
            cut,
            inside: 0,
            kept: 0,
            units: 0,
            timer: None,
            unwanted: false,
            finished: false,
            ended: false,
        }
    }

    /// Returns true if nothing of it is under way; an end that was entered has come out.
    pub(super) const fn is_idle(&self) -> bool {
        self.inside == 0 && self.units == 0 && self.timer.is_none() && self.finished == self.ended
    }

    /// Adds to what is inside, or takes from it.
    pub(super) const fn change(&mut self, growth: isize) {
        self.inside = self.inside.saturating_add_signed(growth);
    }

    /// Takes over how much is kept for copies. Returns true if anything is. Where nothing is to
    /// spare, copies that are late get nothing: what is kept is not what a connection needs.
    pub(super) fn settle_kept(&mut self, memory: &Memory) -> bool {
        if let Cut::Blocks(blocks) = &mut self.cut {
            if blocks.kept() as u64 > FLOOR && memory.spare() == 0 {
                blocks.forget_kept();
            }
            self.kept = blocks.kept();
        }
        self.kept > 0
    }
}
