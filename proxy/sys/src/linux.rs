//! Datagrams in batches: recvmmsg and sendmmsg, with the metadata that Linux gives and takes.
#![expect(
    unsafe_code,
    reason = "recvmmsg, sendmmsg and their control messages have no safe wrapper"
)]

use super::datagram::{MESSAGES, Message, Note, SLOTS};
use super::{DatagramOptions, LoadOptions};
use jostle_common::ecn::Ecn;
use mio::net::UdpSocket;
use socket2::{SockAddr, Socket};
use std::mem::{self, MaybeUninit};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::time::Duration;
use std::{io, ptr};

/// Room for the control messages that come with one datagram, aligned as they must be: the stamp,
/// both kinds of address, of hops left and of the type of service, the drop count and the segment
/// size take 248 bytes.
type ControlIn = [u64; 31];

/// Room for the control messages that go with one: segment size, IPv6 address and both kinds of the
/// type of service take 112 bytes.
type ControlOut = [u64; 14];

/// Buffers for the metadata that the kernel writes. They are kept between reads, so that none has
/// to clear them.
pub(super) struct Beside {
    names: [libc::sockaddr_storage; SLOTS],
    controls: [ControlIn; SLOTS],
}

impl Beside {
    /// Empty buffers.
    pub(super) fn new() -> Box<Self> {
        // SAFETY: a plain C struct of integers, for which zero is a value.
        let name = unsafe { mem::zeroed() };
        Box::new(Self { names: [name; SLOTS], controls: [[0; 31]; SLOTS] })
    }
}

