//! The memory of jitter: a Gaussian process in time whose correlation halves with every half-life
//! (Ornstein and Uhlenbeck, Physical Review 36, 1930).
//!
//! Its value is a function of the stream and of time, and of nothing that was asked before. So
//! packets that an earlier rule lost, copies, and late polling change no delay, and a packet's
//! delay can be computed alone. At whole half-lives the process is a walk of innovations drawn by
//! number; between them, midpoints are drawn by their place in the interval (Lévy's construction),
//! down to 1/4096 of a half-life, and below that it runs straight, widened to keep its variance.
//! The last draws are kept, so packets in the order of time cost few draws.

use super::gaussian;
use crate::rules::source::{Origin, Source};
use jostle_common::time::Instant;

/// The number of times that an interval of one half-life is halved.
const LEVELS: usize = 12;
/// A walk begins at most two blocks of so many half-lives back: what lay before has faded to 2^-64,
/// which no float holds.
const BLOCK: u64 = 64;
/// √(1 − ρ²) for the ρ = ½ of one half-life: what an innovation adds to the walk.
const INNOVATION: f64 = 0.866_025_403_784_438_6;

/// A stationary standard Gaussian process with the correlation 2^(−time/half-life).
#[derive(Debug)]
pub(crate) struct Latent {
    source: Source,
    epoch: Instant,
    half_life: u64,
    midpoints: [Midpoint; LEVELS],
    /// The correlation across the shortest interval.
    leaf_correlation: f64,
    walk: Walk,
    cell: Cell,
}

/// The law of a midpoint between its neighbours: their sum times `weight`, plus a variate times
/// `sd`.
#[derive(Clone, Copy, Debug)]
struct Midpoint {
    weight: f64,
    sd: f64,
}

/// The walk over whole half-lives.
#[derive(Debug)]
struct Walk {
    start: u64,
    at: u64,
    value: f64,
}

/// The half-life looked at last.
#[derive(Debug)]
struct Cell {
    index: u64,
    ends: [f64; 2],
    /// The midpoint drawn last at each level, by its number in the cell.
    nodes: [(u64, f64); LEVELS],
    /// The shortest interval looked at last, and the values at its ends.
    leaf: u64,
    leaf_ends: [f64; 2],
}

impl Cell {
    /// No number that a cell, a node or a leaf has.
    const NONE: u64 = u64::MAX;

    const fn new(index: u64, ends: [f64; 2]) -> Self {
        Self { index, ends, nodes: [(Self::NONE, 0.0); LEVELS], leaf: Self::NONE, leaf_ends: ends }
    }
}

impl Latent {
    /// Creates the process of a rule, with a half-life of so many nanoseconds, at least 1.
    pub(crate) fn new(half_life: u64, origin: Origin) -> Self {
        let Origin { source, epoch } = origin;
        let midpoints = std::array::from_fn(|level| {
            // From the midpoint to either neighbour it is 2^-(level + 1) half-lives.
            let correlation = libm::exp2(-libm::ldexp(1.0, -(level as i32 + 1)));
            let square = correlation * correlation;
            Midpoint {
                weight: correlation / (1.0 + square),
                sd: libm::sqrt((1.0 - square) / (1.0 + square)),
            }
        });
        Self {
            source,
            epoch,
            half_life: half_life.max(1),
            midpoints,
            leaf_correlation: libm::exp2(-libm::ldexp(1.0, -(LEVELS as i32))),
            walk: Walk { start: Cell::NONE, at: 0, value: 0.0 },
            cell: Cell::new(Cell::NONE, [0.0; 2]),
        }
    }

    /// Returns the value at a time, which is that of the epoch for times before it.
    pub(crate) fn at(&mut self, at: Instant) -> f64 {
        let elapsed = at.as_nanos().saturating_sub(self.epoch.as_nanos());
        let index = elapsed / self.half_life;
        // Packets come in order of time, nearly: the half-life, its midpoints and the shortest
        // interval looked at last serve the next packet too.
        if index != self.cell.index {
            self.cell = Cell::new(index, [self.grid(index), self.grid(index.saturating_add(1))]);
        }
        // In 4096ths of a half-life, by whole numbers: a float would put a time near a border into
        // one interval here and into the other on another machine.
        let place = u128::from(elapsed % self.half_life) << LEVELS;
        let length = u128::from(self.half_life);
        let leaf = (place / length) as u64;
        if leaf != self.cell.leaf {
            self.cell.leaf = leaf;
            self.cell.leaf_ends = self.descend(leaf);
        }
        let along = (place % length) as f64 / self.half_life as f64;
        self.between(self.cell.leaf_ends, along)
    }

    /// Returns the variate that belongs to a place: node 0 of a cell is its beginning, the others
    /// are midpoints.
    fn variate(&self, cell: u64, node: u64) -> f64 {
        gaussian::variate(self.source.draw_at((cell << LEVELS).wrapping_add(node)).first())
    }

