//! The shapes of jitter, as quantile functions of whatever mean and spread.
//!
//! netem's tables are the model of the long-tailed ones, with two differences: netem squeezes what
//! is beyond four times the jitter onto that point (one packet in a hundred), and its tables have
//! 0.82 of the stated spread. Here the tail is cut at a stated quantile, and the cut distribution
//! has the stated mean and spread.

use super::Level;
use super::gaussian;

/// The share of the Pareto distribution that is cut off, at ten times its least value.
const PARETO_CUT: f64 = 0.001;

/// Returns the part of a distribution that is left when a share `below` and a share `above` are cut
/// off.
const fn cut(level: Level, below: f64, above: f64) -> Level {
    let left = 1.0 - below - above;
    Level { below: below + level.below * left, above: above + level.above * left }
}

fn gaussian(level: Level) -> f64 {
    if level.below < level.above {
        gaussian::quantile(level.below)
    } else {
        -gaussian::quantile(level.above)
    }
}

/// Computes Pareto's distribution with exponent 3, as in netem's table, and least value 1.
fn pareto(level: Level) -> f64 {
    1.0 / libm::cbrt(level.above)
}

/// Returns a Gaussian cut on both sides so that either cut lies at `ratio` standard deviations of
/// what is left.
pub(super) fn cut_normal(ratio: f64) -> impl Fn(Level) -> f64 {
    let tail = gaussian::cdf(-gaussian::cut_at(ratio));
    move |level| gaussian(cut(level, tail, tail))
}

/// Computes Pareto's distribution without its last thousandth.
pub(super) fn cut_pareto(level: Level) -> f64 {
    pareto(cut(level, 0.0, PARETO_CUT))
}

/// Computes netem's `paretonormal`: at each level a quarter of the Gaussian's quantile and three
/// quarters of its Pareto's, which is scaled by 4/3. Without the last thousandth on either side.
pub(super) fn cut_pareto_normal(level: Level) -> f64 {
    let level = cut(level, PARETO_CUT, PARETO_CUT);
    0.25 * gaussian(level) + pareto(level)
}
