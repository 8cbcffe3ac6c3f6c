//! The source of a client's messages: a text, or stdin line by line; several on a line with a
//! separator between them.

use crate::protocol::lines::{Line, Lines, Overlong};
use crate::protocol::messages::{GOODBYE, fits};
use crate::streams::Connection;
use bytes::Bytes;
use mio::unix::pipe;
use std::collections::VecDeque;
use std::io::{self, Read};

/// The longest line of stdin, with its newline: room for several of the longest messages.
const LINE_BYTES_MAX: usize = 1 << 20;

/// The next entry of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputEntry {
    /// A message.
    Message(Bytes),
    /// A message on this line, counted from 1, is too long to be sent.
    TooLong(u64),
    /// Nothing before the source is readable again.
    Waits,
    /// No more messages.
    End,
}

/// Messages, in order.
pub struct Input {
    lines: Lines,
    line: u64,
    separator: Vec<u8>,
    entries: VecDeque<InputEntry>,
    /// Messages that are made when their turn comes.
    made: Option<Box<dyn Iterator<Item = Bytes> + Send>>,
    /// The pipe from which more lines come.
    source: Option<pipe::Receiver>,
    has_ended: bool,
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { line, entries, source, has_ended, .. } = self;
        write!(
            f,
            "input at line {line}, {} entries read ahead, ended {has_ended}, {source:?}",
            entries.len()
        )
    }
}

impl Input {
    /// Returns the messages of a text, whose lines are read as those of stdin. An empty separator
    /// leaves lines whole.
    pub fn text(text: &str, separator: &str) -> Self {
        let mut input = Self::new(separator);
        text.split('\n').for_each(|line| input.take_line(Line::Whole(line.as_bytes())));
        input
    }

    /// Creates an input from messages that are made one by one, each when its turn comes.
    pub fn made(messages: impl Iterator<Item = Bytes> + Send + 'static) -> Self {
        Self { made: Some(Box::new(messages)), ..Self::new("") }
    }

    /// Returns the messages that come through a pipe, such as that of
    /// [`jostle_console::stdin::open`].
    pub fn pipe(source: pipe::Receiver, separator: &str) -> Self {
        Self { source: Some(source), ..Self::new(separator) }
    }

    fn new(separator: &str) -> Self {
        Self {
            lines: Lines::new(LINE_BYTES_MAX, Overlong::Skip),
            line: 0,
            separator: separator.as_bytes().to_vec(),
            entries: VecDeque::new(),
            made: None,
            source: None,
            has_ended: false,
        }
    }

    /// Lets the loop of a connection wait for the source, if there is one.
    pub(super) fn watch(&mut self, connection: &Connection) -> io::Result<()> {
        self.source.as_mut().map_or(Ok(()), |source| connection.watch(source))
    }

    /// Returns the next entry.
    pub fn next_entry(&mut self) -> InputEntry {
        loop {
            if let Some(entry) = self.entries.pop_front() {
                return entry;
            }
            if let Some(message) = self.made.as_mut().and_then(Iterator::next) {
                return InputEntry::Message(message);
            }
            if self.has_ended {
                return InputEntry::End;
            }
            if let Some(wait) = self.read() {
                return wait;
            }
        }
    }

    /// Reads a piece of the source. Returns the entry to give when there is none.
    fn read(&mut self) -> Option<InputEntry> {
        let mut buffer = [0; 4096];
        let length = match self.source.as_mut().map_or(Ok(0), |source| source.read(&mut buffer)) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Some(InputEntry::Waits);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return None,
            Err(error) => {
                log::warn!("cannot read the messages: {error}");
                0
            }
        };
        if length > 0 {
            let mut lines = self.lines.take();
            lines.push(&buffer[..length], |line| self.take_line(line));
            self.lines = lines;
            return None;
        }
        self.has_ended = true;
        if let Some(line) = self.lines.finish() {
            self.take_line(Line::Whole(&line));
        }
        None
    }

    fn take_line(&mut self, line: Line<'_>) {
        self.line += 1;
        let Line::Whole(line) = line else {
            self.entries.push_back(InputEntry::TooLong(self.line));
            return;
        };
        let mut rest = Bytes::copy_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
        while let Some(end) = self.find_separator(&rest) {
            self.take_message(rest.split_to(end));
            let _ = rest.split_to(self.separator.len());
        }
        self.take_message(rest);
    }

    fn find_separator(&self, line: &[u8]) -> Option<usize> {
        if self.separator.is_empty() {
            return None;
        }
        line.windows(self.separator.len()).position(|window| window == self.separator)
    }

    fn take_message(&mut self, message: Bytes) {
        // `one || TCHAU` is a goodbye too; every other blank is the message's own.
        let is_goodbye = message.trim_ascii() == GOODBYE;
        self.entries.push_back(match fits(&message) {
            _ if is_goodbye => InputEntry::Message(Bytes::from_static(GOODBYE)),
            true => InputEntry::Message(message),
            false => InputEntry::TooLong(self.line),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::messages::MESSAGE_BYTES_MAX;
    use std::io::Write;

    fn read(mut input: Input) -> Vec<String> {
        let entry = |entry| match entry {
            InputEntry::Message(message) => Some(String::from_utf8_lossy(&message).into_owned()),
            InputEntry::TooLong(line) => Some(format!("line {line} is too long")),
            InputEntry::Waits | InputEntry::End => None,
        };
        std::iter::from_fn(|| entry(input.next_entry())).collect()
    }

    #[test]
    fn separators_part_messages_and_take_nothing_from_them() {
        assert_eq!(
            read(Input::text("one||two| | ||||TCHAU", "||")),
            ["one", "two| | ", "", "TCHAU"]
        );
        assert_eq!(read(Input::text("one || TCHAU ", "||")), ["one ", "TCHAU"]);
        assert_eq!(read(Input::text("a|||b", "||")), ["a", "|b"]);
        assert_eq!(read(Input::text("a||b", "")), ["a||b"]);
        assert_eq!(read(Input::text("a, b, c", ", ")), ["a", "b", "c"]);
        assert_eq!(read(Input::text("a||b\nc", "||")), ["a", "b", "c"]);
        assert_eq!(read(Input::text("", "||")), [""]);
    }

    #[test]
    fn messages_that_are_made_come_in_order_and_end() {
        let messages = ["ab", "bc", "cd"].map(Bytes::from);
        assert_eq!(read(Input::made(messages.into_iter())), ["ab", "bc", "cd"]);
    }

    #[test]
    fn a_pipe_is_read_as_far_as_it_has_come() {
        let (mut sender, receiver) = pipe::new().unwrap();
        let mut input = Input::pipe(receiver, "||");
        assert_eq!(input.next_entry(), InputEntry::Waits);
        sender.write_all(b"one||two\n\nth").unwrap();
        for expected in ["one", "two", ""] {
            assert_eq!(input.next_entry(), InputEntry::Message(expected.into()));
        }
        assert_eq!(input.next_entry(), InputEntry::Waits);
        sender.write_all(b"ree").unwrap();
        drop(sender);
        assert_eq!(input.next_entry(), InputEntry::Message("three".into()));
        assert_eq!((input.next_entry(), input.next_entry()), (InputEntry::End, InputEntry::End));
    }

    #[test]
    fn what_is_too_long_is_told_with_its_line() {
        let long = "x".repeat(MESSAGE_BYTES_MAX + 1);
        let text = format!("short\n{long}||{}", &long[1..]);
        assert_eq!(read(Input::text(&text, "||")), ["short", "line 2 is too long", &long[1..]]);
    }
}
