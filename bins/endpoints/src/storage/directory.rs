//! The folder where a server puts what it receives: `received.mp3`, then `received-2.mp3`, each
//! complete before it has its name.

use super::at;
use super::part::{PartFile, take_name};
use super::quota::Quota;
use crate::protocol::storage::Folder;
use jostle_console::exit::Usage;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The name of received files unless told otherwise.
pub const NAME: &str = "received.mp3";
/// The highest number of a file of one name.
const NUMBER_MAX: u32 = 1 << 30;

/// A folder, and the name that its files get. Nothing that arrives has a say in either. Its clones
/// are the same folder.
#[derive(Clone, Debug)]
pub struct Directory {
    path: PathBuf,
    stem: String,
    /// With its dot; empty when the name has none.
    extension: String,
    /// The number that is probably free: one beyond the last that was given.
    next: Arc<AtomicU32>,
    quota: Option<Quota>,
    keeps_parts: bool,
}

impl Directory {
    /// Opens the folder at `path`, which is made if need be, for files called `name`, `name-2` …
    ///
    /// # Errors
    /// A [`Usage`] when `name` is not the plain name of a file; another error when the folder
    /// cannot be made.
    pub fn open(path: &Path, name: &str) -> anyhow::Result<Self> {
        let is_plain =
            !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0']);
        if !is_plain {
            return Err(Usage::error(format!(
                "\"{name}\" is not a plain file name; write one such as {NAME}"
            )));
        }
        std::fs::create_dir_all(path).map_err(at(path))?;
        Ok(Self::named(path, name))
    }

    fn named(path: &Path, name: &str) -> Self {
        let dot = name.rfind('.').unwrap_or(name.len());
        let (stem, extension) = name.split_at(dot);
        Self {
            path: path.to_owned(),
            stem: stem.to_owned(),
            extension: extension.to_owned(),
            next: Arc::new(AtomicU32::new(2)),
            quota: None,
            keeps_parts: false,
        }
    }

    /// Counts what is written here in a quota.
    #[must_use]
    pub fn within(self, quota: Quota) -> Self {
        Self { quota: Some(quota), ..self }
    }

    /// Leaves what is not finished as `received.mp3.part`, for those who look at incomplete files.
    #[must_use]
    pub fn keeping_parts(self) -> Self {
        Self { keeps_parts: true, ..self }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) const fn quota(&self) -> Option<&Quota> {
        self.quota.as_ref()
    }

    pub(super) const fn keeps_parts(&self) -> bool {
        self.keeps_parts
    }

    /// Returns `received.mp3` for 1, `received-2.mp3` for 2.
    pub(super) fn name(&self, number: u32) -> String {
        let Self { stem, extension, .. } = self;
        if number == 1 {
            format!("{stem}{extension}")
        } else {
            format!("{stem}-{number}{extension}")
        }
    }

    /// Tries names that are free, with this behind them, until `take` does not find one taken: the
    /// first, then one that follows all that are taken in a row.
    pub(super) fn first_free<T>(
        &self,
        end: &str,
        mut take: impl FnMut(PathBuf) -> io::Result<T>,
    ) -> io::Result<T> {
        let path = |number| self.path.join(format!("{}{end}", self.name(number)));
        let is_taken = |number| path(number).symlink_metadata().is_ok();
        let mut number = 1;
        while number < NUMBER_MAX {
            match take(path(number)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    let next = self.next.load(Ordering::Relaxed).max(number + 1);
                    number = free_from(next, is_taken);
                }
                Ok(taken) => {
                    self.next.fetch_max(number + 1, Ordering::Relaxed);
                    return Ok(taken);
                }
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other(format!(
            "{} is full of files called {}",
            self.path.display(),
            self.name(1)
        )))
    }
}

/// Returns a number from `start` on that is free, and behind one that is taken unless it is
/// `start`. Where they are taken without gaps, as they are given, that is the first, after as many
/// looks as its distance has binary digits, twice.
fn free_from(start: u32, is_taken: impl Fn(u32) -> bool) -> u32 {
    if start >= NUMBER_MAX || !is_taken(start) {
        return start;
    }
    let (mut taken, mut step) = (start, 1);
    let mut free = loop {
        let probe = taken.saturating_add(step).min(NUMBER_MAX);
        if probe == NUMBER_MAX || !is_taken(probe) {
            break probe;
        }
        (taken, step) = (probe, step.saturating_mul(2));
    };
    while free - taken > 1 {
        let middle = taken + (free - taken) / 2;
        if is_taken(middle) { taken = middle } else { free = middle }
    }
    free
}

