//! The commands of `jostle`: one file each, and what they share.

pub mod profile;
pub mod proxy;
