//! The moments at which one rule acts on one flow.

use crate::rules::{Origin, Rebind, Sojourns, Source};
use jostle_common::time::{Instant, nanos};
use std::time::Duration;

/// The moments of a rule in the life of a flow, in order.
#[derive(Debug)]
pub(super) struct Moments {
    /// One that stands for itself: the first, or when the rule came into force.
    once: Option<Instant>,
    /// Set if the rule acts on what stands when it comes into force.
    at_once: bool,
    then: Then,
}

/// The moments behind the first.
#[derive(Debug)]
enum Then {
    Never,
    /// At a time and always so much later.
    Period(Instant, u64),
    /// At the ends of spans that are drawn.
    Drawn(Box<Sojourns>),
}

impl Moments {
    /// Returns those of a rule and a flow that began at `began`.
    pub(super) fn new(setting: &Rebind, source: Source, began: Instant) -> Self {
        let Rebind { first, every, random, .. } = *setting;
        let once = first.map(|first| began + first);
        let then = match every {
            None => Then::Never,
            Some(every) if random => Then::Drawn(Box::new(drawn(every, source, once, began))),
            Some(every) => Then::Period(once.unwrap_or(began) + every, nanos(every)),
        };
        Self { once, at_once: first.is_none() && every.is_none(), then }
    }

    /// Notes that the rule has come into force under the flow.
    pub(super) fn come_into_force(&mut self, now: Instant) {
        if self.at_once {
            self.once = Some(now);
        }
    }

    /// Returns the first one at `from` or later. `from` never goes back.
    pub(super) fn from(&mut self, from: Instant) -> Option<Instant> {
        if let Some(once) = self.once.filter(|once| *once >= from) {
            return Some(once);
        }
        match &mut self.then {
            Then::Never => None,
            Then::Period(first, period) => {
                let passed = nanos(from.since(*first)).div_ceil(*period);
                Some(first.plus_nanos(passed.saturating_mul(*period)))
            }
            Then::Drawn(spans) => {
                // A span ends behind the time that is asked about.
                let before = Instant::from_nanos(from.as_nanos().saturating_sub(1));
                let (_, end) = spans.at(before);
                Some(end)
            }
        }
    }
}

/// Returns spans of which each, up or down, ends in a moment.
fn drawn(every: Duration, source: Source, first: Option<Instant>, began: Instant) -> Sojourns {
    let origin = Origin { source, epoch: first.unwrap_or(began) };
    Sojourns::starting_up(every, every, true, origin)
}
