//! The HTTP server and client as people run them: with curl, browsers, load generators, bare
//! sockets and each other.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::disallowed_methods, reason = "it looks at the real clock")]

#[path = "../proxy_support/mod.rs"]
mod proxy_support;
#[path = "../endpoints/support.rs"]
mod support;

mod browser;
mod client;
mod document;
mod failures;
mod files;
mod hostile;
mod lies;
mod limits;
mod load;
mod through_proxy;
mod tools;
mod uploads;
mod wire;
