//! New rows against old ones: which points got worse.

/// What came of a comparison with older rows.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    /// Whether nothing got worse.
    pub(super) passed: bool,
}
