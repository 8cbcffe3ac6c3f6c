//! The three programs: what each reads of its command line, and what it starts.

pub mod client;
mod endpoints;
pub mod jostle;
pub mod server;
