//! The file that a client fetches: written next to its name, and renamed to it when it is whole.

use super::at;
use super::durable::{sync_file, sync_name};
use crate::protocol::storage::Sink;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// An output file in the making, `NAME.part` until [`Self::finish`].
#[derive(Debug)]
pub struct OutputFile {
    writer: BufWriter<File>,
    /// `None` when the output is a device or a pipe, which is written as it is.
    part: Option<PathBuf>,
    path: PathBuf,
}

impl OutputFile {
    /// Starts to write what will be `path`.
    ///
    /// # Errors
    /// When `path` is a folder, or nothing can be written there.
    pub fn create(path: &Path) -> io::Result<Self> {
        let found = path.metadata().ok();
        if found.as_ref().is_some_and(std::fs::Metadata::is_dir) {
            return Err(at(path)(io::Error::other("is a folder; name a file in it")));
        }
        // Renaming a file over /dev/null would replace the device.
        let part = found.is_none_or(|found| found.is_file()).then(|| part_of(path));
        let file = match &part {
            Some(part) => File::create(part).map_err(at(part))?,
            None => File::options().write(true).open(path).map_err(at(path))?,
        };
        Ok(Self { writer: BufWriter::new(file), part, path: path.to_owned() })
    }

    /// Gives the file its name: it is whole. Waits until both are on the disk.
    ///
    /// # Errors
    /// When the last bytes cannot be written, or the name not be given.
    pub fn finish(mut self) -> io::Result<()> {
        self.writer.flush().map_err(at(&self.path))?;
        let Some(part) = &self.part else { return Ok(()) };
        sync_file(self.writer.get_ref(), part)?;
        std::fs::rename(part, &self.path).map_err(at(&self.path))?;
        sync_name(&self.path)
    }

    /// Leaves it unfinished. Returns the path of what was written, or `None` when that is nothing.
    pub fn abandon(mut self) -> Option<PathBuf> {
        let part = self.part.take()?;
        // What cannot be written now is lost, as it is not whole anyway.
        let _ = self.writer.flush();
        let is_empty = part.metadata().is_ok_and(|found| found.len() == 0);
        if is_empty && std::fs::remove_file(&part).is_ok() { None } else { Some(part) }
    }
}

impl Sink for OutputFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes).map_err(at(self.part.as_deref().unwrap_or(&self.path)))
    }
}

fn part_of(path: &Path) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_its_name_only_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let mut output = OutputFile::create(&path).unwrap();
        output.append(b"half").unwrap();
        let part = output.abandon().unwrap();
        assert!(!path.exists());
        assert_eq!(std::fs::read(part).unwrap(), b"half");
        let mut output = OutputFile::create(&path).unwrap();
        output.append(b"whole").unwrap();
        output.finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
        assert_eq!(
            OutputFile::create(&path).unwrap().abandon(),
            None,
            "nothing is left of nothing"
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_device_stays_a_device_and_a_folder_is_refused() {
        let mut output = OutputFile::create(Path::new("/dev/null")).unwrap();
        output.append(b"gone").unwrap();
        output.finish().unwrap();
        assert!(!Path::new("/dev/null").metadata().unwrap().is_file());
        let error = OutputFile::create(&std::env::temp_dir()).unwrap_err().to_string();
        assert!(error.contains("is a folder"), "{error}");
    }

    #[test]
    fn a_full_disk_is_an_error_with_its_place() {
        let mut output = OutputFile::create(Path::new("/dev/full")).unwrap();
        let written = output.append(&[0; 1 << 16]).and_then(|()| output.finish());
        let error = written.unwrap_err().to_string();
        assert!(error.contains("/dev/full") && error.contains("No space left"), "{error}");
    }
}
