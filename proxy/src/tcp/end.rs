//! One of the two sockets of a relayed connection: what it can do now, and what waits to be written
//! to it.

use crate::reactor::Reactor;
use bytes::{Buf, Bytes};
use mio::Token;
use mio::net::TcpStream;
use socket2::SockRef;
use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

/// The most pieces written with one call.
const PIECES_MAX: usize = 64;

/// A socket.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) stream: TcpStream,
    pub(crate) token: Token,
    /// Whether it is connected. Before that nothing is written, and its end waits.
    connected: bool,
    /// Whether it may have something to read: an event said so, and no read has found it empty
    /// since.
    pub(crate) readable: bool,
    /// Whether it may take something: as above.
    pub(crate) writable: bool,
    /// Whether an event said that it failed.
    pub(crate) failed: bool,
    /// Whether its peer has finished, and all was read.
    pub(crate) ended: bool,
    /// Whether it was not read for want of room.
    pub(crate) starved: bool,
    /// Whether the relay asked to be called again for it.
    pub(crate) again: bool,
    /// Whether a write, or the end of the connect, said that its peer has torn the connection down.
    broken: bool,
    pending: VecDeque<Bytes>,
    /// How far our end is.
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    Open,
    /// It ends once nothing is pending.
    Ending,
    Ended,
}

/// What a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// So many bytes.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// The end of the stream.
    End,
    /// The connection was torn down.
    Reset,
}

impl End {
    /// An accepted socket.
    pub(crate) fn accepted(stream: TcpStream, token: Token) -> Self {
        Self { connected: true, ..Self::connecting(stream, token) }
    }

    /// A socket that is about to connect.
    pub(crate) const fn connecting(stream: TcpStream, token: Token) -> Self {
        Self {
            stream,
            token,
            connected: false,
            readable: false,
            writable: false,
            failed: false,
            ended: false,
            starved: false,
            again: false,
            broken: false,
            pending: VecDeque::new(),
            output: Output::Open,
        }
    }

    /// Reads what is there.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Found {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => {
                    self.readable = false;
                    if self.broken {
                        return Found::Reset;
                    }
                    self.ended = true;
                    return Found::End;
                }
                Ok(count) => return Found::Bytes(count),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => {
                        self.readable = false;
                        return Found::Nothing;
                    }
                    io::ErrorKind::Interrupted => {}
                    _ => {
                        log::debug!("{:?}: {error}", self.token);
                        self.readable = false;
                        return Found::Reset;
                    }
                },
            }
        }
    }

    /// Writes what the socket takes at once of `bytes`, if nothing is pending, and returns how
    /// much.
    pub(crate) fn write_now(&mut self, bytes: &[u8]) -> usize {
        let mut written = 0;
        while self.pending.is_empty() && self.can_write() && written < bytes.len() {
            written += self.attempt(|stream| stream.write(&bytes[written..]));
        }
        written
    }

    /// Keeps bytes to be written.
    pub(crate) fn keep(&mut self, bytes: Bytes) {
        if !self.broken && !bytes.is_empty() {
            self.pending.push_back(bytes);
        }
    }

    /// Writes what the socket takes of what is pending, and returns how much. Ends our side if that
    /// is due.
    pub(crate) fn flush(&mut self) -> usize {
        let mut written = 0;
        while !self.pending.is_empty() && self.can_write() {
            let pieces: Vec<IoSlice<'_>> =
                self.pending.iter().take(PIECES_MAX).map(|bytes| IoSlice::new(bytes)).collect();
            // The pieces borrow what is pending, the closure the rest.
            let result = (&self.stream).write_vectored(&pieces);
            drop(pieces);
            let count = self.judge(result);
            self.drop_written(count);
            written += count;
        }
        if self.output == Output::Ending && self.pending.is_empty() && self.connected {
            self.output = Output::Ended;
            if !self.broken
                && let Err(error) = self.stream.shutdown(Shutdown::Write)
            {
                // The peer's reset was faster; it is read in its turn.
                log::debug!("{:?}: {error}", self.token);
            }
        }
        written
    }

    /// Ends our side behind what is pending.
    pub(crate) fn end(&mut self) {
        if self.output == Output::Open {
            self.output = Output::Ending;
        }
        self.flush();
    }

    /// Whether there is something to write, and room for it.
    pub(crate) fn wants_to_write(&self) -> bool {
        self.can_write() && (!self.pending.is_empty() || self.output == Output::Ending)
    }

    /// Asks to be called for it in its turn.
    pub(crate) fn ask_again(&mut self, reactor: &mut Reactor) {
        if !std::mem::replace(&mut self.again, true) {
            reactor.again(self.token);
        }
    }

    /// Whether our side has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.output == Output::Ended
    }

    /// Whether bytes wait to be written.
    pub(crate) fn is_blocked(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Returns how many bytes wait to be written.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.pending.iter().map(Bytes::len).sum()
    }

    /// Whether a write said that the peer has torn the connection down.
    pub(crate) const fn is_broken(&self) -> bool {
        self.broken
    }

    /// Notes that it is connected.
    pub(crate) const fn set_connected(&mut self) {
        self.connected = true;
        self.writable = true;
    }

    /// Notes that the peer has torn the connection down; what it wrote before is still to be read.
    pub(crate) fn break_off(&mut self) {
        self.broken = true;
        self.readable = true;
        self.pending.clear();
    }

    /// Makes the close of this socket a reset (RST instead of FIN).
    pub(crate) fn reset_on_close(&self) {
        if let Err(error) = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)) {
            log::debug!("{:?}: {error}", self.token);
        }
    }

    fn can_write(&self) -> bool {
        self.connected && self.writable && !self.broken
    }

    fn attempt(&mut self, write: impl FnOnce(&mut TcpStream) -> io::Result<usize>) -> usize {
        let result = write(&mut self.stream);
        self.judge(result)
    }

    fn judge(&mut self, result: io::Result<usize>) -> usize {
        match result {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.writable = false;
                0
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => {
                log::debug!("{:?}: {error}", self.token);
                self.break_off();
                0
            }
        }
    }

    fn drop_written(&mut self, mut count: usize) {
        while count > 0 {
            let front = self.pending.front_mut().expect("no more was written than was pending");
            if front.len() > count {
                front.advance(count);
                return;
            }
            count -= front.len();
            self.pending.pop_front();
        }
    }
}
