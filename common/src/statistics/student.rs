//! The t distribution of Student (Biometrika 1908): how far the mean of a few values may be from
//! the true one.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI};

/// Up to here the finite sum is taken; beyond, the series is right to 1 part in 10^9, even at a
/// confidence of 1 − 10^-12.
const DEGREES_SUMMED_MAX: u64 = 500;

/// Returns the two-sided quantile of the t distribution: with probability `confidence`, a value of
/// `degrees` degrees of freedom lies within plus and minus this many standard errors. 12.706 for
/// 0.95 and 1 degree, 1.960 for 0.95 and very many.
///
/// Right to 1 part in 10^9 for confidences up to 1 − 10^-6. Infinite without a degree of freedom,
/// and for a confidence of 1 and more or none at all (NaN); 0 for a confidence of 0 and less.
pub fn student_t(confidence: f64, degrees: u64) -> f64 {
    if degrees == 0 || confidence.is_nan() || confidence >= 1.0 {
        f64::INFINITY
    } else if degrees <= DEGREES_SUMMED_MAX {
        inverse(confidence, |t| share_within(t, degrees))
    } else {
        let normal = inverse(confidence, |z| libm::erf(z * FRAC_1_SQRT_2));
        from_normal(normal, degrees as f64)
    }
}

/// Returns the share of the t distribution between −`t` and `t` (Abramowitz and Stegun 1964, 26.7.3
/// and 26.7.4).
fn share_within(t: f64, degrees: u64) -> f64 {
    let root = libm::sqrt(degrees as f64);
    let hypotenuse = libm::hypot(t, root);
    let (sine, cosine) = (t / hypotenuse, root / hypotenuse);
    let is_odd = degrees % 2 == 1;
    let (mut term, mut sum) = if is_odd { (cosine, 0.0) } else { (1.0, 0.0) };
    // Odd: 1, 2/3, (2·4)/(3·5) …; even: 1, 1/2, (1·3)/(2·4) …, each with two more cosines.
    for step in 1..=degrees / 2 {
        sum += term;
        let even = 2.0 * step as f64;
        let factor = if is_odd { even / (even + 1.0) } else { (even - 1.0) / even };
        term *= factor * cosine * cosine;
    }
    if is_odd { FRAC_2_PI * (libm::atan2(t, root) + sine * sum) } else { sine * sum }
}

/// Returns the quantile of the t distribution where that of the normal distribution is `x`
/// (Abramowitz and Stegun 1964, 26.7.5).
fn from_normal(x: f64, degrees: f64) -> f64 {
    let square = x * x;
    let polynomial =
        |factors: &[f64]| x * factors.iter().fold(0.0, |sum, factor| sum * square + factor);
    let terms = [
        polynomial(&[79.0, 776.0, 1482.0, -1920.0, -945.0]) / 92_160.0,
        polynomial(&[3.0, 19.0, 17.0, -15.0]) / 384.0,
        polynomial(&[5.0, 16.0, 3.0]) / 96.0,
        polynomial(&[1.0, 1.0]) / 4.0,
        x,
    ];
    terms.iter().fold(0.0, |sum, term| sum / degrees + term)
}

/// Finds the number, not negative, at which a function rising from 0 to 1 reaches `share`.
fn inverse(share: f64, function: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    // Rounding may keep the function below a share next to 1: then it ends here.
    while function(high) < share && high < 1e18 {
        (low, high) = (high, 2.0 * high);
    }
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return low;
        }
        if function(middle) < share { low = middle } else { high = middle }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_close(confidence: f64, degrees: u64, expected: f64) {
        let t = student_t(confidence, degrees);
        assert!(
            (t / expected - 1.0).abs() < 1e-9,
            "{confidence} of {degrees}: {t}, not {expected}"
        );
    }

    // By inverting the incomplete beta function with 40 digits; rounded, they are those of the
    // printed tables.
    const TABLE: [(u64, [f64; 3]); 8] = [
        (1, [6.313_751_514_675, 12.706_204_736_17, 63.656_741_162_87]),
        (2, [2.919_985_580_354, 4.302_652_729_749, 9.924_843_200_918]),
        (3, [2.353_363_434_802, 3.182_446_305_284, 5.840_909_309_733]),
        (5, [2.015_048_373_333, 2.570_581_835_636, 4.032_142_983_555]),
        (10, [1.812_461_122_812, 2.228_138_851_986, 3.169_272_672_617]),
        (30, [1.697_260_886_594, 2.042_272_456_301, 2.749_995_653_567]),
        (100, [1.660_234_326_085, 1.983_971_518_524, 2.625_890_521_438]),
        (1000, [1.646_378_817_285, 1.962_339_080_826, 2.580_754_698_066]),
    ];

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (degrees, quantiles) in TABLE {
            for (confidence, expected) in [0.90, 0.95, 0.99].into_iter().zip(quantiles) {
                assert_close(confidence, degrees, expected);
            }
        }
    }

    #[test]
    fn the_ends_are_as_exact_as_the_middle() {
        assert_close(0.999_999, 1, 636_619.772_367_1);
        assert_close(0.5, 2, 0.816_496_580_927_7);
        assert_close(0.001, 7, 0.001_298_730_555_074);
        assert_close(0.999, 4, 8.610_301_581_379);
        assert_close(0.999_999, 200, 5.048_285_659_852);
        assert_close(0.95, 100_000, 1.959_987_707_535);
        assert_close(0.99, 1_000_000, 2.575_834_220_105);
        assert_close(0.999, u64::MAX, 3.290_526_731_492);
    }

    #[test]
    fn sum_and_series_meet() {
        for confidence in [0.1, 0.5, 0.95, 0.999, 0.999_999] {
            let normal = inverse(confidence, |z| libm::erf(z * FRAC_1_SQRT_2));
            assert_close(
                confidence,
                DEGREES_SUMMED_MAX,
                from_normal(normal, DEGREES_SUMMED_MAX as f64),
            );
        }
    }

    #[test]
    fn quantiles_rise_with_confidence_and_fall_with_degrees() {
        for degrees in 1..600 {
            assert!(student_t(0.95, degrees) > student_t(0.95, degrees + 1), "{degrees}");
            assert!(student_t(0.95, degrees) < student_t(0.951, degrees), "{degrees}");
        }
    }

    #[test]
    fn what_cannot_be_known_is_infinite() {
        for (confidence, degrees) in [(0.95, 0), (1.0, 5), (1.5, 5), (f64::NAN, 5)] {
            assert_eq!(student_t(confidence, degrees), f64::INFINITY, "{confidence} {degrees}");
        }
        assert_eq!((student_t(0.0, 5), student_t(-1.0, 1000)), (0.0, 0.0));
        let last = student_t(1.0 - f64::EPSILON / 2.0, 1);
        assert!(last.is_finite() && last > 1e12, "{last}");
    }
}
