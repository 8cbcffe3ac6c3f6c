//! The times at which the rules of a link change by themselves.

use crate::profile::{Start, Then, Timeline};
use crate::rules::{Per, Rule, Timing};
use jostle_common::time::nanos;

/// A timeline with the times at which its phases end.
#[derive(Debug)]
pub struct Schedule {
    timeline: Timeline,
    /// The time at which each phase ends, in nanoseconds after the start; one that lasts for ever
    /// has no end here.
    ends: Vec<u64>,
}

impl Schedule {
    /// Takes over a timeline.
    pub fn new(timeline: Timeline) -> Self {
        let mut end = 0u64;
        let ends = timeline.phases.iter().map_while(|phase| {
            end = end.saturating_add(nanos(phase.length?));
            Some(end)
        });
        Self { ends: ends.collect(), timeline }
    }

    /// Returns the number of its phases.
    pub(crate) const fn len(&self) -> usize {
        self.timeline.phases.len()
    }

    /// Returns true if no rule is in force at any time.
    pub(crate) fn is_empty(&self) -> bool {
        self.timeline.is_empty()
    }

    /// Returns true if a rule counts the packets of each flow.
    pub(super) fn counts_flows(&self) -> bool {
        self.timeline.rules().any(|rule| rule.selection.per == Per::Flow)
    }

    /// Returns true if a rule asks for the age of a flow.
    pub(super) fn asks_for_age(&self) -> bool {
        self.timeline.rules().any(|rule| rule.selection.age().is_some())
    }

    /// Returns true if a rule makes copies at any time.
    pub(super) fn makes_copies(&self) -> bool {
        self.timeline.makes_copies()
    }

    /// Returns true if a rule sends packets of its own at any time.
    pub(super) fn sends(&self) -> bool {
        self.timeline.enabled_rules().any(|rule| rule.kind.timing() == Timing::Sending)
    }

    /// Returns the moment from which it counts time.
    pub(crate) const fn start(&self) -> Start {
        self.timeline.start
    }

    /// Returns the rules in force `elapsed` nanoseconds after the start, and the time at which
    /// others follow, if ever.
    pub fn at(&self, elapsed: u64) -> (&[Rule], Option<u64>) {
        let phases = &self.timeline.phases;
        let round = match (self.timeline.then, self.ends.last()) {
            (Then::Repeat, Some(period)) if self.ends.len() == phases.len() => {
                elapsed - elapsed % period
            }
            _ => 0,
        };
        let index = self.ends.partition_point(|end| *end <= elapsed - round);
        let Some(phase) = phases.get(index) else {
            return match self.timeline.then {
                Then::Clear => (&[], None),
                Then::Stay | Then::Repeat => {
                    (phases.last().map_or(&[], |phase| &phase.rules), None)
                }
            };
        };
        let changes = index + 1 < phases.len() || self.changes_at_end();
        let end = self.ends.get(index).filter(|_| changes).map(|end| round.saturating_add(*end));
        (&phase.rules, end)
    }

    /// Returns true if the end of the last phase changes anything.
    fn changes_at_end(&self) -> bool {
        match self.timeline.then {
            Then::Stay => false,
            Then::Repeat => self.timeline.phases.len() > 1,
            Then::Clear => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;

    fn schedule(then: &str) -> Schedule {
        let drop = |every: u32| format!(r#"{{ "rule": "drop", "every": {every} }}"#);
        let text = format!(
            r#"{{ "phases": [ {{ "for": "1ms", "up": [ {} ] }}, {{ "for": "2ms" }} ], "then": "{then}" }}"#,
            drop(2)
        );
        Schedule::new(Profile::from_json(&text).unwrap().up)
    }

    #[test]
    fn phases_end_when_they_say_and_what_follows_is_as_asked() {
        let seen = |then: &str, micros: u64| {
            let schedule = schedule(then);
            let (rules, next) = schedule.at(micros * 1000);
            (rules.len(), next.map(|next| next / 1000))
        };
        for then in ["stay", "repeat", "clear"] {
            assert_eq!((seen(then, 0), seen(then, 999)), ((1, Some(1000)), (1, Some(1000))));
        }
        assert_eq!((seen("stay", 1000), seen("stay", 9000)), ((0, None), (0, None)));
        assert_eq!((seen("clear", 1000), seen("clear", 3000)), ((0, Some(3000)), (0, None)));
        assert_eq!(
            (seen("repeat", 1000), seen("repeat", 3000)),
            ((0, Some(3000)), (1, Some(4000)))
        );
        assert_eq!(seen("repeat", 3_000_000_999), (1, Some(3_000_001_000)));
    }

    #[test]
    fn phases_beyond_the_end_of_time_are_borne() {
        let text = r#"{ "phases": [ { "for": "500years" }, { "for": "500years" }, { "for": "500years" } ], "then": "repeat" }"#;
        let schedule = Schedule::new(Profile::from_json(text).unwrap().up);
        assert_eq!(schedule.at(u64::MAX - 1).1, Some(u64::MAX));
        assert!(schedule.at(u64::MAX).0.is_empty());
    }
}
