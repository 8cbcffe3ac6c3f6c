//! A file that a run writes, or stdout by the name `-`.

use anyhow::Context;
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A file that keeps what it held until the proxy has started, or stdout.
pub(super) enum Output {
    Stdout,
    /// A named pipe. Opening it waits for a reader, so it is opened when there is something to say.
    Pipe(PathBuf),
    File {
        path: PathBuf,
        file: File,
        is_new: bool,
    },
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
        if std::fs::metadata(path).is_ok_and(|about| about.file_type().is_fifo()) {
            return Ok(Self::Pipe(path.to_owned()));
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
            Self::Pipe(path) => Box::new(LatePipe { path: path.clone(), pipe: None }),
            Self::File { file, .. } => Box::new(file.try_clone()?),
        })
    }

    /// Returns a second handle of a file; `None` if it is something else.
    pub(super) fn file(&self) -> Option<io::Result<File>> {
        match self {
            Self::File { file, .. } => Some(file.try_clone()),
            Self::Stdout | Self::Pipe(_) => None,
        }
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
            Self::Pipe(path) => {
                let written = open_pipe(path).and_then(|mut pipe| {
                    fcntl_setfl(&pipe, OFlags::empty())?;
                    pipe.write_all(text.as_bytes())
                });
                written.with_context(|| cannot_write(path))
            }
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

/// A named pipe that is opened once somebody reads it: until then writes say `NotConnected`, and
/// `WouldBlock` while it is full.
struct LatePipe {
    path: PathBuf,
    pipe: Option<File>,
}

impl Write for LatePipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.pipe.is_none() {
            self.pipe = Some(open_pipe(&self.path)?);
        }
        self.pipe.as_mut().map_or(Ok(0), |pipe| pipe.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens a named pipe that somebody reads, and waits for nothing.
fn open_pipe(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK.bits() as i32;
    let opened = File::options().write(true).custom_flags(flags).open(path);
    opened.map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::NXIO) => io::Error::new(ErrorKind::NotConnected, "nobody reads the pipe"),
        _ => error,
    })
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}
