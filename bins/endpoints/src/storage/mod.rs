//! Files of the endpoints on disk: one that is served or sent, one that is fetched, and a folder of
//! received ones.

mod directory;
mod output;
mod source;

pub use directory::{Directory, NAME, PartFile, take_free_name};
pub use output::OutputFile;
pub use source::FileSource;

use std::io;
use std::path::Path;

/// Returns the error with the path in front: the system says what, not where.
fn at(path: &Path) -> impl FnOnce(io::Error) -> io::Error + '_ {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
