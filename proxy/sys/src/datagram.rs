//! Datagrams on their way in and out of a UDP socket, with what accompanies their bytes.

use crate::slot_buffer::SlotBuffer;
use jostle_common::ecn::Ecn;
use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

/// The most datagrams one read returns.
pub const SLOTS: usize = 32;

/// The most messages one call sends.
pub const MESSAGES: usize = 32;

/// The result of a read: one datagram, or a run of datagrams of equal size from the same sender.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The payload, or the payloads one behind the other.
    pub bytes: &'a [u8],
    /// The size of each but the last, which may be shorter; `None`: one datagram.
    pub segment: Option<usize>,
    /// The sender.
    pub from: Option<SocketAddr>,
    /// The address of ours that it was sent to, when the socket was asked to tell.
    pub asked: Option<IpAddr>,
    /// The hops that it had left (TTL), when the socket was asked to tell.
    pub hops: Option<u8>,
    /// What its IP header said of congestion; Not-ECT where the system does not tell. The kernel
    /// makes a run of datagrams only if it is the same for all.
    pub ecn: Ecn,
    /// The calendar time at which the kernel took it in.
    pub stamp: Option<Duration>,
    /// The number of datagrams that the kernel has dropped on this socket so far, for want of
    /// buffer.
    pub missed: Option<u32>,
    /// The buffer that begins with the bytes, if they may be kept where they are.
    pub buffer: Option<&'a SlotBuffer>,
}

impl Received<'_> {
    /// Returns where each datagram is in [`bytes`](Self::bytes); an empty one is one too.
    pub fn datagrams(&self) -> impl ExactSizeIterator<Item = Range<usize>> + Clone + use<> {
        let len = self.bytes.len();
        let size = self.segment.unwrap_or(len).max(1);
        let count = len.div_ceil(size).max(1);
        (0..count).map(move |nth| nth * size..((nth + 1) * size).min(len))
    }
}

/// The metadata of one slot.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Note {
    pub(super) len: usize,
    pub(super) segment: Option<usize>,
    pub(super) from: Option<SocketAddr>,
    pub(super) asked: Option<IpAddr>,
    pub(super) hops: Option<u8>,
    pub(super) ecn: Ecn,
    pub(super) stamp: Option<Duration>,
    pub(super) missed: Option<u32>,
}

/// One datagram, or a run of datagrams to the same receiver.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The payload, or the payloads of a run: all of the same size but the last, which may be
    /// shorter. The first piece of a run is the first payload; each other one is the next payload, or
    /// several of them one behind the other.
    pub pieces: &'a [IoSlice<'a>],
    /// The receiver; `None` when the socket is connected.
    pub to: Option<SocketAddr>,
    /// The address of ours that it leaves from; `None` lets the system choose.
    pub source: Option<IpAddr>,
    /// What the IP header of each is to say of congestion. Where that cannot be set, it says
    /// Not-ECT.
    pub ecn: Ecn,
}

impl Message<'_> {
    /// Returns the size of each datagram of a run; `None` for one datagram.
    pub fn segment(&self) -> Option<u16> {
        match self.pieces {
            [first, _, ..] => u16::try_from(first.len()).ok(),
            _ => None,
        }
    }
}
