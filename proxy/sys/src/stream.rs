//! Options of streams that decide how much the system takes in ahead of whoever reads.

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
