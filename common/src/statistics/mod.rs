//! The little statistics that reports and tests need.

mod estimate;
mod ratio;
mod round_trips;
mod student;

pub use estimate::{Estimate, Interval, geometric_interval, mean_interval};
pub use ratio::{RatioEstimate, Verdict, confidence_of_each, paired_ratio};
pub use round_trips::{RoundTripMs, RoundTrips};
pub use student::student_t;

/// The two-sided 99.9 % quantile of the normal distribution.
pub const Z_999: f64 = 3.2905;

/// Mean and standard deviation of values that need not be kept (Welford, Technometrics 1962).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    count: u64,
    mean: f64,
    squares: f64,
}

impl Moments {
    /// Takes in a value.
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        let step = value - self.mean;
        self.mean += step / self.count as f64;
        self.squares += step * (value - self.mean);
    }

    /// Takes in the values that another one has (Chan, Golub and LeVeque, 1979).
    pub fn merge(&mut self, other: &Self) {
        let count = self.count + other.count;
        if count == 0 {
            return;
        }
        let (step, share) = (other.mean - self.mean, other.count as f64 / count as f64);
        self.mean += step * share;
        self.squares += other.squares + step * step * self.count as f64 * share;
        self.count = count;
    }

    /// Returns the number of values.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Returns their mean; 0 of none.
    pub const fn mean(&self) -> f64 {
        self.mean
    }

    /// Returns their standard deviation, when they are all there are; 0 of none.
    pub fn population_sd(&self) -> f64 {
        if self.count == 0 { 0.0 } else { libm::sqrt(self.squares / self.count as f64) }
    }

    /// Returns their sample standard deviation; 0 of fewer than two.
    pub fn sd(&self) -> f64 {
        if self.count < 2 { 0.0 } else { libm::sqrt(self.squares / (self.count - 1) as f64) }
    }
}

/// Returns the quantile `q` (0 to 1) of values in ascending order, interpolated between neighbours
/// (type 7 of Hyndman and Fan, 1996); `None` of none.
pub fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let position = q.clamp(0.0, 1.0) * last as f64;
    let below = position as usize;
    let above = (below + 1).min(last);
    Some(sorted[below] + (sorted[above] - sorted[below]) * (position - below as f64))
}

/// Returns the median of values in any order; `None` of none.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    quantile(&sorted, 0.5)
}

/// Returns the geometric mean of positive values; `None` of none.
pub fn geometric_mean(values: &[f64]) -> Option<f64> {
    let logs: f64 = values.iter().map(|value| libm::log(*value)).sum();
    (!values.is_empty()).then(|| libm::exp(logs / values.len() as f64))
}

/// Returns the half-width of the interval around a proportion `p` of `count` trials, `z` standard
/// deviations wide, when the outcome of one trial is correlated with the next by `lambda` and with
/// the k-th next by its k-th power (0 for independent trials).
pub fn proportion_margin(p: f64, count: f64, lambda: f64, z: f64) -> f64 {
    z * libm::sqrt(p * (1.0 - p) / count * (1.0 + lambda) / (1.0 - lambda))
}

/// Returns the interval around the proportion of `hits` among `count` trials, `z` standard
/// deviations wide, when correlation between the trials makes the variance of their mean
/// `inflation` times that of independent ones (Wilson, JASA 1927, with the effective number of
/// trials).
pub fn proportion_interval(hits: u64, count: u64, inflation: f64, z: f64) -> (f64, f64) {
    if count == 0 {
        return (0.0, 1.0);
    }
    let p = hits as f64 / count as f64;
    let n = count as f64 / inflation.max(1e-9);
    let spread = z * z / n;
    let centre = (p + spread / 2.0) / (1.0 + spread);
    let half = z * libm::sqrt(p * (1.0 - p) / n + spread / (4.0 * n)) / (1.0 + spread);
    ((centre - half).max(0.0), (centre + half).min(1.0))
}

/// Returns the first `count` standard normal values of one of a seed's many samples (Box and Muller
/// 1958).
#[cfg(test)]
fn normal_draws(seed: u64, sample: u32, count: u64) -> impl Iterator<Item = f64> {
    let stream =
        crate::chance::DrawStream::new(seed, "statistics", crate::chance::Direction::Up, "normal");
    // The 53 bits that a float holds, in the middle of their interval: never 0, which has no
    // logarithm.
    let unit = |bits: u64| ((bits >> 11) as f64 + 0.5) / 9_007_199_254_740_992.0;
    (0..count).map(move |number| {
        let draw = stream.draw(number, sample, 0);
        let radius = libm::sqrt(-2.0 * libm::log(unit(draw.first())));
        radius * libm::cos(2.0 * std::f64::consts::PI * unit(draw.second()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_moments_are_those_of_all_values() {
        let of = |values: &[f64]| {
            let mut moments = Moments::default();
            values.iter().for_each(|value| moments.add(*value));
            moments
        };
        let (one, other) = ([1.0, 2.0, 4.0], [8.0, 16.0]);
        let mut merged = of(&one);
        merged.merge(&of(&other));
        let all = of(&[one.as_slice(), &other].concat());
        assert_eq!(merged.count(), 5);
        assert!((merged.mean() - all.mean()).abs() < 1e-9);
        assert!((merged.sd() - all.sd()).abs() < 1e-9);
        merged.merge(&Moments::default());
        assert_eq!(merged.count(), 5);
        let mut none = Moments::default();
        none.merge(&merged);
        assert_eq!(none, merged);
    }

    #[test]
    fn moments_agree_with_the_sums() {
        let mut moments = Moments::default();
        [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0].into_iter().for_each(|value| moments.add(value));
        assert_eq!((moments.count(), moments.mean()), (8, 5.0));
        assert!((moments.sd() - (32.0f64 / 7.0).sqrt()).abs() < 1e-12);
        assert!((moments.population_sd() - 2.0).abs() < 1e-12);
        assert_eq!((Moments::default().sd(), Moments::default().population_sd()), (0.0, 0.0));
    }

    #[test]
    fn quantiles_interpolate() {
        assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0], 0.5), Some(2.5));
        assert_eq!(quantile(&[1.0, 2.0], 1.0), Some(2.0));
        assert_eq!((quantile(&[], 0.5), quantile(&[7.0], 0.9)), (None, Some(7.0)));
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
    }

    #[test]
    fn means_and_margins() {
        assert!((geometric_mean(&[0.5, 2.0]).unwrap() - 1.0).abs() < 1e-12);
        assert!((proportion_margin(0.5, 100.0, 0.0, 2.0) - 0.1).abs() < 1e-12);
        assert!(proportion_margin(0.5, 100.0, 0.5, 2.0) > 0.17, "correlation widens it by sqrt(3)");
    }

    #[test]
    fn intervals_around_proportions() {
        // Wilson's 95 % interval for 10 of 100, by the textbook.
        let (low, high) = proportion_interval(10, 100, 1.0, 1.96);
        assert!((low - 0.0552).abs() < 1e-4 && (high - 0.1744).abs() < 1e-4, "{low} {high}");
        let (low, high) = proportion_interval(0, 1000, 1.0, 1.96);
        assert!(low == 0.0 && (0.003..0.004).contains(&high), "{high}");
        let (low, high) = proportion_interval(10, 100, 4.0, 1.96);
        assert!(low < 0.0552 && high > 0.1744, "correlation widens it");
    }
}
