//! Goodness of fit: chains that lose packets, how long their runs of losses and of arrivals are by
//! the formulas, and Pearson's test.

use jostle_common::statistics::Z_999;

/// A chain of states with a loss probability each; it moves once before every packet.
#[derive(Clone, Debug)]
pub(crate) struct Losses {
    /// From each state to each.
    pub(crate) transitions: Vec<Vec<f64>>,
    /// The probability that a packet is lost in each state.
    pub(crate) loss: Vec<f64>,
}

/// How often a run had each length, from 1 on.
pub(crate) type Runs = Vec<u64>;

impl Losses {
    /// Each packet on its own.
    pub(crate) fn independent(p: f64) -> Self {
        Self { transitions: vec![vec![1.0]], loss: vec![p] }
    }

    /// A good and a bad state.
    pub(crate) fn two_states(p: f64, r: f64, bad: f64, good: f64) -> Self {
        Self { transitions: vec![vec![1.0 - p, p], vec![r, 1.0 - r]], loss: vec![good, bad] }
    }

    /// A share `mean` of time in bursts of a mean length, seen by packets `gap` apart: exponential
    /// spans, looked at evenly, are a chain.
    pub(crate) fn bursts_of_time(mean: f64, length: f64, gap: f64) -> Self {
        let changes = 1.0 / length + mean / (length * (1.0 - mean));
        let forgotten = 1.0 - libm::exp(-gap * changes);
        Self::two_states(mean * forgotten, (1.0 - mean) * forgotten, 1.0, 0.0)
    }

    /// The four states of netem, in the order gap, arrival in a burst, loss in a burst, loss on its
    /// own.
    pub(crate) fn four_states([p13, p31, p32, p23, p14]: [f64; 5]) -> Self {
        let transitions = vec![
            vec![1.0 - p13 - p14, 0.0, p13, p14],
            vec![0.0, 1.0 - p23, p23, 0.0],
            vec![p31, p32, 1.0 - p31 - p32, 0.0],
            vec![1.0, 0.0, 0.0, 0.0],
        ];
        Self { transitions, loss: vec![0.0, 0.0, 1.0, 1.0] }
    }

    /// A chance for each number of losses in a row.
    pub(crate) fn pattern(chances: &[f64]) -> Self {
        let last = chances.len();
        let mut transitions = vec![vec![0.0; last + 1]; last + 1];
        for (state, row) in transitions.iter_mut().enumerate() {
            let chance = chances[state.min(last - 1)];
            row[0] = 1.0 - chance;
            row[(state + 1).min(last)] += chance;
        }
        Self { transitions, loss: (0..=last).map(|state| f64::from(u8::from(state > 0))).collect() }
    }

    /// The share of time in each state: the rows of a high power of the chain, slowed down by half
    /// so that none goes in circles.
    fn stationary(&self) -> Vec<f64> {
        let states = self.loss.len();
        let mut power: Vec<Vec<f64>> = (0..states)
            .map(|from| {
                (0..states)
                    .map(|to| (self.transitions[from][to] + f64::from(u8::from(from == to))) / 2.0)
                    .collect()
            })
            .collect();
        for _ in 0..50 {
            power = power.iter().map(|row| product(row, &power)).collect();
            for row in &mut power {
                let sum: f64 = row.iter().sum();
                row.iter_mut().for_each(|value| *value /= sum);
            }
        }
        power.swap_remove(0)
    }

    /// Where the chain is after a packet that was lost, or that was not, each with its probability.
    fn step(&self, from: &[f64], lost: bool) -> Vec<f64> {
        let moved = product(from, &self.transitions);
        moved
            .iter()
            .zip(&self.loss)
            .map(|(share, loss)| share * if lost { *loss } else { 1.0 - loss })
            .collect()
    }

    /// The share of packets that is lost.
    pub(crate) fn mean(&self) -> f64 {
        self.step(&self.stationary(), true).iter().sum()
    }

