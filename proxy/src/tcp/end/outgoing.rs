//! What goes to the other side of a socket.

use super::{End, FilledPipe, Outgoing, Peer};
use bytes::{Buf, Bytes};
use jostle_engine::memory::{Charge, Memory};
use jostle_sys::Pipe;
use mio::net::TcpStream;
use std::io::{self, IoSlice, Write};
use std::net::Shutdown;

/// The most pieces written with one call.
const PIECES_MAX: usize = 64;

/// The most bytes of two pieces that are made one.
const JOINED_MAX: usize = 2 << 10;

impl End {
    /// Writes what the socket takes at once of `bytes`, if nothing is pending, and returns how
    /// much.
    pub(crate) fn write_now(&mut self, bytes: &[u8]) -> usize {
        let mut written = 0;
        while !self.is_blocked() && self.can_write() && written < bytes.len() {
            written += self.attempt(|stream| stream.write(&bytes[written..]));
        }
        written
    }

    /// Writes what the socket takes at once of what is in a pipe, if nothing is pending, and returns
    /// how much.
    pub(crate) fn write_pipe(&mut self, pipe: &mut Pipe, memory: &Memory) -> usize {
        let mut written = 0;
        while !self.is_blocked() && self.can_write() && pipe.held() > 0 {
            written += self.write_some(pipe, memory);
        }
        if pipe.held() == 0 && self.is_blocked() {
            // It was unpacked, and no event tells of room that there is already.
            written += self.flush();
        }
        written
    }

