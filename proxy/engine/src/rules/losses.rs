//! Losses in the long run, by a Markov chain that takes one step per packet.
//!
//! Sums in the long run come from the stationary distribution and the fundamental matrix (Kemeny
//! and Snell, "Finite Markov chains", 1960, chapter 4), by elimination: exact but for rounding.

use jostle_common::words::fine_percent;
use std::time::Duration;

/// Chains with more states than this are not multiplied out.
const STATES_MAX: usize = 128;

/// A chain whose states lose a packet with a probability each.
#[derive(Clone, Debug, PartialEq)]
pub struct LossModel {
    /// From each state (row) to each state, per packet.
    transitions: Vec<Vec<f64>>,
    /// The probability of loss in each state.
    loss: Vec<f64>,
    /// True if it has the losses in the right order too, and not their share alone.
    ordered: bool,
}

/// The losses that a model comes to in the long run.
#[derive(Clone, Debug, PartialEq)]
pub struct Losses {
    /// The share of packets lost.
    pub share: f64,
    /// The mean number of losses in a row; `None` if they never end or never begin, or only their
    /// share is known.
    pub burst: Option<f64>,
    /// By how much correlation widens the variance of the share that many packets lose.
    pub inflation: f64,
    /// The probabilities that a run of losses has length 1, 2, 3 …; cut where the rest is below a
    /// millionth.
    pub lengths: Vec<f64>,
}

impl Losses {
    /// Says them in half a sentence: "loses 2% of packets, 3.00 in a row on average".
    pub fn words(&self) -> String {
        format!("loses {}", self.amount())
    }

    /// Says how many: "2% of packets, 3.00 in a row on average".
    pub fn amount(&self) -> String {
        let burst = match self.burst {
            Some(burst) if burst < 1.0005 => ", never two in a row".to_owned(),
            Some(burst) => format!(", {burst:.2} in a row on average"),
            None => String::new(),
        };
        format!("{} of packets{burst}", fine_percent(self.share))
    }
}

/// Longer runs are not told apart.
const LENGTHS_MAX: usize = 4096;

impl LossModel {
    /// Creates a model that loses each packet on its own.
    pub fn independent(chance: f64) -> Self {
        Self { transitions: vec![vec![1.0]], loss: vec![chance], ordered: true }
    }

    /// Creates a model that loses a share of the packets, in an order that no chain has.
    pub fn share(share: f64) -> Self {
        Self { ordered: false, ..Self::independent(share) }
    }

    /// Makes a chain of these transitions, whose states lose a packet with a probability each.
    pub(super) const fn chain(transitions: Vec<Vec<f64>>, loss: Vec<f64>) -> Self {
        Self { transitions, loss, ordered: true }
    }

    /// Makes a chain that loses everything during a share `mean` of the time, `length` at a time on
    /// average, where packets come every `gap` seconds: two exponential sojourns, looked at every
    /// gap, whose state is forgotten at the sum of both rates.
    pub(super) fn burst_in_time(mean: f64, length: Duration, gap: f64) -> Self {
        let end = 1.0 / length.as_secs_f64();
        let begin = end * mean / (1.0 - mean);
        let change = 1.0 - libm::exp(-(begin + end) * gap);
        Self::two_states(mean * change, (1.0 - mean) * change, 1.0, 0.0)
    }

    /// Makes a chain of a good and a bad state, with transitions `p` to bad and `r` to good.
    pub(super) fn two_states(p: f64, r: f64, loss_bad: f64, loss_good: f64) -> Self {
        Self {
            transitions: vec![vec![1.0 - p, p], vec![r, 1.0 - r]],
            loss: vec![loss_good, loss_bad],
            ordered: true,
        }
    }

    /// Returns this chain where the rule looks at each packet only with probability `share`, on its
    /// own.
    #[must_use]
    pub fn thinned(mut self, share: f64) -> Self {
        self.loss.iter_mut().for_each(|loss| *loss *= share);
        self
    }

    /// Joins both chains, side by side and independent: a packet is lost if either loses it. `None`
    /// when there are too many states.
    pub fn with(&self, other: &Self) -> Option<Self> {
        let (n, m) = (self.loss.len(), other.loss.len());
        if n * m > STATES_MAX {
            return None;
        }
        let row = |from: usize| {
            let (a, b) = (&self.transitions[from / m], &other.transitions[from % m]);
            a.iter().flat_map(|a| b.iter().map(move |b| a * b)).collect()
        };
        let survive = |state: usize| (1.0 - self.loss[state / m]) * (1.0 - other.loss[state % m]);
        Some(Self {
            transitions: (0..n * m).map(row).collect(),
            loss: (0..n * m).map(|state| 1.0 - survive(state)).collect(),
            ordered: self.ordered && other.ordered,
        })
    }