impl Folder for Directory {
    type File = PartFile;

    fn create(&mut self) -> io::Result<PartFile> {
        PartFile::create(self)
    }

    fn room(&self) -> u64 {
        self.quota.as_ref().map_or(u64::MAX, Quota::room)
    }
}

/// Gives a file the name `path`, or `NAME-2` and so on when that is taken. Returns the name it got.
///
/// # Errors
/// When no name can be given.
pub fn take_free_name(part: &Path, path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or(NAME);
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    Directory::named(folder, name).first_free("", |path| take_name(part, &path).map(|()| path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::storage::Partial as _;
    use crate::storage::tests::names;
    use std::cell::Cell;

    #[test]
    fn names_are_counted_up_and_never_taken_twice() {
        let folder = tempfile::tempdir().unwrap();
        let mut directory = Directory::open(&folder.path().join("in"), NAME).unwrap();
        let files: Vec<_> = (0..3).map(|_| directory.create().unwrap()).collect();
        let mut given = Vec::new();
        for (byte, mut file) in (0..).zip(files) {
            file.write_at(0, &[byte]).unwrap();
            if byte != 1 {
                given.push(file.store().unwrap());
            }
        }
        assert_eq!(given, ["received.mp3", "received-2.mp3"]);
        assert_eq!(names(&folder.path().join("in")), ["received-2.mp3", "received.mp3"]);
        assert_eq!(std::fs::read(folder.path().join("in/received-2.mp3")).unwrap(), [2]);
    }

    #[test]
    fn the_hundred_thousandth_name_costs_a_few_looks() {
        for start in [2, 3, 50_000] {
            for taken_to in [1, 2, 3, 4, 5, 1000, 1023, 1024, 1025, 99_990, 100_000, 1 << 29] {
                let looks = Cell::new(0);
                let found = free_from(start, |number| {
                    looks.set(looks.get() + 1);
                    number <= taken_to
                });
                assert_eq!(found, start.max(taken_to + 1));
                assert!(looks.get() <= 62, "{} looks for {taken_to}", looks.get());
            }
        }
        assert_eq!(free_from(2, |_| true), NUMBER_MAX);
    }

    #[test]
    fn a_server_goes_on_where_it_left_off_and_uses_the_first_name_when_it_is_free_again() {
        let folder = tempfile::tempdir().unwrap();
        for number in 2..=500 {
            std::fs::write(folder.path().join(format!("a-{number}.bin")), "old").unwrap();
        }
        let mut directory = Directory::open(folder.path(), "a.bin").unwrap();
        let mut next = || directory.create().unwrap().store().unwrap();
        assert_eq!([next(), next(), next()], ["a.bin", "a-501.bin", "a-502.bin"]);
        std::fs::write(folder.path().join("a-503.bin"), "another's").unwrap();
        assert_eq!(next(), "a-504.bin");
        std::fs::remove_file(folder.path().join("a.bin")).unwrap();
        assert_eq!([next(), next()], ["a.bin", "a-505.bin"]);
        assert_eq!(std::fs::read(folder.path().join("a-500.bin")).unwrap(), b"old");
    }

    #[test]
    fn what_cannot_be_named_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut directory = Directory::open(&folder.path().join("in"), "a.bin").unwrap();
        let part = directory.create().unwrap();
        std::fs::remove_dir_all(folder.path().join("in")).unwrap();
        assert!(part.store().is_err());
        assert!(names(folder.path()).is_empty());
        assert!(directory.create().is_err());
    }

    #[test]
    fn only_plain_names_are_names() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["", ".", "..", "../x", "/etc/passwd", "a/b", ".hidden", "a\0b"] {
            assert!(Directory::open(folder.path(), name).unwrap_err().is::<Usage>(), "{name}");
        }
        for (name, second) in [("song", "song-2"), ("a.tar.gz", "a.tar-2.gz")] {
            assert_eq!(Directory::open(folder.path(), name).unwrap().name(2), second);
        }
        assert!(names(folder.path()).is_empty());
    }
}
