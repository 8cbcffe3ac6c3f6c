//! The bytes of packets: slices of buffers that they share.
//!
//! A `Bytes` takes four words; of a packet that is held a million times over, two are too many.

use crate::memory::Charge;
use bytes::Bytes;
use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// A slice of a shared buffer. Clones and slices of it copy no bytes.
///
/// ```
/// use jostle_engine::payload::Payload;
/// let payload = Payload::from(vec![1, 2, 3, 4]);
/// assert_eq!(payload.slice(1..3), [2, 3][..]);
/// ```
#[derive(Clone)]
pub struct Payload {
    /// `None` if it has no bytes.
    buffer: Option<Arc<Buffer>>,
    start: u32,
    length: Length,
}

// What a packet carries besides it has to fit into the values that its last byte never has.
const _: () = assert!(size_of::<Payload>() == 16);

/// Bytes, and what they cost until the last slice of them goes.
struct Buffer {
    bytes: Bytes,
    charge: Option<Charge>,
}

/// A number of bytes in 24 bits.
#[derive(Clone, Copy)]
#[repr(C, align(4))]
struct Length {
    bytes: [u8; 3],
    spare: Spare,
}

/// A byte that is always 0: enums keep their tags in its other values.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Spare {
    Zero = 0,
}

impl Length {
    const fn new(length: u32) -> Self {
        let [a, b, c, _] = length.to_le_bytes();
        Self { bytes: [a, b, c], spare: Spare::Zero }
    }

    #[inline]
    const fn get(self) -> u32 {
        let [a, b, c] = self.bytes;
        u32::from_le_bytes([a, b, c, self.spare as u8])
    }
}

impl Payload {
    /// The most bytes of one: a byte less than 16 MiB.
    pub const LENGTH_MAX: usize = (1 << 24) - 1;

    /// Creates one without bytes.
    pub const fn new() -> Self {
        Self { buffer: None, start: 0, length: Length::new(0) }
    }

    /// Creates one that copies nothing.
    ///
    /// # Panics
    /// When the bytes are more than [`LENGTH_MAX`](Self::LENGTH_MAX).
    pub fn from_static(bytes: &'static [u8]) -> Self {
        Bytes::from_static(bytes).into()
    }

    /// Returns the number of its bytes.
    #[inline]
    pub const fn len(&self) -> usize {
        self.length.get() as usize
    }

    /// Returns true if it has no bytes.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns a part of it, which shares its buffer.
    ///
    /// # Panics
    /// When the range goes beyond its end.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.len(), "the range is within it");
        if range.is_empty() {
            return Self::new();
        }
        let (start, length) = (self.start + range.start as u32, range.len() as u32);
        Self { buffer: self.buffer.clone(), start, length: Length::new(length) }
    }

    /// Takes the first bytes out of it.
    ///
    /// # Panics
    /// When it has not as many.
    pub(crate) fn split_to(&mut self, bytes: usize) -> Self {
        let front = self.slice(0..bytes);
        let length = self.len() - bytes;
        self.start += bytes as u32;
        self.length = Length::new(length as u32);
        front
    }

    /// Returns it as `Bytes`, which share its buffer and what it is charged with.
    pub fn to_bytes(&self) -> Bytes {
        let start = self.start as usize;
        match &self.buffer {
            None => Bytes::new(),
            Some(buffer) if buffer.charge.is_some() => Bytes::from_owner(self.clone()),
            Some(buffer) => buffer.bytes.slice(start..start + self.len()),
        }
    }

    /// Takes bytes over, and what they are charged with.
    pub(crate) fn charged(bytes: Bytes, charge: Option<Charge>) -> Self {
        assert!(bytes.len() <= Self::LENGTH_MAX, "a packet has less than 16 MiB");
        let length = Length::new(bytes.len() as u32);
        let buffer = (!bytes.is_empty()).then(|| Arc::new(Buffer { bytes, charge }));
        Self { buffer, start: 0, length }
    }
}

impl Default for Payload {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for Payload {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        let start = self.start as usize;
        self.buffer.as_ref().map_or(&[], |buffer| &buffer.bytes[start..start + self.len()])
    }
}

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Bytes> for Payload {
    /// Takes the bytes over.
    ///
    /// # Panics
    /// When they are more than [`LENGTH_MAX`](Self::LENGTH_MAX).
    fn from(bytes: Bytes) -> Self {
        Self::charged(bytes, None)
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<&'static str> for Payload {
    fn from(text: &'static str) -> Self {
        Self::from_static(text.as_bytes())
    }
}

impl From<Payload> for Bytes {
    fn from(payload: Payload) -> Self {
        payload.to_bytes()
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As `Bytes` show theirs.
        write!(f, "b\"{}\"", self.escape_ascii())
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self[..] == other[..]
    }
}

impl Eq for Payload {}

impl PartialEq<[u8]> for Payload {
    fn eq(&self, other: &[u8]) -> bool {
        self[..] == *other
    }
}

impl PartialEq<Bytes> for Payload {
    fn eq(&self, other: &Bytes) -> bool {
        self[..] == other[..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_share_the_buffer_and_keep_their_bounds() {
        let bytes = Bytes::from((0..=255).collect::<Vec<u8>>());
        let payload = Payload::from(bytes.clone());
        let part = payload.slice(10..200).slice(5..20);
        assert_eq!((part.len(), &part[..]), (15, &bytes[15..30]));
        assert_eq!(part.to_bytes().as_ptr(), bytes[15..].as_ptr(), "nothing was copied");
        let mut rest = part;
        let front = rest.split_to(4);
        assert_eq!((&front[..], &rest[..]), (&bytes[15..19], &bytes[19..30]));
        assert!(rest.split_to(11).len() == 11 && rest.is_empty() && rest.to_bytes().is_empty());
        assert_eq!(rest, Payload::new());
    }

    #[test]
    fn the_longest_has_a_byte_less_than_16_mebibytes() {
        let payload = Payload::from(vec![7; Payload::LENGTH_MAX]);
        assert_eq!(payload.len(), Payload::LENGTH_MAX);
        assert_eq!(payload.slice(Payload::LENGTH_MAX - 1..Payload::LENGTH_MAX), [7][..]);
        let longer = vec![7; Payload::LENGTH_MAX + 1];
        assert!(std::panic::catch_unwind(|| Payload::from(longer)).is_err());
    }
}
