//! The shapes of jitter with their distributions, and how far what was drawn is from one.

use std::f64::consts::FRAC_1_SQRT_2;

/// The share of delays at or below so many milliseconds.
pub(crate) type Distribution = fn(f64) -> f64;

/// The shapes, each as a rule of 50 ms ± 10 ms without its closing brace, and its distribution
/// function of milliseconds.
pub(crate) const SHAPES: [(&str, Distribution); 5] = [
    (r#"{ "rule": "delay", "time": "50ms", "jitter": "10ms""#, uniform),
    (r#"{ "rule": "delay", "time": "50ms", "jitter": "10ms", "shape": "normal""#, normal),
    (r#"{ "rule": "delay", "time": "50ms", "jitter": "10ms", "shape": "pareto""#, pareto),
    (
        r#"{ "rule": "delay", "time": "50ms", "jitter": "10ms", "shape": "paretonormal""#,
        pareto_normal,
    ),
    (
        r#"{ "rule": "delay", "time": "50ms", "jitter": "10ms", "table": [16384, -8192, 0, 4096, -4096, 0, 0, 8192]"#,
        table,
    ),
];

fn gaussian(z: f64) -> f64 {
    0.5 * libm::erfc(-z * FRAC_1_SQRT_2)
}

fn uniform(delay: f64) -> f64 {
    ((delay - 40.0) / 20.0).clamp(0.0, 1.0)
}

/// Cut at 0 and 100, five standard deviations away: sigma before the cut is 10·(1 + 7.4·10^-6).
fn normal(delay: f64) -> f64 {
    gaussian((delay - 50.0) / 10.000_074).clamp(0.0, 1.0)
}

/// Exponent 3 from 1 to 10, moved and scaled. With s = 10^-3: mean 1.5·(1 − s^⅔)/(1 − s), mean
/// square 3·(1 − s^⅓)/(1 − s).
fn pareto(delay: f64) -> f64 {
    let (mean, square) = (1.5 * 0.99 / 0.999, 3.0 * 0.9 / 0.999);
    let x: f64 = mean + (delay - 50.0) / 10.0 * f64::sqrt(square - mean * mean);
    ((1.0 - x.max(1.0).powi(-3)) / 0.999).min(1.0)
}

/// z/4 + (1 − Φ(z))^(−⅓) for a Gaussian z without its outer thousandths, moved and scaled. Mean and
/// sd by numerical integration.
fn pareto_normal(delay: f64) -> f64 {
    let x = 1.486_973_78 + (delay - 50.0) / 10.0 * 0.907_893_23;
    let (mut low, mut high) = (-3.090_232, 3.090_232);
    for _ in 0..40 {
        let z: f64 = 0.5 * (low + high);
        if 0.25 * z + 1.0 / libm::cbrt(gaussian(-z)) < x { low = z } else { high = z }
    }
    (gaussian(low) - 0.001) / 0.998
}

/// The share of the entries that lie at or below the delay.
fn table(delay: f64) -> f64 {
    let entries = [70.0, 40.0, 50.0, 55.0, 45.0, 50.0, 50.0, 60.0];
    entries.iter().filter(|entry| **entry <= delay).count() as f64 / 8.0
}

/// √n times the largest distance between the delays' distribution and the stated one (Kolmogorov
/// and Smirnov). For a distribution with steps both sides of a step are looked at, which makes the
/// distance smaller if anything.
pub(crate) fn distance(mut delays: Vec<u64>, distribution: Distribution) -> f64 {
    delays.sort_unstable();
    let count = delays.len() as f64;
    let mut largest: f64 = 0.0;
    for equal in delays.chunk_by(|a, b| a == b) {
        let end = delays.partition_point(|delay| *delay <= equal[0]) as f64;
        let at = equal[0] as f64 / 1e6;
        let (below, up_to) = (distribution(at - 1e-9), distribution(at));
        largest = largest
            .max((below - (end - equal.len() as f64) / count).abs())
            .max((up_to - end / count).abs());
    }
    largest * count.sqrt()
}

/// The distance that one run in ten thousand exceeds: 2·exp(−2·d²) = 10^-4.
pub(crate) const DISTANCE_MAX: f64 = 2.226;
