//! Access to what only the kernel offers, each with a fallback on mio alone.
//!
//! Linux has a nanosecond timer that an event loop can wait for, reads and sends datagrams in
//! batches, tells when a datagram arrived and how many it lost, and passes the bytes of streams on
//! without copying them. Elsewhere, and with `--portable` so that tests cover it, the fallback does
//! the same work one call at a time. This is the one folder with `unsafe`; each block says which
//! contract it keeps.

mod datagram;
mod inbox;
mod limits;
mod outbox;
mod pipe;
mod realtime;
mod slice;
mod slot_buffer;
mod stream;
mod timer;

#[cfg(target_os = "linux")]
mod linux;

pub use datagram::{MESSAGES, Message, Received, SLOTS};
pub use inbox::Inbox;
pub use limits::{
    is_out_of_descriptors, is_readable, is_too_big, open_descriptors, raise_descriptor_limit,
    refuses_run,
};
pub use outbox::Outbox;
pub use pipe::Pipe;
pub use realtime::{PRIORITY, Realtime, take_precedence};
pub use slice::ask_for_short_slices;
pub use slot_buffer::SlotBuffer;
pub use stream::{ask_for_segments, fix_receive_buffer, hops_of_client, note_hops};
pub use timer::Timer;

use mio::net::UdpSocket;
use socket2::Socket;
use std::io;

/// Options of a UDP socket.
#[derive(Clone, Copy, Debug)]
pub struct DatagramOptions {
    /// Keep to what every system has.
    pub portable: bool,
    /// Tell which of our addresses a datagram was sent to, and let the answer go out from it.
    pub asked_address: bool,
    /// The socket speaks IPv6.
    pub ipv6: bool,
    /// Tell how many hops a datagram had left.
    pub hops: bool,
}

/// Bytes that a UDP socket may hold for us, asked for: a burst of 4 MiB at 10 Gbit/s is 3 ms of not
/// being scheduled.
const DATAGRAM_BUFFER_BYTES: usize = 4 << 20;

/// Sets what helps a relay on a UDP socket. What the system refuses is done without.
pub fn prepare_datagram_socket(socket: &Socket, options: DatagramOptions) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    #[cfg(target_os = "linux")]
    if !options.portable {
        linux::prepare_datagram_socket(socket, options, DATAGRAM_BUFFER_BYTES);
        return Ok(());
    }
    let _ = options;
    let _ = socket.set_recv_buffer_size(DATAGRAM_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(DATAGRAM_BUFFER_BYTES);
    Ok(())
}

/// What the reader of a load wants to know of datagrams: each costs the kernel something, whoever
/// relays them.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadOptions {
    /// Take in those that came as a run as one message.
    pub runs: bool,
    /// Tell when the kernel took each in.
    pub stamps: bool,
}

/// Sets what a UDP socket needs that sends or takes in a load: as large buffers as a relay's, and
/// what the options say. What the system refuses is done without.
///
/// # Errors
/// When the socket cannot be made to return at once.
pub fn prepare_load_socket(socket: &Socket, options: LoadOptions) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    #[cfg(target_os = "linux")]
    linux::prepare_load_socket(socket, options, DATAGRAM_BUFFER_BYTES);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = options;
        let _ = socket.set_recv_buffer_size(DATAGRAM_BUFFER_BYTES);
        let _ = socket.set_send_buffer_size(DATAGRAM_BUFFER_BYTES);
    }
    Ok(())
}

/// Sets how many hops may be taken by what a socket of the family of `ipv6` sends.
pub fn set_hops(socket: &Socket, ipv6: bool, hops: u8) -> io::Result<()> {
    let hops = u32::from(hops);
    if ipv6 { socket.set_unicast_hops_v6(hops) } else { socket.set_ttl_v4(hops) }
}

/// Lets a UDP socket of the family of `ipv6` tell an [`Inbox`] what IP headers say of congestion, where
/// the system can.
pub fn note_ecn(socket: &Socket, ipv6: bool) {
    #[cfg(target_os = "linux")]
    linux::note_ecn(socket, ipv6);
    let _ = (socket, ipv6);
}

/// Returns true if what IP headers say of congestion can be read and set, datagram by datagram.
pub const fn carries_ecn(portable: bool) -> bool {
    cfg!(target_os = "linux") && !portable
}

/// Returns true if the system tells how many datagrams it dropped before they could be read.
pub const fn tells_missed(portable: bool) -> bool {
    cfg!(target_os = "linux") && !portable
}

/// Returns how many datagrams the system has dropped on a socket so far, for want of buffer: those
/// behind the last one read too, of which no read tells. `None` if it does not tell.
pub fn datagrams_missed(socket: &UdpSocket, portable: bool) -> Option<u32> {
    #[cfg(target_os = "linux")]
    if tells_missed(portable) {
        return linux::datagrams_missed(socket);
    }
    let _ = (socket, portable);
    None
}
