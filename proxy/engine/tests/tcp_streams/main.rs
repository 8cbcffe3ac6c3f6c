//! What the TCP model promises about streams, whatever the links do: every byte, in order, both
//! ways at once; ends and resets in their place; the same times from the same seed.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod connections;
mod ends;
mod giving_up;
mod paths;
mod properties;
mod room;
#[path = "../support/mod.rs"]
mod support;
