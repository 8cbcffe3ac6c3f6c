//! Reading datagrams, many at a time where the system can.

use crate::datagram::{Note, Received, SLOTS};
use crate::slot_buffer::{SlotBuffer, SlotPool};
use mio::net::UdpSocket;
use std::{fmt, io};

/// A buffer for datagrams just read. One serves all sockets of a loop.
pub struct Inbox {
    slots: Vec<SlotBuffer>,
    /// Those that others kept and have done with.
    pool: SlotPool,
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
            pool: SlotPool::default(),
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
            match self.slots.get_mut(slot) {
                // It comes back when those have done with it who keep it.
                Some(slot) if slot.is_kept() => *slot = self.pool.take(),
                Some(_) => {}
                None => self.slots.push(self.pool.take()),
            }
        }
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
    use crate::slot_buffer::IDLE_MAX;
    use std::collections::VecDeque;

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
        // Of many at once no more than so many wait to be read into again.
        let many: Vec<SlotBuffer> = (0..2 * IDLE_MAX)
            .map(|_| {
                read(&mut inbox, &sockets, &[1]);
                inbox.received().next().unwrap().buffer.unwrap().clone()
            })
            .collect();
        drop(many);
        assert_eq!(inbox.pool.idle(), IDLE_MAX);
    }
}
