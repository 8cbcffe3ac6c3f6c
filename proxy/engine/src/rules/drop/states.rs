//! The chains that lose packets: two states (Gilbert and Elliott), four states (netem's), and runs
//! of losses by a pattern.

use super::FourState;
use super::chain::{Model, STATES_MAX};
use jostle_common::units::Probability;
use std::time::Duration;

/// A good state, 0, and a bad one, 1 (Gilbert 1960, Elliott 1963).
#[derive(Debug)]
pub(super) struct TwoStates {
    /// From good to bad, and from bad to bad.
    to_bad: [Probability; 2],
}

impl TwoStates {
    /// Creates a chain that goes from good to bad with probability `p` and from bad to good with
    /// probability `r`, once per packet.
    pub(super) fn new(p: Probability, r: Probability) -> Self {
        Self { to_bad: [p, r.complement()] }
    }
}

/// Returns the transitions (p, r) of a chain that is bad a share `mean` of the time, `length`
/// packets at a time on average: the mean sojourn is 1/r and the share p/(p + r), so r = 1/length
/// and p = r·mean/(1 − mean).
pub(super) fn burst_transitions(mean: Probability, length: f64) -> (Probability, Probability) {
    let r = 1.0 / length;
    let p = r * mean.as_f64() / (1.0 - mean.as_f64());
    // The profile refuses mean > length/(length + 1), where p would pass 1; rounding may.
    let probability = |value: f64| Probability::new(value.min(1.0)).unwrap_or(Probability::NEVER);
    (probability(p), probability(r))
}

/// Returns the mean time between bursts of mean length L that cover a share m of time: L·(1 − m)/m.
/// `None` where all or nothing is lost.
pub(super) fn time_between_bursts(mean: Probability, length: Duration) -> Option<Duration> {
    let mean = mean.as_f64();
    let gap = length.as_secs_f64() * (1.0 - mean) / mean;
    (mean > 0.0 && mean < 1.0).then(|| Duration::try_from_secs_f64(gap).unwrap_or(Duration::MAX))
}

impl Model for TwoStates {
    #[inline]
    fn next(&self, state: u8, bits: u64) -> u8 {
        u8::from(self.to_bad[usize::from(state & 1)].covers(bits))
    }

    fn weights(&self) -> Vec<f64> {
        let [p, stay] = self.to_bad.map(Probability::as_f64);
        // A chain that never leaves either state is good.
        if p == 0.0 { vec![1.0, 0.0] } else { vec![1.0 - stay, p] }
    }
}

/// The four states of netem's `loss state`, numbered from 0: the gap, an arrival within a burst, a
/// loss within a burst, a loss on its own.
#[derive(Debug)]
pub(super) struct FourStates {
    setting: FourState,
    /// From the gap to a loss of either kind.
    gap_loses: Probability,
    /// From a loss within a burst to another, and to anything within it.
    burst_loses: Probability,
    burst_stays: Probability,
}

const GAP: u8 = 0;
const BURST_ARRIVAL: u8 = 1;
const BURST_LOSS: u8 = 2;
const LONE_LOSS: u8 = 3;

impl FourStates {
    pub(super) fn new(setting: FourState) -> Self {
        let FourState { p13, p31, p32, p14, .. } = setting;
        let within =
            |value: f64| Probability::new(value.clamp(0.0, 1.0)).unwrap_or(Probability::NEVER);
        Self {
            setting,
            gap_loses: within(p13.as_f64() + p14.as_f64()),
            burst_loses: within(1.0 - p31.as_f64() - p32.as_f64()),
            burst_stays: p31.complement(),
        }
    }

    /// Returns true if a packet whose state this is was lost.
    pub(super) const fn loses(state: u8) -> bool {
        state >= BURST_LOSS
    }
}

impl Model for FourStates {
    fn next(&self, state: u8, bits: u64) -> u8 {
        match state {
            GAP if self.setting.p13.covers(bits) => BURST_LOSS,
            GAP if self.gap_loses.covers(bits) => LONE_LOSS,
            BURST_ARRIVAL if self.setting.p23.covers(bits) => BURST_LOSS,
            BURST_ARRIVAL => BURST_ARRIVAL,
            BURST_LOSS if self.burst_loses.covers(bits) => BURST_LOSS,
            BURST_LOSS if self.burst_stays.covers(bits) => BURST_ARRIVAL,
            _ => GAP,
        }
    }

