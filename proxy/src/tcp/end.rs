//! One of the two sockets of a relayed connection: what it can do now, and what waits to be written
//! to it.

use crate::reactor::{Reactor, Readiness};
use bytes::{Buf, Bytes};
use jostle_engine::memory::Memory;
use jostle_forward::Credentials;
use jostle_forward::http::{Intake, NextRequest, Requests, Taken, Turned};
use jostle_sys::fix_receive_buffer;
use mio::Token;
use mio::net::TcpStream;
use socket2::SockRef;
use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

/// The most pieces written with one call.
const PIECES_MAX: usize = 64;

/// The most bytes of two pieces that are made one.
const JOINED_MAX: usize = 2 << 10;

/// The most reads of what is nobody's, for a peer that does not stop.
const LAST_READS: usize = 16;

/// The bytes after which a sender that was never held back meanwhile is not expected to be: more than
/// the queue in front of a slow link takes at first.
const FLOWS_FREELY: usize = 256 << 10;

/// A socket.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) stream: TcpStream,
    pub(crate) token: Token,
    /// What events have said and no call has disproved since.
    ready: Readiness,
    /// Set while the relay waits to be called again for it.
    pub(crate) again: bool,
    /// Set while it is in the line of those that wait for room.
    in_line: bool,
    peer: Peer,
    input: Incoming,
    /// What was read before, and is read again in front of what comes.
    ahead: Bytes,
    /// The requests of a client of an HTTP proxy.
    requests: Option<Box<Requests>>,
    output: Outgoing,
    pending: VecDeque<Bytes>,
    /// Whether the receive buffer may not grow; `None` where that cannot be chosen.
    fixed: Option<bool>,
    /// The bytes read since its sender was last held back.
    flowed: usize,
}

/// The state of the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    /// It has not answered yet. Nothing is written before that, and our end waits.
    Connecting,
    Connected,
    /// It has torn the connection down: a write, or the end of the connect, said so.
    Broken,
}

/// The state of what comes from the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Incoming {
    Open,
    /// It was not read for want of room.
    Starved,
    /// It has finished, and all was read.
    Ended,
}

/// The state of what goes to the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outgoing {
    Open,
    /// It ends once nothing is pending.
    Ending,
    Ended,
}

/// The result of a read.
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
    /// Another request of HTTP, to be [taken](End::take_next).
    Request,
}

impl End {
    /// An accepted socket.
    pub(crate) fn accepted(stream: TcpStream, token: Token) -> Self {
        Self { peer: Peer::Connected, ..Self::connecting(stream, token) }
    }

    /// A socket that is about to connect.
    pub(crate) fn connecting(stream: TcpStream, token: Token) -> Self {
        Self {
            stream,
            token,
            ready: Readiness::default(),
            again: false,
            in_line: false,
            peer: Peer::Connecting,
            input: Incoming::Open,
            ahead: Bytes::new(),
            requests: None,
            output: Outgoing::Open,
            pending: VecDeque::new(),
            fixed: None,
            flowed: 0,
        }
    }

    /// Says that its receive buffer can be fixed, and whether it is now.
    pub(crate) const fn with_buffer(mut self, fixed: bool) -> Self {
        self.fixed = Some(fixed);
        self
    }

    /// Notes that its sender is held back: the receive buffer keeps its size.
    pub(crate) fn hold_back(&mut self) {
        self.flowed = 0;
        self.fix_buffer(true);
    }

    /// Notes that all was read and there is room for more: if that goes on, the receive buffer is
    /// what limits the sender, and may grow.
    pub(crate) fn run_dry(&mut self) {
        if self.flowed >= FLOWS_FREELY {
            self.fix_buffer(false);
        }
    }

    /// Keeps the receive buffer at its size, or lets it grow with the speed of reading.
    pub(crate) fn fix_buffer(&mut self, fixed: bool) {
        if self.fixed == Some(!fixed) {
            self.fixed = Some(fixed);
            if let Err(error) = fix_receive_buffer(&SockRef::from(&self.stream), fixed) {
                log::debug!("{:?}: {error}", self.token);
            }
        }
    }

    /// Notes what an event said.
    pub(crate) const fn note(&mut self, readiness: Readiness) {
        self.ready.readable |= readiness.readable | readiness.failed;
        self.ready.writable |= readiness.writable;
        self.ready.failed |= readiness.failed;
    }