fn set_int(socket: &Socket, level: i32, name: i32, value: i32) -> io::Result<()> {
    // SAFETY: the pointer and length name one readable int for the duration of the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            ptr::from_ref(&value).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Keeps a receive buffer at its size, or lets the kernel grow it.
pub(super) fn fix_receive_buffer(socket: &Socket, fixed: bool) -> io::Result<()> {
    // SOCK_RCVBUF_LOCK, which setting a size would set too (uapi/linux/socket.h).
    const RECEIVE: i32 = 2;
    let locks = if fixed { RECEIVE } else { 0 };
    set_int(socket, libc::SOL_SOCKET, libc::SO_BUF_LOCK, locks)
}

/// Lets the connections that a listening socket accepts remember the packet that began them.
pub(super) fn note_hops(socket: &Socket) -> io::Result<()> {
    set_int(socket, libc::IPPROTO_TCP, libc::TCP_SAVE_SYN, 1)
}

/// Returns how many hops the packet had left that began a connection.
pub(super) fn hops_of_client(socket: &Socket) -> Option<u8> {
    // Both headers with all their options.
    let mut packet = [0u8; 256];
    let mut length = packet.len() as libc::socklen_t;
    // SAFETY: the pointers name a writable array and its length in bytes for the duration of the
    // call; the kernel writes no more than that and says how much it wrote.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_SAVED_SYN,
            packet.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    // The version is in the first four bits, and says where the field is (RFC 791, RFC 8200).
    match packet[0] >> 4 {
        4 if result == 0 && length >= 20 => Some(packet[8]),
        6 if result == 0 && length >= 40 => Some(packet[7]),
        _ => None,
    }
}

/// Lets a UDP socket tell what IP headers say of congestion; an IPv6 one also of IPv4, which it may
/// hear too.
pub(super) fn note_ecn(socket: &Socket, ipv6: bool) {
    let ip = (libc::IPPROTO_IP, libc::IP_RECVTOS);
    let ipv6 = ipv6.then_some((libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS));
    for (level, name) in std::iter::once(ip).chain(ipv6) {
        if let Err(error) = set_int(socket, level, name, 1) {
            log::debug!("socket option {level}/{name}: {error}");
        }
    }
}

/// Sets what Linux offers on a UDP socket; what it refuses is done without.
pub(super) fn prepare_datagram_socket(
    socket: &Socket,
    options: DatagramOptions,
    buffer_bytes: usize,
) {
    ask_for_buffers(socket, buffer_bytes);
    let mut wanted = vec![
        (libc::SOL_SOCKET, libc::SO_TIMESTAMPNS),
        (libc::SOL_SOCKET, libc::SO_RXQ_OVFL),
        (libc::SOL_UDP, libc::UDP_GRO),
    ];
    note_ecn(socket, options.ipv6);
    if options.asked_address {
        wanted.push((libc::IPPROTO_IP, libc::IP_PKTINFO));
        if options.ipv6 {
            wanted.push((libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO));
        }
    }
    if options.hops {
        wanted.push((libc::IPPROTO_IP, libc::IP_RECVTTL));
        if options.ipv6 {
            wanted.push((libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT));
        }
    }
    for (level, name) in wanted {
        if let Err(error) = set_int(socket, level, name, 1) {
            log::debug!("socket option {level}/{name}: {error}");
        }
    }
}

/// Sets what a socket for a load needs; what Linux refuses is done without.
pub(super) fn prepare_load_socket(socket: &Socket, options: LoadOptions, buffer_bytes: usize) {
    ask_for_buffers(socket, buffer_bytes);
    let runs = (options.runs, libc::SOL_UDP, libc::UDP_GRO);
    let stamps = (options.stamps, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS);
    for (wanted, level, name) in [runs, stamps] {
        if wanted && let Err(error) = set_int(socket, level, name, 1) {
            log::debug!("socket option {level}/{name}: {error}");
        }
    }
}

fn ask_for_buffers(socket: &Socket, buffer_bytes: usize) {
    let bytes = i32::try_from(buffer_bytes).unwrap_or(i32::MAX);
    // The forced sizes need CAP_NET_ADMIN; without it the system's maximum caps the request.
    if set_int(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, bytes).is_err() {
        let _ = socket.set_recv_buffer_size(buffer_bytes);
    }
    if set_int(socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, bytes).is_err() {
        let _ = socket.set_send_buffer_size(buffer_bytes);
    }
}

/// Returns how many datagrams the kernel has dropped on a socket so far; `None` if it does not tell.
pub(super) fn datagrams_missed(socket: &UdpSocket) -> Option<u32> {
    // SO_MEMINFO (asm-generic/socket.h), which libc does not have: a list of what a socket takes.
    // Where the number means something else, the length below is another.
    const MEMINFO: libc::c_int = 55;
    const DROPS: usize = libc::SK_MEMINFO_DROPS as usize;
    let mut list = [0u32; DROPS + 1];
    let mut length = size_of_val(&list) as libc::socklen_t;
    // SAFETY: the pointers name a writable list and its length in bytes for the duration of the
    // call; the kernel writes no more than that and says how much it wrote.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            MEMINFO,
            list.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    (result == 0 && length as usize == size_of_val(&list)).then_some(list[DROPS])
}

/// Reads one datagram, or one run of datagrams, into each slot, as many as there are notes for.
pub(super) fn receive<'a>(
    socket: &UdpSocket,
    slots: impl Iterator<Item = &'a mut [u8]>,
    beside: &mut Beside,
    notes: &mut [Note],
) -> io::Result<usize> {
    // SAFETY: both are plain C structs of integers and pointers, for which zero is a value.
    let mut vectors: [libc::iovec; SLOTS] = unsafe { mem::zeroed() };
    // SAFETY: as above.
    let mut headers: [libc::mmsghdr; SLOTS] = unsafe { mem::zeroed() };
    let mut count = 0;
    for (index, slot) in slots.take(notes.len().min(SLOTS)).enumerate() {
        vectors[index] = libc::iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: slot.len() };
        let header = &mut headers[index].msg_hdr;
        header.msg_name = ptr::from_mut(&mut beside.names[index]).cast();
        header.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        header.msg_iov = &raw mut vectors[index];
        header.msg_iovlen = 1;
        header.msg_control = beside.controls[index].as_mut_ptr().cast();
        header.msg_controllen = size_of::<ControlIn>() as _;
        count += 1;
    }
    // SAFETY: the first `count` headers point at names, vectors, controls and slots that outlive
    // the call, with their true lengths; no two share memory, for the slots are distinct mutable
    // borrows.
    let read = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            count,
            libc::MSG_DONTWAIT as _,
            ptr::null_mut(),
        )
    };
    let read = usize::try_from(read).map_err(|_| io::Error::last_os_error())?;
    for ((header, note), name) in headers[..read].iter().zip(notes).zip(&beside.names) {
        *note = Note { len: header.msg_len as usize, ..Note::default() };
        read_control(&header.msg_hdr, note);
        note.from = address(name, header.msg_hdr.msg_namelen);
    }
    Ok(read)
}

