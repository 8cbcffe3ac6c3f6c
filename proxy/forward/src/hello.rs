//! The server name that a TLS client asks for, read from the first bytes of its stream in passing:
//! the extension `server_name` of its ClientHello (RFC 8446 section 4.1.2, RFC 6066 section 3).
//!
//! Nothing is decrypted and nothing is kept but the name itself, so a client that sends a byte an
//! hour costs no more than one that sends all at once. Of an encrypted ClientHello it is the name
//! outside.

/// The longest ClientHello that is looked through; browsers' are below 2 KiB.
const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// The longest name that the domain name system has (RFC 1035, section 2.3.4), with a dot behind
/// it.
const NAME_BYTES_MAX: usize = 254;

/// A content type and a message type (RFC 8446, appendix B).
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;

/// The most bytes in a record (RFC 8446, section 5.1).
const RECORD_BYTES_MAX: usize = 1 << 14;

/// Reads the server name out of the first bytes of a stream, as they come.
///
/// ```
/// use jostle_forward::hello::{Heard, HelloReader};
/// let mut reader = HelloReader::default();
/// assert_eq!(reader.handle(b"GET / HTTP/1.1"), Heard::Nothing);
/// ```
#[derive(Debug)]
pub struct HelloReader {
    /// The head of a record, as far as it has come.
    head: Vec<u8>,
    /// The bytes of the record that are still to come.
    record_left: usize,
    /// The part of the message that is read next, and the bytes of it that have come.
    part: Part,
    held: Vec<u8>,
    /// The bytes to pass over before it.
    skip: usize,
    /// The bytes of the message that are still to come; until its head is known, those of the head.
    message_left: usize,
    /// The bytes of its extensions behind those that were begun.
    extensions_left: usize,
    /// Set once there is nothing more to hear.
    is_over: bool,
}

/// What was heard in a stream so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Not enough to tell.
    More,
    /// The name of the server that is asked for, in lower case.
    Name(String),
    /// No name: it is no ClientHello, or one without a name. What follows is of no interest.
    Nothing,
}

/// A part of the message that says something; what stands between is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// The type and the length of the message.
    MessageHead,
    /// The length of the session's id, behind version and random.
    SessionLength,
    /// The length of the list of cipher suites.
    CiphersLength,
    /// The length of the list of compression methods.
    CompressionsLength,
    /// The length of all extensions.
    ExtensionsLength,
    /// The type and the length of one.
    ExtensionHead,
    /// The length of the list of names, and the type and the length of the first.
    NameHead,
    /// A name of so many bytes.
    Name(usize),
}

impl Part {
    const fn len(self) -> usize {
        match self {
            Self::SessionLength | Self::CompressionsLength => 1,
            Self::CiphersLength | Self::ExtensionsLength => 2,
            Self::MessageHead | Self::ExtensionHead => 4,
            Self::NameHead => 5,
            Self::Name(bytes) => bytes,
        }
    }
}

impl Default for HelloReader {
    fn default() -> Self {
        Self {
            head: Vec::new(),
            record_left: 0,
            part: Part::MessageHead,
            held: Vec::new(),
            skip: 0,
            message_left: Part::MessageHead.len(),
            extensions_left: 0,
            is_over: false,
        }
    }
}

impl HelloReader {
    /// Looks at the next bytes of the stream. After anything but [`Heard::More`] there is nothing
    /// to be heard any more.
    pub fn handle(&mut self, bytes: &[u8]) -> Heard {
        for &byte in bytes {
            if self.is_over {
                return Heard::Nothing;
            }
            let heard = if self.record_left > 0 {
                self.record_left -= 1;
                self.take(byte)
            } else {
                self.take_of_record_head(byte)
            };
            if heard != Heard::More {
                self.is_over = true;
                return heard;
            }
        }
        if self.is_over { Heard::Nothing } else { Heard::More }
    }

    /// Takes a byte of a record's head: its type, a version, its length.
    fn take_of_record_head(&mut self, byte: u8) -> Heard {
        let is_possible = match self.head.len() {
            0 => byte == HANDSHAKE,
            1 => byte == 3,
            _ => true,
        };
        if !is_possible {
            return Heard::Nothing;
        }
        self.head.push(byte);
        if let [_, _, _, high, low] = *self.head {
            self.record_left = usize::from(u16::from_be_bytes([high, low]));
            self.head.clear();
            if !(1..=RECORD_BYTES_MAX).contains(&self.record_left) {
                return Heard::Nothing;
            }
        }
        Heard::More
    }

    /// Takes a byte of the message.
    fn take(&mut self, byte: u8) -> Heard {
        self.message_left -= 1;
        if self.skip > 0 {
            self.skip -= 1;
        } else {
            self.held.push(byte);
            if self.held.len() == self.part.len() {
                let held = std::mem::take(&mut self.held);
                match self.read(&held) {
                    Some(Heard::More) => {}
                    heard => return heard.unwrap_or(Heard::Nothing),
                }
            }
        }
        // It may end without extensions, or in the middle of something.
        if self.message_left == 0 { Heard::Nothing } else { Heard::More }
    }

    /// Reads a part; `None` if it cannot be so.
    fn read(&mut self, held: &[u8]) -> Option<Heard> {
        /// The version and the random number.
        const FRONT: usize = 2 + 32;
        let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        let (skip, part) = match self.part {
            Part::MessageHead => {
                let length = number(&held[1..]);
                if held[0] != CLIENT_HELLO || length > MESSAGE_BYTES_MAX {
                    return None;
                }
                self.message_left = length;
                (FRONT, Part::SessionLength)
            }
            Part::SessionLength => (number(held), Part::CiphersLength),
            Part::CiphersLength => (number(held), Part::CompressionsLength),
            Part::CompressionsLength => (number(held), Part::ExtensionsLength),
            Part::ExtensionsLength => {
                self.extensions_left = number(held);
                (0, Part::ExtensionHead)
            }
            Part::ExtensionHead => {
                let (kind, length) = (number(&held[..2]), number(&held[2..]));
                self.extensions_left = self.extensions_left.checked_sub(4 + length)?;
                match kind {
                    0 if length < Part::NameHead.len() => return None,
                    0 => (0, Part::NameHead),
                    _ if self.extensions_left == 0 => return None,
                    _ => (length, Part::ExtensionHead),
                }
            }
            Part::NameHead => {
                let (kind, length) = (held[2], number(&held[3..]));
                if kind != 0 || !(1..=NAME_BYTES_MAX).contains(&length) {
                    return None;
                }
                (0, Part::Name(length))
            }
            Part::Name(_) => return name(held).map(Heard::Name),
        };
        (self.skip, self.part) = (skip, part);
        Some(Heard::More)
    }
}

/// Returns a name in lower case; `None` if it is none that a server may have.
fn name(bytes: &[u8]) -> Option<String> {
    let is_of_a_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let text = std::str::from_utf8(bytes).ok()?;
    bytes.iter().all(is_of_a_name).then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests;
