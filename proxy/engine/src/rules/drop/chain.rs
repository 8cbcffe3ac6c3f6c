//! A Markov chain that advances by packet number, whose state at any number is a pure function of
//! the stream.
//!
//! Every packet number carries one random number that moves all states at once. Walking back from
//! packet *n* and composing these moves soon sends all states to the same one, whatever the past
//! was: coupling from the past (Propp and Wilson 1996). So the state at *n* is found without having
//! seen the packets between. Chains exist that never couple (one that changes its state with every
//! packet, say); at the numbers that are multiples of [`ANCHOR`], 0 among them, the chain therefore
//! starts anew from its stationary distribution, which no packet can tell from a chain that went on
//! but by a burst in 2^20 packets that is cut short.

use crate::rules::source::Source;
use jostle_common::units::Probability;

/// The steps of a chain, apart from its draws.
pub(super) trait Model {
    /// Returns the state that `state` moves to with these random bits.
    fn next(&self, state: u8, bits: u64) -> u8;

    /// Returns the share of the time that each state holds in the long run, up to a common factor.
    /// At most [`STATES_MAX`] of them, not all zero.
    fn weights(&self) -> Vec<f64>;
}

/// The most states of a chain: a pattern of 64 chances, and the state behind each.
pub(super) const STATES_MAX: usize = 65;

/// The number of packets after which the chain starts anew; no walk is longer.
const ANCHOR: u64 = 1 << 20;

/// The number of the last states that are kept for packets that come a little out of order.
const RECENT: u64 = 64;

/// A chain and where it is.
#[derive(Debug)]
pub(super) struct Chain<M> {
    source: Source,
    model: M,
    /// The states that occur, each with the share of itself and of those before it.
    stationary: Vec<(u8, Probability)>,
    /// The states at the numbers from `oldest` to `latest`, by number modulo [`RECENT`].
    recent: [u8; RECENT as usize],
    oldest: u64,
    latest: u64,
}

impl<M: Model> Chain<M> {
    /// Creates the chain of `model` in its stationary state.
    pub(super) fn new(source: Source, model: M) -> Self {
        let weights = model.weights();
        let stationary = cumulative(&weights);
        let mut chain =
            Self { source, model, stationary, recent: [0; RECENT as usize], oldest: 0, latest: 0 };
        chain.recent[0] = chain.anew(0);
        chain
    }

    /// Returns the state at packet `number`.
    #[inline]
    pub(super) fn state(&mut self, number: u64) -> u8 {
        if number == self.latest + 1 {
            return self.advance();
        }
        self.state_out_of_order(number)
    }

    /// Moves to the number behind the latest, and returns its state.
    #[inline]
    fn advance(&mut self) -> u8 {
        let number = self.latest + 1;
        let state = if number.is_multiple_of(ANCHOR) {
            self.anew(number)
        } else {
            self.model.next(self.recent(self.latest), self.bits(number))
        };
        self.latest = number;
        self.oldest = self.oldest.max((number + 1).saturating_sub(RECENT));
        self.recent[(number % RECENT) as usize] = state;
        state
    }

    fn state_out_of_order(&mut self, number: u64) -> u8 {
        if (self.oldest..=self.latest).contains(&number) {
            return self.recent(number);
        }
        if number > self.latest && number - self.latest <= RECENT {
            // A little ahead: the states between are kept, for their packets may still come.
            while self.latest + 1 < number {
                self.advance();
            }
            return self.advance();
        }
        let state = self.walked(number);
        // The memory begins anew at a jump ahead; a packet from far behind leaves it as it is.
        if number > self.latest {
            (self.oldest, self.latest) = (number, number);
            self.recent[(number % RECENT) as usize] = state;
        }
        state
    }

    const fn recent(&self, number: u64) -> u8 {
        self.recent[(number % RECENT) as usize]
    }

    const fn bits(&self, number: u64) -> u64 {
        self.source.draw_at(number).first()
    }

    /// Returns the state drawn for an anchor.
    fn anew(&self, number: u64) -> u8 {
        let bits = self.bits(number);
        let drawn = self.stationary.iter().find(|(_, share)| share.covers(bits));
        drawn.or_else(|| self.stationary.last()).map_or(0, |(state, _)| *state)
    }

    /// Computes the state at `number`, by walking back to where it no longer depends on the past.
    fn walked(&self, number: u64) -> u8 {
        // Where each state at `at` has led to by `number`.
        let mut leads_to: [u8; STATES_MAX] = std::array::from_fn(|state| state as u8);
        let mut at = number;
        loop {
            if at.is_multiple_of(ANCHOR) {
                return leads_to[usize::from(self.anew(at))];
            }
            if (self.oldest..=self.latest).contains(&at) {
                return leads_to[usize::from(self.recent(at))];
            }
            let (bits, before) = (self.bits(at), leads_to);
            for (state, _) in &self.stationary {
                leads_to[usize::from(*state)] = before[usize::from(self.model.next(*state, bits))];
            }
            let mut ends = self.stationary.iter().map(|(state, _)| leads_to[usize::from(*state)]);
            let first = ends.next().unwrap_or_default();
            // All states lead to the same one, so the draws before cannot matter.
            if ends.all(|end| end == first) {
                return first;
            }
            at -= 1;
        }
    }
}

