//! Which fates somebody wants to be told of.

use crate::fate::{Fate, Loss, Settled};
use crate::sinks::SocketChange;
use jostle_common::chance::Direction;
use std::ops::RangeInclusive;

/// A choice among the fates of packets. What it leaves out is left out on purpose, and not lost.
///
/// ```
/// use jostle_proxy::Selection;
///
/// let selection = Selection::parse("route=web,route=db,fate=discarded,flow=3-5,every=10")?;
/// assert!(!selection.is_all());
/// assert!(Selection::parse("fate=eaten").is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    routes: Vec<String>,
    directions: Vec<Direction>,
    flows: Vec<RangeInclusive<u32>>,
    fates: Vec<WantedFate>,
    /// One of so many consecutive packets; 0 and 1 are all.
    every: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WantedFate {
    Delivered,
    Discarded,
    Lost(Loss),
}

/// The keys, as messages list them.
const KEYS: &str = "route, direction, flow, fate or every";

impl Selection {
    /// Everything.
    pub const ALL: Self = Self {
        routes: Vec::new(),
        directions: Vec::new(),
        flows: Vec::new(),
        fates: Vec::new(),
        every: 1,
    };

    /// Reads pairs of keys and values, parted by commas. Values of one key are alternatives; what a
    /// key asks for has to hold for each key.
    ///
    /// # Errors
    /// When a key or a value is none; the text names it, and says what would be one.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut selection = Self::ALL;
        for pair in text.split(',').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| format!("\"{pair}\" has no value; write {KEYS}, \"=\" and one"))?;
            selection.want(key.trim(), value.trim())?;
        }
        Ok(selection)
    }

    /// Adds a key with its value.
    ///
    /// # Errors
    /// As for [`parse`](Self::parse).
    pub fn want(&mut self, key: &str, value: &str) -> Result<(), String> {
        let wrong = |remedy: &str| format!("{key}: \"{value}\" is none; write {remedy}");
        match key {
            "route" => self.routes.push(value.to_owned()),
            "direction" => {
                let named = Direction::BOTH.into_iter().find(|one| one.name() == value);
                self.directions.push(named.ok_or_else(|| wrong("up or down"))?);
            }
            "flow" => self.flows.push(flows(value).ok_or_else(|| wrong("a number, or 3-5"))?),
            "fate" => self.fates.push(fate(value).ok_or_else(|| {
                let reasons: Vec<&str> = Loss::all().map(Loss::name).collect();
                wrong(&format!("delivered, discarded, or a reason: {}", reasons.join(", ")))
            })?),
            "every" => {
                let every = value.parse().ok().filter(|every| *every > 0);
                self.every = every.ok_or_else(|| wrong("a number from 1 on"))?;
            }
            _ => return Err(format!("\"{key}\" is no key; write {KEYS}")),
        }
        Ok(())
    }

    /// Wants one packet of so many consecutive ones.
    pub const fn sample(&mut self, every: u64) {
        self.every = every;
    }

    /// Returns true if it leaves nothing out.
    pub fn is_all(&self) -> bool {
        let Self { routes, directions, flows, fates, every } = self;
        routes.is_empty()
            && directions.is_empty()
            && flows.is_empty()
            && fates.is_empty()
            && *every <= 1
    }

    /// Returns true if it wants to be told of this fate: a function of the packet alone.
    pub fn wants(&self, settled: &Settled<'_>) -> bool {
        is_one_of(&self.routes, |route| route == settled.route)
            && is_one_of(&self.directions, |direction| *direction == settled.direction)
            && is_one_of(&self.flows, |flows| flows.contains(&settled.packet.flow))
            && is_one_of(&self.fates, |wanted| match (wanted, settled.fate) {
                (WantedFate::Delivered, Fate::Delivered)
                | (WantedFate::Discarded, Fate::Discarded(_)) => true,
                (WantedFate::Lost(reason), Fate::Discarded(loss)) => *reason == loss,
                _ => false,
            })
            && is_sampled(settled.packet.number, self.every)
    }

    /// Returns true if it wants to be told that a flow leaves from a fresh socket: who asks for
    /// fates of a kind or of the other direction does not.
    pub(crate) fn wants_change(&self, change: &SocketChange<'_>) -> bool {
        is_one_of(&self.routes, |route| route == change.route)
            && is_one_of(&self.directions, |direction| *direction == Direction::Up)
            && is_one_of(&self.flows, |flows| flows.contains(&change.flow))
            && self.fates.is_empty()
    }
}

