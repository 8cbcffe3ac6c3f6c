//! The files that endpoints read and write, as values that the caller brings: files in the
//! programs, memory in tests and in virtual time.

use super::finishing::{Finishing, RestOfDigest, StoredFile};
use bytes::Bytes;
use jostle_common::digest::{Digest, Hasher};
use jostle_common::time::Instant;
use std::fmt;
use std::io;
use std::sync::Arc;

/// A file that is sent.
pub trait Source {
    /// Returns its size in bytes.
    fn size(&self) -> u64;

    /// Returns the digest of its contents; `None` while it is not known, since that takes reading
    /// all of it.
    fn digest(&self) -> Option<Digest>;

    /// Fills `buffer` from `offset`.
    ///
    /// # Errors
    /// When the file cannot be read there, or ends before the buffer is full.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Reads `length` bytes from `offset`.
    ///
    /// # Errors
    /// When the file cannot be read there, or ends before.
    fn piece(&mut self, offset: u64, length: usize) -> io::Result<Bytes> {
        let mut buffer = vec![0; length];
        self.read_at(offset, &mut buffer)?;
        Ok(buffer.into())
    }

    /// Returns true if the contents cannot change while they are sent, so that
    /// [`Self::digest`] holds for whatever was read.
    fn is_immutable(&self) -> bool {
        false
    }

    /// Checks if the file has changed, and takes on its new size and digest. Returns false
    /// while it cannot be served.
    fn refresh(&mut self, now: Instant) -> bool {
        let _ = now;
        true
    }
}

/// A file that is received, from front to back.
pub trait Sink {
    /// Appends `bytes`.
    ///
    /// # Errors
    /// When they cannot be written, as on a full disk.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Returns the hasher for what is appended: where it is known what should come, one that
    /// expects it.
    fn hasher(&self) -> Hasher {
        Hasher::new()
    }
}

/// A folder in which received files are made. Until a file is finished it is kept apart from the
/// finished ones.
pub trait Folder {
    /// A file in the making.
    type File: Partial + fmt::Debug;

    /// Makes a new, empty file.
    ///
    /// # Errors
    /// When that is not possible.
    fn create(&mut self) -> io::Result<Self::File>;

    /// Returns the bytes that it still takes, over all files.
    fn room(&self) -> u64 {
        u64::MAX
    }

    /// Returns the hasher for a file: where it is known what should come, one that expects it.
    fn hasher(&self) -> Hasher {
        Hasher::new()
    }
}

/// A received file in the making. Dropping it unfinished leaves nothing among the finished ones.
pub trait Partial: Sized {
    /// Writes `bytes` at `offset`; what lies between the end and `offset` becomes a hole of zeros.
    ///
    /// # Errors
    /// When they cannot be written, as on a full disk.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Fills `buffer` from `offset`, for the digest of what was written.
    ///
    /// # Errors
    /// When the file cannot be read there.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Makes it `size` bytes long, with a hole of zeros at the end if need be.
    ///
    /// # Errors
    /// When the system refuses.
    fn set_size(&mut self, size: u64) -> io::Result<()>;

    /// Gives it its final name, once it is kept for good and the rest of its digest is made. It
    /// never blocks: what takes time goes on elsewhere.
    fn finish(self, rest: RestOfDigest) -> Finishing;
}