/// Lists the states of positive weight from the last to the first, which puts those that lose most
/// in front: then a model that loses more starts in a losing state wherever one that loses less
/// does.
fn cumulative(weights: &[f64]) -> Vec<(u8, Probability)> {
    let total: f64 = weights.iter().sum();
    let mut sum = 0.0;
    let occurring = weights.iter().enumerate().rev().filter(|(_, weight)| **weight > 0.0);
    occurring
        .map(|(state, weight)| {
            sum += weight;
            (state as u8, Probability::new((sum / total).min(1.0)).unwrap_or(Probability::ALWAYS))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::FourState;
    use super::super::states::{FourStates, Pattern, TwoStates};
    use super::*;
    use jostle_common::chance::{Direction, DrawStream};

    fn p(value: f64) -> Probability {
        Probability::new(value).unwrap()
    }

    fn chain<M: Model>(model: M) -> Chain<M> {
        Chain::new(Source::of_link(DrawStream::new(1, "test", Direction::Up, "drop")), model)
    }

    /// Asks for the states around `from` forward, backward and with gaps.
    fn asked_in_any_order<M: Model>(make: impl Fn() -> M, from: u64) -> Vec<u8> {
        let numbers = from..from + 700;
        let mut steady = chain(make());
        let forward: Vec<u8> = numbers.clone().map(|number| steady.state(number)).collect();
        let mut backward: Vec<u8> =
            numbers.clone().rev().map(|number| chain(make()).state(number)).collect();
        backward.reverse();
        assert_eq!(forward, backward);
        for step in [2, 37, 64, 65, 66, 200] {
            let mut skipping = chain(make());
            for number in numbers.clone().step_by(step) {
                let index = (number - from) as usize;
                assert_eq!(skipping.state(number), forward[index]);
                // And one that was overtaken.
                let late = number.saturating_sub(step as u64 / 2 + 1).max(from);
                assert_eq!(
                    skipping.state(late),
                    forward[(late - from) as usize],
                    "{number} then {late}"
                );
            }
        }
        forward
    }

    #[test]
    fn the_state_does_not_depend_on_the_order_of_asking() {
        for from in [1, ANCHOR - 300, 5 * ANCHOR + 1] {
            for (enter, leave) in [(0.01, 0.2), (0.9, 0.8), (0.05, 0.05)] {
                let states = asked_in_any_order(|| TwoStates::new(p(enter), p(leave)), from);
                assert!(
                    states.contains(&0) && states.contains(&1),
                    "{enter} {leave} shows both states"
                );
            }
            let four =
                FourState { p13: p(0.1), p31: p(0.2), p32: p(0.3), p23: p(0.4), p14: p(0.1) };
            let states = asked_in_any_order(|| FourStates::new(four), from);
            assert!((0..4).all(|state| states.contains(&state)), "all four occur");
            let pattern: Vec<Probability> =
                (0..64).map(|index| p(0.9 - 0.005 * f64::from(index))).collect();
            let states = asked_in_any_order(|| Pattern::new(&pattern), from);
            assert!(states.contains(&0) && states.iter().any(|state| *state > 8));
        }
    }

    #[test]
    fn a_chain_that_never_couples_ends_its_walk_at_an_anchor() {
        // Each of these once walked back for ever.
        let mut flips = chain(TwoStates::new(p(1.0), p(1.0)));
        let far = 1_000_000_000_000;
        let (one, two) = (flips.state(far), flips.state(far + 200));
        assert_eq!(one, two, "it changes with every packet");
        assert_ne!(one, flips.state(far + 1001));
        let mut stays = chain(TwoStates::new(p(0.0), p(0.0)));
        assert_eq!(stays.state(far), 0);
        let stuck = FourState { p13: p(1.0), p31: p(0.0), p32: p(0.0), p23: p(0.0), p14: p(0.0) };
        assert_eq!(chain(FourStates::new(stuck)).state(far), 2);
    }

    #[test]
    fn the_first_state_is_stationary() {
        let four = FourState { p13: p(0.1), p31: p(0.2), p32: p(0.3), p23: p(0.4), p14: p(0.1) };
        let mut counts = [0u32; 4];
        for seed in 0..20_000 {
            let source = Source::of_link(DrawStream::new(seed, "test", Direction::Up, "drop"));
            counts[usize::from(Chain::new(source, FourStates::new(four)).state(1))] += 1;
        }
        // 1, 3/8, 1/2 and 1/10 of 1.975.
        for (count, weight) in counts.into_iter().zip([1.0, 0.375, 0.5, 0.1]) {
            let share = weight / 1.975;
            let (mean, sd) = (20_000.0 * share, libm::sqrt(20_000.0 * share * (1.0 - share)));
            assert!((f64::from(count) - mean).abs() < 4.0 * sd, "{counts:?}");
        }
    }
}
