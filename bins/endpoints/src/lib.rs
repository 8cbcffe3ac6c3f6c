//! Clean clients and servers: protocol machines, and the drivers that run them on sockets.
//!
//! An endpoint never loses, delays or damages anything itself. The machines in [`protocol`] are
//! sans-I/O and run in virtual time as well; the other modules bind them to sockets.

mod accept_errors;
mod address;
pub mod clock;
pub mod datagrams;
pub mod echo;
pub mod ending;
pub mod file;
mod hints;
pub mod http;
pub mod messages;
mod options;
pub mod ping;
pub mod protocol;
pub mod saw;
mod socks;
pub mod storage;
pub mod streams;
pub mod way;
