//! Quantities that no line break tears from their units.

/// What may stand behind a number and belongs to it.
const UNITS: [&str; 16] = [
    "ns", "us", "µs", "ms", "s", "min", "h", "d", "bit/s", "kbit/s", "Mbit/s", "Gbit/s", "B",
    "KiB", "MiB", "GiB",
];

/// Writes a text with a space that does not break between each number and its unit.
pub(crate) fn unbroken(text: &str) -> String {
    let mut words = text.split(' ');
    let mut before = words.next().unwrap_or_default();
    let mut out = before.to_owned();
    for word in words {
        let unit = word.trim_end_matches([',', '.', ';', ':', ')']);
        let belongs = before.ends_with(|c: char| c.is_ascii_digit()) && UNITS.contains(&unit);
        out.push(if belongs { '\u{a0}' } else { ' ' });
        out.push_str(word);
        before = word;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::unbroken;

    #[test]
    fn a_unit_stays_with_its_number() {
        for (text, expected) in [
            ("It took 4.58 s, not 33 ms.", "It took 4.58\u{a0}s, not 33\u{a0}ms."),
            ("23.0 Mbit/s (5 s)", "23.0\u{a0}Mbit/s (5\u{a0}s)"),
            ("at 10% 79 of 1,216 packets", "at 10% 79 of 1,216 packets"),
            ("a s 5", "a s 5"),
            ("", ""),
        ] {
            assert_eq!(unbroken(text), expected);
        }
    }
}
