//! A distribution of nanoseconds as its quantile function, tabulated: 64 random bits become a delay
//! by one look-up.
//!
//! The table's steps halve towards either end: each factor of two in the distance from the end of
//! the distribution has 64 of them. So a rare long delay is as exact as a common one. A draw
//! follows the straight lines between the entries, and mean and standard deviation are those of the
//! lines: they are what a user gets, not what a formula meant.

use super::Level;
use std::sync::Arc;

/// Factors of two in the distance from the end. Anything nearer, 1.2 in 10^10 on either side, is
/// rounded to the last entry.
const OCTAVES: usize = 32;
/// log2 of the steps per factor of two.
const STEP_BITS: u32 = 6;
const STEPS: usize = 1 << STEP_BITS;
/// The entries of one side, from the nearest to its end up to the median.
const SIDE: usize = OCTAVES * STEPS + 1;
/// The fraction of a step is taken to so many bits.
const FRACTION_BITS: u32 = 32;

/// A quantile function, tabulated.
#[derive(Clone, Debug)]
pub(super) struct Quantiles {
    /// The quantiles of the lower half outwards in, then those of the upper half outwards in.
    table: Arc<[i64]>,
}

impl Quantiles {
    /// Creates the distribution with the shape of the quantile function `shape`, whatever its own
    /// mean and spread, and with this mean and standard deviation. Nothing is below 0.
    pub(super) fn new(mean: f64, sd: f64, shape: impl Fn(Level) -> f64) -> Self {
        let near = |index: usize| distance(index);
        let below =
            (0..SIDE).map(|index| shape(Level { below: near(index), above: 1.0 - near(index) }));
        let above =
            (0..SIDE).map(|index| shape(Level { below: 1.0 - near(index), above: near(index) }));
        let values: Vec<f64> = below.chain(above).collect();
        let (own_mean, own_sd) = moments(&values);
        let scaled = values.iter().map(|value| mean + sd * (value - own_mean) / own_sd);
        Self { table: scaled.map(|nanos| libm::round(nanos.max(0.0)) as i64).collect() }
    }

    /// Returns the value at the level `bits`/2^64.
    #[inline]
    pub(super) fn at(&self, bits: u64) -> u64 {
        let is_upper = bits >> 63 != 0;
        let from_end = (if is_upper { !bits } else { bits }).max(1 << (63 - OCTAVES));
        let octave = from_end.leading_zeros() - 1;
        // The first bit away, what follows are the step and its fraction.
        let rest = from_end << (octave + 2);
        let step = (rest >> (64 - STEP_BITS)) as usize;
        let fraction = (rest << STEP_BITS) >> (64 - FRACTION_BITS);
        let index = usize::from(is_upper) * SIDE + (OCTAVES - 1 - octave as usize) * STEPS + step;
        let (from, to) = (self.table[index], self.table[index + 1]);
        let way = i128::from(to - from) * i128::from(fraction) + (1 << (FRACTION_BITS - 1));
        (from + (way >> FRACTION_BITS) as i64) as u64
    }

    /// Returns true if both read the same table in memory.
    #[cfg(test)]
    pub(super) fn is_shared_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.table, &other.table)
    }

    /// Returns the mean and the standard deviation of what is drawn.
    pub(super) fn moments(&self) -> (f64, f64) {
        let values: Vec<f64> = self.table.iter().map(|value| *value as f64).collect();
        moments(&values)
    }
}

/// Returns the distance of the entry at `index` of a side from the end of the distribution, as a
/// probability.
fn distance(index: usize) -> f64 {
    let (octave, step) = (index / STEPS, index % STEPS);
    libm::ldexp((STEPS + step) as f64 / STEPS as f64, octave as i32 - OCTAVES as i32 - 1)
}

/// Computes the mean and the standard deviation of the distribution that runs straight between
/// these entries.
fn moments(values: &[f64]) -> (f64, f64) {
    // Mean and mean square of an even distribution between a and b: (a + b)/2 and (a² + ab + b²)/3.
    let mean = expected(values, |a, b| 0.5 * (a + b));
    let variance = expected(values, |a, b| {
        let (a, b) = (a - mean, b - mean);
        (a * a + a * b + b * b) / 3.0
    });
    (mean, libm::sqrt(variance))
}

/// Computes the mean of a function over all steps; `of` gives a step's from its two ends.
fn expected(values: &[f64], of: impl Fn(f64, f64) -> f64) -> f64 {
    let side = |values: &[f64]| -> f64 {
        let steps = values.windows(2).enumerate();
        let inside: f64 = steps
            .map(|(index, ends)| (distance(index + 1) - distance(index)) * of(ends[0], ends[1]))
            .sum();
        inside + distance(0) * of(values[0], values[0])
    };
    let (below, above) = values.split_at(SIDE);
    side(below) + side(above)
}

#[cfg(test)]
mod tests {
    use super::super::gaussian;
    use super::*;

    fn gaussian(level: Level) -> f64 {
        if level.below < level.above {
            gaussian::quantile(level.below)
        } else {
            -gaussian::quantile(level.above)
        }
    }

    #[test]
    fn the_table_is_as_good_as_the_function() {
        let quantiles = Quantiles::new(1e9, 1e8, gaussian);
        let (mean, sd) = quantiles.moments();
        assert!((mean - 1e9).abs() < 0.5 && (sd - 1e8).abs() < 0.5, "{mean} {sd}");
        for step in 1..1_000_000u64 {
            let bits = step * (u64::MAX / 1_000_000);
            let exact = 1e9 + 1e8 * gaussian::quantile(bits as f64 / 18_446_744_073_709_551_616.0);
            assert!((quantiles.at(bits) as f64 - exact).abs() < 5e-5 * 1e8, "{bits}");
        }
        // One in 4·10^9.
        let rare =
            (quantiles.at(1 << 32) as f64 - 1e9) / 1e8 - gaussian::quantile(1.0 / 4_294_967_296.0);
        assert!(rare.abs() < 1e-4, "{rare}");
    }

    #[test]
    fn it_never_falls() {
        let quantiles = Quantiles::new(1e6, 5e5, gaussian);
        let levels =
            (0..64).flat_map(|bit| (0..1000u64).map(move |part| (part << bit).wrapping_add(part)));
        let mut levels: Vec<u64> = levels.flat_map(|level| [level, !level]).collect();
        levels.sort_unstable();
        assert!(levels.iter().map(|level| quantiles.at(*level)).is_sorted());
    }
}
