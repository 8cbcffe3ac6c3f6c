//! The parts that the readers and writers of all kinds share: files that a profile names, choices
//! of which exactly one is written, and fields as people write them.

use jostle_common::setting::{SettingError, one_of};
use jostle_common::units::{Probability, Span};
use serde_json::{Map, Value};
use std::time::Duration;

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

/// A file that a rule was read from: its name as the profile has it, and a text that reads as it
/// did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedFile {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// The fields of a rule or a part of one as they are written, in order. What its absence says too
/// is left out.
#[derive(Debug, Default)]
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    /// Adds a field.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a field, if there is a value.
    pub(super) fn with_some(self, name: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Adds a field, unless its value is the one that its absence means.
    pub(super) fn unless<T: PartialEq>(
        self,
        name: &str,
        value: T,
        default: T,
        written: impl FnOnce(T) -> Value,
    ) -> Self {
        if value == default { self } else { self.with(name, written(value)) }
    }

    /// Returns true if there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns them as a JSON object.
    pub(crate) fn into_map(self) -> Map<String, Value> {
        self.0
    }
}

impl From<Fields> for Value {
    fn from(fields: Fields) -> Self {
        Self::Object(fields.0)
    }
}

/// Writes a probability: as a percentage, or as the fraction if only that reads as the same number.
pub(super) fn share(probability: Probability) -> Value {
    let text = probability.to_string();
    match text.parse::<Probability>() {
        Ok(read) if read == probability => text.into(),
        _ => probability.as_f64().into(),
    }
}

/// Writes a time.
pub(super) fn time(time: Duration) -> Value {
    Span(time).to_string().into()
}

/// Writes a quantity with its unit.
pub(super) fn text(quantity: impl ToString) -> Value {
    quantity.to_string().into()
}

/// Writes a number that may be whole.
pub(super) fn number(number: f64) -> Value {
    /// Whole numbers beyond this are not all floats.
    const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
    if number == libm::trunc(number) && (0.0..WHOLE_MAX).contains(&number) {
        (number as u64).into()
    } else {
        number.into()
    }
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
