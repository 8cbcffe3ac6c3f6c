//! The bytes of one direction of a connection, from when they were pushed until they are handed
//! out: shared by both halves, never copied.

use bytes::Bytes;
use std::collections::VecDeque;

/// A run of bytes in pieces.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pieces: VecDeque<Bytes>,
    /// The offset of the first byte in it.
    start: u64,
    /// The offset behind the last.
    end: u64,
}

impl Stream {
    /// Returns the first offset that was not handed out.
    pub(super) const fn start(&self) -> u64 {
        self.start
    }

    /// Returns the end of what was pushed.
    pub(super) const fn end(&self) -> u64 {
        self.end
    }

    /// Returns the number of pieces.
    pub(super) fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// Adds bytes at the end.
    pub(super) fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.end += bytes.len() as u64;
            self.pieces.push_back(bytes);
        }
    }

    /// Hands out the next piece before `offset`.
    pub(super) fn take_before(&mut self, offset: u64) -> Option<Bytes> {
        let room = offset.checked_sub(self.start).filter(|room| *room > 0)?;
        let first = self.pieces.front_mut()?;
        let piece = if first.len() as u64 <= room {
            self.pieces.pop_front()?
        } else {
            first.split_to(room as usize)
        };
        self.start += piece.len() as u64;
        Some(piece)
    }

    /// Forgets everything from `offset` on.
    pub(super) fn truncate(&mut self, offset: u64) {
        while self.end > offset.max(self.start) {
            let Some(last) = self.pieces.back_mut() else { return };
            let surplus = self.end - offset.max(self.start);
            if last.len() as u64 <= surplus {
                self.end -= last.len() as u64;
                self.pieces.pop_back();
            } else {
                last.truncate(last.len() - surplus as usize);
                self.end -= surplus;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hands_out_what_was_pushed_in_pieces() {
        let mut stream = Stream::default();
        for text in ["hel", "", "lo wor", "ld"] {
            stream.push(Bytes::from_static(text.as_bytes()));
        }
        assert_eq!((stream.pieces(), stream.end()), (3, 11));
        let mut got = Vec::new();
        for offset in [2, 2, 7, 11] {
            while let Some(piece) = stream.take_before(offset) {
                got.extend_from_slice(&piece);
            }
            assert_eq!(stream.start(), offset);
        }
        assert_eq!(got, b"hello world");
    }

    #[test]
    fn forgets_the_end_but_not_what_was_handed_out() {
        let mut stream = Stream::default();
        stream.push(Bytes::from_static(b"0123456789"));
        stream.push(Bytes::from_static(b"abc"));
        assert_eq!(stream.take_before(4).unwrap(), "0123");
        stream.truncate(8);
        assert_eq!(
            (stream.end(), stream.take_before(20).unwrap()),
            (8, Bytes::from_static(b"4567"))
        );
        stream.truncate(2);
        assert_eq!((stream.start(), stream.end()), (8, 8));
    }
}
