//! The HTTP client.
pub mod command;
