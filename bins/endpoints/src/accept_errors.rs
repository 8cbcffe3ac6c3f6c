//! The descriptors that every listener needs, and the meaning of a failed accept(2).

use jostle_sys::is_out_of_descriptors;
use std::io;
use std::time::Duration;

/// The pause before accepting again when the process has no descriptor left, or the network has a
/// problem that is no listener's.
const RETRY: Duration = Duration::from_millis(100);

/// The descriptors that must be left when a server has begun to listen: a client's socket, its file
/// and the file's folder, and what the process opens for itself a little later.
const DESCRIPTORS_LEAST: usize = 8;

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

/// Checks that a server which listens now can take a client at all.
///
/// # Errors
/// When so few descriptors are left that it could not, with the number that is needed.
pub(crate) fn check_descriptors() -> io::Result<()> {
    let limit = jostle_sys::raise_descriptor_limit();
    let needed = jostle_sys::open_descriptors().unwrap_or(0) + DESCRIPTORS_LEAST;
    if needed <= limit {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "{limit} open descriptors are too few: to serve a client it needs {needed}; raise the \
         limit (ulimit -n {needed})"
    )))
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
