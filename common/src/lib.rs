//! The vocabulary of jostle: values, and pure functions of values.
//!
//! Nothing here opens a socket, starts a thread or keeps a global, and nothing reads a clock but
//! [`clock::Clock`], which only shells call. Time ([`time::Instant`]) and chance
//! ([`chance::DrawStream`]) are arguments everywhere else.

pub mod chance;
pub mod clock;
pub mod digest;
pub mod ecn;
pub mod hosts;
pub mod http1;
pub mod listening;
pub mod philox;
pub mod setting;
pub mod statistics;
pub mod time;
pub mod transport;
pub mod units;
pub mod words;
