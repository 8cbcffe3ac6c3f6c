//! Files of the endpoints on disk: one that is served or sent, one that is fetched, and a folder of
//! received ones.

mod directory;
mod durable;
mod entry;
mod output;
mod part;
mod quota;
mod source;
mod watched;

pub use directory::{Directory, NAME, take_free_name};
pub use output::OutputFile;
pub use part::{PartFile, remove_stale_parts};
pub use quota::Quota;
pub use source::FileSource;
pub use watched::WatchedFile;

pub(crate) use durable::{sync_file, sync_name};
pub(crate) use entry::{FolderEntry, open_entry, open_regular};
pub(crate) use source::HashedFile;

use std::io;
use std::path::Path;

/// Returns the error with the path in front: the system says what, not where.
fn at(path: &Path) -> impl FnOnce(io::Error) -> io::Error + '_ {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the names in a folder, in their order.
    pub(super) fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}
