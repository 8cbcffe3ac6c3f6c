//! The sockets of connections: what is set on them, and what they report.

use super::restraint::restrain;
use crate::listener::keep_urgent_bytes;
use jostle_sys::set_hops;
use mio::Interest;
use rustix::io::Errno;
use socket2::{Domain, Socket, TcpKeepalive, Type};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// The silence after which a peer is asked whether it is still there.
const PROBE_AFTER: Duration = Duration::from_secs(60);

/// The time between such questions.
const PROBE_EACH: Duration = Duration::from_secs(10);

/// Returns what the sockets of connections report. On Linux urgent bytes are told of: a read stops in
/// front of them.
pub(super) fn stream_interest() -> Interest {
    let interest = Interest::READABLE | Interest::WRITABLE;
    #[cfg(target_os = "linux")]
    let interest = interest | Interest::PRIORITY;
    interest
}

/// Returns true if the options of a listening socket are those of the ones that it accepts, so that
/// they need not be set on each.
pub(super) const fn inherits(portable: bool) -> bool {
    cfg!(target_os = "linux") && !portable
}

/// Sets what helps a relay on a socket, of which silence has this limit; what the system refuses is
/// done without.
pub(super) fn prepare(socket: &Socket, silence: Option<Duration>, portable: bool) {
    let note = |option: &str, result: io::Result<()>| {
        if let Err(error) = result {
            log::debug!("{option}: {error}");
        }
    };
    // Small pieces go at once: the sender has decided how to cut its stream.
    note("TCP_NODELAY", socket.set_tcp_nodelay(true));
    // A peer whose host is gone says nothing: after two minutes its sockets are free again.
    let keepalive =
        TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_EACH).with_retries(6);
    note("SO_KEEPALIVE", socket.set_tcp_keepalive(&keepalive));
    // Nor does it acknowledge. Without a limit to silence the kernel tries for a quarter of an
    // hour, as it would for the programs themselves.
    #[cfg(target_os = "linux")]
    if let Some(limit) = silence.filter(|_| !portable) {
        note("TCP_USER_TIMEOUT", socket.set_tcp_user_timeout(Some(limit)));
    }
    let _ = (silence, portable);
}

/// Begins to connect to an upstream, which is restrained if wanted. Returns whether it is.
pub(super) fn begin_connect(
    address: SocketAddr,
    hops: Option<u8>,
    restrains: bool,
) -> io::Result<(Socket, bool)> {
    #[cfg(target_os = "linux")]
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), None)?;
    #[cfg(not(target_os = "linux"))]
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    #[cfg(not(target_os = "linux"))]
    socket.set_nonblocking(true)?;
    keep_urgent_bytes(&socket)?;
    if let Some(hops) = hops {
        set_hops(&socket, address.is_ipv6(), hops)?;
    }
    let restrained = restrains && restrain(&socket);
    let is_under_way = |error: &io::Error| {
        Errno::from_io_error(error) == Some(Errno::INPROGRESS)
            || error.kind() == io::ErrorKind::WouldBlock
    };
    match socket.connect(&address.into()) {
        Err(error) if is_under_way(&error) => {}
        result => result?,
    }
    Ok((socket, restrained))
}
