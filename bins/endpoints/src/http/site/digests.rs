//! The digests of the files that are served, each computed once for a version of a file, off the
//! threads that answer.

#![expect(clippy::disallowed_methods, reason = "hyper runs on tokio, and so do its waits")]

use crate::http::blocking;
use jostle_common::digest::{Digest, Hasher};
use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OnceCell, Semaphore};

/// The number of versions that are remembered.
const REMEMBERED_MAX: usize = 16_384;
/// The number of files that are read for their digest at once: more would only take the disk from
/// each other.
const READERS: usize = 2;
/// The time that an answer waits for a digest that was not asked for.
const PATIENCE: Duration = Duration::from_secs(1);
const PIECE: usize = 256 << 10;

/// The marks that tell one version of a file from another without reading it: device, inode, size,
/// and the times of both kinds of change. The second cannot be set back by anyone.
type DigestedVersion = (u64, u64, u64, (i64, i64), (i64, i64));

/// The digests that are known, or being computed.
#[derive(Debug)]
pub(super) struct Digests {
    known: Mutex<Known>,
    readers: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Known {
    cells: BTreeMap<DigestedVersion, Arc<OnceCell<Digest>>>,
    order: VecDeque<DigestedVersion>,
}

impl Default for Digests {
    fn default() -> Self {
        Self { known: Mutex::default(), readers: Arc::new(Semaphore::new(READERS)) }
    }
}

impl Digests {
    /// Returns the digest of an open file. When it takes long and was not asked for (`insist`), the
    /// answer goes without, and the next has it.
    pub(super) async fn of(
        &self,
        file: &Arc<File>,
        metadata: &Metadata,
        insist: bool,
    ) -> Option<Digest> {
        let version = version(metadata);
        let cell = self.cell(version);
        if let Some(digest) = cell.get() {
            return Some(*digest);
        }
        let (file, readers) = (file.clone(), self.readers.clone());
        // A task of its own: it goes on when the client has gone, so that no client can make us
        // begin again and again.
        let computing = tokio::spawn(async move {
            let compute = || async {
                let _place = readers.acquire().await;
                blocking(move || compute(&file, version)).await
            };
            cell.get_or_try_init(compute).await.copied()
        });
        let computed = if insist {
            Ok(computing.await)
        } else {
            tokio::time::timeout(PATIENCE, computing).await
        };
        match computed.ok()? {
            Ok(Ok(digest)) => Some(digest),
            Ok(Err(error)) => {
                log::warn!("no digest: {error}");
                None
            }
            Err(_) => None,
        }
    }

    fn cell(&self, version: DigestedVersion) -> Arc<OnceCell<Digest>> {
        // Whole whatever a panicking holder did: at worst a version stands in the order without a
        // cell.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cell) = known.cells.get(&version) {
            return cell.clone();
        }
        if known.cells.len() >= REMEMBERED_MAX
            && let Some(oldest) = known.order.pop_front()
        {
            known.cells.remove(&oldest);
        }
        let cell = Arc::new(OnceCell::new());
        known.cells.insert(version, cell.clone());
        known.order.push_back(version);
        cell
    }
}

fn version(found: &Metadata) -> DigestedVersion {
    let (modified, changed) =
        ((found.mtime(), found.mtime_nsec()), (found.ctime(), found.ctime_nsec()));
    (found.dev(), found.ino(), found.size(), modified, changed)
}

fn compute(file: &File, expected: DigestedVersion) -> io::Result<Digest> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; PIECE];
    let mut offset = 0;
    loop {
        let length = file.read_at(&mut buffer, offset)?;
        if length == 0 {
            break;
        }
        hasher.update(&buffer[..length]);
        offset += length as u64;
    }
    match version(&file.metadata()?) == expected && offset == expected.2 {
        true => Ok(hasher.finish()),
        false => Err(io::Error::other("the file was changed while it was read")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_once_and_the_next_version_anew() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let digests = Digests::default();
            let file = tempfile::NamedTempFile::new().unwrap();
            for text in ["one", "three"] {
                std::fs::write(file.path(), text).unwrap();
                let open = Arc::new(File::open(file.path()).unwrap());
                let metadata = open.metadata().unwrap();
                for _ in 0..2 {
                    assert_eq!(
                        digests.of(&open, &metadata, true).await,
                        Some(Digest::of(text.as_bytes()))
                    );
                }
            }
            assert_eq!(digests.known.lock().unwrap().cells.len(), 2);
            // A version that is no more has no digest.
            let open = Arc::new(File::open(file.path()).unwrap());
            let metadata = open.metadata().unwrap();
            std::fs::write(file.path(), "others").unwrap();
            let fresh = Digests::default();
            assert_eq!(fresh.of(&open, &metadata, true).await, None);
        });
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let digests = Digests::default();
        let number = |n: usize| (0, n as u64, 0, (0, 0), (0, 0));
        for n in 0..=REMEMBERED_MAX {
            digests.cell(number(n));
        }
        let known = digests.known.lock().unwrap();
        assert_eq!((known.cells.len(), known.order.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
        assert!(!known.cells.contains_key(&number(0)) && known.cells.contains_key(&number(1)));
    }
}