/// Returns true if one of the alternatives holds, or there are none.
fn is_one_of<T>(alternatives: &[T], holds: impl Fn(&T) -> bool) -> bool {
    alternatives.is_empty() || alternatives.iter().any(holds)
}

fn flows(text: &str) -> Option<RangeInclusive<u32>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = first.trim().parse().ok()?..=last.trim().parse().ok()?;
    (!range.is_empty()).then_some(range)
}

fn fate(text: &str) -> Option<WantedFate> {
    match text {
        "delivered" => Some(WantedFate::Delivered),
        "discarded" => Some(WantedFate::Discarded),
        reason => Loss::all().find(|loss| loss.name() == reason).map(WantedFate::Lost),
    }
}

/// Returns true for one of each `every` consecutive numbers, and for those that have none (0).
/// Which one it is differs from block to block: every tenth packet would show all or none of what a
/// rule does to every tenth.
fn is_sampled(number: u64, every: u64) -> bool {
    if every <= 1 || number == 0 {
        return true;
    }
    let (block, place) = ((number - 1) / every, (number - 1) % every);
    place == scattered(block) % every
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014).
const fn scattered(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jostle_common::time::Instant;
    use jostle_common::transport::Transport;
    use jostle_engine::link::{Link, LinkKey};
    use jostle_engine::packet::{Body, Packet};
    use jostle_engine::profile::Timeline;
    use jostle_engine::stage::Reason;

    #[test]
    fn one_of_each_block_is_sampled_and_no_rhythm_shows() {
        for every in [1_u64, 2, 7, 10, 1000] {
            let sampled = |block: u64| {
                (block * every + 1..=(block + 1) * every).filter(|n| is_sampled(*n, every)).count()
            };
            assert!((0..200).all(|block| sampled(block) == 1), "{every}");
        }
        // Of every tenth packet, as a rule may choose them, a tenth is sampled: 1,000 of 10,000,
        // give or take four deviations of 30.
        let tenths = (1..=10_000).filter(|block| is_sampled(block * 10, 10)).count();
        assert!((880..=1120).contains(&tenths), "{tenths}");
        assert!(is_sampled(0, 1_000_000));
    }

    #[test]
    fn each_key_leaves_out_what_it_does_not_name() {
        let key = LinkKey { seed: 1, route: "web".into(), direction: Direction::Up };
        let link = Link::new(key, &Timeline::default());
        let mut packet = Packet::new(4, Instant::START, Body::data("four"));
        packet.number = 12;
        let settled = Settled {
            route: "web",
            transport: Transport::Udp,
            direction: Direction::Up,
            packet: &packet,
            fate: Fate::Discarded(Loss::Link(Reason::Drop)),
            released: Instant::START,
            link: &link,
        };
        let wants = |text: &str| Selection::parse(text).unwrap().wants(&settled);
        for text in [
            "",
            "route=web",
            "route=db,route=web",
            "direction=up",
            "flow=4",
            "flow=1,flow=3-5",
            "fate=discarded",
            "fate=drop",
            "fate=delivered,fate=drop",
            "route=web,direction=up,flow=4,fate=drop,every=1",
        ] {
            assert!(wants(text), "{text}");
        }
        for text in [
            "route=db",
            "direction=down",
            "flow=5",
            "flow=1-3",
            "fate=delivered",
            "fate=no_room",
            "route=web,fate=delivered",
        ] {
            assert!(!wants(text), "{text}");
        }
        assert!(Selection::parse("").unwrap().is_all() && Selection::ALL.is_all());
        for text in ["route=a", "direction=up", "flow=1", "fate=drop", "every=2"] {
            assert!(!Selection::parse(text).unwrap().is_all(), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_the_remedy() {
        for (text, said) in [
            ("web", "\"web\" has no value; write route, direction, flow, fate or every, \"=\""),
            ("rout=web", "\"rout\" is no key; write route"),
            ("flow=5-3", "flow: \"5-3\" is none; write a number, or 3-5"),
            ("flow=-1", "flow: \"-1\" is none"),
            ("fate=lost", "fate: \"lost\" is none; write delivered, discarded, or a reason: drop"),
            ("direction=left", "direction: \"left\" is none; write up or down"),
            ("every=0", "every: \"0\" is none; write a number from 1 on"),
        ] {
            let error = Selection::parse(text).unwrap_err();
            assert!(error.starts_with(said), "{text}: {error}");
        }
    }
}