    /// Computes the losses that it comes to.
    pub fn losses(&self) -> Losses {
        let weights = self.stationary();
        let share: f64 = weights.iter().zip(&self.loss).map(|(weight, loss)| weight * loss).sum();
        // The weight of each state just behind a packet of a fate.
        let behind = |fate: &dyn Fn(f64) -> f64| -> Vec<f64> {
            (0..self.loss.len())
                .map(|to| {
                    let sources = weights.iter().zip(&self.loss).zip(&self.transitions);
                    sources.map(|((weight, loss), row)| weight * fate(*loss) * row[to]).sum()
                })
                .collect()
        };
        let begins = behind(&|loss| 1.0 - loss);
        let runs: f64 = begins.iter().zip(&self.loss).map(|(weight, loss)| weight * loss).sum();
        let has_runs = self.ordered && runs > 1e-15 && share > 0.0;
        Losses {
            share,
            burst: has_runs.then(|| share / runs),
            inflation: self.inflation(&weights, share),
            lengths: if has_runs { self.lengths(&begins, runs) } else { Vec::new() },
        }
    }

    /// Computes the distribution of run lengths, for runs that begin from these weights.
    fn lengths(&self, begins: &[f64], runs: f64) -> Vec<f64> {
        let states = self.loss.len();
        let mut weights: Vec<f64> =
            begins.iter().zip(&self.loss).map(|(weight, loss)| weight * loss / runs).collect();
        let mut alive = 1.0;
        let mut lengths = Vec::new();
        while alive > 1e-6 && lengths.len() < LENGTHS_MAX {
            // The runs that go on: one more step of the chain, and lost again.
            let next: Vec<f64> = (0..states)
                .map(|to| {
                    let arrive: f64 = weights
                        .iter()
                        .zip(&self.transitions)
                        .map(|(weight, row)| weight * row[to])
                        .sum();
                    arrive * self.loss[to]
                })
                .collect();
            let still = next.iter().sum();
            lengths.push(alive - still);
            (alive, weights) = (still, next);
        }
        lengths
    }

    /// Computes the stationary distribution: π(P − I) = 0 with the weights summing to 1.
    fn stationary(&self) -> Vec<f64> {
        let n = self.loss.len();
        let mut rows: Vec<Vec<f64>> = (0..n)
            .map(|to| {
                let column = self.transitions.iter().map(|row| row[to]);
                let own = (0..n).map(|from| f64::from(u8::from(from == to)));
                column.zip(own).map(|(p, one)| p - one).chain([0.0]).collect()
            })
            .collect();
        // One equation is spare; the sum takes its place.
        rows[n - 1] = vec![1.0; n + 1];
        solve(rows)
    }

    /// Computes 1 + 2·Σ ρ(k) over all lags k > 0. With z = Σ P^k(l − share), which solves (I − P +
    /// 1π)z = l − share, the covariance at all lags together is Σ π·l·(Pz), and Pz = z − (l −
    /// share).
    fn inflation(&self, weights: &[f64], share: f64) -> f64 {
        let variance = share * (1.0 - share);
        if variance <= 0.0 {
            return 1.0;
        }
        let n = self.loss.len();
        let rows = (0..n).map(|from| {
            let entry = |to: usize| {
                f64::from(u8::from(from == to)) - self.transitions[from][to] + weights[to]
            };
            (0..n).map(entry).chain([self.loss[from] - share]).collect()
        });
        let z = solve(rows.collect());
        let covariance: f64 =
            (0..n).map(|i| weights[i] * self.loss[i] * (z[i] - (self.loss[i] - share))).sum();
        (1.0 + 2.0 * covariance / variance).max(0.0)
    }
}

/// Solves linear equations, each a row of coefficients and its right side, by elimination with the
/// largest pivot.
fn solve(mut rows: Vec<Vec<f64>>) -> Vec<f64> {
    let n = rows.len();
    for pivot in 0..n {
        let largest =
            (pivot..n).max_by(|a, b| rows[*a][pivot].abs().total_cmp(&rows[*b][pivot].abs()));
        rows.swap(pivot, largest.unwrap_or(pivot));
        let head = rows[pivot].clone();
        // No equation is left for this unknown, which becomes 0.
        if head[pivot] == 0.0 {
            continue;
        }
        for (index, row) in rows.iter_mut().enumerate() {
            let factor = row[pivot] / head[pivot];
            if index != pivot && factor != 0.0 {
                row.iter_mut().zip(&head).for_each(|(entry, above)| *entry -= factor * above);
            }
        }
    }
    (0..n)
        .map(
            |index| {
                if rows[index][index] == 0.0 { 0.0 } else { rows[index][n] / rows[index][index] }
            },
        )
        .collect()
}
