//! What a drop model loses in the long run, as a Markov chain that takes one step per packet.
//!
//! Sums in the long run come from the stationary distribution and the fundamental matrix (Kemeny
//! and Snell, "Finite Markov chains", 1960, chapter 4), by elimination: exact but for rounding.

use jostle_common::units::Probability;
use jostle_engine::profile::{BurstLength, Drop};

/// Chains with more states than this are not multiplied out.
const STATES_MAX: usize = 128;

/// A chain whose states lose a packet with a probability each.
#[derive(Clone, Debug, PartialEq)]
pub struct LossModel {
    /// From each state (row) to each state, per packet.
    transitions: Vec<Vec<f64>>,
    /// The probability of loss in each state.
    loss: Vec<f64>,
    /// Whether it has the losses in the right order too, and not their share alone.
    ordered: bool,
}

/// What a model comes to in the long run.
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

/// Longer runs are not told apart.
const LENGTHS_MAX: usize = 4096;

impl LossModel {
    /// The chain of a drop rule. A burst measured in time needs the gap between packets in seconds.
    /// `None` where nothing is stationary: a list of packets, or a burst in time without a gap.
    pub fn of(drop: &Drop, gap: Option<f64>) -> Option<Self> {
        let p = Probability::as_f64;
        Some(match drop {
            Drop::Chance(chance) => Self::independent(p(*chance)),
            Drop::Burst { mean, length: BurstLength::Packets(length) } => {
                let r = 1.0 / length;
                Self::two_states((r * p(*mean) / (1.0 - p(*mean))).min(1.0), r, 1.0, 0.0)
            }
            Drop::Burst { mean, length: BurstLength::Time(length) } => {
                // Two exponential sojourns, looked at every gap: the state is forgotten at the sum
                // of both rates.
                let end = 1.0 / length.as_secs_f64();
                let begin = end * p(*mean) / (1.0 - p(*mean));
                let change = 1.0 - libm::exp(-(begin + end) * gap?);
                Self::two_states(p(*mean) * change, (1.0 - p(*mean)) * change, 1.0, 0.0)
            }
            Drop::GilbertElliott { p: enter, r, loss_bad, loss_good } => {
                Self::two_states(p(*enter), p(*r), p(*loss_bad), p(*loss_good))
            }
            Drop::FourState(states) => {
                let [p13, p31, p32, p23, p14] =
                    [states.p13, states.p31, states.p32, states.p23, states.p14].map(p);
                Self {
                    transitions: vec![
                        vec![1.0 - p13 - p14, 0.0, p13, p14],
                        vec![0.0, 1.0 - p23, p23, 0.0],
                        vec![p31, p32, 1.0 - p31 - p32, 0.0],
                        vec![1.0, 0.0, 0.0, 0.0],
                    ],
                    loss: vec![0.0, 0.0, 1.0, 1.0],
                    ordered: true,
                }
            }
            Drop::Every(n) => return Self::every(*n),
            Drop::Packets(_) => return None,
            Drop::Pattern(chances) => {
                Self::pattern(&chances.iter().map(|chance| p(*chance)).collect::<Vec<_>>())
            }
        })
    }

    /// Each packet on its own.
    pub fn independent(chance: f64) -> Self {
        Self { transitions: vec![vec![1.0]], loss: vec![chance], ordered: true }
    }

    /// A share of the packets, in an order that no chain has.
    pub fn share(share: f64) -> Self {
        Self { ordered: false, ..Self::independent(share) }
    }

    fn two_states(p: f64, r: f64, loss_bad: f64, loss_good: f64) -> Self {
        Self {
            transitions: vec![vec![1.0 - p, p], vec![r, 1.0 - r]],
            loss: vec![loss_good, loss_bad],
            ordered: true,
        }
    }

    /// A wheel of n states; large ones lose one packet in n on their own, as far as anybody can
    /// tell.
    fn every(n: u64) -> Option<Self> {
        let count = usize::try_from(n).ok().filter(|count| *count <= STATES_MAX);
        let Some(count) = count else { return Some(Self::independent(1.0 / n as f64)) };
        let row = |from: usize| {
            (0..count).map(|to| f64::from(u8::from(to == (from + 1) % count))).collect()
        };
        let loss = (0..count).map(|state| f64::from(u8::from(state == count - 1))).collect();
        Some(Self { transitions: (0..count).map(row).collect(), loss, ordered: true })
    }

    /// A state for the fate of the last packet and the losses in a row behind it: state 0 is an
    /// arrival, state k the k-th loss in a row, the last all beyond.
    fn pattern(chances: &[f64]) -> Self {
        let last = chances.len();
        let row = |losses: usize| {
            let chance = chances[losses.min(last - 1)];
            let mut row = vec![0.0; last + 1];
            row[0] = 1.0 - chance;
            row[(losses + 1).min(last)] += chance;
            row
        };
        let loss = (0..=last).map(|losses| f64::from(u8::from(losses > 0))).collect();
        Self { transitions: (0..=last).map(row).collect(), loss, ordered: true }
    }

    /// This chain where the rule looks at each packet only with probability `share`, on its own.
    #[must_use]
    pub fn thinned(mut self, share: f64) -> Self {
        self.loss.iter_mut().for_each(|loss| *loss *= share);
        self
    }

    /// Both chains, side by side and independent: a packet is lost if either loses it. `None` when
    /// there are too many states.
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

