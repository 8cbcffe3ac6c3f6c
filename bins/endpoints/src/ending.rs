//! How a client's job ended.

/// How a client's job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It is done.
    Done,
    /// It was asked to stop before that.
    Stopped,
    /// It failed, for this reason; not to be printed without escaping.
    Failed(String),
}

impl Ending {
    /// Whether the job is done.
    pub const fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// Why it failed, if it did.
    pub fn failure(&self) -> Option<&str> {
        match self {
            Self::Failed(reason) => Some(reason),
            Self::Done | Self::Stopped => None,
        }
    }
}