    /// Returns true if there may be something to read.
    pub(crate) fn is_readable(&self) -> bool {
        if !self.ahead.is_empty() {
            return true;
        }
        match self.requests.as_ref().map(|requests| requests.intake(self.is_blocked())) {
            None | Some(Intake::Read(_)) => self.ready.readable,
            // A reset is heard though nothing is read.
            Some(Intake::Held) => self.ready.failed,
            Some(Intake::Heard | Intake::Over) => !self.is_read_out(),
        }
    }

    /// Notes that there may be something to read, which no event has told yet.
    pub(crate) const fn look(&mut self) {
        self.ready.readable = true;
    }

    /// Puts bytes that were read in front of what is read from now on.
    pub(crate) fn put_ahead(&mut self, bytes: Bytes) {
        self.ahead = bytes;
    }

    /// Follows the requests of its client from here on, of which the first one's bytes are `ahead`.
    pub(crate) fn follow_requests(&mut self, requests: Requests, ahead: Bytes) {
        self.requests = Some(Box::new(requests));
        self.put_ahead(ahead);
    }

    /// Returns true if the requests of its client are followed.
    pub(crate) const fn follows_requests(&self) -> bool {
        self.requests.is_some()
    }

    /// Follows no requests any more: what is read from now on belongs together.
    pub(crate) fn forget_requests(&mut self) {
        self.requests = None;
    }

    /// Follows what the server of its client's request says. Returns how many of the bytes are to be
    /// passed on; the others were not asked for.
    pub(crate) fn hear_answer(&mut self, bytes: &[u8]) -> usize {
        self.requests.as_mut().map_or(bytes.len(), |requests| requests.answer(bytes))
    }

    /// Looks whether the answer to its client's request has ended, now that what was heard of it is
    /// passed on; the next request is to name `user`. Returns true if it is to be read again.
    pub(crate) fn turn(&mut self, user: Option<&Credentials>) -> bool {
        let Some(requests) = &mut self.requests else { return false };
        match requests.turn(user) {
            Turned::No => false,
            Turned::Next | Turned::Last => true,
            Turned::Tunnel => {
                self.ahead = requests.beyond().into();
                self.requests = None;
                true
            }
        }
    }

    /// Returns true if its client makes requests, and has made none that is not answered.
    pub(crate) fn is_between_requests(&self) -> bool {
        self.requests.as_ref().is_some_and(|requests| requests.is_idle())
    }

    /// Takes the next request of its client.
    pub(crate) fn take_next(&mut self) -> Option<NextRequest> {
        self.requests.as_mut()?.take_next()
    }

    /// Returns what was found where bytes were read; `None` if more is to be read.
    fn sort(&mut self, bytes: &mut [u8], count: usize) -> Option<Found> {
        let Some(requests) = &mut self.requests else { return Some(Found::Bytes(count)) };
        match requests.handle(&bytes[..count]) {
            Taken::Own(own) => Some(Found::Bytes(own)),
            Taken::Heard => Some(Found::Request),
            Taken::Over => Some(self.end_beyond(bytes)),
            Taken::Kept => None,
        }
    }

    /// Reads what stands behind the last request and forgets it: unread it would reset the
    /// connection when it is closed.
    fn end_beyond(&mut self, buffer: &mut [u8]) -> Found {
        let mut reads = 0..LAST_READS;
        while reads.next().is_some() && matches!(self.stream.read(buffer), Ok(count) if count > 0) {
        }
        self.ready.readable = false;
        self.input = Incoming::Ended;
        Found::End
    }

    /// Returns true if an event said that it failed.
    pub(crate) const fn has_failed(&self) -> bool {
        self.ready.failed
    }

    /// Returns true if the other side has finished, and all was read.
    pub(crate) fn is_read_out(&self) -> bool {
        self.input == Incoming::Ended
    }

    /// Notes that it was not read for want of room. Returns false if that is known.
    pub(crate) fn starve(&mut self) -> bool {
        let news = self.input == Incoming::Open;
        if news {
            self.input = Incoming::Starved;
        }
        news
    }

    /// Puts it into the line of those that wait for room. Returns false if it is there already.
    pub(crate) const fn stand_in_line(&mut self) -> bool {
        !std::mem::replace(&mut self.in_line, true)
    }

