//! What comes from the other side of a socket.

use super::{End, Incoming};
use bytes::{Buf, Bytes};
use jostle_forward::Credentials;
use jostle_forward::http::{Intake, NextRequest, Requests, Taken, Turned};
use jostle_sys::Pipe;
use std::io::{self, Read};

/// The bytes after which a sender that was never held back meanwhile is not expected to be: more than
/// the queue in front of a slow link takes at first.
const FLOWS_FREELY: u32 = 256 << 10;

/// The bytes of a read that finds much. From about here on it is cheaper to pass pages on than to
/// copy what is in them twice.
const LARGE: usize = 32 << 10;

/// The most reads of what is nobody's, for a peer that does not stop.
const LAST_READS: usize = 16;

/// So many of them in a row are a bulk transfer.
const LARGE_READS: u8 = 2;

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

/// The result of filling a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    /// As of a read.
    Found(Found),
    /// Only a read tells what comes.
    Unknown,
    /// The system cannot do that.
    Refused,
}

impl End {
    /// Returns true if there may be something to read.
    pub(crate) fn is_readable(&self) -> bool {
        if self.waiting.as_ref().is_some_and(|waiting| !waiting.ahead.is_empty()) {
            return true;
        }
        match self.intake() {
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

    /// Returns true if the other side has finished, and all was read.
    pub(crate) fn is_read_out(&self) -> bool {
        self.input == Incoming::Ended
    }

    /// Returns true if there is a bulk transfer, all of which is to be passed on.
    pub(crate) fn is_bulk(&self) -> bool {
        let native = cfg!(target_os = "linux") && self.fixed.is_some();
        // The kernel never passes an urgent byte on.
        native
            && self.large_reads == LARGE_READS
            && !self.ready.urgent
            && !self.ready.failed
            && self
                .waiting
                .as_ref()
                .is_none_or(|waiting| waiting.ahead.is_empty() && waiting.requests.is_none())
    }

    /// Returns true if a read that finds less than it had room for has found all there is, until an
    /// event tells of more (epoll(7)). It stops in front of an urgent byte as well, and behind the
    /// last byte may stand the end, of which no other event tells.
    fn tells_all(&self) -> bool {
        let known = cfg!(target_os = "linux") && self.fixed.is_some();
        known && !self.ready.urgent && !self.ready.ended && !self.ready.failed
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

    /// Notes that it was not read for want of room. Returns false if that is known.
    pub(crate) fn starve(&mut self) -> bool {
        let news = self.input == Incoming::Open;
        if news {
            self.input = Incoming::Starved;
        }
        news
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

    /// Puts bytes that were read in front of what is read from now on.
    pub(crate) fn put_ahead(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.waiting().ahead = bytes;
        }
    }

    /// Follows the requests of its client from here on, of which the first one's bytes are `ahead`.
    pub(crate) fn follow_requests(&mut self, requests: Requests, ahead: Bytes) {
        self.waiting().requests = Some(Box::new(requests));
        self.put_ahead(ahead);
    }

    /// Returns true if the requests of its client are followed.
    pub(crate) fn follows_requests(&self) -> bool {
        self.requests().is_some()
    }

    /// Follows no requests any more: what is read from now on belongs together.
    pub(crate) fn forget_requests(&mut self) {
        if let Some(waiting) = &mut self.waiting {
            waiting.requests = None;
        }
        self.tidy();
    }

    fn requests(&self) -> Option<&Requests> {
        self.waiting.as_ref()?.requests.as_deref()
    }

    fn requests_mut(&mut self) -> Option<&mut Requests> {
        self.waiting.as_mut()?.requests.as_deref_mut()
    }

    /// Returns what its client's requests let it read; `None` if it makes none.
    fn intake(&self) -> Option<Intake> {
        self.requests().map(|requests| requests.intake(self.is_blocked()))
    }

    /// Follows what the server of its client's request says. Returns how many of the bytes are to be
    /// passed on; the others were not asked for.
    pub(crate) fn hear_answer(&mut self, bytes: &[u8]) -> usize {
        self.requests_mut().map_or(bytes.len(), |requests| requests.answer(bytes))
    }

    /// Looks whether the answer to its client's request has ended, now that what was heard of it is
    /// passed on; the next request is to name `user`. Returns true if it is to be read again.
    pub(crate) fn turn(&mut self, user: Option<&Credentials>) -> bool {
        let Some(requests) = self.requests_mut() else { return false };
        match requests.turn(user) {
            Turned::No => false,
            Turned::Next | Turned::Last => true,
            Turned::Tunnel => {
                let beyond = Bytes::from(requests.beyond());
                self.forget_requests();
                self.put_ahead(beyond);
                true
            }
        }
    }

    /// Returns true if its client makes requests, and has made none that is not answered.
    pub(crate) fn is_between_requests(&self) -> bool {
        self.requests().is_some_and(Requests::is_idle)
    }

    /// Takes the next request of its client.
    pub(crate) fn take_next(&mut self) -> Option<NextRequest> {
        self.requests_mut()?.take_next()
    }

    /// Returns what was found where bytes were read; `None` if more is to be read.
    fn sort(&mut self, bytes: &mut [u8], count: usize) -> Option<Found> {
        let Some(requests) = self.requests_mut() else { return Some(Found::Bytes(count)) };
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

    /// Reads what is there.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Found {
        if let Some(waiting) = self.waiting.as_deref_mut()
            && !buffer.is_empty()
            && !waiting.ahead.is_empty()
        {
            let count = waiting.ahead.len().min(buffer.len());
            waiting.ahead.copy_to_slice(&mut buffer[..count]);
            self.tidy();
            return Found::Bytes(count);
        }
        loop {
            let most = match self.intake() {
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
                    self.took(count);
                    let is_large = count >= LARGE;
                    self.large_reads =
                        if is_large { LARGE_READS.min(self.large_reads + 1) } else { 0 };
                    if count < most && self.tells_all() {
                        self.ready.readable = false;
                    }
                    if let Some(found) = self.sort(buffer, count) {
                        return found;
                    }
                }
                Err(error) => {
                    if let Some(found) = self.found_by(&error) {
                        return found;
                    }
                }
            }
        }
    }

    /// Takes what is there into a pipe, no more than `most` bytes.
    pub(crate) fn fill(&mut self, pipe: &mut Pipe, most: usize) -> Filled {
        loop {
            match pipe.fill(&self.stream, most) {
                Ok(0) => {
                    self.large_reads = 0;
                    return Filled::Unknown;
                }
                Ok(count) => {
                    self.took(count);
                    // One small rest is no end of it, two are.
                    self.large_reads =
                        if count >= LARGE { LARGE_READS } else { self.large_reads - 1 };
                    return Filled::Found(Found::Bytes(count));
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    self.large_reads = 0;
                    return Filled::Refused;
                }
                Err(error) => {
                    if let Some(found) = self.found_by(&error) {
                        return Filled::Found(found);
                    }
                }
            }
        }
    }

    fn took(&mut self, count: usize) {
        self.flowed = self.flowed.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// Returns what a read found that failed; `None`: it is to be tried again.
    fn found_by(&mut self, error: &io::Error) -> Option<Found> {
        match error.kind() {
            io::ErrorKind::Interrupted => return None,
            io::ErrorKind::WouldBlock => {
                self.ready.readable = false;
                return Some(Found::Nothing);
            }
            _ => {}
        }
        log::debug!("{:?}: {error}", self.token());
        self.ready.readable = false;
        Some(Found::Reset)
    }
}
