//! Quantities as other tools write them.

use super::command_line::shortened;
use jostle_common::setting::SettingError;
use std::time::Duration;

/// The longest time that any tool here says: a year. Longer ones are a slip.
const SECONDS_MAX: f64 = 366.0 * 86_400.0;

/// Splits a number from the unit behind it, with or without a space between.
pub(super) fn split(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.' && c != '-' && c != '+')
        .unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    number.is_finite().then(|| (number, text[end..].trim_start()))
}

/// Reads a time by the units of a tool, each with its seconds; `bare` is the unit of a number
/// alone.
pub(super) fn time(
    place: &str,
    text: &str,
    units: &[(&[&str], f64)],
    bare: f64,
    example: &str,
) -> Result<Duration, SettingError> {
    let refuse = || {
        let text = shortened(text);
        Err(SettingError::new(place, format!("\"{text}\" is not a time; write {example}, say")))
    };
    let Some((number, unit)) = split(text) else { return refuse() };
    let scale = match units.iter().find(|(names, _)| names.contains(&unit)) {
        _ if unit.is_empty() => bare,
        Some((_, scale)) => *scale,
        None => return refuse(),
    };
    let seconds = number * scale;
    if !(0.0..=SECONDS_MAX).contains(&seconds) {
        let problem =
            format!("{} is no time between 0 and a year; write {example}, say", shortened(text));
        return Err(SettingError::new(place, problem));
    }
    Ok(Duration::from_nanos(libm::round(seconds * 1e9) as u64))
}

/// Reads a rate in bits per second by the units of a tool, each with its bits.
pub(super) fn rate(
    place: &str,
    text: &str,
    units: &[(&[&str], f64)],
    example: &str,
) -> Result<u64, SettingError> {
    let found = split(text).and_then(|(number, unit)| {
        let (_, scale) = units.iter().find(|(names, _)| names.contains(&unit))?;
        Some(libm::round(number * scale))
    });
    match found {
        Some(bits) if (1.0..1e15).contains(&bits) => Ok(bits as u64),
        Some(_) => Err(SettingError::new(
            place,
            format!("{} is no rate that a line has; write {example}, say", shortened(text)),
        )),
        None => Err(SettingError::new(
            place,
            format!("\"{}\" is not a rate; write {example}, say", shortened(text)),
        )),
    }
}

/// Reads a percentage, with or without its sign.
pub(super) fn percent(place: &str, text: &str) -> Result<f64, SettingError> {
    let number = split(text).filter(|(_, unit)| matches!(*unit, "" | "%"));
    match number {
        Some((number, _)) if (0.0..=100.0).contains(&number) => Ok(number),
        Some(_) => Err(SettingError::new(
            place,
            format!("{} is no share; write 0 to 100", shortened(text)),
        )),
        None => Err(SettingError::new(
            place,
            format!("\"{}\" is not a percentage; write 1, say", shortened(text)),
        )),
    }
}

/// Reads a whole number.
pub(super) fn whole(place: &str, text: &str) -> Result<i64, SettingError> {
    text.parse().map_err(|_| {
        let problem = format!("\"{}\" is not a whole number; write 25, say", shortened(text));
        SettingError::new(place, problem)
    })
}

/// Writes a percentage without more digits than it has.
pub(super) fn written_percent(percent: f64) -> String {
    format!("{percent}%")
}
