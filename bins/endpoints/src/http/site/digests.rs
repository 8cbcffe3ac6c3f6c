//! The digests of the files that are served, each computed once for a version of a file, off the
//! threads that answer.
//!
//! However many ask for the digest of a version, one task computes it, with one descriptor. They
//! wait for a bounded time, and no longer than their clients do.

#![expect(clippy::disallowed_methods, reason = "hyper runs on tokio, and so do its waits")]

use super::version::FileVersion;
use crate::http::blocking;
use jostle_common::clock::Clock;
use jostle_common::digest::{Digest, Hasher};
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// The number of versions that are remembered.
const REMEMBERED_MAX: usize = 16_384;
/// The number of versions that are being read, or wait for it, small and large ones each; each
/// holds a descriptor.
const PENDING_MAX: usize = 64;
/// The number of files that are read for their digest at once, small and large ones each: more
/// would only take the disk from each other.
const READERS: usize = 2;
/// From this size on a file is large. Small ones are read in a moment, and do not wait for those.
const LARGE_BYTES: u64 = 16 << 20;
/// The time that an answer waits for a digest that was not asked for.
const PATIENCE: Duration = Duration::from_secs(1);
/// The time that it waits for one that was: a digest is no file, and goes without.
const PATIENCE_ASKED: Duration = Duration::from_secs(30);
/// The time that a client is waited for that has ended its half, and may have gone.
const PATIENCE_ENDED: Duration = Duration::from_millis(20);
const PIECE: usize = 256 << 10;

/// The digests that are known, or being computed.
#[derive(Clone, Debug)]
pub(super) struct Digests(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    known: Mutex<Known>,
    small_readers: Semaphore,
    large_readers: Semaphore,
}

#[derive(Debug, Default)]
struct Known {
    digests: BTreeMap<FileVersion, Digest>,
    order: VecDeque<FileVersion>,
    pending: BTreeMap<FileVersion, watch::Receiver<Option<Digest>>>,
}

impl Default for Digests {
    fn default() -> Self {
        let readers = || Semaphore::new(READERS);
        let (small_readers, large_readers) = (readers(), readers());
        Self(Arc::new(Shared { known: Mutex::default(), small_readers, large_readers }))
    }
}

impl Digests {
    /// Returns the digest of an open file. When it takes long, longer if it was asked for
    /// (`insist`), the answer goes without, and the next has it. `ended` is ready when the client
    /// may have gone.
    pub(super) async fn of(
        &self,
        file: &Arc<File>,
        version: FileVersion,
        insist: bool,
        ended: impl Future<Output = ()>,
    ) -> Option<Digest> {
        let mut pending = match self.0.ask(version) {
            Asked::Known(digest) => return Some(digest),
            Asked::Pending(pending) => pending,
            Asked::New(computing) => {
                let pending = computing.done.subscribe();
                // A task of its own: it goes on when the client has gone, so that no client can
                // make us begin again and again.
                tokio::spawn(computing.run(file.clone()));
                pending
            }
            Asked::Full => return None,
        };
        // The sender goes without a word when the file cannot be read.
        let computed = pending.wait_for(Option::is_some);
        let most = if insist { PATIENCE_ASKED } else { PATIENCE };
        let given_up = async {
            if tokio::time::timeout(most, ended).await.is_ok() {
                tokio::time::sleep(PATIENCE_ENDED).await;
            }
        };
        tokio::select! {
            biased;
            computed = computed => computed.ok().and_then(|digest| *digest),
            () = given_up => None,
        }
    }
}

/// What is known when a digest is asked for.
enum Asked {
    Known(Digest),
    Pending(watch::Receiver<Option<Digest>>),
    New(Computing),
    /// Too many are pending already.
    Full,
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(self: &Arc<Self>, version: FileVersion) -> Asked {
        let mut known = self.known();
        if let Some(digest) = known.digests.get(&version) {
            return Asked::Known(*digest);
        }
        if let Some(pending) = known.pending.get(&version) {
            return Asked::Pending(pending.clone());
        }
        let large = is_large(&version);
        let alike = known.pending.keys().filter(|other| is_large(other) == large);
        if alike.count() >= PENDING_MAX {
            return Asked::Full;
        }
        let (done, pending) = watch::channel(None);
        known.pending.insert(version, pending);
        Asked::New(Computing { shared: self.clone(), version, done })
    }
}

fn is_large(version: &FileVersion) -> bool {
    version.size() >= LARGE_BYTES
}

impl Known {
    fn remember(&mut self, version: FileVersion, digest: Digest) {
        if self.digests.insert(version, digest).is_some() {
            return;
        }
        self.order.push_back(version);
        if self.order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.digests.remove(&oldest);
        }
    }
}

