//! The impairments of jostle, sans-I/O: no socket, no thread, no clock.
//!
//! A [`profile::Profile`] says what happens to packets. A [`packet::Packet`] crosses a
//! [`link::Link`], which applies the rules of a profile in one direction. Time and chance come in
//! as arguments, so the same code runs behind sockets and in virtual time.

pub mod carrier;
pub mod counters;
mod delivered;
pub mod flow;
pub mod limits;
pub mod link;
pub mod memory;
pub mod packet;
pub mod payload;
pub mod profile;
pub mod raw;
pub mod rebinding;
mod ring;
pub mod route;
pub mod rules;
mod segment;
pub mod stage;
pub mod tcp;
