//! What stands at the ticks of charts: a number as short as it can be, with its unit.

/// A number without trailing zeros, three decimals at most, and no minus in front of nothing.
pub(crate) fn plain(value: f64) -> String {
    format!("{}", (value * 1000.0).round() / 1000.0 + 0.0)
}

/// `5%` of 5.
pub(crate) fn percent_label(percent: f64) -> String {
    format!("{}%", plain(percent))
}

/// `50 ms` of 0.05.
pub(crate) fn seconds_label(seconds: f64) -> String {
    match seconds {
        0.0 => "0".to_owned(),
        long if long >= 1.0 => format!("{} s", plain(long)),
        middle if middle >= 0.001 => format!("{} ms", plain(middle * 1e3)),
        short => format!("{} µs", plain(short * 1e6)),
    }
}

/// `10 Mbit/s` of bits per second.
pub(crate) fn rate_label(rate: f64) -> String {
    match rate {
        0.0 => "0".to_owned(),
        rate if rate >= 1e9 => format!("{} Gbit/s", plain(rate / 1e9)),
        rate if rate >= 1e6 => format!("{} Mbit/s", plain(rate / 1e6)),
        rate if rate >= 1e3 => format!("{} kbit/s", plain(rate / 1e3)),
        rate => format!("{} bit/s", plain(rate)),
    }
}

/// `64 KiB` of 65,536.
pub(crate) fn bytes_label(bytes: f64) -> String {
    match bytes {
        size if size >= 1_048_576.0 => format!("{} MiB", plain(size / 1_048_576.0)),
        size if size >= 1024.0 => format!("{} KiB", plain(size / 1024.0)),
        size => format!("{} B", plain(size)),
    }
}

/// `20k` of 20,000.
pub(crate) fn count_label(count: f64) -> String {
    if count >= 10_000.0 { format!("{}k", plain(count / 1e3)) } else { plain(count) }
}

/// Whole numbers, and nothing at what is between them.
pub(crate) fn whole_label(value: f64) -> String {
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
