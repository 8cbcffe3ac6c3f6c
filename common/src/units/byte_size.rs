//! A number of bytes.

use super::number::{Decimal, in_largest_unit};
use super::{UnitError, spelling};
use std::fmt;
use std::str::FromStr;

/// A number of bytes. Written `"64KiB"` (1024s) or `"64kB"` (1000s).
///
/// ```
/// use jostle_common::units::ByteSize;
/// assert_eq!("64KiB".parse::<ByteSize>().unwrap().bytes(), 65536);
/// assert_eq!(ByteSize::new(65536).to_string(), "64KiB");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(u64);

const PRINTED: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
const READ: [(&str, u64); 4] =
    [("kB", 1_000), ("KB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000)];

impl ByteSize {
    /// Creates the size of `bytes` bytes.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Returns the number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        const REMEDY: &str = "write a size such as \"64KiB\" (B, kB, MB, GB, KiB, MiB, GiB)";
        if let Some(error) = spelling::slip(text, str::parse::<Self>) {
            return Err(error);
        }
        let Some((number, unit)) = Decimal::split(text) else {
            return Err(UnitError::new(format!("\"{text}\" is not a size"), REMEDY));
        };
        if unit.is_empty() {
            let no_unit = || {
                UnitError::new(
                    format!("\"{text}\" has no unit"),
                    format!("write \"{}B\"", text.trim()),
                )
            };
            return if number.is_zero() { Ok(Self(0)) } else { Err(no_unit()) };
        }
        let scale =
            PRINTED.iter().chain(&READ).find(|(name, _)| *name == unit).map(|(_, scale)| *scale);
        let scale = scale.ok_or_else(|| {
            let remedy = spelling::size(spelling::in_front_of(text, unit), unit)
                .unwrap_or_else(|| REMEDY.to_owned());
            UnitError::new(format!("\"{unit}\" is not a unit of size"), remedy)
        })?;
        number.scaled(scale).map(Self)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&in_largest_unit(self.0, &PRINTED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_both_kinds_of_kilo() {
        for (text, bytes) in
            [("1kB", 1000), ("1KiB", 1024), ("1.5MiB", 1_572_864), ("0", 0), ("9B", 9)]
        {
            assert_eq!(text.parse::<ByteSize>().unwrap().bytes(), bytes, "{text}");
        }
        for text in ["", "64", "64K", "64 kbit", "-1B"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn prints_what_it_parses(bytes: u64) {
            prop_assert_eq!(ByteSize::new(bytes).to_string().parse::<ByteSize>().unwrap().bytes(), bytes);
        }
    }
}
