//! A file that is served or sent, with its size and digest, which are found anew when it changes.

use super::at;
use crate::protocol::storage::Source;
use jostle_common::digest::{Digest, Hasher};
use jostle_common::time::Instant;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The time between two looks at the file for changes.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The marks that tell one version of a file from the next without reading it: device, inode, size,
/// time of change.
type SourceVersion = (u64, u64, u64, i64, i64);

/// An open file.
#[derive(Debug)]
pub struct FileSource {
    path: PathBuf,
    file: File,
    version: SourceVersion,
    size: u64,
    digest: Digest,
    looked: Instant,
    is_readable: bool,
}

impl FileSource {
    /// Opens the file and reads it once, for its digest.
    ///
    /// # Errors
    /// When it cannot be read, or is no regular file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let (file, version, size, digest) = read(path).map_err(at(path))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            version,
            size,
            digest,
            looked: Instant::START,
            is_readable: true,
        })
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Source for FileSource {
    fn size(&self) -> u64 {
        self.size
    }

    fn digest(&self) -> Digest {
        self.digest
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    /// Reads a file anew that was written or replaced; one that is gone is served on from
    /// what is still open.
    fn refresh(&mut self, now: Instant) -> bool {
        if now.since(self.looked) < LOOK_EVERY {
            return self.is_readable;
        }
        self.looked = now;
        let changed = self.path.metadata().is_ok_and(|found| version(&found) != self.version);
        if changed {
            match read(&self.path) {
                Ok((file, version, size, digest)) => {
                    log::info!("{} has changed", self.path.display());
                    (self.file, self.version, self.size, self.digest) =
                        (file, version, size, digest);
                    self.is_readable = true;
                }
                Err(error) => {
                    log::warn!("{} has changed and cannot be read: {error}", self.path.display());
                    self.is_readable = false;
                }
            }
        }
        self.is_readable
    }
}

fn version(found: &Metadata) -> SourceVersion {
    (found.dev(), found.ino(), found.size(), found.mtime(), found.mtime_nsec())
}

fn read(path: &Path) -> io::Result<(File, SourceVersion, u64, Digest)> {
    let mut file = File::open(path)?;
    let before = file.metadata()?;
    if !before.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 1 << 16];
    let mut size = 0;
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            return Ok((file, version(&before), size, hasher.finish()));
        }
        hasher.update(&buffer[..length]);
        size += length as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_or_replaced_file_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("song");
        std::fs::write(&path, "one").unwrap();
        let mut source = FileSource::open(&path).unwrap();
        assert_eq!((source.size(), source.digest()), (3, Digest::of(b"one")));
        std::fs::write(&path, "four").unwrap();
        assert!(source.refresh(Instant::from_millis(50)));
        assert_eq!(source.size(), 3, "too early to look");
        assert!(source.refresh(Instant::from_millis(100)));
        assert_eq!((source.size(), source.digest()), (4, Digest::of(b"four")));
        std::fs::write(folder.path().join("new"), "seven").unwrap();
        std::fs::rename(folder.path().join("new"), &path).unwrap();
        assert!(source.refresh(Instant::from_millis(200)));
        assert_eq!(source.digest(), Digest::of(b"seven"));
        std::fs::remove_file(&path).unwrap();
        assert!(source.refresh(Instant::from_millis(300)), "what is open is served on");
        let mut buffer = [0; 5];
        source.read_at(0, &mut buffer).unwrap();
        assert_eq!(&buffer, b"seven");
    }

    #[test]
    fn what_cannot_be_served_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().to_owned(), folder.path().join("nothing")] {
            let error = FileSource::open(&path).unwrap_err().to_string();
            assert!(error.contains(path.to_str().unwrap()), "{error}");
        }
    }
}
