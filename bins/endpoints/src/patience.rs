//! `--patience`: after how long without success a client gives up.

use jostle_common::units::parse_duration;
use std::time::Duration;

/// How long to wait for any success; for ever when `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience(pub Option<Duration>);

/// Reads a time, or `never`.
///
/// # Errors
/// What to write instead.
pub fn parse(text: &str) -> Result<Patience, String> {
    if text == "never" {
        return Ok(Patience(None));
    }
    match parse_duration(text) {
        Ok(Duration::ZERO) => Err("write a time, or \"never\"".to_owned()),
        Ok(time) => Ok(Patience(Some(time))),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_read_and_zero_is_refused() {
        assert_eq!(parse("never"), Ok(Patience(None)));
        assert_eq!(parse("2m"), Ok(Patience(Some(Duration::from_secs(120)))));
        assert!(parse("0").is_err() && parse("5").is_err());
    }
}
