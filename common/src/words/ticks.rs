//! The labels at the ticks of charts: a number as short as it can be, with its unit.

use super::{RATES, TIMES, scaled};

const SIZES: [super::Unit; 3] = [(1_048_576.0, "MiB"), (1024.0, "KiB"), (1.0, "B")];

/// Writes a number without trailing zeros, three decimals at most, and no minus in front of
/// nothing.
fn plain(value: f64) -> String {
    format!("{}", (value * 1000.0).round() / 1000.0 + 0.0)
}

/// Writes 5 as `5%`.
pub fn percent_label(percent: f64) -> String {
    format!("{}%", plain(percent))
}

/// Writes 0.05 as `50 ms`.
pub fn seconds_label(seconds: f64) -> String {
    labelled(seconds, &TIMES[..3])
}

/// Writes bits per second as `10 Mbit/s`.
pub fn rate_label(rate: f64) -> String {
    labelled(rate, &RATES)
}

/// Writes 65,536 as `64 KiB`.
pub fn bytes_label(bytes: f64) -> String {
    match bytes {
        0.0 => "0 B".to_owned(),
        bytes => labelled(bytes, &SIZES),
    }
}

fn labelled(value: f64, units: &[super::Unit]) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let (value, unit) = scaled(value, units, false);
    format!("{} {unit}", plain(value))
}

/// Writes 20,000 as `20k`.
pub fn count_label(count: f64) -> String {
    if count >= 10_000.0 { format!("{}k", plain(count / 1e3)) } else { plain(count) }
}

/// Writes whole numbers, and nothing for what is between them.
pub fn whole_label(value: f64) -> String {
    if (value - value.round()).abs() < 1e-6 { format!("{value:.0}") } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_short_and_have_a_unit() {
        assert_eq!([0.0, -0.0, 2.5, 0.1 + 0.2].map(percent_label), ["0%", "0%", "2.5%", "0.3%"]);
        assert_eq!([0.0, 0.000_25, 0.05, 2.0].map(seconds_label), ["0", "250 µs", "50 ms", "2 s"]);
        assert_eq!([0.0, 900.0, 1.5e6].map(rate_label), ["0", "900 bit/s", "1.5 Mbit/s"]);
        assert_eq!([56.0, 65_536.0, 1_572_864.0].map(bytes_label), ["56 B", "64 KiB", "1.5 MiB"]);
        assert_eq!([0.0, 9_999.0, 20_000.0].map(count_label), ["0", "9999", "20k"]);
        assert_eq!([3.0, 3.5].map(whole_label), ["3", ""]);
    }
}
