//! The true effect of netem's correlated random numbers: the frequency of an event of a stated
//! probability.
//!
//! The kernel's `get_crandom` mixes a fresh even number with the one before, next = (1 − ρ)·U +
//! ρ·last, and compares the result with a threshold. An average of even numbers is no even number:
//! it keeps to the middle, so a threshold far from 50 % is hit far too rarely.

/// Cells of the grid. At 16,384 a loss of 0.1 % still spans 16 of them.
const CELLS: usize = 16_384;
/// Of the error of the first guess nothing is left after this many turns at any correlation below
/// [`NEARLY_ONE`].
const TURNS_MAX: usize = 1_500;
/// Turns end when no value moves by more than this.
const STEP_MIN: f64 = 1e-12;
/// From here on so many draws are mixed that the sum is a Gaussian.
const NEARLY_ONE: f64 = 0.98;

/// Returns the frequency with which netem's generator says yes when it is asked for `chance` with a
/// `correlation` (both 0 to 1).
///
/// With F the distribution of the mixed number x, F(x) is the mean of F over the interval from (x −
/// 1 + ρ)/ρ to x/ρ, as integration by parts of P(U ≤ (x − ρ·last)/(1 − ρ)) shows; the even
/// distribution is iterated until F stands still.
pub(super) fn true_chance(chance: f64, correlation: f64) -> f64 {
    // At a correlation of 1 the first number is kept for ever.
    if correlation <= 0.0 || correlation >= 1.0 || chance <= 0.0 || chance >= 1.0 {
        return chance;
    }
    if correlation > NEARLY_ONE {
        let sd = libm::sqrt((1.0 - correlation) / (12.0 * (1.0 + correlation)));
        return libm::erfc((0.5 - chance) / (sd * std::f64::consts::SQRT_2)) / 2.0;
    }
    let mut grid: Vec<f64> = (0..=CELLS).map(position).collect();
    let mut integral = vec![0.0; CELLS + 1];
    for _ in 0..TURNS_MAX {
        for cell in 0..CELLS {
            integral[cell + 1] =
                integral[cell] + (grid[cell] + grid[cell + 1]) / (2.0 * CELLS as f64);
        }
        let mut moved: f64 = 0.0;
        for (cell, value) in grid.iter_mut().enumerate() {
            let x = position(cell);
            let from = (x - 1.0 + correlation) / correlation;
            let to = x / correlation;
            let mean =
                (area(&integral, to) - area(&integral, from)) * correlation / (1.0 - correlation);
            moved = moved.max((mean - *value).abs());
            *value = mean;
        }
        if moved < STEP_MIN {
            break;
        }
    }
    interpolated(&grid, chance)
}

fn position(cell: usize) -> f64 {
    cell as f64 / CELLS as f64
}

/// Returns the integral of F from 0 to `x`: F is 0 below 0 and 1 above 1.
fn area(integral: &[f64], x: f64) -> f64 {
    if x <= 0.0 {
        0.0
    } else if x >= 1.0 {
        integral[CELLS] + (x - 1.0)
    } else {
        interpolated(integral, x)
    }
}

fn interpolated(values: &[f64], x: f64) -> f64 {
    let cell = ((x * CELLS as f64) as usize).min(CELLS - 1);
    let rest = x * CELLS as f64 - cell as f64;
    values[cell] + (values[cell + 1] - values[cell]) * rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_draws_of_the_kernels_formula() {
        // Percent asked, correlation, percent counted in 2·10^7 to 10^9 draws of next = (U·(2^32 −
        // ρ − 1) + last·(ρ + 1)) >> 32.
        for (asked, correlation, counted, within) in [
            (1.0, 0.10, 0.019, 0.001),
            (1.0, 0.25, 0.000_243, 0.000_005),
            (2.0, 0.25, 0.006, 0.001),
            (5.0, 0.10, 1.256, 0.003),
            (5.0, 0.25, 0.1939, 0.0006),
            (5.0, 0.50, 0.001_61, 0.000_02),
            (10.0, 0.25, 1.75, 0.01),
            (10.0, 0.50, 0.107, 0.002),
            (20.0, 0.50, 2.94, 0.01),
            (25.0, 0.50, 6.945, 0.004),
            (20.0, 0.75, 0.117, 0.003),
            (30.0, 0.25, 23.3, 0.05),
            (30.0, 0.75, 3.2, 0.05),
            (30.0, 0.90, 0.09, 0.01),
            (50.0, 0.90, 50.0, 0.001),
        ] {
            let found = true_chance(asked / 100.0, correlation) * 100.0;
            assert!(
                (found - counted).abs() < within,
                "{asked}% at {correlation}: {found} for {counted}"
            );
        }
    }

    #[test]
    fn is_exact_at_the_ends_and_symmetric() {
        assert_eq!(true_chance(0.05, 0.0), 0.05);
        assert_eq!(true_chance(1.0, 0.5), 1.0);
        assert_eq!(true_chance(0.0, 0.5), 0.0);
        // Where the Gaussian takes over, nothing jumps.
        let (below, above) = (true_chance(0.4, 0.979), true_chance(0.4, 0.981));
        assert!((below - above).abs() < 5e-4, "{below} {above}");
        let sum = true_chance(0.1, 0.3) + true_chance(0.9, 0.3);
        assert!((sum - 1.0).abs() < 1e-6, "{sum}");
    }
}
