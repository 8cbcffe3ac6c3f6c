//! Profiles from the command line: `--drop 5% --delay 20ms`, without a file.

use super::{Profile, Rule, RuleKind, Shorthand, Timeline};
use crate::rules::{KINDS, KindEntry, Selection};
use jostle_common::chance::Direction;
use jostle_common::setting::SettingError;

/// The order in which the rules apply, whatever their order on the line: what is lost needs no copy
/// and no damage, and flying packets are no queue, so the delay stands behind the rate. Other kinds
/// come last.
const ORDER: [&str; 7] = ["drop", "mark", "duplicate", "corrupt", "rate", "delay", "reorder"];

/// Makes the rules that the shorthands ask for, in the order in which they apply.
fn kinds(shorthand: &Shorthand) -> Result<Vec<RuleKind>, SettingError> {
    let place = |name| ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len());
    let mut entries: Vec<&KindEntry> = KINDS.iter().collect();
    entries.sort_by_key(|entry| place(entry.name));
    let rules = entries.into_iter().map(|entry| (entry.from_shorthand)(shorthand));
    rules.filter_map(Result::transpose).collect()
}

impl Profile {
    /// Returns this profile with the shorthands' rules in front. They are called `--drop`,
    /// `--delay` and so on, so they change no draw of the profile's own rules.
    ///
    /// # Errors
    /// When a shorthand asks for something impossible; the place is the option.
    pub fn with_shorthands(mut self, up: Shorthand, down: Shorthand) -> Result<Self, SettingError> {
        for (direction, shorthand) in [(Direction::Up, up), (Direction::Down, down)] {
            put_in_front(self.timeline_mut(direction), &kinds(&shorthand)?);
        }
        Ok(self)
    }
}

/// Puts rules of these kinds in front of every phase.
fn put_in_front(timeline: &mut Timeline, kinds: &[RuleKind]) {
    for phase in &mut timeline.phases {
        let front = kinds.iter().map(|kind| {
            // Counted behind the profile's own, which keep their ordinals.
            let ordinal =
                phase.rules.iter().filter(|rule| rule.kind.name() == kind.name()).count() as u32;
            let key = format!("{}{}", Rule::SHORTHAND, kind.name());
            let (selection, kind) = (Selection::default(), kind.clone());
            Rule { key, ordinal, selection, kind, enabled: true, toxic: None }
        });
        let front: Vec<Rule> = front.collect();
        phase.rules.splice(0..0, front);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{BurstLength, Delay, DelaySource, JitterShape, Queue, Shape};
    use jostle_common::units::{BitRate, Probability, Span};
    use std::time::Duration;

    fn half() -> Option<Probability> {
        Probability::new(0.5)
    }

    #[test]
    fn shorthands_stand_in_front_in_a_fixed_order_and_keep_the_profiles_keys() {
        let profile =
            Profile::from_json(r#"{ "up": [ { "rule": "drop", "chance": "1%" } ] }"#).unwrap();
        let all = Shorthand {
            drop: half(),
            burst: Some(BurstLength::Packets(3.0)),
            mark: half(),
            duplicate: half(),
            corrupt: half(),
            rate: BitRate::new(1000),
            queue: Some(Queue::Packets(50)),
            delay: Some(Span(Duration::from_millis(5))),
            jitter: Some(Span(Duration::from_millis(1))),
            shape: Some(JitterShape::Normal),
            jitter_memory: Some(Span(Duration::from_millis(50))),
            allow_reorder: Some(true),
            reorder: half(),
        };
        let mixed = profile.with_shorthands(all, Shorthand::default()).unwrap();
        let keys: Vec<&str> = mixed.up.rules().map(|rule| rule.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "--drop",
                "--mark",
                "--duplicate",
                "--corrupt",
                "--rate",
                "--delay",
                "--reorder",
                "drop"
            ]
        );
        assert!(mixed.down.is_empty());
        let RuleKind::Rate(rate) = &mixed.up.phases[0].rules[4].kind else { panic!() };
        assert_eq!(rate.queue, Some(Queue::Packets(50)));
        let RuleKind::Delay(delay) = &mixed.up.phases[0].rules[5].kind else { panic!() };
        let [time, jitter, memory] = [5, 1, 50].map(Duration::from_millis);
        let source = DelaySource::Drawn { time, jitter, shape: Shape::Normal, memory };
        assert_eq!(*delay, Delay { source, reorder: true, holds_ends: true, path: None });
    }

    #[test]
    fn one_direction_overrides_both() {
        let both = Shorthand { drop: half(), ..Shorthand::default() };
        let own = Shorthand { drop: Some(Probability::ALWAYS), ..Shorthand::default() };
        assert_eq!(both.overridden_by(own).drop, Some(Probability::ALWAYS));
        assert_eq!(both.overridden_by(Shorthand::default()), both);
    }

    #[test]
    fn a_rate_of_its_own_keeps_the_queue_of_both() {
        let queue = |packets| Some(Queue::Packets(packets));
        let both = Shorthand { rate: BitRate::new(1000), queue: queue(5), ..Shorthand::default() };
        let faster = Shorthand { rate: BitRate::new(2000), ..Shorthand::default() };
        assert_eq!(both.overridden_by(faster), Shorthand { queue: queue(5), ..faster });
        let longer = Shorthand { queue: queue(9), ..Shorthand::default() };
        assert_eq!(both.overridden_by(longer), Shorthand { queue: queue(9), ..both });
    }

    #[test]
    fn what_makes_no_sense_alone_is_refused() {
        let refused = |shorthand: Shorthand| {
            Profile::default()
                .with_shorthands(shorthand, Shorthand::default())
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            refused(Shorthand {
                jitter: Some(Span(Duration::from_millis(1))),
                ..Shorthand::default()
            }),
            "--jitter: there is no delay to spread; add --delay 20ms, say"
        );
        let delay = Some(Span(Duration::from_millis(20)));
        let about = |option: &str| {
            format!("{option}: it is about jitter, and there is none; add --jitter 5ms, say")
        };
        assert_eq!(
            refused(Shorthand { delay, shape: Some(JitterShape::Normal), ..Shorthand::default() }),
            about("--shape")
        );
        assert_eq!(
            refused(Shorthand { delay, jitter_memory: delay, ..Shorthand::default() }),
            about("--jitter-memory")
        );
        assert_eq!(
            refused(Shorthand { allow_reorder: Some(true), ..Shorthand::default() }),
            about("--allow-reorder")
        );
        assert_eq!(
            refused(Shorthand {
                delay,
                jitter: delay,
                shape: Some(JitterShape::Normal),
                ..Shorthand::default()
            }),
            "--jitter: a normal jitter of 20ms does not fit between 0 and twice 20ms; write at most \
             57% of the time"
        );
        assert_eq!(
            refused(Shorthand { burst: Some(BurstLength::Packets(3.0)), ..Shorthand::default() }),
            "--burst: there is no loss to shape; add --drop 5%, say"
        );
        assert_eq!(
            refused(Shorthand { queue: Some(Queue::Packets(5)), ..Shorthand::default() }),
            "--queue: there is no rate to queue at; add --rate 10Mbit/s, say"
        );
        assert_eq!(
            refused(Shorthand {
                drop: Probability::new(0.9),
                burst: Some(BurstLength::Packets(3.0)),
                ..Shorthand::default()
            }),
            "--burst: bursts of 3 packets cannot lose more than 75%; write a longer burst or a \
             lower mean"
        );
    }
}