    /// Computes the weights of the states from π3/π1 = p13/p31, π2/π3 = p32/p23 and π4/π1 = p14,
    /// multiplied by p31·p23 so that nothing is divided by zero.
    fn weights(&self) -> Vec<f64> {
        let FourState { p13, p31, p32, p23, p14 } = self.setting;
        let [p13, p31, p32, p23, p14] = [p13, p31, p32, p23, p14].map(Probability::as_f64);
        // What is never entered need not be left.
        let p31 = if p13 == 0.0 { 1.0 } else { p31 };
        let p23 = if p32 == 0.0 { 1.0 } else { p23 };
        vec![p31 * p23, p13 * p32, p13 * p23, p14 * p31 * p23]
    }
}

/// A chain whose state is the number of packets lost in a row, up to one more than the pattern
/// tells apart. In state 0 the last packet arrived.
#[derive(Debug)]
pub(super) struct Pattern {
    /// After so many losses in a row; the last holds for all that follow.
    chances: Vec<Probability>,
}

impl Pattern {
    pub(super) fn new(chances: &[Probability]) -> Self {
        let most = chances.len().min(STATES_MAX - 1);
        Self { chances: chances[..most].to_vec() }
    }
}

impl Model for Pattern {
    fn next(&self, state: u8, bits: u64) -> u8 {
        let losses = usize::from(state);
        let Some(chance) = self.chances.get(losses).or_else(|| self.chances.last()) else {
            return 0;
        };
        if chance.covers(bits) { (losses + 1).min(self.chances.len()) as u8 } else { 0 }
    }

    /// Computes the weights: each state is reached from the one before; the last also from itself,
    /// by which a factor 1/(1 − its chance) comes in.
    fn weights(&self) -> Vec<f64> {
        let mut weights = vec![1.0];
        for chance in &self.chances {
            weights.push(weights[weights.len() - 1] * chance.as_f64());
        }
        let again = self.chances.last().map_or(0.0, |chance| chance.as_f64());
        if weights[weights.len() - 1] > 0.0 {
            let last = weights.len() - 1;
            weights[..last].iter_mut().for_each(|weight| *weight *= 1.0 - again);
        }
        weights
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(value: f64) -> Probability {
        Probability::new(value).unwrap()
    }

    /// Returns the weights after one step of the chain, by the share of all bits that leads from
    /// each state to each.
    fn stepped(model: &impl Model) -> (Vec<f64>, Vec<f64>) {
        let weights = model.weights();
        let total: f64 = weights.iter().sum();
        let before: Vec<f64> = weights.iter().map(|weight| weight / total).collect();
        let mut after = vec![0.0; before.len()];
        const STEPS: u64 = 10_000;
        for (state, share) in before.iter().enumerate() {
            for step in 0..STEPS {
                let bits = (u64::MAX / STEPS) * step + u64::MAX / STEPS / 2;
                after[usize::from(model.next(state as u8, bits))] += share / STEPS as f64;
            }
        }
        (before, after)
    }

    #[test]
    fn the_weights_are_stationary() {
        let four = |p13, p31, p32, p23, p14| {
            FourStates::new(FourState {
                p13: p(p13),
                p31: p(p31),
                p32: p(p32),
                p23: p(p23),
                p14: p(p14),
            })
        };
        let check = |model: &dyn Fn() -> (Vec<f64>, Vec<f64>)| {
            let (before, after) = model();
            let off = before.iter().zip(&after).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(off < 1e-3, "{before:?} becomes {after:?}");
        };
        check(&|| stepped(&TwoStates::new(p(0.1), p(0.3))));
        check(&|| stepped(&TwoStates::new(p(0.0), p(0.0))));
        check(&|| stepped(&four(0.1, 0.2, 0.3, 0.4, 0.1)));
        check(&|| stepped(&four(0.0, 0.0, 0.0, 0.0, 0.2)));
        check(&|| stepped(&four(0.3, 0.0, 0.0, 0.0, 0.2)));
        check(&|| stepped(&four(0.3, 0.0, 0.2, 0.0, 0.2)));
        check(&|| stepped(&four(0.2, 0.8, 0.0, 1.0, 0.0)));
        for chances in [
            vec![0.3],
            vec![0.1, 0.9, 0.5],
            vec![0.5, 0.0, 1.0],
            vec![1.0],
            vec![1.0, 0.5, 1.0],
            vec![0.2; 64],
        ] {
            let chances: Vec<Probability> = chances.into_iter().map(p).collect();
            check(&|| stepped(&Pattern::new(&chances)));
        }
    }
}
