//! What comes from the other side of a socket.

use super::{End, Incoming};
use bytes::{Buf, Bytes};
use jostle_common::http1::RequestFraming;
use jostle_sys::Pipe;
use std::io::{self, Read};

/// The bytes after which a sender that was never held back meanwhile is not expected to be: more than
/// the queue in front of a slow link takes at first.
const FLOWS_FREELY: u32 = 256 << 10;

/// The bytes of a read that finds much. From about here on it is cheaper to pass pages on than to
/// copy what is in them twice.
const LARGE: usize = 32 << 10;

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
        self.ready.readable
            || self.waiting.as_ref().is_some_and(|waiting| {
                !waiting.ahead.is_empty() || (waiting.is_beyond && !self.is_read_out())
            })
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
                .is_none_or(|waiting| waiting.ahead.is_empty() && waiting.request.is_none())
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

    /// Lets it end behind the one request that `request` stands in, and whose bytes in `rest` were
    /// read already. Returns how many of these belong to it.
    pub(crate) fn end_behind(&mut self, mut request: RequestFraming, rest: &[u8]) -> usize {
        let taken = request.follow_one(rest);
        let waiting = self.waiting();
        waiting.is_beyond = taken < rest.len();
        waiting.request = Some(request);
        taken
    }

    /// Returns what was found where bytes were read: no more than belongs to the one request.
    fn within_request(&mut self, bytes: &[u8]) -> Found {
        let waiting = self.waiting.as_deref_mut();
        let Some((waiting, request)) = waiting.and_then(|waiting| {
            let request = waiting.request.as_mut()?;
            Some((&mut waiting.is_beyond, request))
        }) else {
            return Found::Bytes(bytes.len());
        };
        let taken = request.follow_one(bytes);
        *waiting = taken < bytes.len();
        if taken > 0 { Found::Bytes(taken) } else { Found::End }
    }

    /// Reads what stands behind the one request and forgets it: unread it would reset the
    /// connection when it is closed.
    fn end_beyond(&mut self, buffer: &mut [u8]) -> Found {
        while matches!(self.stream.read(buffer), Ok(count) if count > 0) {}
        self.ready.readable = false;
        self.input = Incoming::Ended;
        Found::End
    }

    /// Reads what is there.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Found {
        if let Some(waiting) = self.waiting.as_deref_mut()
            && !buffer.is_empty()
        {
            if !waiting.ahead.is_empty() {
                let count = waiting.ahead.len().min(buffer.len());
                waiting.ahead.copy_to_slice(&mut buffer[..count]);
                self.tidy();
                return Found::Bytes(count);
            }
            if waiting.is_beyond {
                return self.end_beyond(buffer);
            }
        }
        loop {
            match self.stream.read(buffer) {
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
                    if count < buffer.len() && self.tells_all() {
                        self.ready.readable = false;
                    }
                    let found = self.within_request(&buffer[..count]);
                    return if found == Found::End { self.end_beyond(buffer) } else { found };
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
