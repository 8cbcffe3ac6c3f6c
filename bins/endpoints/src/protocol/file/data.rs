//! The data datagram: a chunk of a file between two copies of its header.

use crate::protocol::CHUNK;
use crate::protocol::wire::{CRC_SIZE, DatagramFields, crc, open, seal};
use bytes::Bytes;

const MAGIC: &[u8; 4] = b"DATA";
/// Magic, transfer, number, length, CRC of the chunk, CRC of the header.
const HEADER_SIZE: usize = 4 + 8 + 4 + 4 + 4 + CRC_SIZE;
/// The bytes of every data datagram: the last chunk of a file is padded with zeros.
pub const DATA_SIZE: usize = HEADER_SIZE + CHUNK + HEADER_SIZE;

/// A chunk to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkDatagram<'a> {
    /// The transfer it belongs to.
    pub transfer: u64,
    /// Its place in the file, in chunks from 0.
    pub number: u32,
    /// Its bytes: 4096, or what the end of the file leaves.
    pub chunk: &'a [u8],
}

impl ChunkDatagram<'_> {
    /// Returns the datagram, always of [`DATA_SIZE`] bytes; a chunk beyond 4096 bytes is cut.
    pub fn encode(&self) -> Bytes {
        let length = self.chunk.len().min(CHUNK);
        let mut padded = [0; CHUNK];
        padded[..length].copy_from_slice(&self.chunk[..length]);
        let mut header = Vec::with_capacity(HEADER_SIZE);
        header.extend_from_slice(MAGIC);
        header.extend_from_slice(&self.transfer.to_be_bytes());
        header.extend_from_slice(&self.number.to_be_bytes());
        header.extend_from_slice(&(length as u32).to_be_bytes());
        header.extend_from_slice(&crc(&padded).to_be_bytes());
        let header = seal(header);
        [&header[..], &padded, &header].concat().into()
    }
}

/// A copy of a chunk as it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copy<'a> {
    /// The transfer it belongs to.
    pub transfer: u64,
    /// Its place in the file, in chunks from 0.
    pub number: u32,
    /// Its bytes as they arrived, without the padding.
    pub chunk: &'a [u8],
    /// True if every bit of the datagram arrived as it was sent.
    pub intact: bool,
}

impl<'a> Copy<'a> {
    /// Reads a datagram of [`DATA_SIZE`] bytes; `None` when neither copy of the header can be
    /// trusted.
    pub fn decode(datagram: &'a [u8]) -> Option<Self> {
        let datagram: &[u8; DATA_SIZE] = datagram.try_into().ok()?;
        let (front, rest) = datagram.split_first_chunk::<HEADER_SIZE>()?;
        let (padded, back) = rest.split_first_chunk::<CHUNK>()?;
        let header = open(front).or_else(|| open(back))?;
        let mut fields = DatagramFields::new(header.strip_prefix(MAGIC)?);
        let (transfer, number) = (fields.u64()?, fields.u32()?);
        let chunk = padded.get(..fields.u32()? as usize)?;
        let intact = front[..] == *back && crc(padded) == fields.u32()?;
        Some(Self { transfer, number, chunk, intact })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(transfer: u64, number: u32, length in 0..=CHUNK, byte: u8) {
            let chunk = vec![byte; length];
            let datagram = ChunkDatagram { transfer, number, chunk: &chunk }.encode();
            prop_assert_eq!(datagram.len(), DATA_SIZE);
            prop_assert_eq!(Copy::decode(&datagram), Some(Copy { transfer, number, chunk: &chunk,
                intact: true }));
        }

        #[test]
        fn one_flipped_bit_is_seen_and_leaves_the_number_known(bit in 0..DATA_SIZE * 8) {
            let data = ChunkDatagram { transfer: 3, number: 14, chunk: &[1; 100] };
            let mut datagram = data.encode().to_vec();
            datagram[bit / 8] ^= 1 << (bit % 8);
            let copy = Copy::decode(&datagram).unwrap();
            prop_assert_eq!((copy.transfer, copy.number, copy.chunk.len(), copy.intact), (3, 14,
                100, false));
        }

        #[test]
        fn no_bytes_make_it_panic(mut datagram in prop::collection::vec(any::<u8>(), DATA_SIZE),
            good_header: bool) {
            if good_header {
                // A header with a right CRC and hostile numbers.
                let header = seal([&MAGIC[..], &datagram[4..HEADER_SIZE - CRC_SIZE]].concat());
                datagram[..HEADER_SIZE].copy_from_slice(&header);
            }
            let _ = (Copy::decode(&datagram), Copy::decode(&datagram[1..]));
        }
    }
}
