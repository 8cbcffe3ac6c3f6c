//! A file over TCP, and a file over plain UDP, on real sockets.

pub mod command;
pub mod tcp;
pub mod udp;

/// The port of both unless told otherwise.
pub const PORT: u16 = 9003;
