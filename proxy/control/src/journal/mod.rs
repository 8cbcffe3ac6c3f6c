//! The journal: every change of the configuration, a line of JSON each, so that what was done by
//! hand can be looked up, and played again.
//!
//! [`Journal`] writes one as a run goes on; [`History`] reads one, and [`History::replay`] makes
//! the phases of what was done to a proxy.

mod canonical;
mod history;
mod line;
mod replay;
mod writer;

pub use history::{Event, History, JournalError, Recorded};
pub use replay::{Replay, ReplayError};
pub use writer::{Journal, JournalEnd};

/// The version of the format. A reader takes no other.
const VERSION: u64 = 1;
