//! What a socket can do before its first event: on this machine a client has often spoken by then, and
//! an upstream answered.

use super::End;
use std::io::{self, Read, Write};

impl End {
    /// Reads what is there before the first event, which tells of all that this leaves.
    pub(crate) fn read_early(&mut self, buffer: &mut [u8]) -> usize {
        match self.stream.read(buffer) {
            Ok(count) => count,
            Err(error) => {
                if !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) {
                    log::debug!("{:?}: {error}", self.token());
                    // The next read finds the reset again.
                    self.break_off();
                }
                0
            }
        }
    }

    /// Writes to a peer of which no event has told yet whether it has answered the connect. Returns
    /// zero if it has not.
    ///
    /// # Errors
    /// The reason why there is no connection.
    pub(crate) fn write_early(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.stream.write(bytes) {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                Ok(0)
            }
            result => result,
        }
    }
}
