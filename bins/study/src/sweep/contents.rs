//! The contents that the cells carry, read or made once and shared by all.

use super::plan::SweepPlan;
use crate::rows::Row;
use crate::subject::Subject;
use crate::trial::Trial;
use crate::trial::simulated::Content;
use bytes::Bytes;
use jostle_endpoints::protocol::storage::{Source as _, generated};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// The files of a sweep.
#[derive(Debug, Default)]
pub(super) struct Contents {
    files: BTreeMap<String, Content>,
    /// The largest made-up file: it begins with every smaller one.
    largest: Bytes,
    /// Those that were asked for, by their size in bytes.
    generated: Mutex<BTreeMap<usize, Content>>,
}

impl Contents {
    /// Reads and makes the files.
    ///
    /// # Errors
    /// When one cannot be read, is empty or too large.
    pub(super) fn new(plan: &SweepPlan) -> anyhow::Result<Self> {
        let is_virtual = plan.sweep.base.is_virtual;
        let mut files = BTreeMap::new();
        for file in plan.files() {
            let subject = Subject::named(&file)?;
            files.insert(file, subject.content);
        }
        // Other processes make their own.
        let size = if is_virtual { plan.size_max() } else { 0 };
        let size = usize::try_from(size).expect("trials carry what memory can hold");
        Ok(Self { files, largest: generated(size).into(), generated: Mutex::default() })
    }

    /// Returns the content that a virtual trial carries.
    pub(super) fn of(&self, trial: &Trial) -> Content {
        if let Some(content) = self.file(trial) {
            return content.clone();
        }
        let size =
            usize::try_from(trial.size().bytes()).unwrap_or(usize::MAX).min(self.largest.len());
        let mut generated = self.generated.lock().unwrap_or_else(PoisonError::into_inner);
        generated.entry(size).or_insert_with(|| Content::new(self.largest.slice(..size))).clone()
    }

    /// Returns the row of a trial before anything was measured, with the size of its file.
    pub(super) fn row(&self, trial: &Trial) -> Row {
        let mut row = trial.row();
        if let Some(content) = self.file(trial) {
            row.more.insert("size".to_owned(), content.size().into());
        }
        row
    }

    fn file(&self, trial: &Trial) -> Option<&Content> {
        trial.file.as_ref().and_then(|file| self.files.get(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jostle_common::units::ByteSize;

    #[test]
    fn a_small_file_is_the_beginning_of_the_largest() {
        let contents = Contents {
            files: BTreeMap::from([("song.mp3".to_owned(), Content::generated(5))]),
            largest: generated(100_000).into(),
            generated: Mutex::default(),
        };
        for size in [1, 4097, 100_000, 4097] {
            let trial = Trial { size: Some(ByteSize::new(size)), ..Trial::default() };
            let content = contents.of(&trial);
            assert_eq!(content.bytes(), Content::generated(size as usize).bytes());
            assert_eq!(content.digest(), Content::generated(size as usize).digest());
            assert_eq!(contents.row(&trial).more["size"], size);
        }
        let trial = Trial { file: Some("song.mp3".to_owned()), ..Trial::default() };
        assert_eq!(
            (contents.of(&trial).size(), &contents.row(&trial).more["size"]),
            (5, &5.into())
        );
    }
}
