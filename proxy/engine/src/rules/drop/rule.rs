//! Loses packets.
//!
//! What depends on packets before counts by number, so copies of a packet share the state of the
//! link and draw only their own luck in it.

use super::chain::Chain;
use super::states::{FourStates, Pattern, TwoStates, burst_transitions, time_between_bursts};
use super::{BurstLength, Drop};
use crate::packet::Packet;
use crate::rules::setting::InstantRule;
use crate::rules::sojourns::Sojourns;
use crate::rules::source::{Firsts, Origin, Source};
use crate::stage::{Reason, Verdict};
use jostle_common::units::{Probability, Threshold};
use std::sync::Arc;

/// A `drop` rule at work.
#[derive(Debug)]
pub(in crate::rules) struct DropRule {
    source: Source,
    model: Model,
}

#[derive(Debug)]
enum Model {
    Chance(Threshold, Firsts),
    /// Loses all in the bad state.
    Bursts(Box<Chain<TwoStates>>),
    /// Loses with the first probability in the bad state, with the second in the good one.
    GilbertElliott(Box<Chain<TwoStates>>, Probability, Probability),
    FourState(Box<Chain<FourStates>>),
    Pattern(Box<Chain<Pattern>>),
    /// Loses all while it is down.
    Spans(Box<Sojourns>),
    Every(u64),
    Packets(Arc<[u64]>),
}

impl DropRule {
    pub(in crate::rules) fn new(setting: &Drop, origin: Origin) -> Self {
        let source = origin.source;
        let by_chance =
            |chance: Probability| Model::Chance(chance.threshold(), Firsts::new(source));
        let two_states = |p, r| Box::new(Chain::new(source, TwoStates::new(p, r)));
        let model = match setting {
            Drop::Chance(chance) => by_chance(*chance),
            Drop::Burst { mean, length: BurstLength::Packets(length) } => {
                let (p, r) = burst_transitions(*mean, *length);
                Model::Bursts(two_states(p, r))
            }
            Drop::Burst { mean, length: BurstLength::Time(length) } => {
                match time_between_bursts(*mean, *length) {
                    Some(gap) => Model::Spans(Box::new(Sojourns::stationary(gap, *length, origin))),
                    None => by_chance(*mean),
                }
            }
            Drop::GilbertElliott { p, r, loss_bad, loss_good } => {
                if *loss_bad == Probability::ALWAYS && loss_good.is_never() {
                    Model::Bursts(two_states(*p, *r))
                } else {
                    Model::GilbertElliott(two_states(*p, *r), *loss_bad, *loss_good)
                }
            }
            Drop::FourState(setting) => {
                Model::FourState(Box::new(Chain::new(source, FourStates::new(*setting))))
            }
            Drop::Pattern(chances) => {
                Model::Pattern(Box::new(Chain::new(source, Pattern::new(chances))))
            }
            Drop::Every(n) => Model::Every(*n),
            Drop::Packets(numbers) => Model::Packets(Arc::clone(numbers)),
        };
        Self { source, model }
    }

    /// Returns true if the packet is one of those that are lost.
    #[inline]
    pub(in crate::rules) fn chooses(&mut self, packet: &Packet) -> bool {
        let number = self.source.number(packet);
        match &mut self.model {
            Model::Chance(chance, firsts) => chance.covers(firsts.of(packet)),
            Model::Bursts(chain) => chain.state(number) == 1,
            Model::GilbertElliott(chain, loss_bad, loss_good) => {
                let loss = if chain.state(number) == 1 { *loss_bad } else { *loss_good };
                // The first 64 bits moved the chain.
                loss.covers(self.source.draw(packet).second())
            }
            Model::FourState(chain) => FourStates::loses(chain.state(number)),
            Model::Pattern(chain) => chain.state(number) > 0,
            Model::Spans(spans) => !spans.at(packet.at).0,
            Model::Every(n) => number.is_multiple_of(*n),
            Model::Packets(numbers) => numbers.binary_search(&number).is_ok(),
        }
    }
}

