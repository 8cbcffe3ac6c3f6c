//! Echo: each message comes back as it is. The client says which did not, which came twice, and
//! which came damaged.
//!
//! Messages are bare: what a person types is what the server prints, and what any script can send.
//! So the client has nothing but the content to recognise them by, as [`EchoLedger`] says; it is
//! the same over UDP, where a message is a datagram, and over TCP, where it is a line.

mod client;
mod ledger;
mod stream;

pub use super::reflector::ECHO_PORT as PORT;
pub use client::{EchoClient, EchoClientSettings, EchoEvent, EchoFailure, EchoReport};
pub use ledger::{EchoLedger, Recognised};
pub use stream::{EchoService, EchoStream};

/// The longest message in bytes: the longest UDP payload over IPv4.
pub const MESSAGE_BYTES_MAX: usize = 65_507;
