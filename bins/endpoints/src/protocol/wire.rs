//! The parts that the datagrams of all protocols share: numbers in network order, and a CRC-32 at
//! the end over everything before it.

use bytes::Bytes;

/// The bytes of the CRC that ends a datagram.
pub const CRC_SIZE: usize = 4;

/// Returns the CRC-32 as zlib computes it (`zlib.crc32` in Python).
pub fn crc(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// Ends a datagram with its CRC.
pub fn seal(mut datagram: Vec<u8>) -> Bytes {
    let crc = crc(&datagram);
    datagram.extend_from_slice(&crc.to_be_bytes());
    datagram.into()
}

/// Returns the bytes before the CRC, if the CRC is right.
pub fn open(datagram: &[u8]) -> Option<&[u8]> {
    let (body, sum) = datagram.split_last_chunk::<CRC_SIZE>()?;
    (crc(body) == u32::from_be_bytes(*sum)).then_some(body)
}

/// The reason why a datagram was ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Its CRC is wrong.
    Damaged,
    /// Its CRC is right, and it makes no sense here.
    Senseless,
}

/// Reads the fields of a datagram from the front; `None` when it is too short.
#[derive(Clone, Copy, Debug)]
pub struct DatagramFields<'a>(&'a [u8]);

impl<'a> DatagramFields<'a> {
    /// Creates a reader of the fields of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Returns the next `N` bytes.
    pub const fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        match self.0.split_first_chunk::<N>() {
            Some((head, rest)) => {
                self.0 = rest;
                Some(*head)
            }
            None => None,
        }
    }

    /// Returns the next byte.
    pub fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Returns the next 16-bit number.
    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// Returns the next 32-bit number.
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// Returns the next 64-bit number.
    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// Returns the next `length` bytes.
    pub const fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        match self.0.split_at_checked(length) {
            Some((head, rest)) => {
                self.0 = rest;
                Some(head)
            }
            None => None,
        }
    }

    /// Returns everything that is left.
    pub const fn rest(self) -> &'a [u8] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_crc_is_the_one_everybody_has() {
        // The check value of CRC-32/ISO-HDLC, as in the catalogue of parametrised CRC algorithms.
        assert_eq!(crc(b"123456789"), 0xCBF4_3926);
    }

    proptest! {
        #[test]
        fn one_flipped_bit_breaks_the_seal(body: Vec<u8>, place: prop::sample::Index) {
            let mut sealed = seal(body.clone()).to_vec();
            prop_assert_eq!(open(&sealed), Some(&body[..]));
            let bit = place.index(sealed.len() * 8);
            sealed[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(open(&sealed), None);
        }

        #[test]
        fn fields_never_read_beyond_the_end(bytes in prop::collection::vec(any::<u8>(), 0..40),
            length: usize) {
            let mut fields = DatagramFields::new(&bytes);
            let _ = (fields.u8(), fields.u16(), fields.u32(), fields.u64(), fields.bytes(length));
            prop_assert!(fields.rest().len() <= bytes.len());
            let _ = open(&bytes);
        }
    }
}
