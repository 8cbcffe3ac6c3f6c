//! What can happen to packets: a profile is two lists of rules, one per direction, applied top to bottom.
//!
//! The types here are the valid ones: a value of them can be built into a link without further checks. What a person writes is read by
//! `raw` and refused there with the place and the remedy.

pub mod library;
pub mod netem;
mod raw;
mod rule;
mod shorthand;

pub use rule::{Corrupt, Delay, Drop, Duplicate, Flips, Queue, Rate, Reorder, Rule, RuleKind, Shape};

pub use shorthand::Shorthand;

use crate::chance::Direction;

/// What a route does to its packets, per direction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// What the profile is, for people.
    pub about: String,
    /// The rules from client to server, in the order in which they apply.
    pub up: Vec<Rule>,
    /// The rules from server to client, in the order in which they apply.
    pub down: Vec<Rule>,
}

impl Profile {
    /// The rules of one direction.
    pub fn rules(&self, direction: Direction) -> &[Rule] {
        match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        }
    }

    /// Whether the profile does nothing at all.
    pub fn is_empty(&self) -> bool {
        self.up.is_empty() && self.down.is_empty()
    }
}
