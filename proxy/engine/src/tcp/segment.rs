//! A segment of the modelled TCP.

/// A segment on the wire.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Bytes of payload.
    pub payload: u32,
}

impl Segment {
    /// The bytes on the wire: payload and 52 bytes of IP and TCP headers with timestamps.
    pub const fn wire_size(&self) -> u32 {
        52 + self.payload
    }
}
