//! Clients that say where they want to go, by SOCKS5 and as to an HTTP proxy.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "it looks at the real clock")]

mod answers;
mod client;
mod exchanges;
mod live;
mod places;
#[path = "../support/mod.rs"]
mod support;
mod ways;
