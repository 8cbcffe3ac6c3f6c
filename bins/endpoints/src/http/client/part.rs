//! A file that is being fetched: `NAME.part`, next to it `NAME.part.etag` with the version it is a
//! part of, until it has its name.

use crate::storage::{sync_file, sync_name};
use jostle_common::digest::{Digest, Hasher};
use rustix::fs::{FlockOperation, flock};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

/// No server makes longer entity tags.
const ETAG_BYTES_MAX: u64 = 1024;

/// A part of a file.
#[derive(Debug)]
pub(super) struct PartialDownload {
    file: File,
    /// `None` for a device or a pipe, which is written as it is.
    path: Option<PathBuf>,
    hasher: Hasher,
    size: u64,
    etag: Option<String>,
}

impl PartialDownload {
    /// Opens the part of `path`, with what an earlier run has left when its version is known.
    pub(super) fn open(path: &Path, resume: bool) -> io::Result<Self> {
        let found = path.metadata().ok();
        if found.as_ref().is_some_and(std::fs::Metadata::is_dir) {
            return Err(io::Error::other(format!(
                "{} is a folder; name a file in it",
                path.display()
            )));
        }
        // Renaming a file over /dev/null would replace the device.
        if found.is_some_and(|found| !found.is_file()) {
            let file = File::options().write(true).open(path).map_err(at(path))?;
            return Ok(Self { file, path: None, hasher: Hasher::new(), size: 0, etag: None });
        }
        let part = with(path, ".part");
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&part)
            .map_err(at(&part))?;
        let busy =
            |_| io::Error::other(format!("{} is being written by another program", part.display()));
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(busy)?;
        let etag = if resume { read_etag(&with(&part, ".etag")) } else { None };
        let mut opened = Self { file, path: Some(part), hasher: Hasher::new(), size: 0, etag };
        match opened.etag {
            Some(_) => opened.hash_what_is_there()?,
            None => opened.restart(None)?,
        }
        Ok(opened)
    }

    /// Returns true if an earlier run has left a part of `path` that can be resumed.
    pub(super) fn is_left(path: &Path) -> bool {
        let part = with(path, ".part");
        part.metadata().is_ok_and(|found| found.len() > 0)
            && read_etag(&with(&part, ".etag")).is_some()
    }

    /// Returns the number of bytes that are there.
    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    /// Returns the version that the part is of, when there is something of it.
    pub(super) fn etag(&self) -> Option<&str> {
        self.etag.as_deref().filter(|_| self.size > 0)
    }

    /// Begins anew, with this version of the file.
    pub(super) fn restart(&mut self, etag: Option<&str>) -> io::Result<()> {
        (self.size, self.hasher, self.etag) = (0, Hasher::new(), etag.map(str::to_owned));
        let Some(part) = &self.path else { return Ok(()) };
        let note = with(part, ".etag");
        // The old version's tag must be gone before the new version's bytes come.
        let _ = std::fs::remove_file(&note);
        self.file.set_len(0).and_then(|()| self.file.rewind()).map_err(at(part))?;
        match etag {
            Some(etag) => std::fs::write(&note, etag).map_err(at(&note)),
            None => Ok(()),
        }
    }

    /// Takes the next bytes.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file
            .write_all(bytes)
            .map_err(at(self.path.as_deref().unwrap_or_else(|| Path::new("the output"))))?;
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// Returns the digest of what is there.
    pub(super) fn digest(&self) -> Digest {
        self.hasher.clone().finish()
    }

    /// Gives the whole file its name: over what is there, or the next that is free. Waits until
    /// both are on the disk.
    pub(super) fn finish(self, path: &Path, replace: bool) -> io::Result<PathBuf> {
        let Some(part) = self.path else { return Ok(path.to_owned()) };
        sync_file(&self.file, &part)?;
        let named = match replace {
            true => std::fs::rename(&part, path).map(|()| path.to_owned()).map_err(at(path)),
            false => crate::storage::take_free_name(&part, path),
        }?;
        let _ = std::fs::remove_file(with(&part, ".etag"));
        sync_name(&named)?;
        Ok(named)
    }

    /// Leaves it as it is, or nothing when there is nothing worth leaving.
    pub(super) fn abandon(self) {
        let Some(part) = &self.path else { return };
        if self.size == 0 {
            let _ = std::fs::remove_file(part);
            let _ = std::fs::remove_file(with(part, ".etag"));
        }
    }

    fn hash_what_is_there(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; 256 << 10];
        loop {
            match self.file.read(&mut buffer)? {
                0 => return Ok(()),
                length => {
                    self.hasher.update(&buffer[..length]);
                    self.size += length as u64;
                }
            }
        }
    }
}

fn read_etag(path: &Path) -> Option<String> {
    let bytes = jostle_console::files::read(path, ETAG_BYTES_MAX).ok()?;
    String::from_utf8(bytes)
        .ok()
        .filter(|text| text.starts_with('"') && text.ends_with('"') && text.len() > 1)
}

fn with(path: &Path, end: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> io::Error + '_ {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_resumed_when_it_is_known_what_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("song");
        let mut part = PartialDownload::open(&path, true).unwrap();
        assert!(
            PartialDownload::open(&path, true).unwrap_err().to_string().contains("another program")
        );
        part.restart(Some("\"v1\"")).unwrap();
        part.append(b"half").unwrap();
        drop(part);
        assert!(PartialDownload::is_left(&path));
        let mut part = PartialDownload::open(&path, true).unwrap();
        assert_eq!((part.size(), part.etag()), (4, Some("\"v1\"")));
        part.append(b" and half").unwrap();
        assert_eq!(part.digest(), Digest::of(b"half and half"));
        assert_eq!(part.finish(&path, false).unwrap(), path);
        assert_eq!(std::fs::read(&path).unwrap(), b"half and half");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn without_a_tag_or_when_told_so_it_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("song");
        std::fs::write(with(&path, ".part"), "what is this").unwrap();
        assert!(!PartialDownload::is_left(&path));
        assert_eq!(PartialDownload::open(&path, true).unwrap().size(), 0);
        let mut part = PartialDownload::open(&path, true).unwrap();
        part.restart(Some("\"v1\"")).unwrap();
        part.append(b"half").unwrap();
        drop(part);
        let part = PartialDownload::open(&path, false).unwrap();
        assert_eq!((part.size(), part.etag()), (0, None));
        part.abandon();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_name_that_is_taken_is_replaced_or_counted_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("song.mp3");
        for (replace, name) in [(false, "song.mp3"), (false, "song-2.mp3"), (true, "song.mp3")] {
            let mut part = PartialDownload::open(&path, false).unwrap();
            part.append(name.as_bytes()).unwrap();
            assert_eq!(part.finish(&path, replace).unwrap(), folder.path().join(name));
        }
        let mut part = PartialDownload::open(Path::new("/dev/null"), true).unwrap();
        part.append(b"gone").unwrap();
        part.finish(Path::new("/dev/null"), true).unwrap();
        assert!(!Path::new("/dev/null").metadata().unwrap().is_file());
    }
}