    /// The half-width of the 99.9 % interval of the mean over `count` packets.
    pub(crate) fn margin(&self, count: f64) -> f64 {
        let mean = self.mean();
        let mut after_loss = self.step(&self.stationary(), true);
        let mut covariances = 0.0;
        for _ in 0..200_000 {
            let covariance = self.step(&after_loss, true).iter().sum::<f64>() - mean * mean;
            covariances += covariance;
            after_loss = product(&after_loss, &self.transitions);
            if covariance.abs() < 1e-14 {
                break;
            }
        }
        // A chain that alternates has no variance at all; one packet is what its end may be off.
        Z_999 * libm::sqrt((mean * (1.0 - mean) + 2.0 * covariances).max(0.0) / count) + 1.0 / count
    }

    /// The probability of a run of losses (or of arrivals) of each length from 1 on, up to
    /// `longest`; what is missing to 1 is longer.
    fn run_lengths(&self, lost: bool, longest: usize) -> Vec<f64> {
        let begun = self.step(&self.step(&self.stationary(), !lost), lost);
        let total: f64 = begun.iter().sum();
        let mut still: Vec<f64> = begun.iter().map(|share| share / total).collect();
        let mut lengths = Vec::new();
        while lengths.len() < longest {
            let before: f64 = still.iter().sum();
            still = self.step(&still, lost);
            lengths.push(before - still.iter().sum::<f64>());
        }
        lengths
    }

    /// Pearson's p-value of runs of losses (or of arrivals) against the chain.
    pub(crate) fn fit(&self, lost: bool, runs: &Runs) -> f64 {
        let total: u64 = runs.iter().sum();
        assert!(total >= 200, "{total} runs are too few to judge");
        let expected = self.run_lengths(lost, runs.len());
        let (mut bins, mut seen, mut wanted) = (Vec::new(), 0.0, 0.0);
        let (mut all_seen, mut all_wanted) = (0.0, 0.0);
        for (count, share) in runs.iter().zip(expected) {
            seen += *count as f64;
            wanted += share * total as f64;
            // The usual least for a bin is 5; what is behind must also be enough for one.
            if wanted >= 10.0 && total as f64 - all_wanted - wanted >= 10.0 {
                (all_seen, all_wanted) = (all_seen + seen, all_wanted + wanted);
                bins.push((std::mem::take(&mut seen), std::mem::take(&mut wanted)));
            }
        }
        bins.push((total as f64 - all_seen, total as f64 - all_wanted));
        if runs
            .iter()
            .zip(self.run_lengths(lost, runs.len()))
            .any(|(count, share)| *count > 0 && share < 1e-12)
        {
            return 0.0;
        }
        if bins.len() == 1 {
            return 1.0;
        }
        let squares: f64 =
            bins.iter().map(|(seen, wanted)| (seen - wanted) * (seen - wanted) / wanted).sum();
        chi_square_above(squares, (bins.len() - 1) as f64)
    }
}

fn product(row: &[f64], matrix: &[Vec<f64>]) -> Vec<f64> {
    (0..row.len())
        .map(|to| row.iter().zip(matrix).map(|(share, from)| share * from[to]).sum())
        .collect()
}

/// The probability that a chi-square of so many degrees of freedom is above `x`: the regularised
/// upper incomplete gamma function, by its series below the mean and its continued fraction above
/// (Abramowitz and Stegun 6.5.29 and 6.5.31).
pub(crate) fn chi_square_above(x: f64, degrees: f64) -> f64 {
    let (a, x) = (degrees / 2.0, x / 2.0);
    if x <= 0.0 {
        return 1.0;
    }
    let front = libm::exp(a * libm::log(x) - x - libm::lgamma(a));
    if x < a + 1.0 {
        let (mut term, mut sum) = (1.0 / a, 1.0 / a);
        for n in 1..10_000 {
            term *= x / (a + f64::from(n));
            sum += term;
            if term < sum * 1e-15 {
                break;
            }
        }
        return 1.0 - front * sum;
    }
    // Lentz's method.
    let mut b = x + 1.0 - a;
    let mut c = 1e300;
    let mut d = 1.0 / b;
    let mut fraction = d;
    for n in 1..10_000 {
        let n = f64::from(n);
        let numerator = -n * (n - a);
        b += 2.0;
        d = 1.0 / (numerator * d + b);
        c = b + numerator / c;
        fraction *= c * d;
        if (c * d - 1.0).abs() < 1e-15 {
            break;
        }
    }
    front * fraction
}
