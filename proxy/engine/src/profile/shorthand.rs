//! Profiles from the command line: `--drop 5% --delay 20ms`, without a file.

use super::{
    Corrupt, Delay, Drop, Duplicate, Flips, Profile, Queue, Rate, Reorder, Rule, RuleKind,
    Selection, Shape, Timeline,
};
use jostle_common::chance::Direction;
use jostle_common::setting::SettingError;
use jostle_common::units::{BitRate, Probability, Span};
use std::time::Duration;

/// What the shorthands of the command line ask for in one direction. Each becomes one rule.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shorthand {
    /// `--drop`: the share of packets lost.
    pub drop: Option<Probability>,
    /// `--burst`: the mean number of packets lost in a row; without it each packet is lost on its
    /// own.
    pub burst: Option<f64>,
    /// `--duplicate`: the share of packets copied.
    pub duplicate: Option<Probability>,
    /// `--corrupt`: the share of packets with one bit flipped.
    pub corrupt: Option<Probability>,
    /// `--rate`: the speed of the link.
    pub rate: Option<BitRate>,
    /// `--queue`: how much may wait in front of it.
    pub queue: Option<Queue>,
    /// `--delay`: the time to cross the link.
    pub delay: Option<Span>,
    /// `--jitter`: its spread.
    pub jitter: Option<Span>,
    /// `--reorder`: the share of packets overtaken by the next.
    pub reorder: Option<Probability>,
}

impl Shorthand {
    /// These settings, where `own` (those of one direction) says nothing else.
    #[must_use]
    pub fn overridden_by(self, own: Self) -> Self {
        Self {
            drop: own.drop.or(self.drop),
            burst: own.burst.or(self.burst),
            duplicate: own.duplicate.or(self.duplicate),
            corrupt: own.corrupt.or(self.corrupt),
            rate: own.rate.or(self.rate),
            queue: own.queue.or(self.queue),
            delay: own.delay.or(self.delay),
            jitter: own.jitter.or(self.jitter),
            reorder: own.reorder.or(self.reorder),
        }
    }

    /// The rules asked for, always in the order drop, duplicate, corrupt, rate, delay, reorder.
    fn kinds(self) -> Result<Vec<RuleKind>, SettingError> {
        Ok([
            self.drop_kind()?,
            self.duplicate.map(|chance| {
                RuleKind::Duplicate(Duplicate { chance, copies: 1, gap: Duration::ZERO })
            }),
            self.corrupt.map(|chance| {
                RuleKind::Corrupt(Corrupt { flips: Flips::Bits { chance, bits: 1 }, range: None })
            }),
            self.rate_kind()?,
            self.delay_kind()?,
            self.reorder.map(|chance| {
                RuleKind::Reorder(Reorder::Behind {
                    chance,
                    behind: 1,
                    at_most: Reorder::AT_MOST_DEFAULT,
                })
            }),
        ]
        .into_iter()
        .flatten()
        .collect())
    }

    fn drop_kind(self) -> Result<Option<RuleKind>, SettingError> {
        let drop = match (self.drop, self.burst) {
            (None, None) => return Ok(None),
            (None, Some(_)) => {
                return Err(SettingError::new(
                    "--burst",
                    "there is no loss to shape; add --drop 5%, say",
                ));
            }
            (Some(chance), None) => Drop::Chance(chance),
            (Some(mean), Some(length)) => Drop::burst(mean, length)
                .map_err(|(_, problem)| SettingError::new("--burst", problem))?,
        };
        Ok(Some(RuleKind::Drop(drop)))
    }

    fn rate_kind(self) -> Result<Option<RuleKind>, SettingError> {
        if self.rate.is_none() && self.queue.is_some() {
            return Err(SettingError::new(
                "--queue",
                "there is no rate to queue at; add --rate 10Mbit/s, say",
            ));
        }
        Ok(self
            .rate
            .map(|limit| RuleKind::Rate(Rate { queue: self.queue, ..Rate::constant(limit) })))
    }

    fn delay_kind(self) -> Result<Option<RuleKind>, SettingError> {
        let Some(Span(time)) = self.delay else {
            return match self.jitter {
                None => Ok(None),
                Some(_) => Err(SettingError::new(
                    "--jitter",
                    "there is no delay to spread; add --delay 20ms, say",
                )),
            };
        };
        let jitter = self.jitter.map_or(Duration::ZERO, |jitter| jitter.0);
        let delay = Delay::drawn(time, jitter, Shape::Uniform);
        delay.check().map_err(|problem| SettingError::new("--jitter", problem))?;
        Ok(Some(RuleKind::Delay(delay)))
    }
}

impl Profile {
    /// This profile with the shorthands' rules in front. They are called `--drop`, `--delay` and so
    /// on, so they change no draw of the profile's own rules.
    ///
    /// # Errors
    /// When a shorthand asks for something impossible; the place is the option.
    pub fn with_shorthands(mut self, up: Shorthand, down: Shorthand) -> Result<Self, SettingError> {
        for (direction, shorthand) in [(Direction::Up, up), (Direction::Down, down)] {
            let timeline = match direction {
                Direction::Up => &mut self.up,
                Direction::Down => &mut self.down,
            };
            put_in_front(timeline, &shorthand.kinds()?);
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
            let key = format!("--{}", kind.name());
            Rule { key, ordinal, selection: Selection::default(), kind: kind.clone() }
        });
        let front: Vec<Rule> = front.collect();
        phase.rules.splice(0..0, front);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half() -> Option<Probability> {
        Probability::new(0.5)
    }

    #[test]
    fn shorthands_stand_in_front_in_a_fixed_order_and_keep_the_profiles_keys() {
        let profile =
            Profile::from_json(r#"{ "up": [ { "rule": "drop", "chance": "1%" } ] }"#).unwrap();
        let all = Shorthand {
            drop: half(),
            burst: Some(3.0),
            duplicate: half(),
            corrupt: half(),
            rate: BitRate::new(1000),
            queue: Some(Queue::Packets(50)),
            delay: Some(Span(Duration::from_millis(5))),
            jitter: Some(Span(Duration::from_millis(1))),
            reorder: half(),
        };
        let mixed = profile.with_shorthands(all, Shorthand::default()).unwrap();
        let keys: Vec<&str> = mixed.up.rules().map(|rule| rule.key.as_str()).collect();
        assert_eq!(
            keys,
            ["--drop", "--duplicate", "--corrupt", "--rate", "--delay", "--reorder", "drop"]
        );
        assert!(mixed.down.is_empty());
        let RuleKind::Rate(rate) = &mixed.up.phases[0].rules[3].kind else { panic!() };
        assert_eq!(rate.queue, Some(Queue::Packets(50)));
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
        assert_eq!(
            refused(Shorthand { burst: Some(3.0), ..Shorthand::default() }),
            "--burst: there is no loss to shape; add --drop 5%, say"
        );
        assert_eq!(
            refused(Shorthand { queue: Some(Queue::Packets(5)), ..Shorthand::default() }),
            "--queue: there is no rate to queue at; add --rate 10Mbit/s, say"
        );
        assert_eq!(
            refused(Shorthand {
                drop: Probability::new(0.9),
                burst: Some(3.0),
                ..Shorthand::default()
            }),
            "--burst: bursts of 3 packets cannot lose more than 75%; write a longer burst or a lower mean"
        );
    }
}
