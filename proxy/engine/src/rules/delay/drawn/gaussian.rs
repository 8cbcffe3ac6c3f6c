//! The Gaussian: its distribution function, its quantiles, and what cutting its ends does to its
//! spread.

/// Returns the share of a standard Gaussian below `x`.
pub(super) fn cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

/// Returns the cut of a standard Gaussian, the same on both sides, that lies at `ratio` standard
/// deviations of what is left. Cutting takes spread away, so that is nearer than `ratio`; below √3,
/// the ratio of the even distribution, there is no such cut.
pub(super) fn cut_at(ratio: f64) -> f64 {
    let (mut low, mut high) = (0.01, ratio);
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if middle / sd_after_cut(middle) < ratio { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// Returns the standard deviation of a standard Gaussian cut at ± `cut` (Johnson, Kotz and
/// Balakrishnan, "Continuous univariate distributions", 1994, 13.10.1).
fn sd_after_cut(cut: f64) -> f64 {
    let density = libm::exp(-0.5 * cut * cut) / libm::sqrt(2.0 * std::f64::consts::PI);
    let mass = 1.0 - 2.0 * cdf(-cut);
    libm::sqrt(1.0 - 2.0 * cut * density / mass)
}

/// Returns the Gaussian variate for 64 random bits.
pub(super) fn variate(bits: u64) -> f64 {
    // The 53 bits that a float holds, in the middle of their interval: neither 0 nor 1.
    quantile(((bits >> 11) as f64 + 0.5) / 9_007_199_254_740_992.0)
}

/// Computes the normal quantile function, exact to 1 part in 10^16: algorithm AS 241 (PPND16),
/// Wichura, Applied Statistics 37, 1988.
pub(crate) fn quantile(p: f64) -> f64 {
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        return q * ratio(0.180625 - q * q, &CENTRE);
    }
    let r = libm::sqrt(-libm::log(if q < 0.0 { p } else { 1.0 - p }));
    let value = if r <= 5.0 { ratio(r - 1.6, &MIDDLE) } else { ratio(r - 5.0, &TAIL) };
    if q < 0.0 { -value } else { value }
}

/// Coefficients of a numerator and a denominator, lowest power first.
type Rational = [[f64; 8]; 2];

fn ratio(x: f64, rational: &Rational) -> f64 {
    let [numerator, denominator] =
        rational.each_ref().map(|p| p.iter().rev().fold(0.0, |sum, c| sum * x + c));
    numerator / denominator
}

const CENTRE: Rational = [
    [
        3.387_132_872_796_366_5,
        133.141_667_891_784_38,
        1_971.590_950_306_551_3,
        13_731.693_765_509_46,
        45_921.953_931_549_87,
        67_265.770_927_008_7,
        33_430.575_583_588_13,
        2_509.080_928_730_122_7,
    ],
    [
        1.0,
        42.313_330_701_600_91,
        687.187_007_492_057_9,
        5_394.196_021_424_751,
        21_213.794_301_586_597,
        39_307.895_800_092_71,
        28_729.085_735_721_943,
        5_226.495_278_852_545,
    ],
];
const MIDDLE: Rational = [
    [
        1.423_437_110_749_683_5,
        4.630_337_846_156_546,
        5.769_497_221_460_691,
        3.647_848_324_763_204_5,
        1.270_458_252_452_368_4,
        0.241_780_725_177_450_6,
        2.272_384_498_926_918_4e-2,
        7.745_450_142_783_414e-4,
    ],
    [
        1.0,
        2.053_191_626_637_759,
        1.676_384_830_183_803_8,
        0.689_767_334_985_1,
        0.148_103_976_427_480_08,
        1.519_866_656_361_645_7e-2,
        5.475_938_084_995_345e-4,
        1.050_750_071_644_416_9e-9,
    ],
];
const TAIL: Rational = [
    [
        6.657_904_643_501_103,
        5.463_784_911_164_114,
        1.784_826_539_917_291_3,
        0.296_560_571_828_504_87,
        2.653_218_952_657_612_4e-2,
        1.242_660_947_388_078_4e-3,
        2.711_555_568_743_487_6e-5,
        2.010_334_399_292_288_1e-7,
    ],
    [
        1.0,
        0.599_832_206_555_888,
        0.136_929_880_922_735_8,
        1.487_536_129_085_061_5e-2,
        7.868_691_311_456_133e-4,
        1.846_318_317_510_054_7e-5,
        1.421_511_758_316_446e-7,
        2.044_263_103_389_939_8e-15,
    ],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantile_function_inverts_the_distribution() {
        for step in 1..10_000 {
            let p = f64::from(step) / 10_000.0;
            assert!((cdf(quantile(p)) - p).abs() < 1e-14, "{p}");
        }
        for (p, z) in [(1e-10, -6.361_340_902_404_056), (0.975, 1.959_963_984_540_054), (0.5, 0.0)]
        {
            assert!((quantile(p) - z).abs() < 1e-12, "{p}");
        }
    }

    #[test]
    fn the_cut_lies_where_it_was_asked_for() {
        for ratio in [100.0, 4.0, 2.0, 1.8, 1.755] {
            let cut = cut_at(ratio);
            assert!(
                cut <= ratio && (cut / sd_after_cut(cut) - ratio).abs() < 1e-9 * ratio,
                "{ratio}"
            );
        }
    }
}
