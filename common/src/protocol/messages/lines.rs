//! Cutting a byte stream into lines of bounded length.

use bytes::{Buf, Bytes, BytesMut};

/// What was cut off the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A line without its newline.
    Whole(Bytes),
    /// A line that was longer than allowed; its bytes are gone.
    TooLong,
}

/// The stream so far, cut into lines. It holds one unfinished line, and what was pushed last.
#[derive(Debug)]
pub struct Lines {
    buffer: BytesMut,
    /// How far the buffer is known to have no newline.
    searched: usize,
    /// The longest line, with its newline, in bytes.
    bytes_max: usize,
    /// Whether the unfinished line is too long, and its bytes are thrown away.
    skipping: bool,
}

impl Lines {
    /// Cuts into lines of at most `bytes_max` bytes with their newline.
    pub fn new(bytes_max: usize) -> Self {
        Self { buffer: BytesMut::new(), searched: 0, bytes_max, skipping: false }
    }

    /// Takes the next bytes of the stream. Take the lines out before more is pushed.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next finished line.
    pub fn next_line(&mut self) -> Option<Line> {
        let newline = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n');
        let Some(end) = newline.map(|at| self.searched + at) else {
            self.searched = self.buffer.len();
            // A newline must still fit.
            if self.searched >= self.bytes_max {
                self.skipping = true;
            }
            if self.skipping {
                self.buffer.clear();
                self.searched = 0;
            }
            return None;
        };
        self.searched = 0;
        let line = self.buffer.split_to(end).freeze();
        self.buffer.advance(1);
        let too_long = std::mem::take(&mut self.skipping) || line.len() >= self.bytes_max;
        Some(if too_long { Line::TooLong } else { Line::Whole(line) })
    }

    /// The unfinished line at the end of the stream, if there is one.
    pub fn finish(&mut self) -> Option<Line> {
        self.searched = 0;
        let rest = self.buffer.split().freeze();
        if std::mem::take(&mut self.skipping) || rest.len() >= self.bytes_max {
            return Some(Line::TooLong);
        }
        (!rest.is_empty()).then_some(Line::Whole(rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(pieces: &[&[u8]], bytes_max: usize) -> (Vec<Line>, Option<Line>) {
        let mut lines = Lines::new(bytes_max);
        let mut found = Vec::new();
        for piece in pieces {
            lines.push(piece);
            found.extend(std::iter::from_fn(|| lines.next_line()));
            assert!(lines.buffer.len() < bytes_max, "{}", lines.buffer.len());
        }
        (found, lines.finish())
    }

    fn whole(text: &'static str) -> Line {
        Line::Whole(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn lines_end_with_their_newline_and_may_be_empty() {
        let found = cut(&[b"one\n\ntwo\r\nrest"], 64);
        assert_eq!(found, (vec![whole("one"), whole(""), whole("two\r")], Some(whole("rest"))));
        assert_eq!(cut(&[b"one\n"], 64), (vec![whole("one")], None));
    }

    #[test]
    fn a_line_that_is_too_long_is_told_once_and_the_next_one_is_whole() {
        assert_eq!(cut(&[b"123456\nab\n"], 7).0, [whole("123456"), whole("ab")], "the newline fits");
        assert_eq!(cut(&[b"1234567\nab\n"], 7).0, [Line::TooLong, whole("ab")]);
        assert_eq!(cut(&[b"1234567", b"89012345", b"6\nab\n"], 7).0, [Line::TooLong, whole("ab")]);
        assert_eq!(cut(&[b"1234567"], 7), (vec![], Some(Line::TooLong)));
    }

    proptest! {
        #[test]
        fn nothing_depends_on_how_the_stream_came(
            stream in prop::collection::vec(prop::sample::select(&b"ab\r\n"[..]), 0..200), pieces in 1usize..9, bytes_max in 2usize..12,
        ) {
            let pieces: Vec<&[u8]> = stream.chunks(pieces).collect();
            let found = cut(&pieces, bytes_max);
            let expected: Vec<&[u8]> = stream.split(|byte| *byte == b'\n').collect();
            prop_assert_eq!(found.0.len() + 1, expected.len());
            for (found, expected) in found.0.iter().zip(expected) {
                match found {
                    Line::Whole(line) => prop_assert_eq!(&line[..], expected),
                    Line::TooLong => prop_assert!(expected.len() >= bytes_max),
                }
            }
        }
    }
}