    /// Takes it out of that line.
    pub(crate) const fn leave_line(&mut self) {
        self.in_line = false;
    }

    /// Returns true if it was not read for want of room.
    pub(crate) fn is_starved(&self) -> bool {
        self.input == Incoming::Starved
    }

    /// Notes that there is room again. Returns true if it waited for that.
    pub(crate) fn feed(&mut self) -> bool {
        let waited = self.is_starved();
        if waited {
            self.input = Incoming::Open;
        }
        waited
    }

    /// Reads what is there.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Found {
        if !self.ahead.is_empty() && !buffer.is_empty() {
            let count = self.ahead.len().min(buffer.len());
            self.ahead.copy_to_slice(&mut buffer[..count]);
            return Found::Bytes(count);
        }
        loop {
            let intake = self.requests.as_ref().map(|requests| requests.intake(self.is_blocked()));
            let most = match intake {
                None => buffer.len(),
                Some(Intake::Read(most)) => most.min(buffer.len()),
                Some(Intake::Heard) => return Found::Request,
                Some(Intake::Over) => return self.end_beyond(buffer),
                Some(Intake::Held) if self.ready.failed => return Found::Reset,
                Some(Intake::Held) => return Found::Nothing,
            };
            match self.stream.read(&mut buffer[..most]) {
                Ok(0) => {
                    self.ready.readable = false;
                    if self.is_broken() {
                        return Found::Reset;
                    }
                    self.input = Incoming::Ended;
                    return Found::End;
                }
                Ok(count) => {
                    self.flowed = self.flowed.saturating_add(count);
                    if let Some(found) = self.sort(buffer, count) {
                        return found;
                    }
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => {
                        self.ready.readable = false;
                        return Found::Nothing;
                    }
                    io::ErrorKind::Interrupted => {}
                    _ => {
                        log::debug!("{:?}: {error}", self.token);
                        self.ready.readable = false;
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

    /// Writes an answer that did not cross the links, all at once. Returns false if the socket does
    /// not take it: its peer does not read.
    pub(crate) fn say(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    log::debug!("{:?}: {error}", self.token);
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
        match self.pending.back_mut() {
            Some(last) if last.len() + bytes.len() <= JOINED_MAX => {
                *last = memory.hold(&[&last[..], &bytes].concat());
            }
            _ => self.pending.push_back(bytes),
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
        let answered = self.peer != Peer::Connecting;
        if self.output == Outgoing::Ending && self.pending.is_empty() && answered {
            self.output = Outgoing::Ended;
            if self.peer == Peer::Connected
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
        if self.output == Outgoing::Open {
            self.output = Outgoing::Ending;
        }
        self.flush();
    }

    /// Returns true if there is something to write, and room for it.
    pub(crate) fn wants_to_write(&self) -> bool {
        self.can_write() && (!self.pending.is_empty() || self.output == Outgoing::Ending)
    }

    /// Asks to be called for it in its turn.
    pub(crate) fn ask_again(&mut self, reactor: &mut Reactor) {
        if !std::mem::replace(&mut self.again, true) {
            reactor.again(self.token);
        }
    }

    /// Returns true if our side has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.output == Outgoing::Ended
    }

    /// Returns true if bytes wait to be written.
    pub(crate) fn is_blocked(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Returns how many bytes wait to be written.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.pending.iter().map(Bytes::len).sum()
    }

    /// Returns true if a write said that the peer has torn the connection down.
    pub(crate) fn is_broken(&self) -> bool {
        self.peer == Peer::Broken
    }

    /// Notes that it is connected.
    pub(crate) fn set_connected(&mut self) {
        if self.peer == Peer::Connecting {
            self.peer = Peer::Connected;
        }
        self.ready.writable = true;
    }

    /// Notes that the peer has torn the connection down; what it wrote before is still to be read.
    pub(crate) fn break_off(&mut self) {
        self.peer = Peer::Broken;
        self.ready.readable = true;
        self.pending.clear();
    }

    /// Makes the close of this socket a reset (RST instead of FIN).
    pub(crate) fn reset_on_close(&self) {
        if let Err(error) = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)) {
            log::debug!("{:?}: {error}", self.token);
        }
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
