//! A distribution as a table, in tc's `.dist` format.

use std::fmt::Write as _;
use std::ops::Deref;
use std::sync::Arc;

/// The entries of a distribution, of which one is drawn: deviations in 8192nds of the jitter.
/// Shared, for a rule per flow has them many times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelayTable {
    entries: Arc<[i16]>,
    /// The file that they were read from.
    file: Option<Arc<str>>,
}

impl DelayTable {
    /// Returns the same table as that of a file.
    #[must_use]
    pub fn of_file(self, name: &str) -> Self {
        Self { file: Some(name.into()), ..self }
    }

    /// Returns the name of the file that it was read from, if it was.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// Returns it as the text of a file.
    pub(super) fn text(&self) -> String {
        self.entries.iter().fold(String::new(), |mut text, entry| {
            let _ = writeln!(text, "{entry}");
            text
        })
    }
}

impl From<Vec<i16>> for DelayTable {
    fn from(entries: Vec<i16>) -> Self {
        Self { entries: entries.into(), file: None }
    }
}

impl FromIterator<i16> for DelayTable {
    fn from_iter<I: IntoIterator<Item = i16>>(entries: I) -> Self {
        Self { entries: entries.into_iter().collect(), file: None }
    }
}

impl Deref for DelayTable {
    type Target = [i16];

    fn deref(&self) -> &[i16] {
        &self.entries
    }
}
