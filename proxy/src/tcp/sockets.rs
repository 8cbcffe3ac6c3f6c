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
    // Small pieces go at once: the sender has decided how to cut its stream.
    note("TCP_NODELAY", socket.set_tcp_nodelay(true));
    if !asks_later(portable) {
        ask_when_silent(socket);
    }
    // A peer whose host is gone does not acknowledge. Without a limit to silence the kernel tries for a quarter of an
    // hour, as it would for the programs themselves.
    #[cfg(target_os = "linux")]
    if let Some(limit) = silence.filter(|_| !portable) {
        note("TCP_USER_TIMEOUT", socket.set_tcp_user_timeout(Some(limit)));
    }
    let _ = silence;
}

/// Returns true if a socket need not ask a silent peer from its beginning: the kernel counts the
/// silence from before it is told to ask.
pub(super) const fn asks_later(portable: bool) -> bool {
    cfg!(target_os = "linux") && !portable
}

/// Lets a socket ask a peer that is silent whether it is still there. One whose host is gone says
/// nothing: after two minutes its sockets are free again.
pub(super) fn ask_when_silent(socket: &Socket) {
    let keepalive =
        TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_EACH).with_retries(6);
    note("SO_KEEPALIVE", socket.set_tcp_keepalive(&keepalive));
}

fn note(option: &str, result: io::Result<()>) {
    if let Err(error) = result {
        log::debug!("{option}: {error}");
    }
}

/// What is wanted of a socket that connects to an upstream.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted {
    /// The hops that its packets may take, if that is not left to the system.
    pub(super) hops: Option<u8>,
    /// Its sender is restrained.
    pub(super) restrained: bool,
    /// There is something to be written as soon as the upstream answers.
    pub(super) speaks: bool,
}

/// Begins to connect to an upstream. Returns whether that is restrained.
pub(super) fn begin_connect(address: SocketAddr, wanted: Wanted) -> io::Result<(Socket, bool)> {
    #[cfg(target_os = "linux")]
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), None)?;
    #[cfg(not(target_os = "linux"))]
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    #[cfg(not(target_os = "linux"))]
    socket.set_nonblocking(true)?;
    keep_urgent_bytes(&socket)?;
    if let Some(hops) = wanted.hops {
        set_hops(&socket, address.is_ipv6(), hops)?;
    }
    let restrained = wanted.restrained && restrain(&socket);
    #[cfg(target_os = "linux")]
    if wanted.speaks {
        // The first bytes acknowledge the answer, and spare a packet (tcp(7)).
        note("TCP_QUICKACK", socket.set_tcp_quickack(false));
    }
    #[cfg(not(target_os = "linux"))]
    let _ = wanted.speaks;
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
