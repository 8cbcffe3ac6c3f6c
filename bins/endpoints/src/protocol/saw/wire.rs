//! The datagrams of stop-and-wait: request, answer, thanks, and the refusal of a request that is
//! too short.

use crate::protocol::wire::{CRC_SIZE, DatagramFields, open, seal};
use crate::protocol::{CHUNK, chunk_length};
use bytes::Bytes;
use jostle_common::digest::Digest;

const REQUEST: &[u8; 4] = b"SAW?";
const ANSWER: &[u8; 4] = b"SAW!";
const TOO_SHORT: &[u8; 4] = b"SAW+";
const THANKS: &[u8; 4] = b"SAW.";

/// The bytes that an answer carries in front of the packet: magic, number, attempt, size of the
/// file, digest.
pub const HEADER_SIZE: usize = 4 + 4 + 4 + 8 + 32;
/// The longest answer.
pub const ANSWER_SIZE_MAX: usize = HEADER_SIZE + CHUNK + CRC_SIZE;
/// The most times as long as its request that an answer may be when it leaves the machine. RFC 9000
/// §8.1 sets the same limit for QUIC.
pub(super) const AMPLIFICATION_MAX: usize = 3;
/// A request of this size may be answered with any packet.
pub const PADDED_SIZE: usize = ANSWER_SIZE_MAX.div_ceil(AMPLIFICATION_MAX);

/// The client asks for a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The number of the packet in the file, from 0.
    pub number: u32,
    /// The number of the attempt to get it; the answer repeats it.
    pub attempt: u32,
}

impl Request {
    /// Returns the datagram; `padded` to a third of the longest answer for servers on other
    /// machines.
    pub fn encode(&self, padded: bool) -> Bytes {
        let mut datagram = short(REQUEST, self.number, self.attempt);
        if padded {
            pad_to(&mut datagram, PADDED_SIZE);
        }
        seal(datagram)
    }

    /// Reads a request whose CRC was checked.
    pub fn decode(body: &[u8]) -> Option<Self> {
        let mut fields = expect(REQUEST, body)?;
        Some(Self { number: fields.u32()?, attempt: fields.u32()? })
    }
}

/// The server's answer: a packet, and the file that it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// The number of the packet.
    pub number: u32,
    /// The attempt that is answered.
    pub attempt: u32,
    /// The size of the file in bytes.
    pub size: u64,
    /// The digest of the file.
    pub digest: Digest,
    /// The bytes of the packet: 4096, fewer at the end of the file, none beyond it.
    pub data: &'a [u8],
}

impl<'a> Answer<'a> {
    /// Returns the datagram.
    pub fn encode(&self) -> Bytes {
        let mut datagram = Vec::with_capacity(HEADER_SIZE + self.data.len() + CRC_SIZE);
        datagram.extend_from_slice(&short(ANSWER, self.number, self.attempt));
        datagram.extend_from_slice(&self.size.to_be_bytes());
        datagram.extend_from_slice(&self.digest.0);
        datagram.extend_from_slice(self.data);
        seal(datagram)
    }

    /// Reads an answer whose CRC was checked. Refuses one that carries more or less than its packet
    /// of a file of that size.
    pub fn decode(body: &'a [u8]) -> Option<Self> {
        let mut fields = expect(ANSWER, body)?;
        let (number, attempt, size) = (fields.u32()?, fields.u32()?, fields.u64()?);
        let answer =
            Self { number, attempt, size, digest: Digest(fields.array()?), data: fields.rest() };
        (answer.data.len() == chunk_length(size, number)).then_some(answer)
    }
}

/// The server will not answer a request from another machine with more than three times its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooShort {
    /// The packet that was asked for.
    pub number: u32,
    /// The attempt that is refused.
    pub attempt: u32,
}

impl TooShort {
    /// Returns the datagram: as long as the shortest request.
    pub fn encode(&self) -> Bytes {
        seal(short(TOO_SHORT, self.number, self.attempt))
    }

    /// Reads a refusal whose CRC was checked.
    pub fn decode(body: &[u8]) -> Option<Self> {
        let mut fields = expect(TOO_SHORT, body)?;
        Some(Self { number: fields.u32()?, attempt: fields.u32()? })
    }
}

/// The client has the whole file. A courtesy, never answered: it lets a server that serves one
/// client end at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thanks;

impl Thanks {
    /// Returns the datagram.
    pub fn encode(&self) -> Bytes {
        seal(THANKS.to_vec())
    }

    /// Reads thanks whose CRC was checked.
    pub fn decode(body: &[u8]) -> Option<Self> {
        (body == THANKS).then_some(Self)
    }
}

/// Pads a datagram with zeros so that it is `size` bytes long with its CRC.
pub fn pad_to(datagram: &mut Vec<u8>, size: usize) {
    datagram.resize(datagram.len().max(size - CRC_SIZE), 0);
}

/// Checks the CRC of a datagram.
pub(super) fn checked(datagram: &[u8]) -> Option<&[u8]> {
    open(datagram)
}

fn short(magic: &[u8; 4], number: u32, attempt: u32) -> Vec<u8> {
    [*magic, number.to_be_bytes(), attempt.to_be_bytes()].concat()
}

fn expect<'a>(magic: &[u8; 4], body: &'a [u8]) -> Option<DatagramFields<'a>> {
    body.strip_prefix(magic).map(DatagramFields::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn requests_look_as_documented() {
        let request = Request { number: 2, attempt: 1 };
        assert_eq!(&request.encode(false)[..], b"SAW?\0\0\0\x02\0\0\0\x01\x80qyx");
        assert_eq!(request.encode(true).len(), PADDED_SIZE);
        const { assert!(PADDED_SIZE * AMPLIFICATION_MAX >= ANSWER_SIZE_MAX) };
    }

    #[test]
    fn a_refusal_is_no_longer_than_what_it_refuses() {
        let request = Request { number: 2, attempt: 1 }.encode(false);
        assert!(TooShort { number: 2, attempt: 1 }.encode().len() <= request.len());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(number: u32, attempt: u32, size in 0u64..1 << 44, padded: bool) {
            let request = Request { number, attempt };
            let datagram = request.encode(padded);
            prop_assert_eq!(Request::decode(checked(&datagram).unwrap()), Some(request));
            let data = vec![7; chunk_length(size, number)];
            let answer = Answer { number, attempt, size, digest: Digest::of(&data), data: &data };
            let datagram = answer.encode();
            prop_assert!(datagram.len() <= ANSWER_SIZE_MAX);
            prop_assert_eq!(Answer::decode(checked(&datagram).unwrap()), Some(answer));
            prop_assert_eq!(Request::decode(checked(&datagram).unwrap()), None);
        }

        #[test]
        fn no_bytes_make_a_reader_panic(body: Vec<u8>, kind in 0usize..5) {
            let magic: &[u8] = [REQUEST, ANSWER, TOO_SHORT, THANKS, b"\0\0\0\0"][kind];
            let body = [magic, &body].concat();
            for bytes in [&body[..], &body[4..]] {
                let _ = (Request::decode(bytes), Answer::decode(bytes), TooShort::decode(bytes),
                    Thanks::decode(bytes));
            }
        }
    }
}
