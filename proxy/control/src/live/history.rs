//! The seconds that are remembered.

use axum::body::Bytes;
use std::collections::VecDeque;

/// The most seconds that are remembered: ten minutes.
const SECONDS_MAX: usize = 600;

/// The most bytes that they take; of very many proxies fewer seconds are remembered.
const BYTES_MAX: usize = 16 << 20;

/// The last seconds, as JSON, oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    seconds: VecDeque<Bytes>,
    bytes: usize,
}

impl History {
    /// Adds a second, and forgets the oldest ones that have no room beside it.
    pub(super) fn push(&mut self, second: Bytes) {
        self.bytes += second.len();
        self.seconds.push_back(second);
        while self.seconds.len() > SECONDS_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.seconds.pop_front() else { break };
            self.bytes -= oldest.len();
        }
    }

    /// Returns all of them as a JSON array.
    pub(super) fn to_json(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.bytes + self.seconds.len() + 2);
        text.push(b'[');
        for (place, second) in self.seconds.iter().enumerate() {
            if place > 0 {
                text.push(b',');
            }
            text.extend_from_slice(second);
        }
        text.push(b']');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_when_there_are_too_many_or_they_are_too_large() {
        let mut history = History::default();
        assert_eq!(history.to_json(), b"[]");
        for second in 0..1000 {
            history.push(second.to_string().into());
        }
        let kept: Vec<u32> = serde_json::from_slice(&history.to_json()).unwrap();
        assert_eq!(kept, (400..1000).collect::<Vec<_>>());
        for _ in 0..10 {
            history.push(vec![b'1'; 2 << 20].into());
        }
        assert_eq!((history.seconds.len(), history.bytes), (8, BYTES_MAX));
    }
}
