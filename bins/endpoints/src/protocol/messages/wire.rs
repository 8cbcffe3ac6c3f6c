//! The lines of checked messages: `{sequence} {checksum} {message}` one way, `ACK n CRC` or
//! `NACK n CRC` the other.

use crate::protocol::wire::crc;
use bytes::Bytes;

/// The longest line with its newline, in bytes: a raw route of the proxy takes one up to this
/// length as a unit.
pub const LINE_BYTES_MAX: usize = 64 << 10;
/// The most bytes that stand around a message in its line: a number of 20 digits, the checksum of
/// 8, two spaces, the newline.
const FRAME_BYTES_MAX: usize = 20 + 1 + CRC_DIGITS + 1 + 1;
/// The longest message in bytes, whatever its number.
pub const MESSAGE_BYTES_MAX: usize = LINE_BYTES_MAX - FRAME_BYTES_MAX;
/// The message that ends a session.
pub const GOODBYE: &[u8] = b"TCHAU";

/// The hex digits of a checksum.
pub(super) const CRC_DIGITS: usize = 8;

/// Returns true if a message can be sent: it is one line, and not too long for one.
pub fn fits(message: &[u8]) -> bool {
    message.len() <= MESSAGE_BYTES_MAX && !message.contains(&b'\n')
}

/// Returns the line of a message, with its newline.
pub fn encode(sequence: u64, message: &[u8]) -> Bytes {
    let number = sequence.to_string();
    let sum = crc(&[number.as_bytes(), b" ", message].concat());
    let frame = format!("{number} {sum:08x} ");
    [frame.as_bytes(), message, b"\n"].concat().into()
}

/// Reads the line of a message without its newline; `None` when it was damaged, or is no such line.
///
/// A carriage return in front of the newline belongs to the message if the checksum says so;
/// otherwise it is taken for the sender's way to end a line (telnet, `nc -C`).
pub fn decode(line: &[u8]) -> Option<(u64, &[u8])> {
    let digits = line.iter().position(|byte| *byte == b' ')?;
    let sequence = decimal(&line[..digits])?;
    let sum = hexadecimal(line.get(digits + 1..digits + 1 + CRC_DIGITS)?)?;
    let frame = digits + 1 + CRC_DIGITS + 1;
    if line.get(frame - 1) != Some(&b' ') {
        return None;
    }
    let number = crc32fast::Hasher::new_with_initial(crc(&line[..=digits]));
    let is_right = |message: &[u8]| {
        let mut hasher = number.clone();
        hasher.update(message);
        hasher.finalize() == sum
    };
    let message = &line[frame..];
    if is_right(message) {
        return Some((sequence, message));
    }
    let message = message.strip_suffix(b"\r")?;
    is_right(message).then_some((sequence, message))
}

/// The verdict of a server on a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyVerdict {
    /// The message with this number was delivered, now or before.
    Ack,
    /// A line could not be taken; the message with this number is waited for.
    Nack,
}

impl ReplyVerdict {
    /// Returns the word for it.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Ack => "ACK",
            Self::Nack => "NACK",
        }
    }
}

/// The answer to a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The verdict.
    pub verdict: ReplyVerdict,
    /// The number of the message that it is about.
    pub sequence: u64,
    /// True if it carries a checksum. Ours do; programs of others may not.
    pub is_checked: bool,
}

impl Reply {
    /// Creates a reply with a checksum.
    pub const fn new(verdict: ReplyVerdict, sequence: u64) -> Self {
        Self { verdict, sequence, is_checked: true }
    }

    /// Returns the line, with its newline.
    pub fn encode(&self) -> Bytes {
        let text = format!("{} {}", self.verdict.word(), self.sequence);
        let line = if self.is_checked {
            format!("{text} {:08x}\n", crc(text.as_bytes()))
        } else {
            text + "\n"
        };
        line.into()
    }

    /// Reads a reply without its newline; `None` when it was damaged, or is no reply.
    pub fn decode(line: &[u8]) -> Option<Self> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let mut words = line.split(|byte| *byte == b' ');
        let verdict = match words.next()? {
            b"ACK" => ReplyVerdict::Ack,
            b"NACK" => ReplyVerdict::Nack,
            _ => return None,
        };
        let sequence = decimal(words.next()?)?;
        let Some(digits) = words.next() else {
            return Some(Self { verdict, sequence, is_checked: false });
        };
        let text = &line[..line.len() - digits.len() - 1];
        let is_right = words.next().is_none() && hexadecimal(digits) == Some(crc(text));
        is_right.then_some(Self { verdict, sequence, is_checked: true })
    }
}

