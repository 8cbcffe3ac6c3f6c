//! The messages that a person types or a script pipes in: a line each.

use crate::protocol::echo::MESSAGE_BYTES_MAX;
use crate::protocol::lines::{Line, Lines, Overlong};
use bytes::Bytes;
use mio::unix::pipe::Receiver;
use std::collections::VecDeque;
use std::io::{self, Read as _};

/// The number of bytes that are read at once; the lines in them are all that is held.
const PIECE: usize = 4 * 1024;

/// The next part of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// A message, without its newline.
    Message(Bytes),
    /// A line that is longer than any message may be.
    TooLong,
    /// Nothing yet.
    Nothing,
    /// Nothing more.
    End,
}

/// Lines from a pipe.
#[derive(Debug)]
pub struct EchoInput {
    pipe: Receiver,
    lines: Lines,
    given: VecDeque<Given>,
    has_ended: bool,
}

impl EchoInput {
    /// Creates an input of the lines that come through `pipe`, which does not block.
    pub const fn new(pipe: Receiver) -> Self {
        let lines = Lines::new(MESSAGE_BYTES_MAX + 1, Overlong::Skip);
        Self { pipe, lines, given: VecDeque::new(), has_ended: false }
    }

    /// Returns the source that an event loop waits for.
    pub const fn source(&mut self) -> &mut Receiver {
        &mut self.pipe
    }

    /// Returns the next part of the input.
    pub fn next_given(&mut self) -> Given {
        let mut buffer = [0; PIECE];
        while self.given.is_empty() && !self.has_ended {
            match self.pipe.read(&mut buffer) {
                Ok(0) => {
                    self.has_ended = true;
                    let rest = self.lines.finish().map(|rest| Given::Message(rest.into()));
                    self.given.extend(rest);
                }
                Ok(length) => {
                    let Self { lines, given, .. } = self;
                    lines.push(&buffer[..length], |line| given.push_back(taken(line)));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Given::Nothing,
                Err(error) => {
                    log::warn!("cannot read what is given: {error}");
                    self.has_ended = true;
                }
            }
        }
        self.given.pop_front().unwrap_or(Given::End)
    }
}

fn taken(line: Line<'_>) -> Given {
    line.text().map_or(Given::TooLong, |text| Given::Message(Bytes::copy_from_slice(text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn lines_come_as_they_are_given() {
        let (mut sender, receiver) = mio::unix::pipe::new().unwrap();
        let mut input = EchoInput::new(receiver);
        assert_eq!(input.next_given(), Given::Nothing);
        let message = |text: &'static str| Given::Message(Bytes::from_static(text.as_bytes()));
        sender.write_all(b"one\n\ntw").unwrap();
        assert_eq!(
            [0; 3].map(|_| input.next_given()),
            [message("one"), message(""), Given::Nothing]
        );
        sender.write_all(b"o\r\nend").unwrap();
        assert_eq!([0; 2].map(|_| input.next_given()), [message("two"), Given::Nothing]);
        drop(sender);
        assert_eq!([0; 3].map(|_| input.next_given()), [message("end"), Given::End, Given::End]);
    }
}
