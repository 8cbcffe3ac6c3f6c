//! The TCP model: what loss costs a TCP stream, without losing a byte of it.
//!
//! A relay ends its client's TCP and starts its own, so it cannot lose a real segment. Here the
//! stream crosses the route's links as the segments of a modelled sender: a lost or damaged one
//! costs time, as in life, and every byte arrives. The mechanisms are those that decide a Linux
//! transfer's time (checked against the kernel's in `tests/tcp_kernel.rs`), each in its own file:
//!
//! | file | mechanism |
//! |---|---|
//! | `handshake` | SYN and SYN-ACK cross the links and may be lost |
//! | `sender` | initial window 10, limited transmit, the phases, the timer |
//! | `scoreboard`, `sent`, `ranges` | what is out, sacked, lost, sent again |
//! | `rack`, `tlp`, `rtt` | when a segment is taken to be lost (RFC 8985, RFC 6298 as in Linux) |
//! | `undo` | what happens when it was not (RFC 4015) |
//! | `window`, `usage`, `prr` | how much may be in flight (RFC 6937) |
//! | `controller`, `cubic`, `reno`, `hystart` | how that grows and shrinks (RFC 9438, 5681) |
//! | `sender::marks`, `echo`, `dctcp` | the answer to marks, if asked for (RFC 3168, RFC 8257) |
//! | `receiver` | order, delayed acknowledgements, SACK (RFC 2018) |
//! | `connection`, `stream` | both directions, the bytes |
//! | `model`, `timers`, `event` | all connections of a route over its two links |
//! | `transfer` | one transfer in virtual time |
//! | `bulk` | one that never ends, for cross traffic |
//!
//! Segments that leave together are computed as a train (`segment`), which changes no time and no
//! fate of any (`tests/tcp_trains.rs`).
//!
//! Left out, as it hardly changes these times: the kernel's timer wheel, its rules for quick
//! acknowledgements, F-RTO, pacing. Left out, and to be known: acknowledgements do not ride on
//! data of the other direction; Nagle's delay is not modelled (small pieces go at once); without
//! D-SACK a network that reorders heavily (far more than a quarter of the least round-trip time)
//! costs more than it would cost Linux; a connection never gives up by itself.

mod bulk;
mod connection;
mod controller;
mod counters;
mod cubic;
mod dctcp;
mod echo;
mod event;
mod handshake;
mod hystart;
mod model;
mod outlet;
mod prr;
mod rack;
mod ranges;
mod receiver;
mod reno;
mod rtt;
mod scoreboard;
mod sender;
mod sent;
mod stream;
mod timers;
mod tlp;
mod transfer;
mod undo;
mod usage;
mod window;

pub use crate::segment::{Ack, Blocks, Data, PAYLOAD_MAX, Segment};
pub(crate) use bulk::Bulk;
pub use counters::Counters;
pub use event::Event;
pub use model::Model;
pub use transfer::{Outcome, transfer};
