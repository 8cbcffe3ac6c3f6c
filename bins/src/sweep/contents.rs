//! What the cells carry, read once and shared by all.

use crate::subject::Subject;
use jostle_common::rows::Row;
use jostle_common::trial::{Job, Trial};
use std::collections::BTreeMap;
use std::path::Path;

/// The files of a sweep.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Their sizes in bytes.
    sizes: BTreeMap<String, u64>,
}

impl Contents {
    /// Reads the files.
    ///
    /// # Errors
    /// When one cannot be read, is empty or too large.
    pub(super) fn read(files: Vec<String>) -> anyhow::Result<Self> {
        let mut contents = Self::default();
        for file in files {
            let subject = Subject::read(Path::new(&file))?;
            contents.sizes.insert(file, subject.bytes.len() as u64);
        }
        Ok(contents)
    }

    /// The row of a trial before anything was measured, with the size of its file.
    pub(super) fn row(&self, trial: &Trial) -> Row {
        let mut row = trial.row();
        let size = trial.file.as_ref().and_then(|file| self.sizes.get(file));
        if let (Some(size), Job::Protocol(_)) = (size, &trial.job) {
            row.more.insert("size".to_owned(), (*size).into());
        }
        row
    }
}
