//! Keeping what was written for good: a machine that loses its power right after we said that a
//! file is there must have it when it comes back.

use super::at;
use std::fs::File;
use std::io;
use std::path::Path;

/// Waits until the bytes of a file are on the disk.
///
/// # Errors
/// When they cannot be written: then nobody must be told that the file is there.
pub(crate) fn sync_file(file: &File, path: &Path) -> io::Result<()> {
    match file.sync_all() {
        // A pipe or a device has nothing to keep.
        Err(error) if is_unsupported(&error) => Ok(()),
        synced => synced.map_err(at(path)),
    }
}

/// Waits until the name of a file is on the disk, which stands in its folder.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn sync_name(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // Some network file systems have no such thing, and keep names by themselves.
        Err(error) if is_unsupported(&error) => Ok(()),
        // A folder into which one may write and which one may not read.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        synced => synced.map_err(at(folder)),
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported)
}