/// Reads a number as we write it: digits only, no zeros in front.
fn decimal(digits: &[u8]) -> Option<u64> {
    let is_plain = digits.iter().all(u8::is_ascii_digit)
        && (digits.len() == 1 || digits.first() != Some(&b'0'));
    if !is_plain {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Reads a checksum: exactly 8 digits, letters small. A flipped bit makes an `A` of an `a`: it
/// would go unseen if both were taken.
fn hexadecimal(digits: &[u8]) -> Option<u32> {
    let is_plain = digits.len() == CRC_DIGITS
        && digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    if !is_plain {
        return None;
    }
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_look_as_documented() {
        assert_eq!(encode(0, b"hello"), "0 c2912e81 hello\n");
        assert_eq!(encode(1, GOODBYE), "1 5c0ced31 TCHAU\n");
        assert_eq!(Reply::new(ReplyVerdict::Ack, 0).encode(), "ACK 0 e5820718\n");
        assert_eq!(Reply::new(ReplyVerdict::Nack, 1).encode(), "NACK 1 d0370a2c\n");
    }

    #[test]
    fn a_carriage_return_is_the_message_s_own_only_if_the_checksum_says_so() {
        assert_eq!(decode(b"0 c2912e81 hello\r"), Some((0, &b"hello"[..])));
        let own = encode(0, b"hello\r");
        assert_eq!(decode(&own[..own.len() - 1]), Some((0, &b"hello\r"[..])));
    }

    #[test]
    fn what_is_not_written_exactly_so_is_damage() {
        for wrong in [
            "",
            " ",
            "0",
            "0 c2912e81",
            "0 C2912E81 hello",
            "00 c2912e81 hello",
            "+0 c2912e81 hello",
            "0  c2912e81 hello",
            "0 c2912e81hello",
            "1 c2912e81 hello",
            "18446744073709551616 c2912e81 hello",
            "\r",
        ] {
            assert_eq!(decode(wrong.as_bytes()), None, "{wrong}");
        }
        for wrong in [
            "",
            "ACK",
            "ACK ",
            "ack 0",
            "ACK 00",
            "ACK 0 ",
            "ACK 0 e5820718 ",
            "ACK 1 e5820718",
            "NACK 0 e5820718",
            " ACK 0",
        ] {
            assert_eq!(Reply::decode(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn replies_without_a_checksum_are_understood_and_told_apart() {
        for (text, verdict) in [("ACK 7", ReplyVerdict::Ack), ("NACK 7\r", ReplyVerdict::Nack)] {
            assert_eq!(
                Reply::decode(text.as_bytes()),
                Some(Reply { verdict, sequence: 7, is_checked: false })
            );
        }
    }

    #[test]
    fn the_longest_message_fits_a_unit_of_the_proxy() {
        assert_eq!(encode(u64::MAX, &[b'x'; MESSAGE_BYTES_MAX]).len(), LINE_BYTES_MAX);
        assert!(
            fits(&[b'x'; MESSAGE_BYTES_MAX])
                && !fits(&[b'x'; MESSAGE_BYTES_MAX + 1])
                && !fits(b"two\nlines")
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_one_flipped_bit_never(sequence: u64, message: Vec<u8>,
            place: prop::sample::Index) {
            let message: Vec<u8> = message.into_iter().filter(|byte| *byte != b'\n').collect();
            let whole = encode(sequence, &message);
            let whole = &whole[..whole.len() - 1];
            prop_assert_eq!(decode(whole), Some((sequence, &message[..])));
            let mut damaged = whole.to_vec();
            let bit = place.index(damaged.len() * 8);
            damaged[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(decode(&damaged), None);
        }

        #[test]
        fn one_flipped_bit_makes_no_other_reply_of_a_reply(sequence: u64, is_ack: bool,
            place: prop::sample::Index) {
            let verdict = if is_ack { ReplyVerdict::Ack } else { ReplyVerdict::Nack };
            let reply = Reply::new(verdict, sequence);
            let mut line = reply.encode().to_vec();
            line.pop();
            prop_assert_eq!(Reply::decode(&line), Some(reply));
            let bit = place.index(line.len() * 8);
            line[bit / 8] ^= 1 << (bit % 8);
            for part in line.split(|byte| *byte == b'\n') {
                prop_assert_eq!(Reply::decode(part), None);
            }
        }

        #[test]
        fn no_bytes_make_a_reader_panic(bytes: Vec<u8>, digits in "[0-9]{1,22} [0-9a-f]{7,9}") {
            for line in [bytes.clone(), [digits.as_bytes(), &bytes].concat(), [b"ACK ",
                digits.as_bytes(), &bytes].concat()] {
                let _ = (decode(&line), Reply::decode(&line));
            }
        }
    }
}
