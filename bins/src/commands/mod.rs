//! The commands of `jostle`: one file each, and what they share.

pub mod ctl;
pub mod profile;
pub mod proxy;