    /// Returns the value after `index` half-lives.
    fn grid(&mut self, index: u64) -> f64 {
        // One to two blocks of steps lead to the value, whichever value is asked for first, and the
        // same ones each time: what a packet gets may not depend on which came before it.
        let start = (index / BLOCK).saturating_sub(1) * BLOCK;
        if self.walk.start != start || self.walk.at > index {
            self.walk = Walk { start, at: start, value: self.variate(start, 0) };
        }
        while self.walk.at < index {
            self.walk.at += 1;
            // Half of the last value, as a half-life has passed, and an innovation that keeps the
            // variance at 1: ρ² + (1 − ρ²).
            self.walk.value = 0.5 * self.walk.value + INNOVATION * self.variate(self.walk.at, 0);
        }
        self.walk.value
    }

    /// Computes the values at the ends of a shortest interval, by halving the cell down to it.
    fn descend(&mut self, leaf: u64) -> [f64; 2] {
        let [mut from, mut to] = self.cell.ends;
        for (level, midpoint) in self.midpoints.iter().enumerate() {
            // Nodes are numbered like a heap: 1 is the middle of the cell, 2 and 3 the middles of
            // its halves; the leading bits of the leaf say which way the path goes.
            let rest = LEVELS - level;
            let node = (1 << level) | (leaf >> rest);
            if self.cell.nodes[level].0 != node {
                let value = (from + to) * midpoint.weight
                    + midpoint.sd * self.variate(self.cell.index, node);
                self.cell.nodes[level] = (node, value);
            }
            let middle = self.cell.nodes[level].1;
            if leaf >> (rest - 1) & 1 == 0 { to = middle } else { from = middle }
        }
        [from, to]
    }

    /// Returns the value `along` (0 to 1) the way through a shortest interval.
    fn between(&self, [from, to]: [f64; 2], along: f64) -> f64 {
        // A straight line between two values has less variance than either, so it is widened to 1:
        // the delay's distribution is promised at every instant.
        let back = 1.0 - along;
        let variance = back * back + along * along + 2.0 * along * back * self.leaf_correlation;
        (back * from + along * to) / libm::sqrt(variance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jostle_common::chance::{Direction, DrawStream};
    use jostle_common::statistics::Moments;

    fn latent(seed: u64, half_life: u64) -> Latent {
        let stream = DrawStream::new(seed, "test", Direction::Up, "delay");
        Latent::new(half_life, Origin { epoch: Instant::from_nanos(77), ..Origin::of_link(stream) })
    }

    #[test]
    fn a_value_depends_on_its_time_alone() {
        for half_life in [1, 100, 5_000, 1_000_000] {
            let times: Vec<u64> =
                (0..3000u64).map(|step| step * step * half_life / 7_000 + step % 3).collect();
            let mut walk = latent(1, half_life);
            let forward: Vec<f64> =
                times.iter().map(|at| walk.at(Instant::from_nanos(*at))).collect();
            let backward: Vec<f64> =
                times.iter().rev().map(|at| walk.at(Instant::from_nanos(*at))).collect();
            assert!(forward.iter().eq(backward.iter().rev()));
            for (at, value) in times.iter().zip(&forward).step_by(97) {
                assert_eq!(
                    latent(1, half_life).at(Instant::from_nanos(*at)).to_bits(),
                    value.to_bits()
                );
            }
        }
    }

    #[test]
    fn it_is_standard_and_correlated_as_stated_at_any_lag() {
        let half_life = 1_000_000.0;
        // In half-lives: below the shortest interval, across it, inside a cell, across cells and
        // across blocks.
        for lag in [0.000_1, 0.000_4, 0.01, 0.3, 1.0, 2.7, 6.0] {
            let (mut values, mut product) = (Moments::default(), Moments::default());
            let mut process = latent(3, half_life as u64);
            // Pairs 40.3 half-lives apart are independent of each other.
            for pair in 0..40_000u64 {
                let at = pair as f64 * 40.3 * half_life;
                let [a, b] =
                    [at, at + lag * half_life].map(|at| process.at(Instant::from_nanos(at as u64)));
                [a, b].iter().for_each(|value| values.add(*value));
                product.add(a * b);
            }
            let expected = libm::exp2(-lag);
            // var(ab) = 1 + ρ²: sd at most 1.42/√40000 = 0.0071; four of them.
            assert!(
                (product.mean() - expected).abs() < 0.0284,
                "{lag}: {} for {expected}",
                product.mean()
            );
            assert!(
                values.mean().abs() < 0.02 && (values.sd() - 1.0).abs() < 0.0142,
                "{lag}: {values:?}"
            );
        }
    }

    #[test]
    fn a_long_silence_costs_no_more_than_a_short_one() {
        let mut process = latent(1, 1);
        let late = process.at(Instant::from_nanos(u64::MAX));
        assert!(late.is_finite() && process.walk.at - process.walk.start <= 2 * BLOCK);
    }
}
