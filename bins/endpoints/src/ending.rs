//! The ending of a client's job.

/// The ending of a client's job.
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
    /// Returns the ending of a machine: one without an outcome did not learn that it was stopped.
    pub(crate) fn of<E: ToString>(outcome: Option<Result<(), E>>) -> Self {
        match outcome {
            Some(Ok(())) => Self::Done,
            Some(Err(failure)) => Self::Failed(failure.to_string()),
            None => Self::Stopped,
        }
    }

    /// Returns true if the job is done.
    pub const fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// Returns the reason why it failed, if it did.
    pub fn failure(&self) -> Option<&str> {
        match self {
            Self::Failed(reason) => Some(reason),
            Self::Done | Self::Stopped => None,
        }
    }

    /// Returns the status of a program whose client ended so: true unless it failed. One that the
    /// user stopped did what it was asked to.
    pub(crate) fn status(self) -> anyhow::Result<bool> {
        match self {
            Self::Failed(reason) => Err(anyhow::anyhow!(reason)),
            Self::Done | Self::Stopped => Ok(true),
        }
    }
}

/// The reason why an event loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoopEnd {
    /// The endpoint has finished.
    Finished,
    /// It was asked to stop.
    Stopped,
}
