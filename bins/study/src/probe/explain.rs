//! The course of one packet of a stream, rule by rule.

use super::{Arrival, packet, zeros};
use jostle_common::time::Instant;
use jostle_engine::link::{Drawn, Link, LinkKey, Visit};
use jostle_engine::stage::{Output, Reason, Stage};

/// The course of one packet.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// Its number, from 1.
    pub number: u64,
    /// Its flow.
    pub flow: u32,
    /// Its size in bytes.
    pub size: u32,
    /// The time at which it entered the link.
    pub entered: Instant,
    /// The rules it met, in order, those of its copies among them.
    pub steps: Vec<Step>,
    /// Its exit from the link and those of its copies, in order.
    pub left: Vec<Left>,
}

/// A packet, or a copy of it, at one rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The rule's key.
    pub rule: String,
    /// The rule's kind.
    pub kind: &'static str,
    /// 0 for the packet itself, a number for a copy.
    pub copy: u32,
    /// The time at which it came to the rule.
    pub arrived: Instant,
    /// The time at which it left the rule; `None` if it did not.
    pub went_on: Option<Instant>,
    /// True if the rule looked at it at all: `match`, `flows`, or a packet that skips waits.
    pub looked: bool,
    /// The rule's draw, if its decision follows from one draw.
    pub drawn: Option<Drawn>,
    /// True if the rule chose it: dropped, damaged, copied or held it back.
    pub chosen: bool,
}

/// The exit of a packet, or of a copy of it, from the link.
#[derive(Clone, Debug, PartialEq)]
pub struct Left {
    /// 0 for the packet itself, a number for a copy.
    pub copy: u32,
    /// The time at which it left.
    pub at: Instant,
    /// The reason why it was discarded; `None` if it was delivered.
    pub discarded: Option<Reason>,
    /// The number of its bits that were flipped.
    pub flipped_bits: u32,
    /// True if a rule set CE.
    pub marked: bool,
}

/// Feeds the arrivals of a stream to a new link until everything of packet `number` has left it.
/// `None` if the stream has fewer packets.
pub fn explain(
    mut link: Link,
    arrivals: impl Iterator<Item = Arrival>,
    number: u64,
) -> Option<Explanation> {
    link.watch(number);
    let mut arrival_watched = None;
    let mut left = Vec::new();
    let mut arrivals = arrivals.enumerate();
    let zeros = zeros();
    // What comes later may push it out: reordering waits for packets behind, a queue at its bound
    // discards its head.
    loop {
        let next = arrivals.next().map(|(index, arrival)| (index as u64 + 1, arrival));
        let now = next.map_or(Instant::from_nanos(u64::MAX), |(_, arrival)| arrival.at);
        while let Some(output) = link.poll(now) {
            left.extend(
                Some(output)
                    .filter(|output| output.packet().number == number)
                    .map(|one| leave(&one)),
            );
        }
        let open = arrival_watched.is_some() && !link.is_watched_inside();
        let Some((index, arrival)) = next.filter(|_| !open) else { break };
        if index == number {
            arrival_watched = Some(arrival);
        }
        link.handle(packet(arrival, &zeros));
    }
    let Arrival { at, size, flow, .. } = arrival_watched?;
    let steps = link.visits().iter().map(|visit| step(link.key(), visit)).collect();
    Some(Explanation { number, flow, size, entered: at, steps, left })
}

fn leave(output: &Output) -> Left {
    let packet = output.packet();
    let discarded = match output {
        Output::Deliver(_) => None,
        Output::Discard(_, reason) => Some(*reason),
    };
    let (flipped_bits, marked) = (packet.flipped_bits(), packet.is_marked());
    Left { copy: packet.copy(), at: packet.at, discarded, flipped_bits, marked }
}

fn step(key: &LinkKey, visit: &Visit) -> Step {
    Step {
        rule: visit.rule.key.clone(),
        kind: visit.rule.kind.name(),
        copy: visit.copy,
        arrived: visit.arrived,
        went_on: visit.went_on,
        looked: visit.looked,
        drawn: visit.drawn(key),
        chosen: visit.chosen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{Pace, PacketStream, Spread, Tally, run};
    use jostle_common::chance::Direction;
    use jostle_common::ecn::Ecn;
    use jostle_engine::profile::{Profile, Timeline};
    use std::time::Duration;

    const RULES: &str = r#"{ "up": [
        { "rule": "drop", "chance": "30%" },
        { "rule": "duplicate", "chance": "30%" },
        { "rule": "size", "max": "9KiB", "match": { "first": 3 } },
        { "rule": "rate", "limit": "12Mbit/s" },
        { "rule": "reorder", "chance": "30%" },
        { "rule": "delay", "time": "20ms", "jitter": "5ms" } ] }"#;

    fn parts() -> (LinkKey, Timeline, PacketStream) {
        let key = LinkKey { seed: 7, route: "1".into(), direction: Direction::Up };
        let pace = Pace::Packets("1000/s".parse().unwrap());
        let (spread, ecn) = (Spread::Constant, Ecn::NotEct);
        let stream = PacketStream { pace, size: 1200, spread, flows: 1, ecn };
        (key, Profile::from_json(RULES).unwrap().up, stream)
    }

    #[test]
    fn an_explanation_agrees_with_the_run_and_with_itself() {
        let (key, timeline, stream) = parts();
        let mut link = Link::new(key.clone(), &timeline);
        let mut tally = Tally::new(true, Duration::from_millis(1));
        let mut left = vec![Vec::new(); 201];
        run(&mut link, stream.arrivals(7, Direction::Up).take(200), &mut tally, |_, output| {
            left[output.packet().number as usize].push(leave(output));
        });
        let (mut dropped, mut copied, mut overtaken) = (0, 0, 0);
        for number in 1..=200 {
            let arrivals = stream.arrivals(7, Direction::Up).take(200);
            let told = explain(Link::new(key.clone(), &timeline), arrivals, number).unwrap();
            assert_eq!(told.left, left[number as usize], "{number}");
            assert_eq!(told.steps[0].rule, "drop");
            for step in told.steps.iter().filter(|step| step.looked) {
                if let Some(Drawn { number, below: Some(below) }) = step.drawn {
                    assert_eq!(number < below, step.chosen, "{step:?}");
                }
            }
            let chosen =
                |rule: &str| told.steps.iter().any(|step| step.rule == rule && step.chosen);
            dropped += u32::from(chosen("drop"));
            copied += u32::from(chosen("duplicate"));
            overtaken += u32::from(chosen("reorder"));
            assert_eq!(
                told.steps.iter().any(|step| step.went_on.is_none()),
                chosen("drop"),
                "{told:?}"
            );
            let looked =
                |rule: &str| told.steps.iter().any(|step| step.rule == rule && step.looked);
            assert_eq!(looked("size"), number <= 3 && !chosen("drop"));
        }
        assert!(dropped > 30 && copied > 20 && overtaken > 20, "{dropped} {copied} {overtaken}");
    }

    #[test]
    fn a_packet_that_never_comes_is_not_explained() {
        let (key, timeline, stream) = parts();
        assert_eq!(
            explain(Link::new(key, &timeline), stream.arrivals(7, Direction::Up).take(5), 6),
            None
        );
    }
}
