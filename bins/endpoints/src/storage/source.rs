//! A file that is sent, read as it goes.

use super::at;
use super::entry::open_regular;
use crate::protocol::storage::Source;
use jostle_common::digest::{Digest, Hasher};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

/// The bytes that are read at once.
const PIECE: usize = 256 << 10;

/// An open file. Its digest is not known: that would take reading all of it before the first byte
/// is sent.
#[derive(Debug)]
pub struct FileSource {
    file: File,
    size: u64,
}

impl FileSource {
    /// Opens the file.
    ///
    /// # Errors
    /// When it cannot be read, or is no regular file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = open_regular(path).map_err(at(path))?;
        let size = file.metadata().map_err(at(path))?.len();
        Ok(Self { file, size })
    }
}

impl Source for FileSource {
    fn size(&self) -> u64 {
        self.size
    }

    fn digest(&self) -> Option<Digest> {
        None
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }
}

/// The marks that tell one version of a file from the next without reading it: device, inode, size,
/// time of change.
pub(super) type SourceVersion = (u64, u64, u64, i64, i64);

pub(super) fn version(found: &Metadata) -> SourceVersion {
    (found.dev(), found.ino(), found.size(), found.mtime(), found.mtime_nsec())
}

/// A file that was read once, for its digest.
#[derive(Debug)]
pub(crate) struct HashedFile {
    pub(crate) file: File,
    /// The version as it was before it was read.
    pub(super) version: SourceVersion,
    /// The bytes that were read.
    pub(crate) size: u64,
    pub(crate) digest: Digest,
}

impl HashedFile {
    /// Opens a file, and reads all of it.
    ///
    /// # Errors
    /// When it cannot be read, or is no regular file.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Self::read(path).map_err(at(path))
    }

    fn read(path: &Path) -> io::Result<Self> {
        let mut file = open_regular(path)?;
        let version = version(&file.metadata()?);
        let (mut hasher, mut buffer, mut size) = (Hasher::new(), vec![0; PIECE], 0);
        loop {
            let length = file.read(&mut buffer)?;
            if length == 0 {
                return Ok(Self { file, version, size, digest: hasher.finish() });
            }
            hasher.update(&buffer[..length]);
            size += length as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_opened_without_being_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sparse");
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        let mut source = FileSource::open(&path).unwrap();
        assert_eq!((source.size(), source.digest()), (1 << 40, None));
        let mut buffer = [1; 3];
        source.read_at((1 << 40) - 3, &mut buffer).unwrap();
        assert_eq!(buffer, [0; 3]);
        assert!(source.read_at((1 << 40) - 2, &mut buffer).is_err());
    }

    #[test]
    fn what_cannot_be_sent_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().to_owned(), folder.path().join("nothing"), "/dev/zero".into()] {
            let error = FileSource::open(&path).unwrap_err().to_string();
            assert!(error.contains(path.to_str().unwrap()), "{error}");
            assert!(HashedFile::open(&path).is_err());
        }
    }
}
