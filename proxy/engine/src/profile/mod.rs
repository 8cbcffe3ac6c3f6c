//! Profiles: what can happen to packets. A profile is two lists of rules, one per direction,
//! applied top to bottom; or several such pairs, one after the other in time.
//!
//! The types here are the valid ones: a value of them can be built into a link without further
//! checks. The text that a person writes is read by `raw` and refused there with the place and the
//! remedy.

mod bounds;
pub mod imports;
mod layout;
pub mod library;
pub mod netem;
mod one_flow;
mod raw;
mod shorthand;
mod timeline;
mod written;

pub use crate::rules::{
    BurstLength, JitterShape, Queue, ReadFile, Rule, RuleKind, Shorthand, no_files,
};
pub(crate) use layout::laid_out;
pub use raw::schema;
pub(crate) use raw::{RawProfile, one_rule, schema_of};
pub use timeline::{Phase, Start, Then, Timeline};

use jostle_common::chance::Direction;

/// The rules that a route applies to its packets, per direction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// A description of the profile, for people.
    pub about: String,
    /// The rules from client to server, over time.
    pub up: Timeline,
    /// The rules from server to client, over time. Its phases are as long as those of `up`.
    pub down: Timeline,
}

impl Profile {
    /// Returns the rules of one direction, over time.
    pub const fn timeline(&self, direction: Direction) -> &Timeline {
        match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        }
    }

    /// Returns the rules of one direction, to be changed.
    pub const fn timeline_mut(&mut self, direction: Direction) -> &mut Timeline {
        match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        }
    }

    /// Returns the same profile without the rules that are disabled, which does the same.
    #[must_use]
    pub fn in_force(&self) -> Self {
        Self { about: self.about.clone(), up: self.up.in_force(), down: self.down.in_force() }
    }

    /// Checks what the rules of a direction may be together: how many there are, and how many
    /// copies they make of a packet.
    ///
    /// # Errors
    /// When there are too many of them, or one acts on sockets in the direction that has none, with
    /// the direction and the remedy.
    pub fn check(&self) -> Result<(), String> {
        if let Some(rule) = self.down.rules().find(|rule| rule.kind.is_for_sockets()) {
            return Err(format!("down: rule \"{}\" {}", rule.key, bounds::ONLY_UP));
        }
        Direction::BOTH.into_iter().try_for_each(|direction| {
            bounds::check(self.timeline(direction)).map_err(|error| format!("{direction}: {error}"))
        })
    }

    /// Returns true if the profile does nothing at all.
    pub fn is_empty(&self) -> bool {
        self.up.is_empty() && self.down.is_empty()
    }
}
