//! The end of a received file: the rest of its digest, and its name. On a disk that takes time, so
//! it goes on elsewhere while its machine serves others.

use super::storage::Partial;
use jostle_common::digest::{Digest, Hasher};
use jostle_common::time::Instant;
use std::io;
use std::ops::Range;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

/// The bytes that are read at once.
const PIECE: usize = 256 << 10;
/// The time between two looks at a file that is finished elsewhere.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// The time that a file may still take when its server is stopped.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// A digest that has seen the beginning of a file; the rest is to be read.
#[derive(Clone, Debug, Default)]
pub struct RestOfDigest {
    hasher: Hasher,
    places: Vec<Range<u64>>,
}

impl RestOfDigest {
    /// Creates the digest of what `hasher` has seen; nothing more is read.
    pub const fn nothing(hasher: Hasher) -> Self {
        Self { hasher, places: Vec::new() }
    }

    /// Adds a place of the file behind those that were added before.
    pub fn push(&mut self, place: Range<u64>) {
        match self.places.last_mut() {
            Some(last) if last.end == place.start => last.end = place.end,
            _ => self.places.push(place),
        }
    }

    /// Reads the rest from `file`, and returns the digest. Waits for the disk.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(mut self, file: &mut impl Partial) -> io::Result<Digest> {
        let mut buffer = Vec::new();
        for Range { mut start, end } in self.places {
            while start < end {
                let length = (end - start).min(PIECE as u64) as usize;
                buffer.resize(length, 0);
                file.read_at(start, &mut buffer)?;
                self.hasher.update(&buffer);
                start += length as u64;
            }
        }
        Ok(self.hasher.finish())
    }
}

/// A file that has its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// The name that it got.
    pub name: String,
    /// The digest of what was stored.
    pub digest: Digest,
}

/// A file on its way to its name.
#[derive(Debug)]
pub struct Finishing(Progress);

#[derive(Debug)]
enum Progress {
    Ended(Option<io::Result<StoredFile>>),
    Elsewhere { result: Receiver<io::Result<StoredFile>>, look: Instant },
}

impl Finishing {
    /// Creates the end of a file that was finished at once.
    pub const fn ended(result: io::Result<StoredFile>) -> Self {
        Self(Progress::Ended(Some(result)))
    }

    /// Creates the end of a file of which `result` will tell.
    pub const fn elsewhere(result: Receiver<io::Result<StoredFile>>) -> Self {
        Self(Progress::Elsewhere { result, look: Instant::START })
    }

    /// Returns the result, once, when it is there.
    pub fn poll(&mut self, now: Instant) -> Option<io::Result<StoredFile>> {
        match &mut self.0 {
            Progress::Ended(result) => result.take(),
            Progress::Elsewhere { look, .. } if now < *look => None,
            Progress::Elsewhere { result, look } => match result.try_recv() {
                Ok(result) => Some(result),
                Err(TryRecvError::Empty) => {
                    *look = now + LOOK_EVERY;
                    None
                }
                Err(TryRecvError::Disconnected) => Some(Err(lost())),
            },
        }
    }

    /// Returns the time of the next look.
    pub const fn deadline(&self) -> Instant {
        match &self.0 {
            Progress::Ended(_) => Instant::START,
            Progress::Elsewhere { look, .. } => *look,
        }
    }

    /// Waits for the result: the server is being stopped, and serves nobody any more.
    pub fn wait(self) -> io::Result<StoredFile> {
        match self.0 {
            Progress::Ended(result) => result.unwrap_or_else(|| Err(lost())),
            Progress::Elsewhere { result, .. } => {
                result.recv_timeout(STOP_PATIENCE).unwrap_or_else(|error| {
                    Err(match error {
                        RecvTimeoutError::Timeout => io::ErrorKind::TimedOut.into(),
                        RecvTimeoutError::Disconnected => lost(),
                    })
                })
            }
        }
    }
}

fn lost() -> io::Error {
    io::Error::other("what finished the file broke off")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::storage::{Folder as _, MemoryFolder};
    use std::sync::mpsc::sync_channel;

    #[test]
    fn the_rest_is_read_in_order_and_holes_are_not() {
        let mut file = MemoryFolder::default().create().unwrap();
        file.write_at(0, b"one").unwrap();
        file.write_at(1 << 20, b"three").unwrap();
        let mut hasher = Hasher::new();
        hasher.update(b"on");
        let mut rest = RestOfDigest::nothing(hasher);
        for place in [2..3, 1 << 20..(1 << 20) + 2, (1 << 20) + 2..(1 << 20) + 5] {
            rest.push(place);
        }
        assert_eq!(rest.places.len(), 2, "neighbours are one place");
        assert_eq!(rest.read(&mut file).unwrap(), Digest::of(b"onethree"));
    }

    #[test]
    fn what_goes_on_elsewhere_is_looked_at_now_and_then() {
        let stored = || StoredFile { name: "a".to_owned(), digest: Digest::of(b"") };
        let (sender, receiver) = sync_channel(1);
        let mut finishing = Finishing::elsewhere(receiver);
        assert!(finishing.poll(Instant::START).is_none());
        assert_eq!(finishing.deadline(), Instant::START + LOOK_EVERY);
        sender.send(Ok(stored())).unwrap();
        assert!(finishing.poll(Instant::START).is_none(), "too early to look");
        assert_eq!(finishing.poll(Instant::from_millis(2)).unwrap().unwrap(), stored());
        let (sender, receiver) = sync_channel(1);
        drop(sender);
        assert!(Finishing::elsewhere(receiver).poll(Instant::START).unwrap().is_err());
        assert_eq!(Finishing::ended(Ok(stored())).wait().unwrap(), stored());
    }
}
