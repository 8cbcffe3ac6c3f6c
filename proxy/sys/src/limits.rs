//! The limit of open descriptors, and the errors that tell of limits.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io;

/// Raises the soft limit of open descriptors to the hard one and returns it.
pub fn raise_descriptor_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum || limit.maximum.is_none() {
        let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if setrlimit(Resource::Nofile, wanted).is_err() {
            log::debug!("the limit of open descriptors stays at {:?}", limit.current);
        }
    }
    // No limit at all: an amount that no event loop reaches.
    getrlimit(Resource::Nofile)
        .current
        .map_or(1 << 20, |limit| usize::try_from(limit).unwrap_or(1 << 20))
}

/// Returns true if an error says that the process, or the machine, has no descriptor or memory left
/// for another socket.
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}

/// Returns true if an error says that a datagram is longer than its socket can send.
pub fn is_too_big(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EMSGSIZE)
}
