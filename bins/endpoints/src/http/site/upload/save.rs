//! Storing an upload: written next to its name, hashed as it comes, named when it is whole, removed
//! when it is not.

use crate::http::blocking;
use crate::http::site::refusal::Refusal;
use crate::protocol::storage::{Folder as _, Partial as _};
use crate::storage::{Directory, PartFile};
use bytes::Bytes;
use hyper::StatusCode;
use jostle_common::digest::{Digest, Hasher};
use std::fs::File;
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

/// Stores what `pieces` bring, at most `limit` bytes, of the digest that was announced if one was.
pub(super) async fn save(
    folder: &Path,
    limit: u64,
    name: &str,
    naming: Naming,
    expected: Option<Digest>,
    pieces: &mut impl Pieces,
) -> Result<StoredUpload, Refusal> {
    let (folder, name) = (folder.to_owned(), name.to_owned());
    let mut writing = blocking(move || Writing::create(folder, name)).await?;
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
    part: Option<PartFile>,
    folder: PathBuf,
    name: String,
    hasher: Hasher,
    size: u64,
}

impl Writing {
    fn create(folder: PathBuf, name: String) -> io::Result<Self> {
        let mut directory = Directory::open(&folder, &name).map_err(io::Error::other)?;
        let part = Some(directory.create()?);
        Ok(Self { part, folder, name, hasher: Hasher::new(), size: 0 })
    }

    /// Writes what was gathered. Returns its memory, for what comes next.
    fn append(mut self, mut batch: Vec<u8>) -> io::Result<(Self, Vec<u8>)> {
        let part = self.part.as_mut().expect("the part is there until the end");
        part.write_at(self.size, &batch)?;
        self.hasher.update(&batch);
        self.size += batch.len() as u64;
        batch.clear();
        Ok((self, batch))
    }

    fn finish(mut self, naming: Naming, expected: Option<Digest>) -> Result<StoredUpload, Refusal> {
        let digest = std::mem::take(&mut self.hasher).finish();
        if expected.is_some_and(|expected| expected != digest) {
            // The problem that RFC 9530 names "digest mismatching values".
            let reason = format!(
                "the upload was damaged on the way: its sha256 here is {digest}, not what \
                 Repr-Digest says"
            );
            return Err(Refusal::new(StatusCode::BAD_REQUEST, reason));
        }
        let part = self.part.take().expect("the part is there until the end");
        let (name, size) = (std::mem::take(&mut self.name), self.size);
        let taken = match naming {
            Naming::Counted => part.finish_or_discard(),
            Naming::Exact => part.finish_as_named().map(|()| name.clone()),
        };
        match taken {
            Ok(name) => Ok(StoredUpload { name, size, digest, is_new: true }),
            // A client that asks again because it missed our answer finds what it sent.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                match is_same(&self.folder.join(&name), size, digest) {
                    Ok(true) => Ok(StoredUpload { name, size, digest, is_new: false }),
                    _ => Err(conflict()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if let Some(part) = self.part.take() {
            part.discard();
        }
    }
}

fn is_same(path: &Path, size: u64, digest: Digest) -> io::Result<bool> {
    let found = path.symlink_metadata()?;
    if !found.is_file() || found.len() != size {
        return Ok(false);
    }
    let (mut file, mut hasher, mut buffer) = (File::open(path)?, Hasher::new(), vec![0; COMPARED]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish() == digest),
            length => hasher.update(&buffer[..length]),
        }
    }
}
