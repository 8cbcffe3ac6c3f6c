//! Checked messages over TCP, on real sockets.
//!
//! ```
//! use jostle_endpoints::messages::{
//!     Input, MessagesServer, MessagesServerSettings, MessagesSettings, send,
//! };
//! use jostle_console::stop::Stop;
//!
//! let server = MessagesServer::bind("127.0.0.1:0".parse()?, MessagesServerSettings::default())?;
//! let (address, stop) = (server.address(), Stop::new());
//! let stopped = stop.clone();
//! let serving = std::thread::spawn(move || {
//!     let mut said = Vec::new();
//!     server.run(&stopped, |_, messages, _| said.extend(messages)).map(|totals| (totals, said))
//! });
//! let input = Input::text("one||two", "||");
//! let sent = send(&MessagesSettings::new(vec![address]), input, &Stop::new(), |_| {})?;
//! assert!(sent.ending.is_done());
//! stop.request();
//! let (totals, said) = serving.join().unwrap()?;
//! assert_eq!((said[1].bytes.as_ref(), totals.counts.delivered), (&b"two"[..], 2));
//! # anyhow::Ok(())
//! ```

mod client;
pub mod command;
mod input;
mod server;

pub use client::{MessagesSent, MessagesSettings, Notice, send};
pub use input::{Input, InputEntry};
pub use server::{
    MessagesServer, MessagesServerSettings, MessagesTotals, SessionOver, SessionPeer,
};

/// The port unless told otherwise.
pub const PORT: u16 = 9000;
/// The separator of several messages on a line unless told otherwise.
pub const SEPARATOR: &str = "||";
