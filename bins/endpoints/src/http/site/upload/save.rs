//! Storing an upload: written next to its name, hashed as it comes, named when it is whole, removed
//! when it is not.

use crate::http::blocking;
use crate::http::site::refusal::Refusal;
use crate::protocol::storage::{Folder as _, Partial as _};
use crate::storage::{Directory, PartFile, Quota, open_regular};
use bytes::Bytes;
use hyper::StatusCode;
use jostle_common::digest::{Digest, Hasher};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// The name of an upload that has none.
pub(super) const NAMELESS: &str = "upload";

/// The number of bytes that are gathered before they are written: all that an upload holds, however
/// small its pieces are.
const BATCH: usize = 64 << 10;
/// The number of bytes that are read at once to compare a file.
const COMPARED: usize = 256 << 10;

/// The firmness with which a name is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// This one, or none.
    Exact,
    /// `name`, or else `name-2`, and so on.
    Counted,
}

/// A stored upload.
#[derive(Debug)]
pub(super) struct StoredUpload {
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) digest: Digest,
    /// True if it was not there before.
    pub(super) is_new: bool,
}

/// A file that comes in pieces.
pub(super) trait Pieces {
    /// Returns the next piece; `None` at the end.
    fn piece(&mut self) -> impl Future<Output = Result<Option<Bytes>, Refusal>> + Send;
}

/// Refuses a name that is taken by a file of another size, before anything is sent.
pub(super) async fn check_free(
    folder: &Path,
    name: &str,
    size: Option<u64>,
) -> Result<(), Refusal> {
    let path = folder.join(name);
    let found = blocking(move || match path.symlink_metadata() {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    });
    match found.await? {
        None => Ok(()),
        Some(found) if found.is_file() && size.is_none_or(|size| size == found.len()) => Ok(()),
        Some(_) => Err(conflict()),
    }
}

fn conflict() -> Refusal {
    let reason = "another file has this name, and nothing is overwritten; take another, or POST \
                  and the server finds one";
    Refusal::new(StatusCode::CONFLICT, reason)
}

/// The most that is stored.
#[derive(Clone, Debug)]
pub(super) struct StoreLimits {
    /// The largest file, in bytes.
    pub(super) size_max: u64,
    /// The bytes of all files.
    pub(super) quota: Quota,
}

/// Stores what `pieces` bring, within the limits, of the digest that was announced if one was.
pub(super) async fn save(
    folder: &Path,
    limits: &StoreLimits,
    name: &str,
    naming: Naming,
    expected: Option<Digest>,
    pieces: &mut impl Pieces,
) -> Result<StoredUpload, Refusal> {
    let (folder, name) = (folder.to_owned(), name.to_owned());
    let (limit, quota) = (limits.size_max, limits.quota.clone());
    let mut writing = blocking(move || Writing::create(folder, name, quota)).await?;
    let (mut batch, mut size) = (Vec::new(), 0);
    while let Some(piece) = pieces.piece().await? {
        size += piece.len() as u64;
        if size > limit {
            return Err(Refusal::too_large(limit));
        }
        batch.extend_from_slice(&piece);
        if batch.len() >= BATCH {
            (writing, batch) = blocking(move || writing.append(batch)).await?;
        }
    }
    blocking(move || Ok(writing.append(batch)?.0.finish(naming, expected))).await?
}

/// A file in the making; dropped, it leaves nothing.
struct Writing {
    part: PartFile,
    folder: PathBuf,
    name: String,
    hasher: Hasher,
    size: u64,
}

impl Writing {
    fn create(folder: PathBuf, name: String, quota: Quota) -> io::Result<Self> {
        let directory = Directory::open(&folder, &name).map_err(io::Error::other)?;
        let part = directory.within(quota).create()?;
        Ok(Self { part, folder, name, hasher: Hasher::new(), size: 0 })
    }

    /// Writes what was gathered. Returns its memory, for what comes next.
    fn append(mut self, mut batch: Vec<u8>) -> io::Result<(Self, Vec<u8>)> {
        self.part.write_at(self.size, &batch)?;
        self.hasher.update(&batch);
        self.size += batch.len() as u64;
        batch.clear();
        Ok((self, batch))
    }

    /// Gives it its name. It is on the disk when the client is told of it.
    fn finish(self, naming: Naming, expected: Option<Digest>) -> Result<StoredUpload, Refusal> {
        let Self { part, folder, name, hasher, size } = self;
        let digest = hasher.finish();
        if expected.is_some_and(|expected| expected != digest) {
            // The problem that RFC 9530 names "digest mismatching values".
            let reason = format!(
                "the upload was damaged on the way: its sha256 here is {digest}, not what \
                 Repr-Digest says"
            );
            return Err(Refusal::new(StatusCode::BAD_REQUEST, reason));
        }
        let taken = match naming {
            Naming::Counted => part.store(),
            Naming::Exact => part.store_as_named().map(|()| name.clone()),
        };
        match taken {
            Ok(name) => Ok(StoredUpload { name, size, digest, is_new: true }),
            // A client that asks again because it missed our answer finds what it sent.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                match is_same(&folder.join(&name), size, digest) {
                    Ok(true) => Ok(StoredUpload { name, size, digest, is_new: false }),
                    _ => Err(conflict()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn is_same(path: &Path, size: u64, digest: Digest) -> io::Result<bool> {
    let found = path.symlink_metadata()?;
    if !found.is_file() || found.len() != size {
        return Ok(false);
    }
    let (mut file, mut hasher) = (open_regular(path)?, Hasher::new());
    let mut buffer = vec![0; COMPARED];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish() == digest),
            length => hasher.update(&buffer[..length]),
        }
    }
}
