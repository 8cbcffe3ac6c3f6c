//! The meaning of a failed accept(2), the same for every listener.

use jostle_sys::is_out_of_descriptors;
use std::io;
use std::time::Duration;

/// The pause before accepting again when the process has no descriptor left, or the network has a
/// problem that is no listener's.
const RETRY: Duration = Duration::from_millis(100);

/// Judges the errors of one listener, and says each kind once.
#[derive(Debug, Default)]
pub(crate) struct AcceptErrors {
    /// True if it was said that clients wait for a descriptor: once, and not at every attempt.
    has_warned: bool,
}

impl AcceptErrors {
    /// Returns the pause before accepting again; `None`: no pause, since the error was that of one
    /// client, which has gone.
    pub(crate) fn judge(&mut self, error: &io::Error) -> Option<Duration> {
        match error.kind() {
            io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset => return None,
            _ if !is_out_of_descriptors(error) => log::warn!("cannot accept: {error}"),
            _ if !std::mem::replace(&mut self.has_warned, true) => {
                log::warn!("no descriptor is left, so further connections wait: {error}");
            }
            _ => {}
        }
        Some(RETRY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_has_gone_holds_up_no_other() {
        let mut errors = AcceptErrors::default();
        assert_eq!(errors.judge(&io::ErrorKind::ConnectionAborted.into()), None);
        let full = io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
        assert_eq!((errors.judge(&full), errors.has_warned), (Some(RETRY), true));
        assert_eq!(errors.judge(&io::ErrorKind::NetworkDown.into()), Some(RETRY));
    }
}
