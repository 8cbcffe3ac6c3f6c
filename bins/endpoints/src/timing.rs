//! Times that must be longer than nothing, as people write them.

use jostle_common::units::parse_duration;
use std::time::Duration;

/// Reads a time that is longer than nothing.
///
/// # Errors
/// What to write instead.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(Duration::ZERO) => Err("write a time longer than 0, such as \"10ms\"".to_owned()),
        Ok(time) => Ok(time),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_refused() {
        assert_eq!(parse_span("1.5ms"), Ok(Duration::from_micros(1500)));
        assert!(parse_span("0").is_err() && parse_span("0s").is_err() && parse_span("5").is_err());
    }
}
