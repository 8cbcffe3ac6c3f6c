//! A link: one direction of a route, as runs of instant rules between stages.

use crate::packet::Packet;
use crate::stage::{Output, Stage};
use jostle_common::chance::Direction;
use jostle_common::profile::Rule;
use jostle_common::time::Instant;

/// Who a link is: with the rules' keys, all that its draws depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkKey {
    /// The seed of the run, or of the route.
    pub seed: u64,
    /// The route's name, or its ordinal.
    pub route: String,
    /// Which of the route's two links it is.
    pub direction: Direction,
}

/// One direction of a route.
#[derive(Debug)]
pub struct Link {
    key: LinkKey,
}

impl Link {
    /// A link that applies `rules` from top to bottom.
    pub fn new(key: LinkKey, rules: &[Rule]) -> Self {
        let _ = rules;
        Self { key }
    }

    /// Replaces the rules at `now`. Rules of the same key and kind live on with new parameters; a removed stage lets pass what still
    /// comes, behind what it holds, until it is empty.
    pub fn set_rules(&mut self, now: Instant, rules: &[Rule]) {
        let _ = (now, rules);
    }

    /// The key of the rule at `place` (see [`crate::packet::Trace`]).
    pub fn rule_key(&self, place: u8) -> &str {
        let _ = place;
        &self.key.route
    }

    /// Whether packets cross unchanged and at once.
    pub fn is_transparent(&self) -> bool {
        todo!()
    }
}

impl Stage for Link {
    fn handle(&mut self, _packet: Packet) {
        todo!()
    }

    fn poll(&mut self, _now: Instant) -> Option<Output> {
        todo!()
    }

    fn deadline(&self) -> Option<Instant> {
        todo!()
    }

    fn held(&self) -> usize {
        todo!()
    }
}
