//! A two-state Markov chain that advances by packet number, whose state at any number is a pure function of the stream.
//!
//! Every packet number carries one random number that moves both states at once: each state compares it with its own threshold. Some
//! numbers send both states to the same one, whatever the past was. Walking back from packet *n* to the nearest such number gives the
//! state at *n* without having seen the packets between: coupling from the past (Propp and Wilson 1996). It also makes the chain
//! stationary from the first packet on, as the walk may go back beyond packet 1.

use crate::source::Source;
use jostle_common::units::Probability;

/// A chain with a good and a bad state.
#[derive(Debug)]
pub(super) struct Chain {
    source: Source,
    /// From good to bad.
    enter: Probability,
    /// From bad to bad.
    stay: Probability,
    /// A number whose state is known, so that packets in order cost one step each.
    known: Option<(u64, bool)>,
}

/// What one packet number does to either state.
enum Step {
    /// Both states become this one.
    Become(bool),
    /// Both stay.
    Keep,
    /// Both change.
    Flip,
}

impl Chain {
    /// A chain that goes from good to bad with probability `p` and from bad to good with probability `r`, once per packet.
    pub(super) fn new(source: Source, p: Probability, r: Probability) -> Self {
        Self { source, enter: p, stay: r.complement(), known: None }
    }

    /// Whether the state at packet `number` is bad.
    pub(super) fn is_bad(&mut self, number: u64) -> bool {
        let mut at = number;
        let mut flipped = false;
        let start = loop {
            if let Some((known, state)) = self.known
                && known == at
            {
                break state;
            }
            match self.step(at) {
                Step::Become(state) => break state,
                Step::Keep => {}
                Step::Flip => flipped = !flipped,
            }
            at = at.wrapping_sub(1);
        };
        let state = start != flipped;
        self.known = Some((number, state));
        state
    }

    fn step(&self, number: u64) -> Step {
        let bits = self.source.draw_at(number).first();
        match (self.enter.covers(bits), self.stay.covers(bits)) {
            (true, false) => Step::Flip,
            (false, true) => Step::Keep,
            (state, _) => Step::Become(state),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jostle_common::chance::{Direction, Stream};

    fn chain(p: f64, r: f64) -> Chain {
        let stream = Stream::new(1, "test", Direction::Up, "drop");
        Chain::new(Source::of_link(stream), Probability::new(p).unwrap(), Probability::new(r).unwrap())
    }

    #[test]
    fn the_state_does_not_depend_on_the_order_of_asking() {
        for (p, r) in [(0.01, 0.2), (0.9, 0.8), (0.001, 0.001)] {
            let forward: Vec<bool> = {
                let mut chain = chain(p, r);
                (1..=2000).map(|n| chain.is_bad(n)).collect()
            };
            let mut backward: Vec<bool> = (1..=2000).rev().map(|n| chain(p, r).is_bad(n)).collect();
            backward.reverse();
            assert_eq!(forward, backward);
            let mut skipping = chain(p, r);
            assert!((1..=2000).step_by(37).all(|n| skipping.is_bad(n) == forward[n as usize - 1]));
            assert!(forward.contains(&true) && forward.contains(&false), "{p} {r} shows both states");
        }
    }
}
