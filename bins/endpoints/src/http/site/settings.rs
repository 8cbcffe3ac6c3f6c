//! What a site serves.

use crate::http::server::Limits;
use std::path::PathBuf;

/// What a site serves, and what its server puts up with.
#[derive(Clone, Debug)]
pub struct SiteSettings {
    /// The folder whose files are served.
    pub root: PathBuf,
    /// The folder for uploads; none are accepted without.
    pub uploads: Option<PathBuf>,
    /// Whether a folder without an index shows what is in it.
    pub listing: bool,
    /// Names by which browsers may reach the server to upload, besides localhost and addresses.
    pub hosts: Vec<String>,
    /// What it puts up with.
    pub limits: Limits,
}
