//! The programs of jostle, and those command lines of `jostle` that are about the proxy and its
//! profiles.

pub mod commands;
pub mod programs;
