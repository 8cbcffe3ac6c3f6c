//! The one driver of protocols over TCP, in real time: a server of many conversations, and a
//! client's one.

mod accept;
mod connection;
mod conversation;
mod server;

pub use connection::Connection;
pub(crate) use connection::establish;
pub use server::{StreamServer, StreamServerReport, StreamServerSettings, Visit};

/// The most bytes that are read at once, whatever the endpoint asks for.
const PIECE_BYTES_MAX: usize = 64 << 10;
/// The number of steps of one conversation that are taken before the others, the clock and the stop
/// request get their turn.
const TURN: usize = 32;
