//! Remarks about peers that are not understood, on stderr.

use crate::protocol::hint::{Hint, HintTable};
use jostle_common::time::Instant;
use jostle_console::terminal::{escaped, note};
use std::net::SocketAddr;

/// What a server's driver says of its clients. At its end it says how many it did not name.
#[derive(Debug, Default)]
pub(crate) struct Hints(HintTable);

impl Hints {
    /// Tells of a client, if a line is due.
    pub(crate) fn tell(&mut self, now: Instant, peer: SocketAddr, hint: &Hint) {
        if let Some(line) = self.0.line(now, peer, hint) {
            note(&escaped(&line));
        }
    }

    /// Tells of the server that a client talks to.
    pub(crate) fn tell_of_server(server: SocketAddr, hint: &Hint) {
        note(&escaped(&format!("{server} {hint}")));
    }
}

impl Drop for Hints {
    fn drop(&mut self) {
        if self.0.untold() > 0 {
            note(&format!("{} times a peer was not understood and not named", self.0.untold()));
        }
    }
}
