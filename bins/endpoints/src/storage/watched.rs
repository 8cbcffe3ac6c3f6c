//! A file that is served, with its size and digest, which are found anew when it changes: those of
//! a large one on a thread of its own, since reading it takes long and clients wait.

use super::source::{HashedFile, version};
use crate::protocol::storage::Source;
use jostle_common::digest::Digest;
use jostle_common::time::Instant;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::Duration;

/// The time between two looks at the file for changes.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The size up to which a file is read at once: about a millisecond.
const AT_ONCE_MAX: u64 = 256 << 10;

/// An open file that may change.
#[derive(Debug)]
pub struct WatchedFile {
    path: PathBuf,
    open: HashedFile,
    looked: Instant,
    /// False while what is open is no longer what its digest says.
    is_readable: bool,
    /// The next version, while it is being read. One at a time, however often the file changes.
    reading: Option<Receiver<io::Result<HashedFile>>>,
}

impl WatchedFile {
    /// Opens the file and reads it once, for its digest.
    ///
    /// # Errors
    /// When it cannot be read, or is no regular file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let open = HashedFile::open(path)?;
        let (looked, is_readable, reading) = (Instant::START, true, None);
        Ok(Self { path: path.to_owned(), open, looked, is_readable, reading })
    }

    /// Starts to read the file anew, if it has changed.
    fn look(&mut self) {
        let Ok(found) = self.path.metadata() else {
            // One that is gone is served on from what is still open.
            return;
        };
        if version(&found) == self.open.version {
            self.is_readable = true;
            return;
        }
        if found.len() <= AT_ONCE_MAX {
            return self.take_in(HashedFile::open(&self.path));
        }
        // One that was replaced is served on meanwhile; one that was written over is no more.
        let (device, inode, ..) = self.open.version;
        let (new_device, new_inode, ..) = version(&found);
        self.is_readable &= (device, inode) != (new_device, new_inode);
        let (told, result) = sync_channel(1);
        let path = self.path.clone();
        let read = move || {
            // Nobody listens any more when the server has ended.
            let _ = told.send(HashedFile::open(&path));
        };
        match std::thread::Builder::new().name("reading".to_owned()).spawn(read) {
            Ok(_) => self.reading = Some(result),
            Err(error) => log::warn!("cannot read {} anew: {error}", self.path.display()),
        }
    }

    /// Takes what was read. A file that has changed since is found so at the next look.
    fn take_in(&mut self, read: io::Result<HashedFile>) {
        match read {
            Ok(open) => {
                log::info!("{} has changed", self.path.display());
                (self.open, self.is_readable) = (open, true);
            }
            Err(error) => {
                log::warn!("it has changed and cannot be read: {error}");
                self.is_readable = false;
            }
        }
    }
}

impl Source for WatchedFile {
    fn size(&self) -> u64 {
        self.open.size
    }

    fn digest(&self) -> Option<Digest> {
        Some(self.open.digest)
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.open.file.read_exact_at(buffer, offset)
    }

    fn refresh(&mut self, now: Instant) -> bool {
        if let Some(reading) = &self.reading {
            match reading.try_recv() {
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => self.reading = None,
                Ok(read) => {
                    self.reading = None;
                    self.take_in(read);
                }
            }
        } else if now.since(self.looked) >= LOOK_EVERY {
            self.looked = now;
            self.look();
        }
        self.is_readable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits until what is being read is there.
    fn settle(source: &mut WatchedFile) {
        if let Some(reading) = source.reading.take() {
            source.take_in(reading.recv().unwrap());
        }
    }

    /// The contents of a file that is read elsewhere.
    fn large(byte: u8) -> Vec<u8> {
        vec![byte; AT_ONCE_MAX as usize + 1]
    }

    #[test]
    fn a_small_file_is_read_anew_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("song");
        std::fs::write(&path, "one").unwrap();
        let mut source = WatchedFile::open(&path).unwrap();
        assert_eq!((source.size(), source.digest()), (3, Some(Digest::of(b"one"))));
        std::fs::write(&path, "four").unwrap();
        assert!(source.refresh(Instant::from_millis(50)));
        assert_eq!(source.size(), 3, "too early to look");
        assert!(source.refresh(Instant::from_millis(100)));
        assert_eq!((source.size(), source.digest()), (4, Some(Digest::of(b"four"))));
    }

    #[test]
    fn a_large_file_is_read_anew_elsewhere_and_not_served_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("song");
        std::fs::write(&path, "one").unwrap();
        let mut source = WatchedFile::open(&path).unwrap();
        std::fs::write(&path, large(1)).unwrap();
        assert!(!source.refresh(Instant::from_millis(100)), "it is not what its digest says");
        settle(&mut source);
        assert!(source.refresh(Instant::from_millis(100)));
        assert_eq!(source.digest(), Some(Digest::of(&large(1))));
    }

    #[test]
    fn a_replaced_file_is_served_on_until_the_next_is_read_and_one_that_is_gone_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("song");
        std::fs::write(&path, "four").unwrap();
        let mut source = WatchedFile::open(&path).unwrap();
        std::fs::write(folder.path().join("new"), large(2)).unwrap();
        std::fs::rename(folder.path().join("new"), &path).unwrap();
        assert!(source.refresh(Instant::from_millis(200)));
        assert_eq!(source.digest(), Some(Digest::of(b"four")));
        settle(&mut source);
        assert_eq!(source.digest(), Some(Digest::of(&large(2))));
        std::fs::remove_file(&path).unwrap();
        assert!(source.refresh(Instant::from_millis(300)), "what is open is served on");
        assert!(source.reading.is_none());
        let mut buffer = [0; 5];
        source.read_at(7, &mut buffer).unwrap();
        assert_eq!(buffer, [2; 5]);
    }

    #[test]
    fn what_it_became_and_cannot_be_read_is_not_served_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("song");
        std::fs::write(&path, "four").unwrap();
        let mut source = WatchedFile::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::from_raw_mode(0o600))
            .unwrap();
        assert!(!source.refresh(Instant::from_millis(200)));
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "five").unwrap();
        assert!(source.refresh(Instant::from_millis(300)));
    }
}
