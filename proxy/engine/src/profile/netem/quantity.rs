//! tc's quantities: `100ms`, `1%` or `1`, `10mbit`, `64kb`. They follow iproute2's `lib/utils.c`,
//! `utils_math.c` and `q_netem.c`, whose units ignore case and whose bare numbers have a meaning.

use std::time::Duration;

/// A time, and whether its unit was left out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Time {
    pub(super) value: Duration,
    pub(super) is_bare: bool,
}

/// More than any of its users meant, and small enough to compute with.
const SECONDS_MAX: f64 = 1e6;

/// Splits into a number and its unit in lower case.
fn split(word: &str) -> Option<(f64, String)> {
    let digits = |text: &str, more: &[char]| {
        text.find(|c: char| !c.is_ascii_digit() && !more.contains(&c)).unwrap_or(text.len())
    };
    let mut end = digits(word, &['.']);
    // tc prints large and small numbers with an exponent: 1e+03ms.
    if let Some(exponent) = word[end..].strip_prefix(['e', 'E']) {
        let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let length = digits(unsigned, &[]);
        if length > 0 {
            end += 1 + exponent.len() - unsigned.len() + length;
        }
    }
    let number: f64 = word[..end].parse().ok()?;
    Some((number, word[end..].to_ascii_lowercase()))
}

/// Reads a time. A bare number is `bare_nanos` each: microseconds for delays (nanoseconds since tc
/// reads them in 64 bits), nanoseconds for slots.
pub(super) fn time(word: &str, bare_nanos: f64) -> Result<Time, String> {
    let refuse = || format!("\"{word}\" is not a time; write 100ms, say (s, ms, us, ns)");
    let (number, unit) = split(word).ok_or_else(refuse)?;
    let nanos = match unit.as_str() {
        "" => bare_nanos,
        "s" | "sec" | "secs" => 1e9,
        "ms" | "msec" | "msecs" => 1e6,
        "us" | "usec" | "usecs" => 1e3,
        "ns" | "nsec" | "nsecs" => 1.0,
        _ => return Err(refuse()),
    };
    let value = number * nanos;
    if value > SECONDS_MAX * 1e9 {
        return Err(format!("\"{word}\" is longer than any network; write at most 1000000s"));
    }
    Ok(Time {
        value: Duration::from_nanos((value + 0.5) as u64),
        is_bare: unit.is_empty() && number > 0.0,
    })
}

/// Reads a percentage as a fraction; tc needs no percent sign.
pub(super) fn percentage(word: &str) -> Result<f64, String> {
    let refuse = || format!("\"{word}\" is not a percentage; write 1%, say");
    let (number, unit) = split(word).ok_or_else(refuse)?;
    match unit.as_str() {
        "" | "%" if number <= 100.0 => Ok(number / 100.0),
        "" | "%" => Err(format!("\"{word}\" is more than 100%; write 0% to 100%")),
        _ => Err(refuse()),
    }
}

/// Reads a rate in bits per second; a bare number is bits.
pub(super) fn rate(word: &str) -> Result<u64, String> {
    let refuse = || {
        format!(
            "\"{word}\" is not a rate; write 10mbit, say (bit, kbit, mbit, gbit, tbit; bps, kbps … \
             are bytes)"
        )
    };
    let (number, unit) = split(word).ok_or_else(refuse)?;
    let bits = match unit.as_str() {
        "" | "bit" => 1.0,
        "kibit" => 1024.0,
        "kbit" => 1e3,
        "mibit" => 1_048_576.0,
        "mbit" => 1e6,
        "gibit" => 1_073_741_824.0,
        "gbit" => 1e9,
        "tibit" => 1_099_511_627_776.0,
        "tbit" => 1e12,
        "bps" => 8.0,
        "kibps" => 8.0 * 1024.0,
        "kbps" => 8e3,
        "mibps" => 8.0 * 1_048_576.0,
        "mbps" => 8e6,
        "gibps" => 8.0 * 1_073_741_824.0,
        "gbps" => 8e9,
        "tibps" => 8.0 * 1_099_511_627_776.0,
        "tbps" => 8e12,
        "%" => {
            return Err(format!(
                "\"{word}\" is a share of the device's speed, which is not known here; write the \
                 rate itself, 10mbit say"
            ));
        }
        _ => return Err(refuse()),
    };
    match (number * bits + 0.5) as u64 {
        0 => Err("a rate of 0 is no limit at all in netem; leave it out".into()),
        bits => Ok(bits),
    }
}

