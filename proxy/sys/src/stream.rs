//! Options of streams: how much the system takes in ahead of whoever reads, and how far a client has
//! come.

use socket2::Socket;
use std::io;

/// Keeps a socket's receive buffer at the size that it has, or lets the system grow it with the
/// speed at which it is read.
///
/// # Errors
/// When the system cannot do that: Linux can since 5.14.
pub fn fix_receive_buffer(socket: &Socket, fixed: bool) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return super::linux::fix_receive_buffer(socket, fixed);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (socket, fixed);
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Sets the largest segment that a socket, which is not connected yet, asks its peer to send; 0
/// leaves it to the system.
///
/// # Errors
/// When the system refuses.
pub fn ask_for_segments(socket: &Socket, bytes: u32) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return socket.set_tcp_mss(bytes);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (socket, bytes);
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Lets the connections that a listening socket accepts tell how many hops their clients had left.
///
/// # Errors
/// When the system does not know; Linux does.
pub fn note_hops(socket: &Socket) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return super::linux::note_hops(socket);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = socket;
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Returns how many hops the first packet of an accepted connection had left (TTL), if its listening
/// socket was asked to [note](note_hops) it. It is told once.
pub fn hops_of_client(socket: &Socket) -> Option<u8> {
    #[cfg(target_os = "linux")]
    return super::linux::hops_of_client(socket);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = socket;
        None
    }
}
