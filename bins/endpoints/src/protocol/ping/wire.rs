//! The datagram that the client sends, and gets back as it is.

use crate::protocol::wire::{CRC_SIZE, DatagramFields, Unreadable, open, seal};
use bytes::Bytes;

const MAGIC: [u8; 4] = *b"PING";
/// Magic, run, number and attempt.
const HEADER_SIZE: usize = 20;
/// The smallest datagram that can be told apart from others: the header and its CRC.
pub const SIZE_MIN: usize = HEADER_SIZE + CRC_SIZE;
/// The longest UDP payload over IPv4.
pub const SIZE_MAX: usize = 65_507;

/// The most places in a datagram that are tried for another in it.
const WITHIN_MAX: usize = 16;

/// One attempt at one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping {
    /// A number that the client chose at its start, so that it knows its own datagrams from those
    /// of an earlier client.
    pub run: u32,
    /// The request, from 1.
    pub number: u64,
    /// The attempt at it, from 1.
    pub attempt: u32,
}

impl Ping {
    /// Returns the datagram, filled with zeros to `size` bytes, at least [`SIZE_MIN`].
    pub fn encode(&self, size: usize) -> Bytes {
        let mut datagram = Vec::with_capacity(size.max(SIZE_MIN));
        datagram.extend_from_slice(&MAGIC);
        datagram.extend_from_slice(&self.run.to_be_bytes());
        datagram.extend_from_slice(&self.number.to_be_bytes());
        datagram.extend_from_slice(&self.attempt.to_be_bytes());
        datagram.resize(size.max(SIZE_MIN) - CRC_SIZE, 0);
        seal(datagram)
    }

    /// Reads a datagram.
    ///
    /// # Errors
    /// When its CRC is wrong, or when it is whole and no ping.
    pub fn decode(datagram: &[u8]) -> Result<Self, Unreadable> {
        let body = open(datagram).ok_or(Unreadable::Damaged)?;
        Self::fields(body).ok_or(Unreadable::Senseless)
    }

    /// Finds a datagram of `size` bytes in a longer one: what a server answers that adds to what it
    /// got.
    pub fn within(datagram: &[u8], size: usize) -> Option<Self> {
        let found = datagram.windows(size.max(SIZE_MIN)).filter(|part| part.starts_with(&MAGIC));
        // Whoever repeats the word does not make us compute for ever.
        found.take(WITHIN_MAX).find_map(|part| Self::decode(part).ok())
    }

    fn fields(body: &[u8]) -> Option<Self> {
        let mut fields = DatagramFields::new(body);
        if fields.array()? != MAGIC {
            return None;
        }
        Some(Self { run: fields.u32()?, number: fields.u64()?, attempt: fields.u32()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back(run: u32, number: u64, attempt: u32, size in 0usize..3000) {
            let ping = Ping { run, number, attempt };
            let datagram = ping.encode(size);
            prop_assert_eq!(datagram.len(), size.max(SIZE_MIN));
            prop_assert_eq!(Ping::decode(&datagram), Ok(ping));
        }

        #[test]
        fn what_is_added_hides_nothing(run: u32, size in 0usize..300, before: Vec<u8>,
            behind: Vec<u8>) {
            let ping = Ping { run, number: 1, attempt: 2 };
            let answer = [&before[..], &ping.encode(size), &behind].concat();
            prop_assert_eq!(Ping::within(&answer, size), Some(ping));
            let mut damaged = ping.encode(size).to_vec();
            damaged[10] ^= 1;
            let answer = [&before[..], &damaged, &behind].concat();
            prop_assert_eq!(Ping::within(&answer, size), None);
        }

        #[test]
        fn a_flipped_bit_is_seen_and_nothing_panics(place: prop::sample::Index, noise: Vec<u8>) {
            let mut datagram = Ping { run: 1, number: 2, attempt: 3 }.encode(100).to_vec();
            let bit = place.index(datagram.len() * 8);
            datagram[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(Ping::decode(&datagram), Err(Unreadable::Damaged));
            prop_assert_eq!(Ping::decode(&seal(noise.clone())), Err(Unreadable::Senseless));
            let _ = Ping::decode(&noise);
        }
    }
}
