//! Servers and clients as people run them, on loopback without a proxy.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod commands;
mod messages;
#[path = "../proxy_support/mod.rs"]
mod proxy_support;
mod python;
mod saw;
mod support;
mod tcp;
mod udp;