    /// What it comes to.
    pub fn losses(&self) -> Losses {
        let weights = self.stationary();
        let share: f64 = weights.iter().zip(&self.loss).map(|(weight, loss)| weight * loss).sum();
        // The weight of each state just behind a loss, and just behind an arrival.
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

    /// The distribution of run lengths, for runs that begin from these weights.
    fn lengths(&self, begins: &[f64], runs: f64) -> Vec<f64> {
        let states = self.loss.len();
        let mut weights: Vec<f64> =
            begins.iter().zip(&self.loss).map(|(weight, loss)| weight * loss / runs).collect();
        let mut alive = 1.0;
        let mut lengths = Vec::new();
        while alive > 1e-6 && lengths.len() < LENGTHS_MAX {
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

    /// The stationary distribution: π(P − I) = 0 with the weights summing to 1.
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

    /// 1 + 2·Σ ρ(k) over all lags k > 0. With z = Σ P^k(l − share), which solves (I − P + 1π)z = l
    /// − share, the covariance at all lags together is Σ π·l·(Pz), and Pz = z − (l − share).
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

#[cfg(test)]
mod tests {
    use super::*;
    use jostle_engine::profile::{Profile, RuleKind};

    fn losses(rule: &str) -> Losses {
        let profile =
            Profile::from_json(&format!(r#"{{ "up": [ {{ "rule": "drop", {rule} }} ] }}"#))
                .unwrap();
        let RuleKind::Drop(drop) = &profile.up.phases[0].rules[0].kind else { panic!() };
        LossModel::of(drop, Some(0.001)).unwrap().losses()
    }

    fn close(value: f64, expected: f64) -> bool {
        (value - expected).abs() < 1e-9 * expected.abs().max(1.0)
    }

    #[test]
    fn long_run_losses_agree_with_the_formulas() {
        // chance p: runs of mean 1/(1 − p).
        let one = losses(r#""chance": "20%""#);
        assert!(
            close(one.share, 0.2) && close(one.burst.unwrap(), 1.25) && close(one.inflation, 1.0)
        );
        // Bursts: λ = 1 − p − r with r = 1/3 and p = r·0.02/0.98.
        let burst = losses(r#""burst": { "mean": "2%", "length": 3 }"#);
        let lambda: f64 = 1.0 - (1.0 / 3.0) * (1.0 + 0.02 / 0.98);
        assert!(close(burst.share, 0.02) && close(burst.burst.unwrap(), 3.0), "{burst:?}");
        assert!(close(burst.inflation, (1.0 + lambda) / (1.0 - lambda)), "{}", burst.inflation);
        assert!(close(burst.lengths[1], (2.0 / 3.0) / 3.0));
        // Gilbert–Elliott: (p·h + r·k)/(p + r).
        let states = losses(
            r#""gilbert_elliott": { "p": "1%", "r": "20%", "loss_bad": "50%", "loss_good": "0.1%" }"#,
        );
        assert!(close(states.share, (0.01 * 0.5 + 0.2 * 0.001) / 0.21), "{states:?}");
        // In time: a share of the time, and at a packet per ms nearly 50 packets each.
        let time = losses(r#""burst": { "mean": "2%", "length": "50ms" }"#);
        assert!(close(time.share, 0.02) && (time.burst.unwrap() - 50.5).abs() < 0.02, "{time:?}");
        let every = losses(r#""every": 10"#);
        assert!(
            close(every.share, 0.1) && close(every.burst.unwrap(), 1.0) && every.inflation < 1e-9
        );
        assert_eq!(losses(r#""every": 1"#).burst, None);
    }

    #[test]
    fn patterns_and_four_states_agree_with_long_hand() {
        // One loss in ten on its own, then one in two: runs of 2, so π = 0.1·2/(1 + 0.1·2) of
        // packets are lost.
        let pattern = losses(r#""pattern": ["10%", "50%"]"#);
        assert!(
            close(pattern.burst.unwrap(), 2.0) && close(pattern.share, 0.2 / 1.2),
            "{pattern:?}"
        );
        // Without states 2 and 4 it is the two-state chain with p13 and p31.
        let simple = losses(r#""four_state": { "p13": "1%", "p31": "25%" }"#);
        assert!(
            close(simple.share, 0.01 / 0.26) && close(simple.burst.unwrap(), 4.0),
            "{simple:?}"
        );
        // netem's formula (tc-netem(8), Salsano et al. 2012).
        let (p13, p31, p32, p23, p14) = (0.05, 0.4, 0.2, 0.5, 0.02);
        let full = losses(
            r#""four_state": { "p13": "5%", "p31": "40%", "p32": "20%", "p23": "50%", "p14": "2%" }"#,
        );
        let sum = p13 * p23 + p14 * p23 * p31 + p23 * p31 + p13 * p32;
        assert!(close(full.share, (p13 * p23 + p14 * p23 * p31) / sum), "{full:?}");
    }

    #[test]
    fn two_rules_lose_together_what_either_loses() {
        let burst = Drop::burst(Probability::new(0.02).unwrap(), 3.0).unwrap();
        let both = LossModel::of(&burst, None).unwrap().with(&LossModel::independent(0.1)).unwrap();
        assert!(close(both.losses().share, 1.0 - 0.98 * 0.9));
        assert!(close(LossModel::independent(0.5).thinned(0.1).losses().share, 0.05));
    }
}