    /// Hands what is in a pipe to the socket once. Where the system does not let a pipe do that, its
    /// bytes are kept as others are.
    fn write_some(&mut self, pipe: &mut Pipe, memory: &Memory) -> usize {
        match pipe.empty(&self.stream) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                self.unpack(pipe, memory);
                0
            }
            result => self.judge(result),
        }
    }

    /// Keeps what is in a pipe as bytes.
    fn unpack(&mut self, pipe: &mut Pipe, memory: &Memory) {
        let mut bytes = vec![0; pipe.held()];
        let mut read = 0;
        while read < bytes.len() {
            match pipe.read(&mut bytes[read..]) {
                Ok(count) if count > 0 => read += count,
                result => {
                    log::debug!("{:?}: a pipe that is not empty: {result:?}", self.token());
                    return self.break_off();
                }
            }
        }
        self.waiting().pending.push_front(memory.charge(bytes.into()));
    }

    /// Writes an answer that did not cross the links, all at once. Returns false if the socket does
    /// not take it: its peer does not read.
    pub(crate) fn say(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    log::debug!("{:?}: {error}", self.token());
                    return false;
                }
            }
        }
        true
    }

    /// Keeps bytes to be written, which are charged already. Small pieces are joined, at the charge
    /// of `memory`: a stream of single bytes must not cost a hundred times what it holds.
    pub(crate) fn keep(&mut self, bytes: Bytes, memory: &Memory) {
        if self.is_broken() || bytes.is_empty() {
            return;
        }
        let pending = &mut self.waiting().pending;
        match pending.back_mut() {
            Some(last) if last.len() + bytes.len() <= JOINED_MAX => {
                *last = memory.hold(&[&last[..], &bytes].concat());
            }
            _ => pending.push_back(bytes),
        }
    }

    /// Keeps a pipe whose bytes are to be written, at the charge of `memory`. Nothing may be pending.
    pub(crate) fn keep_pipe(&mut self, pipe: Pipe, memory: &Memory) {
        let charge = Charge::new(memory, if self.is_broken() { 0 } else { pipe.held() as u64 });
        self.waiting().pipe = Some(FilledPipe { pipe, charge });
    }

    /// Returns the pipe that it kept once nothing of it is to be written any more.
    pub(crate) fn take_spent_pipe(&mut self) -> Option<Pipe> {
        let is_broken = self.is_broken();
        let spent = self
            .waiting
            .as_mut()?
            .pipe
            .take_if(|filled| is_broken || filled.pipe.held() == 0)
            .map(|filled| filled.pipe);
        self.tidy();
        spent
    }

    /// Returns the pipe that it keeps, if there is one: it is about to be closed.
    pub(crate) fn take_pipe(&mut self) -> Option<Pipe> {
        Some(self.waiting.as_mut()?.pipe.take()?.pipe)
    }

    /// Writes what the socket takes of what is pending, and returns how much. Ends our side if that
    /// is due.
    pub(crate) fn flush(&mut self) -> usize {
        let mut written = self.flush_pipe();
        while self.pending_pieces() > 0 && self.pipe_bytes() == 0 && self.can_write() {
            let pending = self.waiting.iter().flat_map(|waiting| &waiting.pending);
            let pieces: Vec<IoSlice<'_>> =
                pending.take(PIECES_MAX).map(|bytes| IoSlice::new(bytes)).collect();
            // The pieces borrow what is pending, the closure the rest.
            let result = (&self.stream).write_vectored(&pieces);
            drop(pieces);
            let count = self.judge(result);
            self.drop_written(count);
            written += count;
        }
        let answered = self.peer != Peer::Connecting;
        if self.output == Outgoing::Ending && !self.is_blocked() && answered {
            self.output = Outgoing::Ended;
            if self.peer == Peer::Connected
                && let Err(error) = self.stream.shutdown(Shutdown::Write)
            {
                // The peer's reset was faster; it is read in its turn.
                log::debug!("{:?}: {error}", self.token());
            }
        }
        self.tidy();
        written
    }

    fn flush_pipe(&mut self) -> usize {
        let mut written = 0;
        while self.pipe_bytes() > 0 && self.can_write() {
            let pipe = self.waiting.as_mut().and_then(|waiting| waiting.pipe.take());
            let Some(FilledPipe { mut pipe, mut charge }) = pipe else { break };
            written += self.write_some(&mut pipe, &charge.memory().clone());
            charge.set(pipe.held() as u64);
            self.waiting().pipe = Some(FilledPipe { pipe, charge });
        }
        written
    }

    /// Ends our side behind what is pending.
    pub(crate) fn end(&mut self) {
        if self.output == Outgoing::Open {
            self.output = Outgoing::Ending;
        }
        self.flush();
    }

    /// Ends our side of a connection of which nothing else is open: the close that follows tells the
    /// peer, unless something is pending.
    pub(crate) fn end_by_close(&mut self) {
        if self.output == Outgoing::Open && self.peer == Peer::Connected && !self.is_blocked() {
            self.output = Outgoing::Ended;
        } else {
            self.end();
        }
    }

    /// Returns true if there is something to write, and room for it.
    pub(crate) fn wants_to_write(&self) -> bool {
        self.can_write() && (self.is_blocked() || self.output == Outgoing::Ending)
    }

    /// Returns true if our side has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.output == Outgoing::Ended
    }

    /// Returns true if bytes wait to be written.
    pub(crate) fn is_blocked(&self) -> bool {
        self.waiting.is_some() && (self.pending_pieces() > 0 || self.pipe_bytes() > 0)
    }

    /// Returns how many bytes wait to be written.
    pub(crate) fn pending_bytes(&self) -> usize {
        let pending = self.waiting.iter().flat_map(|waiting| &waiting.pending);
        self.pipe_bytes() + pending.map(Bytes::len).sum::<usize>()
    }

    fn pending_pieces(&self) -> usize {
        self.waiting.as_ref().map_or(0, |waiting| waiting.pending.len())
    }

    /// Returns the bytes in the pipe that are to be written: to a broken end none are.
    fn pipe_bytes(&self) -> usize {
        if self.is_broken() {
            return 0;
        }
        let pipe = self.waiting.as_ref().and_then(|waiting| waiting.pipe.as_ref());
        pipe.map_or(0, |filled| filled.pipe.held())
    }

    fn can_write(&self) -> bool {
        self.peer == Peer::Connected && self.ready.writable
    }

    fn attempt(&mut self, write: impl FnOnce(&mut TcpStream) -> io::Result<usize>) -> usize {
        let result = write(&mut self.stream);
        self.judge(result)
    }

    fn judge(&mut self, result: io::Result<usize>) -> usize {
        match result {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.ready.writable = false;
                0
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => {
                log::debug!("{:?}: {error}", self.token());
                self.break_off();
                0
            }
        }
    }

    fn drop_written(&mut self, mut count: usize) {
        let Some(waiting) = &mut self.waiting else { return };
        while count > 0 {
            let front = waiting.pending.front_mut().expect("no more was written than was pending");
            if front.len() > count {
                front.advance(count);
                return;
            }
            count -= front.len();
            waiting.pending.pop_front();
        }
    }
}
