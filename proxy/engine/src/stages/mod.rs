//! The stages, which hold packets for a time: one file each.

mod batch;
mod copies;
mod delay;
mod hold;
mod rate;
mod reorder;

pub(crate) use batch::Batch;
pub(crate) use copies::Copies;
pub(crate) use delay::Delay;
pub(crate) use hold::Hold;
pub(crate) use rate::Rate;
pub(crate) use reorder::{Reorder, Setting as ReorderSetting};
