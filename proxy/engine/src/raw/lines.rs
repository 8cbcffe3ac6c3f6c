//! Cutting a stream into lines, which are held until their newline, 64 KiB or 200 ms.

use super::UNIT_BYTES_MAX;
use crate::memory::{Charge, Memory};
use bytes::Bytes;
use jostle_common::time::Instant;
use std::time::Duration;

/// The time that an unfinished line waits for its newline, from its first byte on: a prompt has
/// none.
pub(super) const LINE_WAIT: Duration = Duration::from_millis(200);

/// The unfinished line of a stream.
#[derive(Debug)]
pub(super) struct Lines {
    unfinished: Vec<u8>,
    /// What it costs.
    charge: Charge,
    /// The time at which its first byte came.
    since: Option<Instant>,
}

impl Lines {
    /// Makes a stream without a line; what is held is charged to `memory`.
    pub(super) fn new(memory: &Memory) -> Self {
        Self { unfinished: Vec::new(), charge: Charge::new(memory, 0), since: None }
    }

    /// Takes bytes and returns the lines that are finished by them.
    pub(super) fn push(&mut self, now: Instant, mut bytes: Bytes) -> Vec<Bytes> {
        let mut finished = Vec::new();
        while !bytes.is_empty() {
            let room = UNIT_BYTES_MAX - self.unfinished.len();
            let part = &bytes[..bytes.len().min(room)];
            let newline = part.iter().position(|byte| *byte == b'\n');
            let end = newline.map_or(part.len(), |at| at + 1);
            let piece = bytes.split_to(end);
            if newline.is_none() && end < room {
                self.unfinished.extend_from_slice(&piece);
                self.charge.set(self.unfinished.capacity() as u64);
                self.since = self.since.or(Some(now));
                break;
            }
            if self.unfinished.is_empty() {
                // Nothing to put in front: no copy.
                finished.push(piece);
            } else {
                self.unfinished.extend_from_slice(&piece);
                finished.extend(self.take());
            }
        }
        finished
    }

    /// Takes out the unfinished line, as far as it came.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        self.since = None;
        if self.unfinished.is_empty() {
            return None;
        }
        self.charge.set(0);
        let line = std::mem::take(&mut self.unfinished).into_boxed_slice();
        Some(self.charge.memory().charge(Bytes::from(line)))
    }

    /// Returns when the unfinished line goes anyway.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.since.map(|since| since + LINE_WAIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pieces: &[&str]) -> (Vec<String>, Option<String>) {
        let mut lines = Lines::new(&Memory::default());
        let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        let finished = pieces
            .iter()
            .flat_map(|piece| lines.push(Instant::START, Bytes::copy_from_slice(piece.as_bytes())))
            .map(text)
            .collect();
        (finished, lines.take().map(text))
    }

    #[test]
    fn lines_do_not_depend_on_how_the_stream_came() {
        let whole =
            (vec!["one\n".to_owned(), "\n".into(), "two\r\n".into()], Some("rest".to_owned()));
        assert_eq!(cut(&["one\n\ntwo\r\nrest"]), whole);
        assert_eq!(cut(&["o", "ne", "\n", "\ntwo", "\r\nre", "st"]), whole);
    }

    #[test]
    fn a_line_without_end_is_cut_at_64_kib() {
        let long = "x".repeat(150_000);
        let (finished, rest) = cut(&[&long]);
        assert_eq!(finished.iter().map(String::len).collect::<Vec<_>>(), [65_536, 65_536]);
        assert_eq!(rest.unwrap().len(), 150_000 - 2 * 65_536);
        let bytes: Vec<&str> =
            long.as_bytes().chunks(7).map(|chunk| std::str::from_utf8(chunk).unwrap()).collect();
        assert_eq!(cut(&bytes).0, finished);
        let (finished, rest) = cut(&[&"x".repeat(65_535), "\n"]);
        assert_eq!((finished.len(), rest), (1, None), "the newline still fits");
    }

    #[test]
    fn the_wait_counts_from_the_first_byte() {
        let memory = Memory::default();
        let mut lines = Lines::new(&memory);
        assert_eq!(lines.deadline(), None);
        assert!(lines.push(Instant::from_millis(10), "a".into()).is_empty());
        assert!(lines.push(Instant::from_millis(150), "b".into()).is_empty());
        assert_eq!(lines.deadline(), Some(Instant::from_millis(210)));
        assert_eq!(lines.push(Instant::from_millis(160), "c\nd".into()), ["abc\n"]);
        assert_eq!(lines.deadline(), Some(Instant::from_millis(360)));
        assert!(memory.used() > 0);
        let rest = lines.take();
        assert!(rest.is_some() && memory.used() > 0);
        drop(rest);
        assert_eq!(memory.used(), 0);
    }
}
