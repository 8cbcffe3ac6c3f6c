//! The command lines of `jostle` that are about the proxy and its profiles.

pub mod commands;