/// Reads an address that the kernel wrote, of `len` bytes.
fn address(name: &libc::sockaddr_storage, len: libc::socklen_t) -> Option<SocketAddr> {
    let name = ptr::from_ref(name);
    // SAFETY: it is a valid reference's.
    match i32::from(unsafe { (*name).ss_family }) {
        libc::AF_INET if len as usize >= size_of::<libc::sockaddr_in>() => {
            // SAFETY: of this family and length it is such an address; the storage is as large and
            // as aligned as any address needs.
            let name = unsafe { &*name.cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(name.sin_addr.s_addr.to_ne_bytes());
            Some(SocketAddrV4::new(ip, u16::from_be(name.sin_port)).into())
        }
        libc::AF_INET6 if len as usize >= size_of::<libc::sockaddr_in6>() => {
            // SAFETY: as above.
            let name = unsafe { &*name.cast::<libc::sockaddr_in6>() };
            let (ip, port) = (Ipv6Addr::from(name.sin6_addr.s6_addr), u16::from_be(name.sin6_port));
            Some(SocketAddrV6::new(ip, port, name.sin6_flowinfo, name.sin6_scope_id).into())
        }
        _ => None,
    }
}

fn read_control(header: &libc::msghdr, note: &mut Note) {
    // SAFETY: the kernel filled the control buffer of this header and set its length, and the
    // buffer is still borrowed by the caller; the macros stay inside that length. A control
    // message's data may be unaligned, so it is copied out by its stated type.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while let Some(control) = message.as_ref() {
            let data = libc::CMSG_DATA(message);
            match (control.cmsg_level, control.cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    let stamp = data.cast::<libc::timespec>().read_unaligned();
                    note.stamp = u64::try_from(stamp.tv_sec)
                        .ok()
                        .zip(u32::try_from(stamp.tv_nsec).ok())
                        .map(|(secs, nanos)| Duration::new(secs, nanos));
                }
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                    note.missed = Some(data.cast::<u32>().read_unaligned());
                }
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    let size = data.cast::<i32>().read_unaligned();
                    note.segment =
                        usize::try_from(size).ok().filter(|&size| size > 0 && size < note.len);
                }
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info = data.cast::<libc::in_pktinfo>().read_unaligned();
                    // Not the header's destination, which may be a broadcast address that no answer
                    // can leave from.
                    note.asked =
                        Some(Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes()).into());
                }
                (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                    note.hops = u8::try_from(data.cast::<i32>().read_unaligned()).ok();
                }
                // A byte here, an int for IPv6.
                (libc::IPPROTO_IP, libc::IP_TOS) => {
                    note.ecn = Ecn::of_tos(data.read());
                }
                (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                    note.ecn = Ecn::of_tos(data.cast::<i32>().read_unaligned() as u8);
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info = data.cast::<libc::in6_pktinfo>().read_unaligned();
                    let asked = Ipv6Addr::from(info.ipi6_addr.s6_addr);
                    note.asked = (!asked.is_multicast()).then_some(asked.into());
                }
                _ => {}
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
}

