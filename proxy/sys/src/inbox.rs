//! Reading datagrams, many at a time where the system can.

use crate::datagram::{Note, Received, SLOTS};
use mio::net::UdpSocket;
use std::{fmt, io};

/// The size of a slot: the largest datagram, or the largest run of datagrams that the kernel hands
/// over as one.
pub(super) const SLOT_BYTES: usize = 65_536;

/// From one slot to the next. The odd cache lines keep the first bytes of all slots from falling
/// into the same cache set.
const SLOT_STRIDE: usize = SLOT_BYTES + 192;

/// A buffer for datagrams just read. One serves all sockets of a loop.
pub struct Inbox {
    arena: Vec<u8>,
    notes: [Note; SLOTS],
    filled: usize,
    portable: bool,
    #[cfg(target_os = "linux")]
    beside: Box<super::linux::Beside>,
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { filled, portable, .. } = self;
        f.debug_struct("Inbox").field("filled", filled).field("portable", portable).finish()
    }
}

impl Inbox {
    /// Makes an empty inbox; a portable one reads a datagram per call.
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

    /// Returns the results of the last `receive`, in order of arrival.
    pub fn received(&self) -> impl Iterator<Item = Received<'_>> {
        let slots = self.arena.chunks_exact(SLOT_STRIDE);
        slots.zip(&self.notes[..self.filled]).map(|(slot, note)| Received {
            bytes: &slot[..note.len],
            segment: note.segment,
            from: note.from,
            asked: note.asked,
            hops: note.hops,
            ecn: note.ecn,
            stamp: note.stamp,
            missed: note.missed,
        })
    }
}
