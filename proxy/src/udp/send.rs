//! Sending the datagrams of one flow, as few system calls as possible.

use super::parts::{Bounds, PARTS_MAX, Part, Place, cut, messages, payload};
use crate::fate::Loss;
use crate::turn::Transmit;
use jostle_common::ecn::Ecn;
use jostle_engine::stage::Output;
use jostle_sys::{MESSAGES, Message, refuses_run};
use mio::net::UdpSocket;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

/// The most pieces of one call: the first datagram of a run is a piece of its own.
const PIECES_MAX: usize = PARTS_MAX + MESSAGES;

/// A destination and the socket that reaches it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way<'a> {
    pub(crate) socket: &'a UdpSocket,
    /// The receiver; `None` when the socket is connected.
    pub(crate) to: Option<SocketAddr>,
    /// Which of our addresses it leaves from; `None` lets the system choose.
    pub(crate) source: Option<IpAddr>,
    /// The bytes in front of each datagram.
    pub(crate) header: &'a [u8],
}

impl Way<'_> {
    /// Returns a message without pieces.
    const fn message<'a>(self) -> Message<'a> {
        Message { pieces: &[], to: self.to, source: self.source, ecn: Ecn::NotEct }
    }
}

/// Sends the datagrams `staged` in their order; each is the place of an output among `outputs`. `lost`
/// is told of each that the system did not take: the place of its output, and which one of it.
/// `segment_max` is the size up to which the system takes runs as one message; where it refuses one,
/// that is lowered. Returns how many sends reported that an earlier datagram had been refused.
pub(crate) fn send(
    outbox: &dyn Transmit,
    way: Way<'_>,
    outputs: &[Output],
    staged: &[usize],
    segment_max: &mut u16,
    mut lost: impl FnMut(usize, u32, Loss),
) -> u64 {
    let mut refused = 0;
    let mut at = Place::default();
    let mut singly_until = at;
    // A refusal is repeated once per datagram: the report was about an earlier one.
    let mut repeated = false;
    let (mut parts, mut framed) = (Vec::new(), Vec::new());
    while at.staged < staged.len() {
        let segment_most = if outbox.takes_runs() { usize::from(*segment_max) } else { 0 };
        let header = way.header.len();
        let bounds = Bounds { segment_max: segment_most, singly_until, header };
        let behind = cut(outputs, staged, at, bounds, &mut parts);
        frame(way.header, outputs, staged, &parts, &mut framed);
        let bytes = |part: &Part| &payload(&outputs[staged[part.place.staged]])[part.range.clone()];
        let mut unsliced = framed.as_slice();
        let bytes = parts.iter().map(|part| match header {
            0 => bytes(part),
            _ => unsliced.split_off(..part.wire_bytes(header)).unwrap_or_default(),
        });
        let ranges = messages(&parts, header);
        let mut pieces = [IoSlice::new(&[]); PIECES_MAX];
        let ends = slice(&parts, bytes, ranges.clone(), header, &mut pieces);
        let mut messages = [way.message(); MESSAGES];
        let (mut count, mut start) = (0, 0);
        for ((message, range), end) in messages.iter_mut().zip(ranges.clone()).zip(ends) {
            message.pieces = &pieces[start..end];
            message.ecn = parts[range.start].ecn;
            (count, start) = (count + 1, end);
        }
        let behind = |messages: usize| {
            let next = ranges.clone().nth(messages.saturating_sub(1)).map(|range| range.end);
            next.and_then(|next| parts.get(next)).map_or(behind, |part| part.place)
        };
        match outbox.send(way.socket, &messages[..count]) {
            Ok(0) => {}
            Ok(done) => {
                repeated = false;
                at = behind(done);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                for (place, nth) in rest(outputs, staged, at) {
                    lost(place, nth, Loss::NoBuffer);
                }
                return refused;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && !repeated => {
                refused += 1;
                repeated = true;
            }
            // Perhaps it is the run that the system does not take: each datagram says for itself.
            Err(error) if messages[0].pieces.len() > 1 => {
                if let Some(most) = refuses_run(&error, parts[0].segment) {
                    *segment_max = most.min(*segment_max);
                }
                repeated = false;
                singly_until = behind(1);
            }
            Err(error) => {
                repeated = false;
                let loss = match jostle_sys::is_too_big(&error) {
                    true => Loss::TooBig,
                    false => {
                        log::debug!("sending to {:?}: {error}", way.to);
                        Loss::SendFailed
                    }
                };
                lost(staged[at.staged], at.nth, loss);
                at = behind(1);
            }
        }
    }
    refused
}

/// Writes the pieces of messages, each of which is a range of parts. Returns where those of each end,
/// as far as there are messages.
fn slice<'a>(
    parts: &[Part],
    mut bytes: impl Iterator<Item = &'a [u8]>,
    messages: impl Iterator<Item = Range<usize>>,
    header: usize,
    pieces: &mut [IoSlice<'a>; PIECES_MAX],
) -> [usize; MESSAGES] {
    let (mut ends, mut used) = ([0; MESSAGES], 0);
    for (range, end) in messages.zip(&mut ends) {
        for nth in range.clone() {
            let bytes = bytes.next().unwrap_or_default();
            // The first piece says how long each datagram is.
            let first = match nth == range.start && parts[nth].count > 1 {
                true => parts[nth].segment + header,
                false => 0,
            };
            let (first, others) = bytes.split_at(first);
            if !first.is_empty() {
                pieces[used] = IoSlice::new(first);
                used += 1;
            }
            pieces[used] = IoSlice::new(others);
            used += 1;
        }
        *end = used;
    }
    ends
}

/// Fills `framed` with a header in front of each datagram, unless there is none.
fn frame(
    header: &[u8],
    outputs: &[Output],
    staged: &[usize],
    parts: &[Part],
    framed: &mut Vec<u8>,
) {
    framed.clear();
    if header.is_empty() {
        return;
    }
    for part in parts {
        let payload = &payload(&outputs[staged[part.place.staged]])[part.range.clone()];
        if payload.is_empty() {
            framed.extend_from_slice(header);
        }
        for datagram in payload.chunks(part.segment.max(1)) {
            framed.extend_from_slice(header);
            framed.extend_from_slice(datagram);
        }
    }
}

/// Returns the datagrams from `at` on: the place of the output of each, and which one of it.
fn rest<'a>(
    outputs: &'a [Output],
    staged: &'a [usize],
    at: Place,
) -> impl Iterator<Item = (usize, u32)> + 'a {
    staged[at.staged..].iter().enumerate().flat_map(move |(index, place)| {
        let first = if index == 0 { at.nth } else { 0 };
        (first..outputs[*place].packet().count()).map(move |nth| (*place, nth))
    })
}
