//! Protocols over a byte stream as sans-I/O state machines, the counterpart of [`super::Endpoint`]
//! for TCP.
//!
//! The caller's rule, after every event: send what [`StreamEndpoint::poll`] returns, and hand in no
//! more bytes before the receiver has taken it; that bounds what an endpoint holds. When it has
//! said all and that is sent, end the stream.

use bytes::Bytes;
use jostle_common::time::Instant;

/// One end of a protocol over a byte stream.
pub trait StreamEndpoint {
    /// Takes in the next bytes that arrived, cut anyhow. Never panics, whatever they are.
    fn handle(&mut self, now: Instant, bytes: &[u8]);

    /// Takes in that nothing more will arrive: the peer has ended its stream, or the connection
    /// broke.
    fn handle_end(&mut self, now: Instant);

    /// The next bytes to send at `now`; `None`: nothing before [`Self::deadline`] or more input.
    fn poll(&mut self, now: Instant) -> Option<Bytes>;

    /// When `poll` next has something to do by itself; `None`: not before more input comes.
    fn deadline(&self) -> Option<Instant>;

    /// Whether this end has done its job, well or not: its stream is to be ended, and nothing is
    /// waited for.
    fn is_finished(&self) -> bool;

    /// Whether it will send nothing more, so that its stream is to be ended, though it may still
    /// wait for something. An endpoint that does not half-close says so when it is finished.
    fn has_said_all(&self) -> bool {
        self.is_finished()
    }
}
