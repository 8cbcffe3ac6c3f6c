//! The folder where a server puts what it receives: `received.mp3`, then `received-2.mp3`, each
//! complete before it has its name.

use super::at;
use crate::protocol::storage::{Folder, Partial};
use jostle_console::exit::Usage;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The name of received files unless told otherwise.
pub const NAME: &str = "received.mp3";
/// The number of files of one name that a folder may hold.
const NUMBER_MAX: u32 = 100_000;

/// A folder, and the name that its files get. Nothing that arrives has a say in either.
#[derive(Clone, Debug)]
pub struct Directory {
    path: PathBuf,
    stem: String,
    /// With its dot; empty when the name has none.
    extension: String,
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
        let dot = name.rfind('.').unwrap_or(name.len());
        let (stem, extension) = name.split_at(dot);
        Ok(Self { path: path.to_owned(), stem: stem.to_owned(), extension: extension.to_owned() })
    }

    /// Returns `received.mp3` for 1, `received-2.mp3` for 2.
    fn name(&self, number: u32) -> String {
        let Self { stem, extension, .. } = self;
        if number == 1 {
            format!("{stem}{extension}")
        } else {
            format!("{stem}-{number}{extension}")
        }
    }

    /// Tries one name after the other until `take` does not find it taken.
    fn first_free<T>(&self, mut take: impl FnMut(&str) -> io::Result<T>) -> io::Result<T> {
        for number in 1..=NUMBER_MAX {
            match take(&self.name(number)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                result => return result,
            }
        }
        Err(io::Error::other(format!(
            "{} is full of files called {}",
            self.path.display(),
            self.name(1)
        )))
    }
}

impl Folder for Directory {
    type File = PartFile;

    fn create(&mut self) -> io::Result<PartFile> {
        let (file, path) = self.first_free(|name| {
            let path = self.path.join(format!("{name}.part"));
            let file = File::options().read(true).write(true).create_new(true).open(&path);
            file.map(|file| (file, path.clone())).map_err(at(&path))
        })?;
        Ok(PartFile { file, path, directory: self.clone() })
    }
}

/// A received file in the making: `received.mp3.part`. Dropped unfinished it stays there.
#[derive(Debug)]
pub struct PartFile {
    file: File,
    path: PathBuf,
    directory: Directory,
}

impl PartFile {
    /// Gives the file the directory's name, or fails with [`io::ErrorKind::AlreadyExists`] when
    /// that is taken. The part is gone either way.
    ///
    /// # Errors
    /// When the name is taken, or cannot be given.
    pub fn finish_as_named(self) -> io::Result<()> {
        let taken = take_name(&self.path, &self.directory.path.join(self.directory.name(1)));
        if taken.is_err() {
            self.discard();
        }
        taken
    }

    /// Gives the file the first name of the directory that is free. The part is gone also when
    /// there is none.
    ///
    /// # Errors
    /// When no name can be given.
    pub fn finish_or_discard(self) -> io::Result<String> {
        let path = self.path.clone();
        self.finish().inspect_err(|_| remove(&path))
    }

    /// Removes what was written: a part of it is of no use.
    pub fn discard(self) {
        remove(&self.path);
    }
}

impl Partial for PartFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset).map_err(at(&self.path))
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset).map_err(at(&self.path))
    }

    fn set_size(&mut self, size: u64) -> io::Result<()> {
        self.file.set_len(size).map_err(at(&self.path))
    }

    fn finish(self) -> io::Result<String> {
        self.directory.first_free(|name| {
            take_name(&self.path, &self.directory.path.join(name)).map(|()| name.to_owned())
        })
    }
}

fn remove(part: &Path) {
    if let Err(error) = std::fs::remove_file(part) {
        log::warn!("cannot remove {}: {error}", part.display());
    }
}

/// Gives a file the name `path`, or `NAME-2` and so on when that is taken. Returns the name it got.
///
/// # Errors
/// When no name can be given.
pub fn take_free_name(part: &Path, path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or(NAME);
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let (stem, extension) = name.split_at(name.rfind('.').unwrap_or(name.len()));
    let directory = Directory {
        path: folder.to_owned(),
        stem: stem.to_owned(),
        extension: extension.to_owned(),
    };
    directory.first_free(|name| {
        let path = folder.join(name);
        take_name(part, &path).map(|()| path)
    })
}

/// Renames without ever replacing a file: a hard link fails when the name is taken. Where there are
/// no hard links, an empty file takes the name first.
fn take_name(part: &Path, path: &Path) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn names_are_counted_up_and_never_taken_twice() {
        let folder = tempfile::tempdir().unwrap();
        let mut directory = Directory::open(&folder.path().join("in"), NAME).unwrap();
        let files: Vec<_> = (0..3).map(|_| directory.create().unwrap()).collect();
        let mut given = Vec::new();
        for (byte, mut file) in (0..).zip(files) {
            file.write_at(0, &[byte]).unwrap();
            if byte != 1 {
                given.push(file.finish().unwrap());
            }
        }
        assert_eq!(given, ["received.mp3", "received-2.mp3"]);
        assert_eq!(
            names(&folder.path().join("in")),
            ["received-2.mp3", "received-2.mp3.part", "received.mp3"]
        );
        assert_eq!(std::fs::read(folder.path().join("in/received-2.mp3")).unwrap(), [2]);
    }

    #[test]
    fn a_name_of_its_own_is_given_once_and_a_part_can_be_discarded() {
        let folder = tempfile::tempdir().unwrap();
        let mut directory = Directory::open(folder.path(), "a.bin").unwrap();
        for (byte, is_free) in [(1, true), (2, false)] {
            let mut file = directory.create().unwrap();
            file.write_at(0, &[byte]).unwrap();
            let taken = file.finish_as_named().map_err(|error| error.kind());
            assert_eq!(taken.err(), (!is_free).then_some(io::ErrorKind::AlreadyExists));
        }
        directory.create().unwrap().discard();
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
    }

    #[test]
    fn what_cannot_be_named_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut part = Directory::open(folder.path(), "a.bin").unwrap().create().unwrap();
        part.directory.path = folder.path().join("gone");
        assert_eq!(names(folder.path()), ["a.bin.part"]);
        assert!(part.finish_or_discard().is_err());
        let [no_part, name] = ["b.part", "b"].map(|name| folder.path().join(name));
        assert!(take_name(&no_part, &name).is_err());
        assert!(names(folder.path()).is_empty());
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