/// A digest that is being computed; pending until it is dropped, whatever becomes of it.
struct Computing {
    shared: Arc<Shared>,
    version: FileVersion,
    done: watch::Sender<Option<Digest>>,
}

impl Computing {
    async fn run(self, file: Arc<File>) {
        let version = self.version;
        let Shared { small_readers, large_readers, .. } = &*self.shared;
        let readers = if is_large(&version) { large_readers } else { small_readers };
        let _place = readers.acquire().await;
        match blocking(move || compute(&file, version)).await {
            Ok((digest, is_settled)) => {
                if is_settled {
                    self.shared.known().remember(version, digest);
                }
                self.done.send_replace(Some(digest));
            }
            Err(error) => log::warn!("no digest: {error}"),
        }
    }
}

impl Drop for Computing {
    fn drop(&mut self) {
        self.shared.known().pending.remove(&self.version);
    }
}

/// Reads a file. Returns its digest, and true if the version stands for these bytes alone.
fn compute(file: &File, expected: FileVersion) -> io::Result<(Digest, bool)> {
    let is_settled = expected.is_settled(Clock::wall());
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
    match FileVersion::of(&file.metadata()?) == expected && offset == expected.size() {
        true => Ok((hasher.finish(), is_settled)),
        false => Err(io::Error::other("the file was changed while it was read")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    fn run<T>(test: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test)
    }

    /// A file whose time of change is long past, as far as a test can say: the version alone.
    fn old(n: u64) -> FileVersion {
        FileVersion::for_test(n, 0)
    }

    #[test]
    fn a_version_is_read_once_and_the_next_version_anew() {
        run(async {
            let digests = Digests::default();
            let file = tempfile::NamedTempFile::new().unwrap();
            for text in ["one", "three"] {
                std::fs::write(file.path(), text).unwrap();
                let open = Arc::new(File::open(file.path()).unwrap());
                let version = FileVersion::of(&open.metadata().unwrap());
                for _ in 0..2 {
                    let found = digests.of(&open, version, true, pending()).await;
                    assert_eq!(found, Some(Digest::of(text.as_bytes())));
                }
            }
            // A version that is no more has no digest.
            let open = Arc::new(File::open(file.path()).unwrap());
            let version = FileVersion::of(&open.metadata().unwrap());
            std::fs::write(file.path(), "others").unwrap();
            let fresh = Digests::default();
            assert_eq!(fresh.of(&open, version, true, pending()).await, None);
            assert!(fresh.0.known().pending.is_empty());
        });
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut known = Known::default();
        for n in 0..=REMEMBERED_MAX as u64 {
            known.remember(old(n), Digest::of(b""));
            known.remember(old(n), Digest::of(b""));
        }
        assert_eq!((known.digests.len(), known.order.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
        assert!(!known.digests.contains_key(&old(0)) && known.digests.contains_key(&old(1)));
    }

    #[test]
    fn any_number_may_ask_and_one_reads() {
        run(async {
            let digests = Digests::default();
            // Nothing is read: all places are taken.
            let readers = &digests.0.small_readers;
            let _places = readers.acquire_many(READERS as u32).await.unwrap();
            let file = Arc::new(tempfile::tempfile().unwrap());
            // Each waits for its client, which has ended its half, all at the same time.
            let asking = |versions: Vec<FileVersion>| async {
                let mut tasks = tokio::task::JoinSet::new();
                for version in versions {
                    let (digests, file) = (digests.clone(), file.clone());
                    tasks.spawn(async move { digests.of(&file, version, true, ready(())).await });
                }
                assert!(tasks.join_all().await.iter().all(Option::is_none));
            };
            asking(vec![old(1); 1000]).await;
            // The task that would read, and this test: nobody who has gone holds the file.
            assert_eq!(Arc::strong_count(&file), 2);
            asking((2..=PENDING_MAX as u64).map(old).collect()).await;
            let all = PENDING_MAX + 1;
            assert_eq!(
                (digests.0.known().pending.len(), Arc::strong_count(&file)),
                (PENDING_MAX, all)
            );
            // One more goes without, at once, though its client would wait.
            assert_eq!(digests.of(&file, old(0), true, pending()).await, None);
            assert_eq!(Arc::strong_count(&file), all);
            // A large one waits for nobody small.
            let large = Arc::new(tempfile::tempfile().unwrap());
            large.set_len(LARGE_BYTES).unwrap();
            let version = FileVersion::of(&large.metadata().unwrap());
            assert!(digests.of(&large, version, true, pending()).await.is_some());
        });
    }
}
