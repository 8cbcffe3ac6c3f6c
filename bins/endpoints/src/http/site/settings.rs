//! The settings of a site.

use crate::http::server::Limits;
use std::path::PathBuf;

/// The settings of a site, and the limits of its server.
#[derive(Clone, Debug)]
pub struct SiteSettings {
    /// The folder whose files are served.
    pub root: PathBuf,
    /// The folder for uploads; none are accepted without.
    pub uploads: Option<PathBuf>,
    /// True if a folder without an index shows what is in it.
    pub listing: bool,
    /// Names by which browsers may reach the server to upload, besides localhost and addresses.
    pub hosts: Vec<String>,
    /// The limits of its server.
    pub limits: Limits,
}
