//! The commands of `jostle`: one file each, and what they share.

pub mod proxy;
pub mod weather;
