//! Stop-and-wait over UDP: the client asks for one packet of a file after the other, and asks again
//! when the answer fails to come.
//!
//! The server keeps nothing about its clients, so any number of them can be served. Each answer
//! names the packet and the attempt it answers, and carries the size and the digest of the whole
//! file: a client knows from any answer when it will be done and whether the file has changed under
//! it. Every answer is a valid sample of the round trip, because it names its attempt (Karn's
//! ambiguity, RFC 6298 §3, does not arise).
//!
//! The server understands bare numbers as well, and answers them with bare packets.

mod client;
mod plain;
mod server;
mod wire;

#[cfg(test)]
mod tests;

pub use client::{SawClient, SawClientSettings, SawFailure, SawReport};
pub use server::{SawServer, SawServerReport};
pub use wire::{
    ANSWER_SIZE_MAX, Answer, HEADER_SIZE, PADDED_SIZE, Request, Thanks, TooShort, pad_to,
};
