//! The limit of open descriptors, and the errors that tell of limits.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
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

/// Returns the number of descriptors that are open now; `None` where the system does not tell.
pub fn open_descriptors() -> Option<usize> {
    // The one that lists them is among them.
    std::fs::read_dir("/proc/self/fd").ok().map(|open| open.count().saturating_sub(1))
}

/// Returns true if a socket has something to read: of a listener, a client that waits.
pub fn is_readable(socket: impl AsFd) -> bool {
    let mut asked = [PollFd::new(&socket, PollFlags::IN)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut asked, Some(&at_once)).is_ok_and(|ready| ready > 0)
}

/// Returns true if an error says that the process, or the machine, has no descriptor or memory left
/// for another socket.
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}

/// Returns the size up to which datagrams are still worth sending as runs if one of datagrams of
/// `segment` bytes failed so; `None` if the error is not about the run.
pub fn refuses_run(error: &io::Error, segment: usize) -> Option<u16> {
    match error.raw_os_error() {
        // It is too large for the path (Linux: udp_send_skb in net/ipv4/udp.c).
        Some(libc::EMSGSIZE | libc::EINVAL) => {
            Some(u16::try_from(segment.saturating_sub(1)).unwrap_or(u16::MAX))
        }
        // No checksums are made on the way there, or the option is not known at all.
        Some(libc::EIO | libc::EOPNOTSUPP | libc::ENOPROTOOPT) => Some(0),
        _ => None,
    }
}

/// Returns true if an error says that a datagram is longer than its socket can send.
pub fn is_too_big(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EMSGSIZE)
}
