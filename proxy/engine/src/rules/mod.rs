//! The instant rules: one file each.

mod ahead;
mod chain;
mod corrupt;
mod cut;
mod drop;
mod duplicate;
mod size;
mod states;

pub(crate) use ahead::Ahead;
pub(crate) use corrupt::Corrupt;
pub(crate) use cut::Cut;
pub(crate) use drop::Drop;
pub(crate) use duplicate::{Duplicate, copy_number};
pub(crate) use size::Size;
