//! Ping over UDP: the client sends numbered datagrams and measures when each comes back; the server
//! answers anything with itself.
//!
//! Each datagram names its request and its attempt, so an answer belongs to exactly one datagram,
//! however late it comes and however often: loss counts datagrams, and every round trip is a true
//! one.

mod client;
mod report;
mod wire;

#[cfg(test)]
mod tests;

pub use super::reflector::PING_PORT as PORT;
pub use client::{PingClient, PingClientSettings, PingPace};
pub use report::{PingEvent, PingFailure, PingReport};
pub use wire::{Ping, SIZE_MAX, SIZE_MIN};
