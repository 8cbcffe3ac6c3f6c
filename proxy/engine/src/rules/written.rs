//! The parts that the readers of all kinds share: files that a profile names, and choices of which
//! exactly one is written.

use jostle_common::setting::{SettingError, one_of};

/// Finds the text of a file that settings name, or says why it cannot.
pub type ReadFile<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// Refuses every file: a [`ReadFile`] where there is no folder to look in.
///
/// # Errors
/// Always, with the remedy.
pub fn no_files(name: &str) -> Result<String, String> {
    Err(format!(
        "\"{name}\" cannot be looked up here; write its lines as a list, or put the profile into \
         a file beside it"
    ))
}

/// Lines beyond this are no trace that a person recorded: a day at 1 Gbit/s.
const LINES_MAX: usize = 10_000_000;

/// Numbers the lines of a trace from 0.
pub(super) fn lines(text: &str) -> Result<impl Iterator<Item = (usize, &str)>, String> {
    match text.lines().nth(LINES_MAX) {
        Some(_) => Err(format!("it has more than {LINES_MAX} lines")),
        None => Ok(text.lines().enumerate()),
    }
}

/// Returns as much of a line or word as a message shows.
pub(super) fn shortened(line: &str) -> String {
    line.chars().take(20).collect()
}

/// Returns the one of several alternatives that is given.
pub(super) fn exactly_one<T, const N: usize>(
    place: &str,
    kind: &str,
    choices: [(&str, Option<T>); N],
) -> Result<T, SettingError> {
    let names = choices.each_ref().map(|(name, _)| *name);
    let mut given = choices.into_iter().filter_map(|(name, choice)| Some((name, choice?)));
    let ways = || format!("{kind} says how by exactly one of {}", one_of(&names));
    match (given.next(), given.next()) {
        (Some((_, choice)), None) => Ok(choice),
        (None, _) => Err(SettingError::new(place, format!("{}; none is here", ways()))),
        (Some((first, _)), Some((second, _))) => {
            let problem = format!("{}; here are {first} and {second}", ways());
            Err(SettingError::new(place, problem))
        }
    }
}
