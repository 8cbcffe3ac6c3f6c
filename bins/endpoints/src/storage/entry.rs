//! What a path leads to, found out before it is opened: opening a pipe may wait for its other end,
//! or wake who waits there, and opening a device may set it going.

use rustix::fs::{self, Mode, OFlags};
use rustix::io::Errno;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Opens to read; never waits for the other end of a pipe, and never becomes anyone's terminal.
const READ: OFlags =
    OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// Names what is there without opening it, where the system can.
#[cfg(target_os = "linux")]
const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const LOOK: OFlags = READ;

/// The entry of a folder, open to read.
#[derive(Debug)]
pub(crate) enum FolderEntry {
    /// A regular file.
    File(File, Metadata),
    /// A folder.
    Folder(OwnedFd),
    /// A pipe, a socket or a device, which was not opened.
    Other,
}

/// Opens what `open` opens with the flags that it is given: first to see what it is, then, if it
/// is a file or a folder, to read it.
pub(crate) fn open_entry(open: impl Fn(OFlags) -> io::Result<OwnedFd>) -> io::Result<FolderEntry> {
    let handle = File::from(open(LOOK)?);
    let found = handle.metadata()?;
    match found.file_type() {
        kind if kind.is_file() => {
            let file = reopened(&handle, &open)?;
            let metadata = file.metadata()?;
            // Without /proc the name is resolved twice, and may lead elsewhere the second time.
            match metadata.is_file() {
                true => Ok(FolderEntry::File(file, metadata)),
                false => Ok(FolderEntry::Other),
            }
        }
        kind if kind.is_dir() => {
            let folder = fs::openat(&handle, ".", READ | OFlags::DIRECTORY, Mode::empty())?;
            Ok(FolderEntry::Folder(folder))
        }
        _ => Ok(FolderEntry::Other),
    }
}

/// Opens a regular file to read.
///
/// # Errors
/// When there is none, or it may not be read. What is no regular file is not even opened.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    match open_entry(|flags| Ok(fs::open(path, flags, Mode::empty())?))? {
        FolderEntry::File(file, _) => Ok(file),
        FolderEntry::Folder(_) => Err(io::Error::other("is a folder, not a file")),
        FolderEntry::Other => {
            Err(io::Error::other("is no regular file: pipes and devices are not read"))
        }
    }
}

/// Opens the very file that a handle names.
#[cfg(target_os = "linux")]
fn reopened(handle: &File, open: impl Fn(OFlags) -> io::Result<OwnedFd>) -> io::Result<File> {
    use std::os::fd::AsRawFd as _;
    let path = format!("/proc/self/fd/{}", handle.as_raw_fd());
    match fs::open(path, READ, Mode::empty()) {
        Ok(file) => Ok(file.into()),
        // No /proc here.
        Err(Errno::NOENT) => open(READ).map(File::from),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn reopened(handle: &File, _: impl Fn(OFlags) -> io::Result<OwnedFd>) -> io::Result<File> {
    handle.try_clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn only_files_are_opened_and_a_pipe_is_not_even_touched() {
        let folder = tempfile::tempdir().unwrap();
        let [file, pipe] = ["file", "pipe"].map(|name| folder.path().join(name));
        std::fs::write(&file, "music").unwrap();
        fs::mkfifoat(fs::CWD, &pipe, Mode::from_raw_mode(0o600)).unwrap();
        let mut text = String::new();
        open_regular(&file).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "music");
        let opened = std::cell::Cell::new(0);
        let entry = open_entry(|flags| {
            opened.set(opened.get() + 1);
            assert!(flags == LOOK, "it was opened to read");
            Ok(fs::open(&pipe, flags, Mode::empty())?)
        });
        assert!(matches!(entry, Ok(FolderEntry::Other)) && opened.get() == 1);
        for (path, reason) in [(&*pipe, "pipes"), (Path::new("/dev/null"), "devices")] {
            let error = open_regular(path).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        assert!(open_regular(folder.path()).unwrap_err().to_string().contains("folder"));
        let missing = open_regular(&folder.path().join("nothing")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        // A writer that waits for a reader must go on waiting: nobody reads.
        let write = OFlags::WRONLY | OFlags::NONBLOCK;
        assert_eq!(fs::open(&pipe, write, Mode::empty()).unwrap_err(), Errno::NXIO);
    }
}
