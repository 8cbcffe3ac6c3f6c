//! A received file in the making: under a hidden name of its own, and gone with its transfer unless
//! it is stored.

use super::at;
use super::directory::Directory;
use super::durable::{sync_file, sync_name};
use super::entry::open_regular;
use super::quota::Charge;
use crate::protocol::finishing::{Finishing, RestOfDigest, StoredFile};
use crate::protocol::storage::Partial;
use jostle_common::clock::Clock;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

/// What the name of a part begins and ends with; 16 hex digits stand between.
const HEAD: &str = ".jostle-";
const TAIL: &str = ".part";
const DIGITS: usize = 16;
/// The age from which a part without an owner is removed: a part that is just being made is not
/// locked yet.
const STALE_AGE: Duration = Duration::from_secs(60);

/// A received file in the making. Dropped, it leaves nothing, unless its folder keeps parts.
#[derive(Debug)]
pub struct PartFile {
    file: File,
    path: PathBuf,
    directory: Directory,
    charge: Charge,
    /// True if the path leads to nothing more: the file has a name, or stays as it is.
    is_settled: bool,
}

impl PartFile {
    pub(super) fn create(directory: &Directory) -> io::Result<Self> {
        let new = |path: PathBuf| {
            let file = File::options().read(true).write(true).create_new(true).open(&path);
            file.map(|file| (file, path.clone())).map_err(at(&path))
        };
        let keeps_parts = directory.keeps_parts();
        let (file, path) = match keeps_parts {
            true => directory.first_free(TAIL, new)?,
            false => {
                let name = format!("{HEAD}{:0DIGITS$x}{TAIL}", rand::random::<u64>());
                new(directory.path().join(name))?
            }
        };
        // While we live nobody takes it for what a dead server has left. Without locks its age
        // must do.
        let _ = file.try_lock();
        let charge = Charge::new(directory.quota().cloned());
        let directory = directory.clone();
        Ok(Self { file, path, directory, charge, is_settled: keeps_parts })
    }

    /// Gives the file the directory's name, and waits until both are on the disk. Without success
    /// nothing is left.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] when the name is taken; another error when it cannot be
    /// given.
    pub fn store_as_named(mut self) -> io::Result<()> {
        sync_file(&self.file, &self.path)?;
        let path = self.directory.path().join(self.directory.name(1));
        take_name(&self.path, &path)?;
        self.settle(&path)
    }

    /// Gives the file the first name of the directory that is free, and waits until both are on
    /// the disk. Without success nothing is left.
    ///
    /// # Errors
    /// When no name can be given.
    pub fn store(mut self) -> io::Result<String> {
        sync_file(&self.file, &self.path)?;
        let path =
            self.directory.first_free("", |path| take_name(&self.path, &path).map(|()| path))?;
        self.settle(&path)?;
        Ok(path.file_name().unwrap_or_default().to_string_lossy().into_owned())
    }

    fn settle(&mut self, path: &Path) -> io::Result<()> {
        self.is_settled = true;
        self.charge.keep();
        sync_name(path)
    }

    fn store_with_digest(mut self, rest: RestOfDigest) -> io::Result<StoredFile> {
        let digest = rest.read(&mut self)?;
        Ok(StoredFile { name: self.store()?, digest })
    }
}

impl Partial for PartFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.charge.add(bytes.len())?;
        self.file.write_all_at(bytes, offset).map_err(at(&self.path))
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset).map_err(at(&self.path))
    }

    fn set_size(&mut self, size: u64) -> io::Result<()> {
        self.file.set_len(size).map_err(at(&self.path))
    }

    /// Stores it on a thread of its own. There are no more of them than a server has places.
    fn finish(self, rest: RestOfDigest) -> Finishing {
        let (told, result) = sync_channel(1);
        let store = move || {
            // Nobody listens any more when the server has ended.
            let _ = told.send(self.store_with_digest(rest));
        };
        match std::thread::Builder::new().name("storing".to_owned()).spawn(store) {
            Ok(_) => Finishing::elsewhere(result),
            Err(error) => Finishing::ended(Err(error)),
        }
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if !self.is_settled {
            remove(&self.path);
        }
    }
}

fn remove(part: &Path) {
    if let Err(error) = std::fs::remove_file(part) {
        log::warn!("cannot remove {}: {error}", part.display());
    }
}

