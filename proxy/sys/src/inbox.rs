//! Reading datagrams, many at a time where the system can.

use crate::datagram::{Note, Received, SLOTS, SlotBuffer};
use mio::net::UdpSocket;
use std::collections::VecDeque;
use std::{fmt, io};

/// The most buffers that are remembered while others keep what was read into them: 16 MiB, which is
/// what they take in the end if nothing more comes.
const LENT_MAX: usize = 256;

/// The number of lent buffers that are looked at for one that has come back.
const LOOKS: usize = 4;

/// A buffer for datagrams just read. One serves all sockets of a loop.
pub struct Inbox {
    slots: Vec<SlotBuffer>,
    /// Buffers that others keep, to be used again when they have gone. Those lent first are mostly
    /// the first to come back.
    lent: VecDeque<SlotBuffer>,
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
        Self {
            slots: Vec::with_capacity(SLOTS),
            lent: VecDeque::new(),
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
        self.free(want);
        let slots = self.slots.iter_mut().filter_map(SlotBuffer::get_mut);
        #[cfg(target_os = "linux")]
        if !self.portable {
            self.filled =
                super::linux::receive(socket, slots, &mut self.beside, &mut self.notes[..want])?;
            return Ok(self.filled);
        }
        debug_assert!(self.portable || !cfg!(target_os = "linux"));
        for (slot, note) in slots.zip(&mut self.notes[..want]) {
            match socket.recv_from(slot) {
                Ok((len, from)) => *note = Note { len, from: Some(from), ..Note::default() },
                Err(_) if self.filled > 0 => break,
                Err(error) => return Err(error),
            }
            self.filled += 1;
        }
        Ok(self.filled)
    }

    /// Sees to it that the first slots have buffers that nobody else keeps.
    fn free(&mut self, slots: usize) {
        for slot in 0..slots {
            match self.slots.get_mut(slot).map(|slot| slot.get_mut().is_some()) {
                Some(true) => {}
                Some(false) => {
                    let free = self.take_back();
                    let lent = std::mem::replace(&mut self.slots[slot], free);
                    if self.lent.len() < LENT_MAX {
                        self.lent.push_back(lent);
                    }
                }
                None => self.slots.push(SlotBuffer::new()),
            }
        }
    }

    /// Returns a lent buffer that has come back, or else a new one.
    fn take_back(&mut self) -> SlotBuffer {
        let free = self.lent.iter_mut().take(LOOKS).position(|lent| lent.get_mut().is_some());
        if let Some(buffer) = free.and_then(|place| self.lent.remove(place)) {
            return buffer;
        }
        // One that is kept for long must not hide those behind it for as long.
        if let Some(first) = self.lent.pop_front() {
            self.lent.push_back(first);
        }
        SlotBuffer::new()
    }

    /// Returns the results of the last `receive`, in order of arrival.
    pub fn received(&self) -> impl Iterator<Item = Received<'_>> + Clone {
        self.slots.iter().zip(&self.notes[..self.filled]).map(|(buffer, note)| Received {
            bytes: &buffer.as_ref()[..note.len],
            segment: note.segment,
            from: note.from,
            asked: note.asked,
            hops: note.hops,
            ecn: note.ecn,
            stamp: note.stamp,
            missed: note.missed,
            buffer: Some(buffer),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (UdpSocket, UdpSocket) {
        let bind = || UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let (one, other) = (bind(), bind());
        one.connect(other.local_addr().unwrap()).unwrap();
        (one, other)
    }

    /// Loopback hands over during the send.
    fn read(inbox: &mut Inbox, (sender, receiver): &(UdpSocket, UdpSocket), bytes: &[u8]) {
        sender.send(bytes).unwrap();
        assert_eq!(inbox.receive(receiver, 2).unwrap(), 1);
    }

    #[test]
    fn what_is_kept_is_not_written_over() {
        for portable in [false, true] {
            let (sockets, mut inbox) = (pair(), Inbox::new(portable));
            let mut kept = Vec::new();
            for byte in 0..100 {
                read(&mut inbox, &sockets, &[byte; 50]);
                let received = inbox.received().next().unwrap();
                kept.push(received.buffer.unwrap().clone());
            }
            for (byte, buffer) in (0..100).zip(&kept) {
                assert_eq!(buffer.as_ref()[..50], [byte; 50]);
            }
        }
    }

    #[test]
    fn buffers_that_have_come_back_are_read_into_again() {
        let (sockets, mut inbox) = (pair(), Inbox::new(false));
        let mut places = std::collections::BTreeSet::new();
        let mut kept = VecDeque::new();
        for _ in 0..1000 {
            read(&mut inbox, &sockets, &[1]);
            let buffer = inbox.received().next().unwrap().buffer.unwrap().clone();
            places.insert(buffer.as_ref().as_ptr());
            kept.push_back(buffer);
            if kept.len() > 20 {
                kept.pop_front();
            }
        }
        assert!(places.len() <= 40, "{} for 20 that are kept at a time", places.len());
        // Of many at once no more than so many are remembered.
        let many: Vec<SlotBuffer> = (0..2 * LENT_MAX)
            .map(|_| {
                read(&mut inbox, &sockets, &[1]);
                inbox.received().next().unwrap().buffer.unwrap().clone()
            })
            .collect();
        drop(many);
        assert_eq!(inbox.lent.len(), LENT_MAX);
    }
}
