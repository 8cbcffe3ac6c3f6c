//! `--timeout adaptive|fixed:T`, as people write it.

use jostle_common::protocol::timer::Timing;
use jostle_common::units::parse_duration;
use std::time::Duration;

/// Reads `adaptive`, or `fixed:` and a time.
///
/// # Errors
/// What to write instead.
pub fn parse(text: &str) -> Result<Timing, String> {
    let fixed = match (text, text.strip_prefix("fixed:")) {
        ("adaptive", _) => return Ok(Timing::Adaptive),
        (_, Some(fixed)) => fixed,
        (_, None) => {
            return Err("write \"adaptive\", or \"fixed:\" and a time, such as \"fixed:200ms\"".to_owned());
        }
    };
    match parse_duration(fixed) {
        Ok(Duration::ZERO) => {
            Err("a timeout of 0 would ask without end; write one such as \"fixed:200ms\"".to_owned())
        }
        Ok(timeout) => Ok(Timing::Fixed(timeout)),
        Err(error) => Err(error.to_string()),
    }
}

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
    fn timeouts_are_read_and_zero_is_refused() {
        assert_eq!(parse("adaptive"), Ok(Timing::Adaptive));
        assert_eq!(parse("fixed:200ms"), Ok(Timing::Fixed(Duration::from_millis(200))));
        for text in ["", "fixed", "fixed:", "fixed:0", "fixed:200", "200ms"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(parse_span("1.5ms"), Ok(Duration::from_micros(1500)));
        assert!(parse_span("0").is_err() && parse_span("0s").is_err() && parse_span("5").is_err());
    }
}