/// Renames without ever replacing a file: a hard link fails when the name is taken. Where there are
/// no hard links, an empty file takes the name first.
pub(super) fn take_name(part: &Path, path: &Path) -> io::Result<()> {
    match std::fs::hard_link(part, path) {
        Ok(()) => std::fs::remove_file(part).map_err(at(part)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        Err(_) => {
            File::options().write(true).create_new(true).open(path).map_err(at(path))?;
            // An empty file must not pass for what could not be named.
            std::fs::rename(part, path).inspect_err(|_| remove(path)).map_err(at(path))
        }
    }
}

/// Removes the parts that servers have left in a folder when they were killed: those that have our
/// kind of name, are old enough and locked by nobody. Returns how many there were.
pub fn remove_stale_parts(folder: &Path) -> u64 {
    // A folder that may only be written to keeps what it has.
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let mut removed = 0;
    for entry in entries.flatten() {
        if entry.file_name().to_str().is_some_and(is_part) && is_stale(&entry.path()) {
            remove(&entry.path());
            removed += 1;
        }
    }
    if removed > 0 {
        log::info!("removed {removed} parts that an earlier run left in {}", folder.display());
    }
    removed
}

fn is_part(name: &str) -> bool {
    let digits = name.strip_prefix(HEAD).and_then(|name| name.strip_suffix(TAIL));
    digits.is_some_and(|digits| {
        digits.len() == DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
    })
}

fn is_stale(path: &Path) -> bool {
    let Ok(file) = open_regular(path) else { return false };
    let changed = file.metadata().map_or(i64::MAX, |found| found.mtime());
    let changed = Duration::from_secs(u64::try_from(changed).unwrap_or_default());
    Clock::wall().saturating_sub(changed) >= STALE_AGE && file.try_lock().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::storage::Folder as _;
    use crate::storage::tests::names;
    use crate::storage::{NAME, Quota};
    use jostle_common::digest::{Digest, Hasher};
    use std::time::SystemTime;

    fn part(directory: &Directory, bytes: &[u8]) -> PartFile {
        let mut part = directory.clone().create().unwrap();
        part.write_at(0, bytes).unwrap();
        part
    }

    #[test]
    fn a_part_is_hidden_and_dies_with_its_transfer() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::open(folder.path(), NAME).unwrap();
        let parts = [part(&directory, b"1"), part(&directory, b"2")];
        let there = names(folder.path());
        assert!(there.len() == 2 && there.iter().all(|name| is_part(name)), "{there:?}");
        drop(parts);
        assert!(names(folder.path()).is_empty());
        let kept = part(&directory.keeping_parts(), b"half");
        drop(kept);
        assert_eq!(names(folder.path()), ["received.mp3.part"], "where it is asked for");
    }

    #[test]
    fn a_file_is_finished_elsewhere_with_its_digest() {
        let folder = tempfile::tempdir().unwrap();
        let quota = Quota::new(10);
        let directory = Directory::open(folder.path(), NAME).unwrap().within(quota.clone());
        let mut rest = RestOfDigest::nothing(Hasher::new());
        rest.push(1..4);
        let stored = part(&directory, b"music").finish(rest).wait().unwrap();
        assert_eq!((&*stored.name, stored.digest), (NAME, Digest::of(b"usi")));
        assert_eq!(std::fs::read(folder.path().join(NAME)).unwrap(), b"music");
        assert_eq!((quota.room(), names(folder.path()).len()), (5, 1));
        let mut large = part(&directory, b"four");
        assert_eq!(large.write_at(4, b"xx").unwrap_err().kind(), io::ErrorKind::QuotaExceeded);
        drop(large);
        assert_eq!((quota.room(), names(folder.path()).len()), (5, 1));
    }

    #[test]
    fn a_name_of_its_own_is_given_once() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::open(folder.path(), "a.bin").unwrap();
        for (byte, is_free) in [(1, true), (2, false)] {
            let taken = part(&directory, &[byte]).store_as_named().map_err(|error| error.kind());
            assert_eq!(taken.err(), (!is_free).then_some(io::ErrorKind::AlreadyExists));
        }
        assert_eq!(names(folder.path()), ["a.bin"]);
        assert_eq!(std::fs::read(folder.path().join("a.bin")).unwrap(), [1]);
    }

    #[test]
    fn a_name_without_hard_links_is_taken_too_and_not_over_another() {
        let folder = tempfile::tempdir().unwrap();
        let [part, name] = ["a.part", "a"].map(|name| folder.path().join(name));
        std::fs::write(&part, "new").unwrap();
        std::fs::write(&name, "old").unwrap();
        assert_eq!(take_name(&part, &name).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&name).unwrap(), b"old");
        let [no_part, name] = ["b.part", "b"].map(|name| folder.path().join(name));
        assert!(take_name(&no_part, &name).is_err() && !name.exists());
    }

    #[test]
    fn what_a_dead_server_left_goes_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let alive = part(&Directory::open(folder.path(), NAME).unwrap(), b"alive");
        let old = SystemTime::UNIX_EPOCH + Clock::wall() - STALE_AGE - Duration::from_secs(1);
        let write = |name: &str, changed: Option<SystemTime>| {
            let file = File::create(folder.path().join(name)).unwrap();
            changed.into_iter().for_each(|changed| file.set_modified(changed).unwrap());
        };
        alive.file.set_modified(old).unwrap();
        write(".jostle-0123456789abcdef.part", Some(old));
        write(".jostle-0123456789abcde0.part", None);
        let theirs = [".jostle-123.part", "song.part", ".jostle-0123456789abcdeg.part", "song"];
        theirs.iter().for_each(|name| write(name, Some(old)));
        assert_eq!(remove_stale_parts(folder.path()), 1);
        assert!(!folder.path().join(".jostle-0123456789abcdef.part").exists());
        assert_eq!(names(folder.path()).len(), 2 + theirs.len());
        drop(alive);
        assert_eq!(names(folder.path()).len(), 1 + theirs.len());
    }
}
