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
    /// Names by which the server may be asked for, besides addresses and names without a public
    /// meaning.
    pub hosts: Vec<String>,
    /// The limits of its server.
    pub limits: Limits,
}
