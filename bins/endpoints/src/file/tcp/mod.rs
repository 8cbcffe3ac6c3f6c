//! System 7, a file over TCP: the stream is the bare file, and its end is the file's end.
//!
//! When the file is complete and has its name, the server answers one line, `NAME SIZE SHA256`. A
//! reset means that the file is incomplete: it stays apart. A connection without a byte is a port
//! probe and leaves nothing.

mod client;
mod server;

pub use client::{Answer, SendSettings, Sent, send};
pub use server::{Server, ServerSettings, Totals};

/// How much is read or written at once.
const PIECE: usize = 64 * 1024;
