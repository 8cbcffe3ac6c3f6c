//! A file that is being fetched: `NAME.part`, next to it `NAME.part.etag` with the version it is a
//! part of (its tag, its address and its size), until it has its name.

use crate::storage::{sync_file, sync_name};
use jostle_common::digest::{Digest, Hasher};
use rustix::fs::{FlockOperation, flock};
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

/// No server makes longer entity tags and addresses.
const NOTE_BYTES_MAX: u64 = 16 << 10;

/// The version that a part is of. A tag names bytes only together with its address (RFC 9110,
/// 8.8.3), and a size that changes shows that a tag lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PartVersion {
    /// The strong entity tag, with its quotes.
    pub(super) etag: String,
    /// The address that the bytes came from.
    pub(super) url: String,
    /// The size of the whole file, if it is known.
    pub(super) total: Option<u64>,
}

/// A part of a file.
#[derive(Debug)]
pub(super) struct PartialDownload {
    file: File,
    /// `None` for a device or a pipe, which is written as it is.
    path: Option<PathBuf>,
    hasher: Hasher,
    size: u64,
    version: Option<PartVersion>,
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
            return Ok(Self { file, path: None, hasher: Hasher::new(), size: 0, version: None });
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
        let version = if resume { read_note(&with(&part, ".etag")) } else { None };
        let mut opened = Self { file, path: Some(part), hasher: Hasher::new(), size: 0, version };
        match opened.version {
            Some(_) => opened.hash_what_is_there()?,
            None => opened.restart(None)?,
        }
        Ok(opened)
    }

    /// Returns true if an earlier run has left a part of `path` that can be resumed.
    pub(super) fn is_left(path: &Path) -> bool {
        let part = with(path, ".part");
        part.metadata().is_ok_and(|found| found.len() > 0)
            && read_note(&with(&part, ".etag")).is_some()
    }

    /// Returns the number of bytes that are there.
    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    /// Returns the version that the part is of, when there is something of it.
    pub(super) fn version(&self) -> Option<&PartVersion> {
        self.version.as_ref().filter(|_| self.size > 0)
    }

    /// Begins anew, with this version of the file.
    pub(super) fn restart(&mut self, version: Option<PartVersion>) -> io::Result<()> {
        if self.path.is_none() && self.size > 0 {
            let reason = "what was written to a pipe or a device cannot be begun anew";
            return Err(io::Error::other(reason));
        }
        (self.size, self.hasher, self.version) = (0, Hasher::new(), version);
        let Some(part) = &self.path else { return Ok(()) };
        let note = with(part, ".etag");
        // The old version's tag must be gone before the new version's bytes come.
        let _ = std::fs::remove_file(&note);
        self.file.set_len(0).and_then(|()| self.file.rewind()).map_err(at(part))?;
        match &self.version {
            Some(version) => std::fs::write(&note, version.to_string()).map_err(at(&note)),
            None => Ok(()),
        }
    }

    /// Notes the size of the whole file, as an answer names it.
    pub(super) fn note_total(&mut self, total: Option<u64>) {
        if let Some(version) = &mut self.version {
            version.total = total.or(version.total);
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

fn read_note(path: &Path) -> Option<PartVersion> {
    let bytes = jostle_console::files::read(path, NOTE_BYTES_MAX).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let mut lines = text.lines();
    let (etag, url, total) = (lines.next()?, lines.next()?, lines.next()?);
    let is_tag = etag.starts_with('"') && etag.ends_with('"') && etag.len() > 1;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    is_tag.then(|| PartVersion { etag: etag.to_owned(), url: url.to_owned(), total })
}

impl fmt::Display for PartVersion {
    /// Writes three lines: tag, address, and size or `*`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.total.map_or_else(|| "*".to_owned(), |total| total.to_string());
        write!(f, "{}\n{}\n{total}\n", self.etag, self.url)
    }
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

    fn version() -> PartVersion {
        let url = "http://host/song".to_owned();
        PartVersion { etag: "\"v1\"".to_owned(), url, total: Some(13) }
    }

    #[test]
    fn a_part_is_resumed_when_it_is_known_what_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("song");
        let mut part = PartialDownload::open(&path, true).unwrap();
        assert!(
            PartialDownload::open(&path, true).unwrap_err().to_string().contains("another program")
        );
        part.restart(Some(version())).unwrap();
        part.append(b"half").unwrap();
        drop(part);
        assert!(PartialDownload::is_left(&path));
        let mut part = PartialDownload::open(&path, true).unwrap();
        assert_eq!((part.size(), part.version()), (4, Some(&version())));
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
        part.restart(Some(version())).unwrap();
        part.append(b"half").unwrap();
        drop(part);
        let part = PartialDownload::open(&path, false).unwrap();
        assert_eq!((part.size(), part.version()), (0, None));
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
        assert!(part.restart(None).is_err(), "what is gone cannot be taken back");
        part.finish(Path::new("/dev/null"), true).unwrap();
        assert!(!Path::new("/dev/null").metadata().unwrap().is_file());
    }
}
