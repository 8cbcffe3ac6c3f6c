//! Quantities as people read them: three digits and a unit.

pub mod ticks;

use std::time::Duration;

/// A unit: how many of the basic one it holds, and its sign.
type Unit = (f64, &'static str);

const RATES: [Unit; 4] = [(1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s"), (1.0, "bit/s")];
const TIMES: [Unit; 4] = [(1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")];

/// Scales the value to the largest unit of which there is one, or to the smallest. A value that is
/// rounded up to one by its first three digits counts as one, when `is_rounded`.
fn scaled(value: f64, units: &[Unit], is_rounded: bool) -> (f64, &'static str) {
    let reach = if is_rounded { 0.999_95 } else { 1.0 };
    let fits = units.iter().find(|(scale, _)| value.abs() >= scale * reach);
    let (scale, unit) = fits.or_else(|| units.last()).expect("there is a unit");
    (value / scale, unit)
}

/// Writes three significant digits, no more than two decimals: `0.60`, `12.4`, `1,240`.
fn three_digits(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let decimals = match value.abs() {
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        _ => 2,
    };
    let text = format!("{value:.decimals$}");
    if decimals == 0 { grouped(text.parse().unwrap_or(0)) } else { text }
}

/// Writes the same without trailing zeros, for what was chosen and not measured: `5`, `0.1`.
fn short(value: f64) -> String {
    let text = three_digits(value);
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// Writes any number in three digits: `1,240`, `0.5`, `-3`, `1.20e-4`.
pub fn number(value: f64) -> String {
    match value.abs() {
        _ if value < 0.0 => format!("-{}", number(-value)),
        size if size > 0.0 && size < 0.01 => format!("{value:.2e}"),
        size if size >= 1e15 => format!("{value:.2e}"),
        _ => short(value),
    }
}

/// Writes a number with its thousands apart: `1,048,576`.
///
/// ```
/// assert_eq!(jostle_common::words::grouped(1048576), "1,048,576");
/// assert_eq!(jostle_common::words::grouped(12), "12");
/// ```
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Writes seconds: `12.4 s`.
pub fn seconds(seconds: f64) -> String {
    format!("{} s", three_digits(seconds))
}

/// Writes a time that was chosen: `50 s`, `5 ms`.
pub fn duration(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", short(duration.as_secs_f64() * 1e3))
    } else {
        format!("{} s", short(duration.as_secs_f64()))
    }
}

/// Writes seconds in the unit that suits their size: `12.4 ms`.
pub fn time(seconds: f64) -> String {
    if seconds == 0.0 {
        return "0 ms".to_owned();
    }
    let (value, unit) = scaled(seconds, &TIMES, true);
    format!("{} {unit}", short(value))
}

/// Writes bytes: `62.5 kB`.
pub fn bytes(bytes: f64) -> String {
    match bytes {
        size if size >= 999_500.0 => format!("{} MB", short(size / 1e6)),
        size if size >= 9_999.5 => format!("{} kB", short(size / 1e3)),
        size => format!("{} bytes", grouped(size.round() as u64)),
    }
}

/// Writes a fraction as `5.1%`, with digits enough for a small one.
pub fn fine_percent(fraction: f64) -> String {
    let percent = fraction * 100.0;
    if percent == 0.0 || percent >= 1.0 {
        return self::percent(fraction);
    }
    if percent < 1e-7 {
        return "under 0.0000001%".to_owned();
    }
    // As many decimals as three significant digits need.
    let decimals = (2.0 - percent.log10().floor()) as usize;
    let text = format!("{percent:.decimals$}");
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Writes a fraction as `5.1%`.
pub fn percent(fraction: f64) -> String {
    format!("{}%", short(fraction * 100.0))
}

/// Writes the share that `part` is of `whole`: `5.1%`, never rounded to none or all of it.
pub fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "0%".to_owned();
    }
    let fraction = part as f64 / whole as f64;
    if part > 0 && fraction < 0.0001 {
        return "under 0.01%".to_owned();
    }
    if part < whole && fraction > 0.999 {
        return "over 99.9%".to_owned();
    }
    percent(fraction)
}

/// Writes a rate: `12.4 Mbit/s`.
pub fn rate(bits_per_second: u64) -> String {
    match scaled(bits_per_second as f64, &RATES, false) {
        (_, "bit/s") => format!("{bits_per_second} bit/s"),
        (value, unit) => format!("{} {unit}", three_digits(value)),
    }
}

/// Writes a rate that was chosen, without trailing zeros: `12.5 Mbit/s`.
pub fn short_rate(bits_per_second: f64) -> String {
    let (value, unit) = scaled(bits_per_second, &RATES, false);
    format!("{} {unit}", short(value))
}

/// Writes a number with its noun: `1 chunk`, `12 chunks`.
pub fn count(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// Writes `a`, `a and b`, `a, b, and c`: the items may be half sentences.
pub fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [first, last] => format!("{first} and {last}"),
        [most @ .., last] => format!("{}, and {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_and_a_unit() {
        let texts = [0.0, 0.004, 0.617, 0.999, 9.99, 9.996, 12.44, 99.96, 1234.5].map(seconds);
        assert_eq!(
            texts,
            ["0 s", "0.00 s", "0.62 s", "1.00 s", "9.99 s", "10.0 s", "12.4 s", "100 s", "1,234 s"]
        );
        assert_eq!(
            [999, 12_345, 12_345_678, 2_000_000_000].map(rate),
            ["999 bit/s", "12.3 kbit/s", "12.3 Mbit/s", "2.00 Gbit/s"]
        );
        assert_eq!(
            [12.0, 12_500.0, 1e6, 2.25e9].map(short_rate),
            ["12 bit/s", "12.5 kbit/s", "1 Mbit/s", "2.25 Gbit/s"]
        );
        assert_eq!([5, 1_500].map(|ms| duration(Duration::from_millis(ms))), ["5 ms", "1.5 s"]);
        assert_eq!([0, 12, 960_613, 1_000_000].map(grouped), ["0", "12", "960,613", "1,000,000"]);
    }

    #[test]
    fn a_share_is_never_rounded_to_none_or_all() {
        assert_eq!([(0, 9), (12, 235), (9, 9)].map(|(a, b)| share(a, b)), ["0%", "5.11%", "100%"]);
        assert_eq!(
            [(1, 100_000), (99_999, 100_000), (0, 0)].map(|(a, b)| share(a, b)),
            ["under 0.01%", "over 99.9%", "0%"]
        );
    }

    #[test]
    fn times_and_bytes_take_the_unit_that_fits() {
        assert_eq!(
            [0.0, 0.015, 0.001_92, 1.5, 0.000_35, 12e-9].map(time),
            ["0 ms", "15 ms", "1.92 ms", "1.5 s", "350 µs", "12 ns"]
        );
        assert_eq!([350.0, 62_500.0, 2.5e6].map(bytes), ["350 bytes", "62.5 kB", "2.5 MB"]);
        assert_eq!(
            [0.0, 0.02, 0.001, 0.000_012_34, 1.0].map(fine_percent),
            ["0%", "2%", "0.1%", "0.00123%", "100%"]
        );
    }

    #[test]
    fn lists_read_as_sentences() {
        let items = ["a", "b", "c"].map(String::from);
        assert_eq!([0, 1, 2, 3].map(|n| list(&items[..n])), ["", "a", "a and b", "a, b, and c"]);
        assert_eq!([count(1, "chunk"), count(1200, "chunk")], ["1 chunk", "1,200 chunks"]);
    }
}
