//! The stages, which hold packets for a time: one file each.

mod calendar;
mod delay;
mod jitter;
mod normal;
mod rate;
mod reorder;

pub(crate) use delay::Delay;
pub(crate) use rate::Rate;
pub(crate) use reorder::Reorder;
