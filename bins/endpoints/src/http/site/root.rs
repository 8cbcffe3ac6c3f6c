//! The folder whose files are served. The kernel holds every path below it, also against links that
//! lead out.
//!
//! `openat2` with `RESOLVE_BENEATH` (Linux 5.6) follows links that stay below the root and refuses
//! all others, without a race. Where it is missing, each name is opened by itself and no link is
//! followed at all.

use crate::storage::{FolderEntry, open_entry};
use rustix::fs::{self, Dir, Mode, OFlags};
use rustix::io::Errno;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// A folder and a way to open what is below it.
#[derive(Debug)]
pub(super) struct Root {
    folder: OwnedFd,
    way: Way,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The kernel resolves the whole path.
    #[cfg(target_os = "linux")]
    Beneath,
    /// Name by name, without links.
    StepByStep,
}

/// The file or folder that a path leads to.
#[derive(Debug)]
pub(super) enum RootEntry {
    File(File, Metadata),
    Folder(OwnedFd),
}

impl Root {
    /// Opens the folder.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY;
        let folder = fs::open(path, flags, Mode::empty())?;
        let way = way(&folder);
        Ok(Self { folder, way })
    }

    /// Returns true if links are followed.
    pub(super) fn follows_links(&self) -> bool {
        self.way != Way::StepByStep
    }

    /// Opens what `names` lead to: a regular file or a folder. Anything else is not there, and is
    /// not opened to find that out.
    pub(super) fn find(&self, names: &[Vec<u8>]) -> io::Result<RootEntry> {
        match open_entry(|flags| self.descend(names, flags))? {
            FolderEntry::File(file, metadata) => Ok(RootEntry::File(file, metadata)),
            FolderEntry::Folder(folder) => Ok(RootEntry::Folder(folder)),
            FolderEntry::Other => Err(Errno::NOENT.into()),
        }
    }

    fn descend(&self, names: &[Vec<u8>], flags: OFlags) -> io::Result<OwnedFd> {
        match self.way {
            #[cfg(target_os = "linux")]
            Way::Beneath => beneath(&self.folder, &names.join(&b'/'), flags),
            Way::StepByStep => step_by_step(&self.folder, names, flags),
        }
    }
}

/// Returns the names in an open folder, at most `most` of them; hidden ones are left out.
pub(super) fn names(folder: &OwnedFd, most: usize) -> io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name.first() != Some(&b'.') {
            names.push(name);
        }
        if names.len() == most {
            break;
        }
    }
    Ok(names)
}

#[cfg(target_os = "linux")]
fn way(folder: &OwnedFd) -> Way {
    // A kernel before 5.6 does not know the call; a sandbox may forbid what it does not know.
    match beneath(folder, b"", OFlags::RDONLY | OFlags::CLOEXEC) {
        Ok(_) => Way::Beneath,
        Err(_) => Way::StepByStep,
    }
}

#[cfg(not(target_os = "linux"))]
fn way(_: &OwnedFd) -> Way {
    Way::StepByStep
}

#[cfg(target_os = "linux")]
fn beneath(folder: &OwnedFd, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    use rustix::fs::ResolveFlags;
    /// The kernel gives up when something is renamed under it, which says nothing about the path.
    const TRIES: u32 = 8;
    let path = if path.is_empty() { b"." } else { path };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let mut result = Err(Errno::AGAIN);
    for _ in 0..TRIES {
        result = fs::openat2(folder, path, flags, Mode::empty(), resolve);
        if result.as_ref().err() != Some(&Errno::AGAIN) {
            break;
        }
    }
    Ok(result?)
}

fn step_by_step(folder: &OwnedFd, names: &[Vec<u8>], flags: OFlags) -> io::Result<OwnedFd> {
    let step = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY;
    let mut found = fs::openat(folder, ".", step, Mode::empty())?;
    for (place, name) in names.iter().enumerate() {
        // Checked before it came here; a second look costs nothing.
        if name == b".." || name.contains(&b'/') {
            return Err(Errno::NOENT.into());
        }
        let flags = if place + 1 < names.len() { step } else { flags };
        found = fs::openat(&found, name.as_slice(), flags | OFlags::NOFOLLOW, Mode::empty())?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    fn read(root: &Root, path: &str) -> Option<String> {
        let names: Vec<_> = path.split('/').map(|name| name.as_bytes().to_vec()).collect();
        match root.find(&names) {
            Ok(RootEntry::File(mut file, _)) => {
                let mut text = String::new();
                file.read_to_string(&mut text).unwrap();
                Some(text)
            }
            _ => None,
        }
    }

    #[test]
    fn links_are_followed_below_the_root_or_not_at_all() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "secret").unwrap();
        let inside = outside.path().join("root");
        std::fs::create_dir_all(inside.join("deep")).unwrap();
        std::fs::write(inside.join("file"), "file").unwrap();
        symlink("../file", inside.join("deep/good")).unwrap();
        symlink("../../secret", inside.join("deep/bad")).unwrap();
        symlink(outside.path().join("secret"), inside.join("absolute")).unwrap();
        symlink(outside.path(), inside.join("up")).unwrap();
        symlink("loop", inside.join("loop")).unwrap();
        symlink("/proc/self/root", inside.join("magic")).unwrap();
        let mut root = Root::open(&inside).unwrap();
        let ways = [root.way, Way::StepByStep];
        for way in ways {
            root.way = way;
            assert_eq!(read(&root, "file").as_deref(), Some("file"), "{way:?}");
            assert_eq!(read(&root, "deep/good").is_some(), root.follows_links(), "{way:?}");
            for path in [
                "deep/bad",
                "absolute",
                "up/secret",
                "loop",
                "magic/etc/passwd",
                "../secret",
                "deep/../../secret",
                "nothing",
            ] {
                assert_eq!(read(&root, path), None, "{path} {way:?}");
            }
        }
    }

    #[test]
    fn only_files_and_folders_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
        let pipe =
            std::process::Command::new("mkfifo").arg(folder.path().join("pipe")).status().unwrap();
        assert!(pipe.success());
        let root = Root::open(folder.path()).unwrap();
        for name in ["socket", "pipe"] {
            assert!(root.find(&[name.into()]).is_err(), "{name}, and without waiting for it");
        }
        assert!(matches!(root.find(&[]), Ok(RootEntry::Folder(_))));
    }
}
