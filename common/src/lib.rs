//! The vocabulary of jostle: values, and pure functions of values.
//!
//! Nothing here opens a socket, starts a thread or keeps a global, and nothing reads a clock but [`clock::Clock`], which only the
//! proxy and the programs call. Time ([`time::Instant`]) and chance ([`chance::Stream`]) are arguments everywhere else.

pub mod chance;
pub mod clock;
pub mod philox;
pub mod profile;
pub mod protocol;
pub mod route;
pub mod rows;
pub mod setting;
pub mod statistics;
pub mod sweep;
pub mod time;
pub mod trial;
pub mod units;