/// Returns the contents of a made-up file of `size` bytes: the same on every machine, the beginning
/// of every larger one, and not compressible.
pub fn generated(size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size.next_multiple_of(8)];
    for (place, number) in bytes.chunks_exact_mut(8).zip(1..) {
        place.copy_from_slice(&split_mix(number).to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// Returns the `number`-th word of SplitMix64 (Steele, Lea and Flood 2014). No fate depends on it,
/// and it is ten times faster than the draws of [`jostle_common::chance`].
const fn split_mix(number: u64) -> u64 {
    let mut word = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    word = (word ^ word >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ word >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ word >> 31
}

/// A file in memory. Its clones share the bytes.
#[derive(Clone)]
pub struct Memory {
    bytes: Bytes,
    digest: Digest,
}

impl Memory {
    /// Creates a file of these bytes.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        Self { bytes, digest }
    }

    /// Returns a made-up file of `size` bytes, as [`generated`] makes it.
    pub fn generated(size: usize) -> Self {
        Self::new(generated(size))
    }

    /// Returns the bytes in it.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Returns the digest of them.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Returns a hasher that expects these bytes.
    pub fn hasher(&self) -> Hasher {
        Hasher::expecting(Arc::new(self.bytes.clone()), self.digest)
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, {}", self.bytes.len(), self.digest)
    }
}

impl Source for Memory {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn digest(&self) -> Option<Digest> {
        Some(self.digest)
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        read_at(&self.bytes, offset, buffer)
    }

    fn piece(&mut self, offset: u64, length: usize) -> io::Result<Bytes> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let end = start.checked_add(length).filter(|end| *end <= self.bytes.len());
        Ok(self.bytes.slice(start..end.ok_or(io::ErrorKind::UnexpectedEof)?))
    }

    fn is_immutable(&self) -> bool {
        true
    }
}

impl<F: Source + ?Sized> Source for &mut F {
    fn size(&self) -> u64 {
        (**self).size()
    }

    fn digest(&self) -> Option<Digest> {
        (**self).digest()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        (**self).read_at(offset, buffer)
    }

    fn piece(&mut self, offset: u64, length: usize) -> io::Result<Bytes> {
        (**self).piece(offset, length)
    }

    fn is_immutable(&self) -> bool {
        (**self).is_immutable()
    }

    fn refresh(&mut self, now: Instant) -> bool {
        (**self).refresh(now)
    }
}

impl Sink for Vec<u8> {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.extend_from_slice(bytes);
        Ok(())
    }
}

/// A sink that forgets what it is given, for measurements in virtual time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nowhere;

impl Sink for Nowhere {
    fn append(&mut self, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

/// A folder in memory: finished files by name, unfinished ones vanish.
#[derive(Clone, Debug, Default)]
pub struct MemoryFolder {
    finished: Arc<std::sync::Mutex<Vec<Vec<u8>>>>,
}

impl MemoryFolder {
    /// Returns the contents of the finished files, in the order in which they were finished.
    pub fn finished(&self) -> Vec<Vec<u8>> {
        self.finished.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

/// A file in the making in a [`MemoryFolder`].
#[derive(Clone, Debug)]
pub struct MemoryFile {
    bytes: Vec<u8>,
    folder: MemoryFolder,
}

impl Folder for MemoryFolder {
    type File = MemoryFile;

    fn create(&mut self) -> io::Result<MemoryFile> {
        Ok(MemoryFile { bytes: Vec::new(), folder: self.clone() })
    }
}

impl Partial for MemoryFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let end = start + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[start..end].copy_from_slice(bytes);
        Ok(())
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        read_at(&self.bytes, offset, buffer)
    }

    fn set_size(&mut self, size: u64) -> io::Result<()> {
        self.bytes.resize(usize::try_from(size).map_err(io::Error::other)?, 0);
        Ok(())
    }

    fn finish(mut self, rest: RestOfDigest) -> Finishing {
        Finishing::ended(rest.read(&mut self).map(|digest| {
            let mut finished =
                self.folder.finished.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            finished.push(self.bytes);
            StoredFile { name: format!("received-{}", finished.len()), digest }
        }))
    }
}

fn read_at(bytes: &[u8], offset: u64, buffer: &mut [u8]) -> io::Result<()> {
    let from =
        usize::try_from(offset).ok().and_then(|start| bytes.get(start..)?.get(..buffer.len()));
    buffer.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_contents_are_the_same_everywhere_and_hold_every_byte_alike() {
        let bytes = generated(1 << 16);
        assert_eq!(
            Digest::of(&bytes).to_string(),
            "61232a41c8f3858a2d34791cc4de6f8ce51226ca1816b74d313d73feddbd3804"
        );
        assert_eq!(bytes[..8], 0xe220_a839_7b1d_cdaf_u64.to_le_bytes(), "as published");
        for size in [0, 1, 15, 16, 17, 4097] {
            assert_eq!(generated(size), bytes[..size]);
        }
        let mut counts = [0u32; 256];
        bytes.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
        // 256 of each in the mean with a deviation of 16: six deviations either way.
        assert!(counts.iter().all(|count| (160..=352).contains(count)), "{counts:?}");
    }
}
