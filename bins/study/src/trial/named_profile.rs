//! A profile that a trial names.

use jostle_engine::profile::Profile;
use serde_json::Value;
use std::sync::Arc;

/// A profile, and the way it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedProfile {
    /// The name of a built-in profile or a file, or an inline object.
    pub written: Value,
    /// The profile itself.
    pub profile: Arc<Profile>,
}
