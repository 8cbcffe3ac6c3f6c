//! Servers and clients as people run them, on loopback: with each other, with programs nobody here
//! wrote, and through the proxy.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod clock;
mod commands;
mod echo;
mod exercises;
mod messages;
mod ping;
mod places;
#[path = "../proxy_support/mod.rs"]
mod proxy_support;
mod python;
mod saw;
mod support;
mod tcp;
mod udp;
mod walkthrough;
