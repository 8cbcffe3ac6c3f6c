//! Checked messages over TCP: lines with a number and a checksum, each repeated until it
//! is acknowledged.
//!
//! The stream between may lose, damage, double and join lines. Every message is delivered once and
//! in order all the same, because the server takes only the line it waits for, and only with a
//! right checksum, and the client goes on only with a checked `ACK`. One message is in flight at a
//! time.
//!
//! Lines of programs that know other checksums, send no newlines or bare goodbyes are understood
//! too, where they cannot be damaged ones of ours.
//!
//! A connection is a session: its numbers begin with 0. When it breaks, at most one message is in
//! doubt, and the client says which.

mod checksum;
mod client;
mod dialect;
mod md5;
mod plain_replies;
mod report;
mod session;
#[cfg(test)]
mod tests;
mod wire;

pub use checksum::Checksums;
pub use client::{MessagesClient, MessagesClientSettings};
pub use dialect::Dialect;
pub use report::{Acknowledged, MessagesFailure, MessagesReport};
pub use session::{Message, Session, SessionEnd, SessionReport};
pub use wire::{
    GOODBYE, LINE_BYTES_MAX, MESSAGE_BYTES_MAX, Reply, ReplyVerdict, decode, encode, fits,
};
