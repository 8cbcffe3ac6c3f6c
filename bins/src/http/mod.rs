//! Systems 4 and 5: an HTTP server for any browser or program, and an HTTP client for any server.
//!
//! Both stand on hyper. It runs on tokio, on threads of its own; nothing of that reaches the crates below.

pub mod client;
pub mod command;
mod digest_field;
mod names;
pub mod pace;
pub mod server;

/// The port of the server unless told otherwise.
pub const PORT: u16 = 12345;
