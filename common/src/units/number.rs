//! The number in front of a unit: split from the unit, and scaled exactly.

use super::UnitError;

/// A decimal number such as `12` or `1.5`, kept as digits so that scaling it to a base unit is
/// exact.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decimal {
    digits: u64,
    decimals: u32,
}

impl Decimal {
    /// Splits `text` into its leading decimal number and the unit behind it (trimmed). `None` when
    /// it does not start with a number.
    pub(super) fn split(text: &str) -> Option<(Self, &str)> {
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() || fraction.contains('.') || number.ends_with('.') || fraction.len() > 9
        {
            return None;
        }
        let digits = format!("{whole}{fraction}").parse().ok()?;
        Some((Self { digits, decimals: fraction.len() as u32 }, unit.trim()))
    }

    pub(super) const fn is_zero(self) -> bool {
        self.digits == 0
    }

    /// Returns the number times `scale`, rounded to the nearest whole; an error when it does not
    /// fit 64 bits.
    pub(super) fn scaled(self, scale: u64) -> Result<u64, UnitError> {
        let divisor = 10u128.pow(self.decimals);
        let value = (u128::from(self.digits) * u128::from(scale) + divisor / 2) / divisor;
        u64::try_from(value)
            .map_err(|_| UnitError::new("the value is too large", "write a smaller one"))
    }

    /// Returns the number as a float, for probabilities.
    pub(super) fn as_f64(self) -> f64 {
        self.digits as f64 / 10f64.powi(self.decimals as i32)
    }

    /// Returns a hundredth of the number, rounded once: 0.7 / 100 is not the float that 0.007 is.
    pub(super) fn hundredth_as_f64(self) -> f64 {
        self.digits as f64 / 10f64.powi(self.decimals as i32 + 2)
    }
}

/// Prints `value` in the largest of `units` (name, size; ascending) that divides it, so that it
/// parses back to the same value.
pub(super) fn in_largest_unit(value: u64, units: &[(&str, u64)]) -> String {
    let (name, size) = units
        .iter()
        .rev()
        .find(|(_, size)| value >= *size && value.is_multiple_of(*size))
        .unwrap_or(&units[0]);
    format!("{}{name}", value / size)
}