/// Sends messages from the first on and returns how many went.
pub(super) fn send(socket: &UdpSocket, messages: &[Message<'_>]) -> io::Result<usize> {
    // Most messages need neither, and to clear all of them would be 8 KiB for each call.
    let mut addresses = [const { MaybeUninit::<SockAddr>::uninit() }; MESSAGES];
    let mut controls = [const { MaybeUninit::<ControlOut>::uninit() }; MESSAGES];
    // SAFETY: a plain C struct of integers and pointers, for which zero is a value.
    let mut headers: [libc::mmsghdr; MESSAGES] = unsafe { mem::zeroed() };
    let count = messages.len().min(MESSAGES);
    for (index, message) in messages[..count].iter().enumerate() {
        let header = &mut headers[index].msg_hdr;
        if let Some(to) = message.to {
            let address = addresses[index].write(to.into());
            header.msg_name = address.as_ptr().cast_mut().cast();
            header.msg_namelen = address.len();
        }
        // An IoSlice is an iovec by its documentation; sending does not write through it.
        header.msg_iov = message.pieces.as_ptr().cast_mut().cast();
        header.msg_iovlen = message.pieces.len() as _;
        write_control(header, &mut controls[index], message);
    }
    // SAFETY: the first `count` headers point at addresses, pieces and controls that outlive the
    // call, with their true lengths.
    let sent = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            count as _,
            libc::MSG_DONTWAIT as _,
        )
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Gives a message its control messages, if it needs any.
fn write_control(
    header: &mut libc::msghdr,
    control: &mut MaybeUninit<ControlOut>,
    message: &Message<'_>,
) {
    let segment = message.segment();
    if segment.is_none() && message.source.is_none() && !message.ecn.takes_marks() {
        return;
    }
    let mut room = ControlRoom { control: control.write([0; 14]), used: 0 };
    if let Some(segment) = segment {
        room.put(libc::SOL_UDP, libc::UDP_SEGMENT, segment);
    }
    match message.source {
        Some(IpAddr::V4(source)) => {
            let info = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(source.octets()) },
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            room.put(libc::IPPROTO_IP, libc::IP_PKTINFO, info);
        }
        Some(IpAddr::V6(source)) => {
            let info = libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr { s6_addr: source.octets() },
                ipi6_ifindex: 0,
            };
            room.put(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
        }
        None => {}
    }
    if message.ecn.takes_marks() {
        // Which of the two counts depends on the receiver's address, also on an IPv6 socket; the
        // kernel passes over the other.
        let tos = i32::from(message.ecn.bits());
        room.put(libc::IPPROTO_IP, libc::IP_TOS, tos);
        room.put(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, tos);
    }
    header.msg_control = room.control.as_mut_ptr().cast();
    header.msg_controllen = room.used as _;
}

/// Control messages one behind the other.
struct ControlRoom<'a> {
    control: &'a mut ControlOut,
    used: usize,
}

impl ControlRoom<'_> {
    /// Adds one. There must be room for it.
    fn put<T>(&mut self, level: i32, kind: i32, value: T) {
        let size = size_of::<T>() as u32;
        // SAFETY: these compute with sizes alone.
        let (length, space) = unsafe { (libc::CMSG_LEN(size), libc::CMSG_SPACE(size) as usize) };
        assert!(self.used + space <= size_of::<ControlOut>(), "the room is for one of each kind");
        // SAFETY: header and data end inside the room, as was just seen, and begin at a multiple of
        // a header's alignment, as CMSG_SPACE is one; the data is written unaligned because
        // nothing aligns it to a T.
        unsafe {
            let message = self.control.as_mut_ptr().byte_add(self.used).cast::<libc::cmsghdr>();
            (*message).cmsg_level = level;
            (*message).cmsg_type = kind;
            (*message).cmsg_len = length as _;
            libc::CMSG_DATA(message).cast::<T>().write_unaligned(value);
        }
        self.used += space;
    }
}