/// Reads a number of bytes, or of packets in `limit`, which takes the same suffixes.
pub(super) fn size(word: &str) -> Result<u64, String> {
    let refuse =
        || format!("\"{word}\" is not a number; write 1000, say (k and m are 1024 and 1024·1024)");
    let (number, unit) = split(word).ok_or_else(refuse)?;
    let scale = match unit.as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1024.0,
        "m" | "mb" => 1_048_576.0,
        "g" | "gb" => 1_073_741_824.0,
        "kbit" => 128.0,
        "mbit" => 131_072.0,
        "gbit" => 134_217_728.0,
        _ => return Err(refuse()),
    };
    Ok((number * scale) as u64)
}

/// Reads a whole number, below zero too.
pub(super) fn integer(word: &str) -> Result<i64, String> {
    let number: i32 = word
        .parse()
        .map_err(|_| format!("\"{word}\" is not a whole number; write 0 or 42, say"))?;
    Ok(number.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_tc_reads_them() {
        for (word, nanos) in [
            ("100ms", 100_000_000),
            ("0.5ms", 500_000),
            ("1.5S", 1_500_000_000),
            ("2secs", 2_000_000_000),
            ("10msec", 10_000_000),
            ("7usecs", 7_000),
            ("3ns", 3),
            ("1e+03ms", 1_000_000_000),
            ("1e3us", 1_000_000),
            ("2.5e-1s", 250_000_000),
            ("250", 250_000),
            ("0", 0),
        ] {
            assert_eq!(time(word, 1e3).unwrap().value, Duration::from_nanos(nanos), "{word}");
        }
        assert!(time("250", 1e3).unwrap().is_bare);
        assert!(!time("0", 1e3).unwrap().is_bare && !time("250us", 1e3).unwrap().is_bare);
        for word in ["", "ms", "5m", "-5ms", "5 ms", "1.2.3s", "99999999s"] {
            assert!(time(word, 1e3).is_err(), "{word}");
        }
    }

    #[test]
    fn rates_are_bits_unless_they_say_bps() {
        for (word, bits) in [
            ("1000000", 1_000_000),
            ("10mbit", 10_000_000),
            ("10Mbit", 10_000_000),
            ("1.5gbit", 1_500_000_000),
            ("56kbit", 56_000),
            ("1kibit", 1024),
            ("1mbps", 8_000_000),
            ("100Bps", 800),
        ] {
            assert_eq!(rate(word).unwrap(), bits, "{word}");
        }
        for word in ["", "fast", "10mb", "0", "50%", "10mbit/s"] {
            assert!(rate(word).is_err(), "{word}");
        }
    }

    #[test]
    fn percentages_need_no_sign() {
        assert_eq!(percentage("1%").unwrap(), 0.01);
        assert_eq!(percentage("1").unwrap(), 0.01);
        assert_eq!(percentage(".5%").unwrap(), 0.005);
        assert_eq!(percentage("1e-2%").unwrap(), 0.0001);
        for word in ["", "101", "-1%", "1ms", "%", "1e%", "1e+%", "e5%"] {
            assert!(percentage(word).is_err(), "{word}");
        }
    }

    #[test]
    fn sizes_count_in_1024s() {
        assert_eq!(size("1000").unwrap(), 1000);
        assert_eq!(size("64kb").unwrap(), 65_536);
        assert_eq!(size("1m").unwrap(), 1_048_576);
        assert!(size("many").is_err());
    }
}
