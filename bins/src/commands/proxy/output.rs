//! A file that a run writes, or stdout by the name `-`.

use anyhow::Context;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// A file that keeps what it held until the proxy has started, or stdout.
pub(super) enum Output {
    Stdout,
    File { path: PathBuf, file: File, is_new: bool },
}

/// Returns true if a path means stdout.
pub(super) fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}

impl Output {
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        if is_stdout(path) {
            return Ok(Self::Stdout);
        }
        let open = |new: bool| File::options().write(true).create_new(new).open(path);
        let opened = match open(true) {
            Ok(file) => Ok((file, true)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                open(false).map(|file| (file, false))
            }
            Err(error) => Err(error),
        };
        let (file, is_new) = opened.with_context(|| cannot_write(path))?;
        Ok(Self::File { path: path.to_owned(), file, is_new })
    }

    /// Returns a second handle, for a thread of its own.
    pub(super) fn writer(&self) -> io::Result<Box<dyn Write + Send>> {
        Ok(match self {
            Self::Stdout => Box::new(io::stdout()),
            Self::File { file, .. } => Box::new(file.try_clone()?),
        })
    }

    /// Empties it.
    pub(super) fn begin(&self) {
        // A pipe or a terminal has no length.
        if let Self::File { path, file, .. } = self
            && let Err(error) = file.set_len(0)
        {
            log::debug!("{}: {error}", path.display());
        }
    }

    /// Writes a text.
    pub(super) fn write(&mut self, text: &str) -> anyhow::Result<()> {
        match self {
            Self::Stdout => jostle_console::terminal::text(text),
            Self::File { path, file, .. } => {
                file.write_all(text.as_bytes()).with_context(|| cannot_write(path))
            }
        }
    }

    /// Leaves things as they were: the proxy has not started.
    pub(super) fn withdraw(self) {
        if let Self::File { path, is_new: true, .. } = self
            && let Err(error) = std::fs::remove_file(&path)
        {
            log::debug!("{}: {error}", path.display());
        }
    }
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}
