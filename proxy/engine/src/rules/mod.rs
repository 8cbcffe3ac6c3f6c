//! The instant rules: one file each.

mod chain;
mod corrupt;
mod drop;
mod duplicate;

pub(crate) use corrupt::Corrupt;
pub(crate) use drop::Drop;
pub(crate) use duplicate::{Duplicate, copy_number};
