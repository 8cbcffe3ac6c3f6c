//! Profiles from the command line: `--drop 5% --delay 20ms`, without a file.

use super::{Profile, Rule, RuleKind, Shorthand, Timeline};
use crate::rules::{KINDS, KindEntry, Match, Per, Selection};
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
    pub fn with_shorthands(self, up: Shorthand, down: Shorthand) -> Result<Self, SettingError> {
        self.with_chosen_shorthands([(up, None), (down, None)])
    }

    /// Does the same with shorthands, up and down, that look at what is chosen alone.
    ///
    /// # Errors
    /// When a shorthand asks for something impossible, or a rule on streams would have to look at
    /// packets; the place is the option.
    pub fn with_chosen_shorthands(
        mut self,
        shorthands: [(Shorthand, Option<Match>); 2],
    ) -> Result<Self, SettingError> {
        for (direction, (shorthand, chosen)) in Direction::BOTH.into_iter().zip(shorthands) {
            let kinds = kinds(&shorthand)?;
            let streams = kinds.iter().find(|kind| kind.is_for_streams());
            let of_packets = chosen.as_ref().is_some_and(|chosen| !chosen.is_of_flows_alone());
            if let Some(kind) = streams.filter(|_| of_packets) {
                let problem = format!(
                    "--{} acts on the stream of a TCP connection, which has no packets to look at; \
                     choose connections by client, target, flow and age alone",
                    kind.name()
                );
                return Err(SettingError::new("--only", problem));
            }
            put_in_front(self.timeline_mut(direction), &kinds, chosen.as_ref());
        }
        Ok(self)
    }
}

/// Puts rules of these kinds in front of every phase, for what is chosen alone.
fn put_in_front(timeline: &mut Timeline, kinds: &[RuleKind], chosen: Option<&Match>) {
    for phase in &mut timeline.phases {
        let front = kinds.iter().map(|kind| {
            // Counted behind the profile's own, which keep their ordinals.
            let ordinal =
                phase.rules.iter().filter(|rule| rule.kind.name() == kind.name()).count() as u32;
            let key = format!("{}{}", Rule::SHORTHAND, kind.name());
            let per = if kind.is_for_streams() { Per::Flow } else { Per::Link };
            let selection = Selection { per, matching: chosen.cloned(), ..Selection::default() };
            let kind = kind.clone();
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
    use jostle_common::units::{BitRate, ByteSize, Probability, Span};
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
            stall: Some(ByteSize::new(1000)),
            reset: Some(Span(Duration::from_millis(7))),
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
                "--stall",
                "--reset",
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
    fn chosen_shorthands_look_at_what_is_chosen_alone() {
        let chosen = |pairs: &[&str]| {
            let pairs: Vec<String> = pairs.iter().map(|pair| (*pair).to_owned()).collect();
            Match::from_pairs("--only", &pairs)
        };
        let reset = Shorthand { reset: Some(Span(Duration::ZERO)), ..Shorthand::default() };
        let drop = Shorthand { drop: half(), ..Shorthand::default() };
        let third = chosen(&["flow=3", "client=127.0.0.2,10.0.0.0/8"]).unwrap();
        let profile = Profile::default()
            .with_chosen_shorthands([(reset, Some(third)), (drop, None)])
            .unwrap();
        let matching = r#""match":{"flow":3,"client":["127.0.0.2","10.0.0.0/8"]}"#;
        let reset_rule = format!(r#"{{"rule":"reset","name":"--reset","after":"0s",{matching}}}"#);
        let drop_rule = r#"{"rule":"drop","name":"--drop","chance":"50%"}"#;
        let text = format!(r#"{{"up":[{reset_rule}],"down":[{drop_rule}]}}"#);
        assert_eq!(profile.to_value().to_string(), text);
        assert_eq!(Profile::from_json(&text).unwrap(), profile);
        let first = chosen(&["first=10"]).unwrap();
        let error = Profile::default()
            .with_chosen_shorthands([(reset, Some(first)), (reset, None)])
            .unwrap_err();
        assert!(error.to_string().starts_with("--only: --reset acts on the stream"), "{error}");
        for (pairs, says) in [
            (&["127.0.0.2"][..], "--only: \"127.0.0.2\" has no value; write client=127.0.0.2, say"),
            (
                &["port=3"],
                "--only: there is no \"port\" to choose by; write client, target, flow, age, first or after",
            ),
            (
                &["flow=3", "flow=4"],
                "--only: flow is here twice, and all that is given has to hold; write alternatives once, with commas between",
            ),
            (&["first=x"], "--only: first: \"x\" is no number; write first=10, say"),
            (
                &["client=localhost"],
                "--only: client: \"localhost\" is a name, and clients have addresses alone; write 127.0.0.2 or 10.0.0.0/8",
            ),
            (
                &["age=2s"],
                "--only: age: \"2s\" is one moment; write \"2s..\" from then on, or \"..2s\" up to then",
            ),
            (&["flow=0"], "--only: flow: there is no flow 0; the first one is 1"),
        ] {
            assert_eq!(chosen(pairs).unwrap_err().to_string(), says);
        }
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
            "--jitter: a normal jitter of 20ms does not fit between 0 and twice 20ms; write at \
             most 57% of the time"
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
