//! The bytes of a modelled stream: its segments carry none, so their payload is looked up here.

use super::headers::Payload;
use std::collections::VecDeque;

/// The bytes that are kept though they were acknowledged: copies and late segments may have them.
const KEPT_BEHIND: u64 = 64 << 10;

/// The bytes of a stream that segments may still carry.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    /// The offset of the first byte that is kept.
    start: u64,
    bytes: VecDeque<u8>,
    /// Set when bytes are missing from here on.
    is_broken: bool,
}

impl Mirror {
    /// Adds bytes, if there is room for them; otherwise the rest of the stream is unknown.
    pub(super) fn push(&mut self, bytes: &[u8], room: usize) {
        if self.is_broken {
        } else if bytes.len() > room {
            self.break_off();
        } else {
            self.bytes.extend(bytes);
        }
    }

    /// Notes that bytes are missing.
    pub(super) fn break_off(&mut self) {
        self.is_broken = true;
        self.bytes = VecDeque::new();
    }

    /// Forgets what no segment carries any more: what is in front of `offset` has arrived.
    pub(super) fn acknowledge(&mut self, offset: u64) {
        let gone = offset.saturating_sub(KEPT_BEHIND).saturating_sub(self.start);
        let gone = usize::try_from(gone).unwrap_or(usize::MAX).min(self.bytes.len());
        self.bytes.drain(..gone);
        self.start += gone as u64;
    }

    /// Returns the payload of a segment.
    pub(super) fn payload(&self, offset: u64, length: u32) -> Payload {
        let known = || {
            let from = usize::try_from(offset.checked_sub(self.start)?).ok()?;
            let to = from + length as usize;
            (to <= self.bytes.len()).then(|| self.bytes.range(from..to).copied().collect())
        };
        if length == 0 {
            return Payload::Bytes(Vec::new());
        }
        known().map_or(Payload::Unknown(length), Payload::Bytes)
    }

    /// Returns how many bytes are kept.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_known_until_they_are_forgotten() {
        let mut mirror = Mirror::default();
        let stream: Vec<u8> = (0..200_000).map(|byte| byte as u8).collect();
        mirror.push(&stream, 1 << 20);
        assert_eq!(mirror.payload(1000, 500), Payload::Bytes(stream[1000..1500].to_vec()));
        mirror.acknowledge(150_000);
        assert_eq!(mirror.payload(1000, 500), Payload::Unknown(500));
        assert_eq!(mirror.payload(90_000, 1), Payload::Bytes(vec![stream[90_000]]));
        assert_eq!(mirror.payload(199_999, 2), Payload::Unknown(2));
        assert_eq!(mirror.len(), 200_000 - (150_000 - (64 << 10)));
        mirror.push(&[1], 0);
        assert_eq!(mirror.payload(199_999, 1), Payload::Unknown(1));
        assert_eq!(mirror.payload(0, 0), Payload::Bytes(Vec::new()));
    }
}
