//! Cuts a stream of bytes into lines of bounded length.

use std::time::Duration;

/// The silence behind the last byte after which a line without a newline may be taken for whole:
/// many programs send none. Longer than the pause between two segments of one line, unless the
/// network is very bad; what follows is then taken as the owner of the lines sees fit.
pub const SILENCE: Duration = Duration::from_millis(200);

/// The silence behind a piece of a line after which its rest is not waited for any longer.
pub const LONG_SILENCE: Duration = Duration::from_secs(2);

/// The length of a silence behind a line without a newline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// A whole text may be taken for a line.
    Short,
    /// Whatever came is all that will come.
    Long,
}

/// The longest text in bytes that is taken for a line without a newline. What is longer comes in
/// several segments, and is a part of a line.
pub const UNFINISHED_BYTES_MAX: usize = 1024;

/// What people are shown of a line that was too long, of which nothing is kept.
pub const TOO_LONG: &[u8] = b"a line that is too long";

/// Returns the newline that `bytes` begin with, if they do: that of a line which was taken for
/// whole before it came.
pub fn late_newline(bytes: &[u8]) -> &[u8] {
    match bytes {
        [b'\r', b'\n', ..] => &bytes[..2],
        [b'\n', ..] => &bytes[..1],
        _ => &[],
    }
}

/// The treatment of a line that is longer than the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlong {
    /// It is skipped up to its newline, and told of once.
    Skip,
    /// It is taken as several, each as long as the bound.
    Cut,
}

/// A line, or the news of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A line with its newline, if it had one.
    Whole(&'a [u8]),
    /// A line that was too long and is skipped.
    TooLong,
}

impl<'a> Line<'a> {
    /// Returns the line without its newline, and without a carriage return in front of it, as
    /// telnet sends.
    pub const fn text(self) -> Option<&'a [u8]> {
        match self {
            Self::Whole([line @ .., b'\r', b'\n'] | [line @ .., b'\n'] | line) => Some(line),
            Self::TooLong => None,
        }
    }
}

/// The unfinished line of a stream. It holds at most the bound.
#[derive(Debug)]
pub struct Lines {
    unfinished: Vec<u8>,
    bytes_max: usize,
    overlong: Overlong,
    /// True if the rest of a line that was too long is still to come.
    is_skipping: bool,
}

impl Lines {
    /// Creates the cutter of a stream whose lines have at most `bytes_max` bytes, newline
    /// included.
    pub const fn new(bytes_max: usize, overlong: Overlong) -> Self {
        Self { unfinished: Vec::new(), bytes_max, overlong, is_skipping: false }
    }

    /// Takes in the next bytes, and gives `each` the lines that are finished by them.
    pub fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(Line<'_>)) {
        while !bytes.is_empty() {
            let newline = bytes.iter().position(|byte| *byte == b'\n');
            let room = self.bytes_max - self.unfinished.len();
            let end = newline.map_or(bytes.len(), |at| at + 1);
            if self.is_skipping {
                self.is_skipping = newline.is_none();
                bytes = &bytes[end..];
                continue;
            }
            let (piece, rest) = bytes.split_at(end.min(room));
            self.unfinished.extend_from_slice(piece);
            bytes = rest;
            let is_line = newline.is_some() && end <= room;
            if is_line || self.overlong == Overlong::Cut && self.unfinished.len() == self.bytes_max
            {
                each(Line::Whole(&self.unfinished));
                self.unfinished.clear();
            } else if end > room {
                self.unfinished.clear();
                self.is_skipping = true;
                each(Line::TooLong);
            }
        }
    }

    /// Returns the lines as they stand, leaving the beginning of a stream: for an owner whose
    /// handler of lines needs the rest of it.
    #[must_use]
    pub const fn take(&mut self) -> Self {
        let fresh = Self::new(self.bytes_max, self.overlong);
        std::mem::replace(self, fresh)
    }

    /// Returns the bytes behind the last newline, as far as they have come.
    pub fn unfinished(&self) -> &[u8] {
        &self.unfinished
    }

    /// Returns the bytes that the stream ended with behind its last newline, if any.
    pub fn finish(&mut self) -> Option<Vec<u8>> {
        let rest = std::mem::take(&mut self.unfinished);
        (!rest.is_empty()).then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Returns the lines of `pieces`, with `None` for one that was too long.
    fn cut(pieces: &[&[u8]], bytes_max: usize, overlong: Overlong) -> Vec<Option<Vec<u8>>> {
        let mut lines = Lines::new(bytes_max, overlong);
        let mut found = Vec::new();
        for piece in pieces {
            lines.push(piece, |line| {
                found.push(match line {
                    Line::Whole(line) => Some(line.to_vec()),
                    Line::TooLong => None,
                });
            });
        }
        found.extend(lines.finish().map(Some));
        found
    }

    fn whole(line: &str) -> Option<Vec<u8>> {
        Some(line.as_bytes().to_vec())
    }

    #[test]
    fn lines_come_out_however_the_stream_is_cut() {
        let expected = [whole("one\n"), whole("\n"), whole("two\r\n"), whole("end")];
        for pieces in
            [&[&b"one\n\ntwo\r\nend"[..]][..], &[b"o", b"ne", b"\n\nt", b"wo\r", b"\ne", b"nd"]]
        {
            assert_eq!(cut(pieces, 100, Overlong::Skip), expected);
            assert_eq!(cut(pieces, 5, Overlong::Cut), expected);
        }
        for (line, text) in [("a\r\n", "a"), ("a\n", "a"), ("a", "a"), ("\n", ""), ("a\r", "a\r")] {
            assert_eq!(Line::Whole(line.as_bytes()).text(), Some(text.as_bytes()), "{line:?}");
        }
    }

    #[test]
    fn a_line_beyond_the_bound_is_skipped_or_cut() {
        assert_eq!(
            cut(&[b"1234\n12345\nab\n"], 5, Overlong::Skip),
            [whole("1234\n"), None, whole("ab\n")]
        );
        assert_eq!(cut(&[b"123456", b"789", b"0\nab\n"], 5, Overlong::Skip), [None, whole("ab\n")]);
        let pieces = [whole("12345"), whole("67890"), whole("\n"), whole("ab\n")];
        assert_eq!(cut(&[b"123456", b"789", b"0\nab\n"], 5, Overlong::Cut), pieces);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_when_cut_and_nothing_is_held_beyond_the_bound(
            pieces in prop::collection::vec(prop::collection::vec(prop::sample::select(vec![b'a',
                b'\n']), 0..30), 0..20),
            bytes_max in 1usize..12,
        ) {
            let borrowed: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let found = cut(&borrowed, bytes_max, Overlong::Cut);
            prop_assert!(found.iter().flatten().all(|line| line.len() <= bytes_max));
            prop_assert_eq!(found.into_iter().flatten().flatten().collect::<Vec<u8>>(),
                pieces.concat());
            // Skipping keeps exactly the lines that fit, and tells of each other one.
            let expected: Vec<_> = pieces.concat().split_inclusive(|byte| *byte == b'\n')
                .map(|line| (line.len() <= bytes_max).then(|| line.to_vec())).collect();
            prop_assert_eq!(cut(&borrowed, bytes_max, Overlong::Skip), expected);
        }
    }
}
