//! The output of rows: each is a whole line in one write, and what stands there already stays.

use super::identity::Identity;
use super::resume::{self, Found};
use anyhow::{Context, bail};
use jostle_console::terminal;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// An output that is open, and that no other process writes to.
#[derive(Debug)]
pub(super) struct RowOutput {
    to: To,
}

#[derive(Debug)]
enum To {
    Stdout,
    /// A pipe or a device, which is written as it is.
    Device(File, PathBuf),
    Rows(Rows),
}

/// A file of rows.
#[derive(Debug)]
struct Rows {
    file: File,
    path: PathBuf,
    /// The name that it gets when every row is there.
    finished: Option<PathBuf>,
}

impl RowOutput {
    /// Opens the output; `None` when it is finished, and not to be taken up again (`again`). A part
    /// of a sweep is written next to its name until it is finished.
    ///
    /// # Errors
    /// When nothing can be written there, or another sweep writes to it.
    pub(super) fn open(
        path: Option<&Path>,
        is_part: bool,
        again: bool,
    ) -> anyhow::Result<Option<Self>> {
        let Some(path) = path else { return Ok(Some(Self { to: To::Stdout })) };
        let cannot_write = || format!("cannot write {}", path.display());
        let found = path.metadata().ok();
        if found.as_ref().is_some_and(std::fs::Metadata::is_dir) {
            bail!("{} is a folder; name a file in it", path.display());
        }
        if found.is_some_and(|found| !found.is_file()) {
            let device = File::options().write(true).open(path).with_context(cannot_write)?;
            return Ok(Some(Self { to: To::Device(device, path.to_owned()) }));
        }
        let rows =
            if is_part { Rows::open_part(path, again) } else { Rows::open_whole(path).map(Some) };
        Ok(rows?.map(|rows| Self { to: To::Rows(rows) }))
    }

    /// Reads the rows that are there, with remarks for people.
    ///
    /// # Errors
    /// When they cannot be read, or are none.
    pub(super) fn read(&mut self) -> anyhow::Result<(Found, Vec<String>)> {
        match &mut self.to {
            To::Rows(rows) => resume::read(&mut rows.file, &rows.path),
            To::Stdout | To::Device(..) => Ok((Found::default(), Vec::new())),
        }
    }

    /// Removes failed rows of these cells.
    ///
    /// # Errors
    /// When the rest cannot be written; then nothing is removed.
    pub(super) fn remove_failed(&mut self, cells: &BTreeSet<Identity>) -> anyhow::Result<()> {
        match &mut self.to {
            To::Rows(rows) if !cells.is_empty() => {
                rows.rewrite(cells).with_context(|| format!("cannot write {}", rows.path.display()))
            }
            _ => Ok(()),
        }
    }

    /// Writes a line, which brings its end.
    ///
    /// # Errors
    /// When it cannot be written whole.
    pub(super) fn write(&mut self, line: &str) -> io::Result<()> {
        match &mut self.to {
            To::Stdout => terminal::write(line),
            To::Device(file, _) | To::Rows(Rows { file, .. }) => file.write_all(line.as_bytes()),
        }
    }

    /// Returns the output as people call it.
    pub(super) fn name(&self) -> String {
        match &self.to {
            To::Stdout => "stdout".to_owned(),
            To::Device(_, path) | To::Rows(Rows { path, .. }) => path.display().to_string(),
        }
    }

    /// Gives a part its name: every row is there.
    ///
    /// # Errors
    /// When it cannot have it.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        match self.to {
            To::Rows(Rows { path, finished: Some(finished), .. }) => {
                std::fs::rename(&path, &finished).with_context(|| {
                    format!("cannot rename {} to {}", path.display(), finished.display())
                })
            }
            _ => Ok(()),
        }
    }
}

impl Rows {
    fn open_whole(path: &Path) -> anyhow::Result<Self> {
        loop {
            if let Some(file) = locked(path)? {
                return Ok(Self { file, path: path.to_owned(), finished: None });
            }
        }
    }

    fn open_part(finished: &Path, again: bool) -> anyhow::Result<Option<Self>> {
        let path = beside(finished, ".part");
        loop {
            if finished.exists() && !again {
                return Ok(None);
            }
            // A process that has just given its part the name has left nothing under the old one.
            let Some(mut file) = locked(&path)? else { continue };
            if finished.exists() && file.metadata()?.len() == 0 {
                let copied =
                    File::open(finished).and_then(|mut rows| io::copy(&mut rows, &mut file));
                copied.with_context(|| format!("cannot copy {}", finished.display()))?;
            }
            return Ok(Some(Self { file, path, finished: Some(finished.to_owned()) }));
        }
    }

    fn rewrite(&mut self, without: &BTreeSet<Identity>) -> io::Result<()> {
        let path = beside(&self.path, ".new");
        // Left by one that was killed: the process that has the lock is alone.
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = File::options().read(true).append(true).create_new(true).open(&path)?;
        lock(&file).map_err(io::Error::from)?;
        resume::copy_without(&self.file, &file, without)?;
        std::fs::rename(&path, &self.path)?;
        self.file = file;
        Ok(())
    }
}

/// Opens a file to append to it, alone; `None` when it has lost its name meanwhile.
fn locked(path: &Path) -> anyhow::Result<Option<File>> {
    let cannot_write = || format!("cannot write {}", path.display());
    let file = File::options()
        .read(true)
        .append(true)
        .create(true)
        .open(path)
        .with_context(cannot_write)?;
    match lock(&file) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            bail!(
                "another sweep writes to {}; wait for its end, or write another -o",
                path.display()
            )
        }
        Err(TryLockError::Error(error)) => return Err(error).with_context(cannot_write),
    }
    // The process that held the lock before may have renamed or replaced the file since it was
    // opened here.
    let (own, named) = (file.metadata()?, path.metadata().ok());
    let is_named = named.is_some_and(|named| (named.dev(), named.ino()) == (own.dev(), own.ino()));
    Ok(is_named.then_some(file))
}

fn lock(file: &File) -> Result<(), TryLockError> {
    match file.try_lock() {
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
            log::warn!("this file system has no locks: run one sweep per output");
            Ok(())
        }
        locked => locked,
    }
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests;
