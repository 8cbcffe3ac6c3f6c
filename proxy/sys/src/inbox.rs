//! Reading datagrams, many at a time where the system can.

use mio::net::UdpSocket;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

/// The most datagrams one read returns.
pub const SLOTS: usize = 32;

/// The size of a slot: the largest datagram, or the largest run of datagrams that the kernel hands
/// over as one.
pub(super) const SLOT_BYTES: usize = 65_536;

/// From one slot to the next. The odd cache lines keep the first bytes of all slots from falling
/// into the same cache set.
const SLOT_STRIDE: usize = SLOT_BYTES + 192;

/// What was read: one datagram, or a run of datagrams of equal size from the same sender.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The payload, or the payloads one behind the other.
    pub bytes: &'a [u8],
    /// The size of each but the last, which may be shorter; `None`: one datagram.
    pub segment: Option<usize>,
    /// Who sent it.
    pub from: Option<SocketAddr>,
    /// Which of our addresses it was sent to, when the socket was asked to tell.
    pub asked: Option<IpAddr>,
    /// When the kernel took it in, as calendar time.
    pub stamp: Option<Duration>,
    /// How many datagrams the kernel has dropped on this socket so far, for want of buffer.
    pub missed: Option<u32>,
}

impl Received<'_> {
    /// Returns where each datagram is in [`bytes`](Self::bytes); an empty one is one too.
    pub fn datagrams(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let len = self.bytes.len();
        let size = self.segment.unwrap_or(len).max(1);
        let count = len.div_ceil(size).max(1);
        (0..count).map(move |nth| nth * size..((nth + 1) * size).min(len))
    }
}

/// What came with the bytes of one slot.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Note {
    pub(super) len: usize,
    pub(super) segment: Option<usize>,
    pub(super) from: Option<SocketAddr>,
    pub(super) asked: Option<IpAddr>,
    pub(super) stamp: Option<Duration>,
    pub(super) missed: Option<u32>,
}

/// Room for datagrams just read. One serves all sockets of a loop.
pub struct Inbox {
    arena: Vec<u8>,
    notes: [Note; SLOTS],
    filled: usize,
    portable: bool,
    #[cfg(target_os = "linux")]
    beside: Box<super::linux::Beside>,
}

impl Inbox {
    /// An empty inbox; a portable one reads a datagram per call.
    pub fn new(portable: bool) -> Self {
        // Untouched pages cost nothing: two megabytes are reserved, what arrives is used.
        Self {
            arena: vec![0; SLOTS * SLOT_STRIDE],
            notes: [Note::default(); SLOTS],
            filled: 0,
            portable,
            #[cfg(target_os = "linux")]
            beside: super::linux::Beside::new(),
        }
    }

    /// Reads up to `want` datagrams (at most [`SLOTS`]); fewer means that the socket had no more.
    /// No datagram at all is `WouldBlock`.
    pub fn receive(&mut self, socket: &UdpSocket, want: usize) -> io::Result<usize> {
        let want = want.clamp(1, SLOTS);
        self.filled = 0;
        #[cfg(target_os = "linux")]
        if !self.portable {
            let slots =
                self.arena.chunks_exact_mut(SLOT_STRIDE).map(|slot| &mut slot[..SLOT_BYTES]);
            self.filled =
                super::linux::receive(socket, slots, &mut self.beside, &mut self.notes[..want])?;
            return Ok(self.filled);
        }
        debug_assert!(self.portable || !cfg!(target_os = "linux"));
        for (slot, note) in self.arena.chunks_exact_mut(SLOT_STRIDE).zip(&mut self.notes[..want]) {
            match socket.recv_from(&mut slot[..SLOT_BYTES]) {
                Ok((len, from)) => *note = Note { len, from: Some(from), ..Note::default() },
                Err(_) if self.filled > 0 => break,
                Err(error) => return Err(error),
            }
            self.filled += 1;
        }
        Ok(self.filled)
    }

    /// What the last `receive` read, in order of arrival.
    pub fn received(&self) -> impl Iterator<Item = Received<'_>> {
        let slots = self.arena.chunks_exact(SLOT_STRIDE);
        slots.zip(&self.notes[..self.filled]).map(|(slot, note)| Received {
            bytes: &slot[..note.len],
            segment: note.segment,
            from: note.from,
            asked: note.asked,
            stamp: note.stamp,
            missed: note.missed,
        })
    }
}