impl DropRule {
    /// Returns the number of packets at the front of a run that are not lost.
    pub(in crate::rules) fn spares(&mut self, run: &Packet) -> u32 {
        let (first, count) = (self.source.number(run), run.count());
        let until = |found: Option<u32>| found.unwrap_or(count);
        let number = |index: u32| first + u64::from(index);
        match &mut self.model {
            Model::Chance(chance, _) => self.source.misses(run, *chance),
            Model::Bursts(chain) => until((0..count).find(|one| chain.state(number(*one)) == 1)),
            Model::GilbertElliott(chain, loss_bad, loss_good) => until((0..count).find(|one| {
                let number = number(*one);
                let loss = if chain.state(number) == 1 { *loss_bad } else { *loss_good };
                loss.covers(self.source.draw_nth(run, *one).second())
            })),
            Model::FourState(chain) => {
                until((0..count).find(|one| FourStates::loses(chain.state(number(*one)))))
            }
            Model::Pattern(chain) => until((0..count).find(|one| chain.state(number(*one)) > 0)),
            // They come at the same time.
            Model::Spans(spans) => {
                if spans.at(run.at).0 {
                    count
                } else {
                    0
                }
            }
            Model::Every(n) => {
                let next = first.next_multiple_of(*n) - first;
                u32::try_from(next).map_or(count, |next| next.min(count))
            }
            Model::Packets(numbers) => {
                let next = numbers.get(numbers.partition_point(|one| *one < first));
                let next = next.and_then(|next| u32::try_from(next - first).ok());
                next.map_or(count, |next| next.min(count))
            }
        }
    }
}

impl InstantRule for DropRule {
    fn untouched(&mut self, run: &Packet) -> u32 {
        self.spares(run)
    }

    #[inline]
    fn judge(&mut self, packet: &mut Packet) -> Verdict {
        if self.chooses(packet) { Verdict::Discard(Reason::Drop) } else { Verdict::Pass }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Body;
    use jostle_common::chance::{Direction, DrawStream};
    use jostle_common::time::Instant;
    use std::time::Duration;

    fn lost(setting: &Drop, flow: u32, numbers: std::ops::RangeInclusive<u64>) -> Vec<u64> {
        let stream = DrawStream::new(1, "test", Direction::Up, "drop");
        let source = Source::of_link(stream);
        let source = if flow == 0 { source } else { source.of_flow(flow) };
        let mut rule = DropRule::new(setting, Origin { source, epoch: Instant::START });
        numbers
            .filter(|number| {
                let body = Body::data(vec![]);
                // As the third of each three packets of the link.
                let packet = Packet::new(1, Instant::from_millis(*number), body);
                let mut packet = Packet { number: 3 * number, flow_number: *number, ..packet };
                if flow == 0 {
                    packet.number = *number;
                }
                rule.judge(&mut packet) != Verdict::Pass
            })
            .collect()
    }

    #[test]
    fn a_list_loses_exactly_its_packets() {
        let list = Drop::Packets([1, 4, 5, 4711].into());
        assert_eq!(lost(&list, 0, 1..=10_000), [1, 4, 5, 4711]);
    }

    #[test]
    fn a_rule_per_flow_counts_the_packets_of_the_flow() {
        assert_eq!(lost(&Drop::Packets([1, 4].into()), 7, 1..=100), [1, 4]);
        assert_eq!(lost(&Drop::Every(4), 7, 1..=12), [4, 8, 12]);
        let bursts = Drop::burst(Probability::new(0.3).unwrap(), 4.0).unwrap();
        let runs: Vec<u64> = lost(&bursts, 7, 1..=1000);
        assert!((200..400).contains(&runs.len()), "{}", runs.len());
        let joined = runs.windows(2).filter(|pair| pair[1] == pair[0] + 1).count();
        assert!(
            joined * 10 > runs.len() * 6,
            "three of four losses follow another: {joined} of {}",
            runs.len()
        );
    }

    #[test]
    fn bursts_that_lose_nothing_or_alternate_are_possible() {
        let burst = |mean, length| Drop::burst(Probability::new(mean).unwrap(), length).unwrap();
        assert!(lost(&burst(0.0, 3.0), 0, 1..=1000).is_empty());
        let alternate = lost(&burst(0.5, 1.0), 0, 1..=1000);
        assert_eq!(alternate.len(), 500);
        assert!(alternate.windows(2).all(|pair| pair[1] == pair[0] + 2));
        let time = |mean| Drop::Burst {
            mean: Probability::new(mean).unwrap(),
            length: BurstLength::Time(Duration::from_millis(5)),
        };
        assert!(lost(&time(0.0), 0, 1..=1000).is_empty());
        assert_eq!(lost(&time(1.0), 0, 1..=1000).len(), 1000);
        assert!(lost(&time(1e-300), 0, 1..=1000).is_empty());
    }
}
