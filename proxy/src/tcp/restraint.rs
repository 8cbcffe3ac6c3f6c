//! The restraint of the senders of a route with rules: how far their own kernels let them be ahead.
//!
//! The links hold a sender back by not reading it. What it has written by then lies in its kernel's
//! send buffer and in the receive buffer on our side. Over loopback that is megabytes: a send buffer
//! is made for twenty segments, of 64 KiB each. So the sockets of such a route ask for segments of
//! the size that the model sends, and their receive buffers start small and grow only while the
//! links take all that comes.

use jostle_engine::tcp::PAYLOAD_MAX;
use jostle_sys::{ask_for_segments, fix_receive_buffer};
use socket2::Socket;

/// The receive buffer to begin with, asked for; Linux doubles it for its bookkeeping.
const BUFFER_BYTES: usize = 16 << 10;

/// Restrains the senders to a socket that is not connected yet. Returns false if the system cannot.
pub(super) fn restrain(socket: &Socket) -> bool {
    // Without the first the buffer would stay small for good.
    let restrained = fix_receive_buffer(socket, true)
        .and_then(|()| socket.set_recv_buffer_size(BUFFER_BYTES))
        .and_then(|()| ask_for_segments(socket, PAYLOAD_MAX));
    if let Err(error) = &restrained {
        log::debug!("restraining a sender: {error}");
    }
    restrained.is_ok()
}

/// The restraint of the clients of a listening socket.
#[derive(Debug, Default)]
pub(super) struct Restraint {
    /// The size that the receive buffer had before, while clients are restrained.
    before: Option<usize>,
}

impl Restraint {
    /// Restrains the clients that come from now on, or lets them go.
    pub(super) fn set(&mut self, socket: &Socket, on: bool) {
        match (on, self.before) {
            (true, None) => {
                let size = socket.recv_buffer_size();
                self.before = size.ok().filter(|_| restrain(socket));
            }
            (false, Some(size)) => {
                self.before = None;
                // Linux tells twice of what it is asked for.
                let released = socket
                    .set_recv_buffer_size(size / 2)
                    .and_then(|()| fix_receive_buffer(socket, false))
                    .and_then(|()| ask_for_segments(socket, 0));
                if let Err(error) = released {
                    log::debug!("letting senders go: {error}");
                }
            }
            (true, Some(_)) | (false, None) => {}
        }
    }

    /// Returns true if clients are restrained.
    pub(super) const fn is_on(&self) -> bool {
        self.before.is_some()
    }
}
