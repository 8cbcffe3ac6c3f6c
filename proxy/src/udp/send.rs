//! Sending the datagrams of one flow, as few system calls as possible.

use crate::fate::Loss;
use crate::turn::Transmit;
use jostle_common::ecn::Ecn;
use jostle_engine::packet::Body;
use jostle_engine::stage::Output;
use jostle_sys::{MESSAGES, Message};
use mio::net::UdpSocket;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};

/// The most datagrams in a run: UDP_MAX_SEGMENTS was 64 until Linux 6.9.
const RUN_MAX: usize = 64;

/// The most bytes in a run: what fits an IPv4 datagram.
const RUN_BYTES_MAX: usize = 65_507;

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

/// Sends the datagrams `staged` in their order; each is the place of one among `outputs`. `lost` is
/// told of each that the system did not take. `runs` says whether to try runs of equal size as one
/// message, and is cleared if the system refuses. Returns how many sends reported that an earlier
/// datagram had been refused.
pub(crate) fn send(
    outbox: &dyn Transmit,
    way: Way<'_>,
    outputs: &[Output],
    staged: &[usize],
    runs: &mut bool,
    mut lost: impl FnMut(usize, Loss),
) -> u64 {
    let mut refused = 0;
    let mut rest = staged;
    // A refusal is repeated once per datagram: the report was about an earlier one.
    let mut repeated = false;
    let mut framed = Vec::new();
    while !rest.is_empty() {
        let batch = &rest[..rest.len().min(RUN_MAX)];
        let mut pieces = [IoSlice::new(&[]); RUN_MAX];
        let mut ecn = [Ecn::NotEct; RUN_MAX];
        frame(way.header, outputs, batch, &mut framed);
        let mut unsliced = framed.as_slice();
        for ((piece, ecn), &place) in pieces.iter_mut().zip(&mut ecn).zip(batch) {
            let payload = payload(&outputs[place]);
            let bytes = match way.header {
                [] => payload,
                header => unsliced.split_off(..header.len() + payload.len()).unwrap_or_default(),
            };
            *piece = IoSlice::new(bytes);
            *ecn = outputs[place].packet().ecn;
        }
        let (pieces, ecn) = (&pieces[..batch.len()], &ecn[..batch.len()]);
        let mut messages = [way.message(); MESSAGES];
        let count = split(pieces, ecn, *runs && outbox.takes_runs(), &mut messages);
        let messages = &messages[..count];
        let done = match outbox.send(way.socket, messages) {
            Ok(done) => {
                repeated = false;
                datagrams(&messages[..done])
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                rest.iter().for_each(|&place| lost(place, Loss::NoBuffer));
                return refused;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && !repeated => {
                refused += 1;
                repeated = true;
                0
            }
            // Perhaps it is the run that the system does not take: each datagram says for itself.
            Err(_) if messages[0].pieces.len() > 1 => {
                *runs = false;
                0
            }
            Err(error) => {
                repeated = false;
                if jostle_sys::is_too_big(&error) {
                    lost(rest[0], Loss::TooBig);
                } else {
                    log::debug!("sending to {:?}: {error}", way.to);
                    lost(rest[0], Loss::SendFailed);
                }
                1
            }
        };
        rest = &rest[done..];
    }
    refused
}

/// Fills `framed` with a header in front of each datagram, unless there is none.
fn frame(header: &[u8], outputs: &[Output], batch: &[usize], framed: &mut Vec<u8>) {
    framed.clear();
    if header.is_empty() {
        return;
    }
    for &place in batch {
        framed.extend_from_slice(header);
        framed.extend_from_slice(payload(&outputs[place]));
    }
}

/// Returns the bytes of a datagram.
fn payload(output: &Output) -> &[u8] {
    match output.packet().body() {
        Body::Data(bytes) => bytes,
        Body::Segment(_) | Body::Cross(_) | Body::End | Body::Reset => &[],
    }
}

fn datagrams(messages: &[Message<'_>]) -> usize {
    messages.iter().map(|message| message.pieces.len()).sum()
}

/// Cuts pieces into messages: runs of equal size, of which the last may be shorter, or single ones.
/// A run has one IP header until it is cut into datagrams, so all of it says the same of congestion.
/// Returns how many messages were made.
fn split<'a>(
    pieces: &'a [IoSlice<'a>],
    ecn: &[Ecn],
    runs: bool,
    messages: &mut [Message<'a>; MESSAGES],
) -> usize {
    let mut start = 0;
    let mut count = 0;
    while start < pieces.len() && count < MESSAGES {
        let (rest, ecn) = (&pieces[start..], &ecn[start..]);
        let length = if runs { run_length(rest, ecn) } else { 1 };
        messages[count].pieces = &rest[..length];
        messages[count].ecn = ecn[0];
        count += 1;
        start += length;
    }
    count
}

fn run_length(pieces: &[IoSlice<'_>], ecn: &[Ecn]) -> usize {
    let size = pieces[0].len();
    // An empty datagram cannot be part of a run.
    if size == 0 {
        return 1;
    }
    let mut length = 1;
    for (piece, &said) in pieces[1..].iter().zip(&ecn[1..]) {
        let bytes = size * length + piece.len();
        let fits = bytes <= RUN_BYTES_MAX && length < RUN_MAX;
        if piece.is_empty() || piece.len() > size || said != ecn[0] || !fits {
            break;
        }
        length += 1;
        if piece.len() < size {
            break;
        }
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(sizes: &[usize]) -> Vec<usize> {
        let same = sizes.iter().map(|&size| (size, Ecn::NotEct)).collect::<Vec<_>>();
        runs_of(&same).into_iter().map(|(length, _)| length).collect()
    }

    fn runs_of(datagrams: &[(usize, Ecn)]) -> Vec<(usize, Ecn)> {
        let payloads: Vec<Vec<u8>> = datagrams.iter().map(|&(size, _)| vec![0; size]).collect();
        let pieces: Vec<IoSlice<'_>> =
            payloads.iter().map(|payload| IoSlice::new(payload)).collect();
        let ecn: Vec<Ecn> = datagrams.iter().map(|&(_, ecn)| ecn).collect();
        let none = Message { pieces: &[], to: None, source: None, ecn: Ecn::NotEct };
        let mut messages = [none; MESSAGES];
        let count = split(&pieces, &ecn, true, &mut messages);
        messages[..count].iter().map(|message| (message.pieces.len(), message.ecn)).collect()
    }

    #[test]
    fn a_run_says_one_thing_of_congestion() {
        let said = |said: &[Ecn]| runs_of(&said.iter().map(|&ecn| (100, ecn)).collect::<Vec<_>>());
        let (none, ect, ce) = (Ecn::NotEct, Ecn::Ect0, Ecn::Ce);
        assert_eq!(said(&[ect, ect, ect]), [(3, ect)]);
        assert_eq!(said(&[ect, ce, ce, ect, none]), [(1, ect), (2, ce), (1, ect), (1, none)]);
        let short = runs_of(&[(100, ect), (40, ect), (40, ce), (40, ce)]);
        assert_eq!(short, [(2, ect), (2, ce)]);
    }

    #[test]
    fn equal_sizes_make_a_run_that_a_shorter_one_ends() {
        assert_eq!(runs(&[100, 100, 100]), [3]);
        assert_eq!(runs(&[100, 100, 40, 40]), [3, 1]);
        assert_eq!(runs(&[100, 200, 200, 1, 200]), [1, 3, 1]);
    }

    #[test]
    fn an_empty_datagram_is_on_its_own() {
        assert_eq!(runs(&[100, 0, 100]), [1, 1, 1]);
        assert_eq!(runs(&[0, 0]), [1, 1]);
    }

    #[test]
    fn a_run_fits_an_ip_datagram() {
        assert_eq!(runs(&[30_000; 5]), [2, 2, 1]);
        assert_eq!(runs(&[1; 64]), [64]);
    }
}
