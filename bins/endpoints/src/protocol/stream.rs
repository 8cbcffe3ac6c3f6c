//! Protocols over a byte stream as sans-I/O state machines, the counterpart of [`super::Endpoint`]
//! for TCP.
//!
//! The caller's rule, after every event: send what [`StreamEndpoint::poll`] returns, and hand in no
//! more bytes before the receiver has taken it, unless [`StreamEndpoint::listens_while_sending`];
//! that bounds what an endpoint holds. When it has said all and that is sent, end the stream.

use bytes::Bytes;
use jostle_common::time::Instant;

/// One end of a protocol over a byte stream.
pub trait StreamEndpoint {
    /// Takes in the next bytes that arrived, cut anyhow. Never panics, whatever they are.
    fn handle(&mut self, now: Instant, bytes: &[u8]);

    /// Takes in that the peer has ended its stream: nothing more will arrive.
    fn handle_end(&mut self, now: Instant);

    /// Takes in that the connection broke: nothing more will arrive, and nothing can be sent.
    fn handle_break(&mut self, now: Instant, reason: &str) {
        let _ = reason;
        self.handle_end(now);
    }

    /// Returns true if it may be ended when its peer is silent and another needs its place.
    fn may_yield(&self) -> bool {
        true
    }

    /// Takes in that it gives its place to another, since its peer was silent.
    fn handle_yield(&mut self, now: Instant) {
        self.handle_break(now, "it was silent, and another needed its place");
    }

    /// Takes in that it is stopped at `now`: nothing more will arrive, and nothing will be sent.
    fn handle_stop(&mut self, now: Instant) {
        let _ = now;
    }

    /// Returns the next bytes to send at `now`; `None`: nothing before [`Self::deadline`] or more
    /// input.
    fn poll(&mut self, now: Instant) -> Option<Bytes>;

    /// Returns the time at which `poll` next has something to do by itself; `None`: not before more
    /// input comes.
    fn deadline(&self) -> Option<Instant>;

    /// Returns true if this end has done its job, well or not: its stream is to be ended, and
    /// nothing is waited for.
    fn is_finished(&self) -> bool;

    /// Returns true if it will send nothing more, so that its stream is to be ended, though it
    /// may still wait for something. An endpoint that does not half-close says so when it is
    /// finished.
    fn has_said_all(&self) -> bool {
        self.is_finished()
    }

    /// Returns true if a finished endpoint wants its connection reset, so that the peer cannot
    /// take the end of it for success.
    fn must_reset(&self) -> bool {
        false
    }

    /// Returns true if bytes may be handed in while the peer has not taken all that was sent. A
    /// client that sends ahead says so: two ends that each wait to be read would wait for ever.
    fn listens_while_sending(&self) -> bool {
        false
    }

    /// Returns the most bytes to hand in at once: they bound what one call may give rise to.
    fn piece_bytes_max(&self) -> usize {
        16 << 10
    }
}
