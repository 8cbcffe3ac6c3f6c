//! The ways in which lines are read: as ours, or as those of a program that knows no more than that
//! a line is `{sequence} {checksum} {message}`.
//!
//! The first valid line of a session settles which. A line of ours that was damaged must never
//! pass for one of the other kind: a session that is settled as ours reads nothing else, a checksum
//! of 32 bits does not fit by chance, and a weaker one is believed at once only if the line cannot
//! have been ours. Otherwise it has to come a second time, as it is.

use super::checksum::{Checksums, FIELD_BYTES_MAX, examples};
use super::wire::{CRC_DIGITS, GOODBYE, decode};
use crate::protocol::hint::Hint;
use crate::protocol::wire::crc;

/// The longest line in bytes that is read as another program's.
const OTHERS_BYTES_MAX: usize = 16 << 10;
/// The most lines that may stand on one, with `||` between them.
const PARTS_MAX: usize = 256;
/// The separator of lines that were sent in one piece.
const SEPARATOR: &[u8] = b"||";
/// The number of digits from which on a checksum is as sure as ours, whatever it is: a damaged
/// line of ours has random ones there.
const SURE_DIGITS: usize = CRC_DIGITS;

/// The flipped bits up to which a line is taken for one of ours that was damaged.
const FLIPS_MAX: u32 = 3;

/// The lines of a session, as the first valid one settled them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// As documented: CRC-32 over number and message, in eight small hex digits.
    Documented,
    /// With one of these checksums.
    Other(Checksums),
}

/// A valid line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ValidLine<'a> {
    pub(super) sequence: u64,
    pub(super) message: &'a [u8],
    dialect: Dialect,
}

/// Reads the lines of one session.
#[derive(Debug, Default)]
pub(super) struct Reader {
    settled: Option<Dialect>,
    /// True if a line came that may have been one of ours, damaged.
    has_seen_ours: bool,
    /// The CRC and the length of the last line that is doubtful.
    doubtful: Option<(u32, usize)>,
    /// True if its remark was made.
    has_hinted: bool,
}

impl Reader {
    /// Returns the dialect, if it is settled.
    pub(super) const fn settled(&self) -> Option<Dialect> {
        self.settled
    }

    /// Returns true if lines are read as those of another program, or may be.
    pub(super) const fn may_be_other(&self) -> bool {
        !matches!(self.settled, Some(Dialect::Documented))
    }

    /// Reads a line without its newline; `None` when it is not valid.
    pub(super) fn read<'a>(&self, line: &'a [u8]) -> Option<ValidLine<'a>> {
        if self.settled.is_none_or(|dialect| dialect == Dialect::Documented)
            && let Some((sequence, message)) = decode(line)
        {
            return Some(ValidLine { sequence, message, dialect: Dialect::Documented });
        }
        let known = match self.settled {
            Some(Dialect::Documented) => return None,
            Some(Dialect::Other(known)) => Some(known),
            None => None,
        };
        let fields = Fields::of(line)?;
        let (sums, message) = fields.sums(known)?;
        let is_sure = sums.is_strong() || fields.checksum.len() >= SURE_DIGITS;
        let is_doubtful =
            known.is_none() && !is_sure && (self.has_seen_ours || resembles_ours(line));
        if is_doubtful && self.doubtful != Some(mark(line)) {
            return None;
        }
        let sequence = fields.sequence;
        Some(ValidLine { sequence, message, dialect: Dialect::Other(sums) })
    }

    /// Takes in that a valid line was accepted.
    pub(super) const fn settle(&mut self, line: &ValidLine<'_>) {
        self.settled = Some(line.dialect);
    }

    /// Takes in a line that is not valid. Returns a remark about the first in a session without a
    /// valid line; of two, if it may have been ours.
    pub(super) fn refuse(&mut self, line: &[u8]) -> Option<Hint> {
        if self.settled.is_some() {
            return None;
        }
        self.doubtful = Some(mark(line));
        let is_first = resembles_ours(line) && !std::mem::replace(&mut self.has_seen_ours, true);
        if is_first || std::mem::replace(&mut self.has_hinted, true) {
            return None;
        }
        let remedy = match Fields::of(line) {
            Some(fields) => format!(
                "its checksum fits none that is known, unless it was damaged on its way: {}",
                examples(fields.message)
            ),
            None => {
                "write \"0 CHECKSUM MESSAGE\" and a newline, then 1 and so on; CHECKSUM may be \
                     CRC-32, Adler-32 or the sum of the message's bytes"
                    .to_owned()
            }
        };
        Some(Hint::not_understood(line, &remedy))
    }

    /// Cuts a line that holds several, of which the first is valid and the line as a whole is not.
    pub(super) fn parts<'a>(&self, line: &'a [u8]) -> Vec<&'a [u8]> {
        let parts = cut(line);
        match parts.first() {
            Some(first) if parts.len() > 1 && self.read(first).is_some() => parts,
            _ => Vec::new(),
        }
    }
}

/// Returns what tells a line from others.
fn mark(line: &[u8]) -> (u32, usize) {
    (crc(line), line.len())
}

/// Returns true if a line may be one of ours in which damage flipped a few bits: as few as make
/// eight small hex digits and a space of what stands where ours have them.
pub(super) fn resembles_ours(line: &[u8]) -> bool {
    let Some(space) = line.iter().take(21).position(|byte| *byte == b' ') else { return false };
    let fields = &line[space + 1..];
    let Some((digits, rest)) = fields.split_first_chunk::<CRC_DIGITS>() else { return false };
    // A number of 32 bits in decimal is longer.
    let decimals = fields.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if decimals > CRC_DIGITS && fields.get(decimals) == Some(&b' ') {
        return false;
    }
    let to_digit = |byte: &u8| {
        let digits = b"0123456789abcdef".iter();
        digits.map(|digit| (byte ^ digit).count_ones()).min().unwrap_or_default()
    };
    let to_space = rest.first().map(|byte| (byte ^ b' ').count_ones());
    to_space.is_some_and(|flips| flips + digits.iter().map(to_digit).sum::<u32>() <= FLIPS_MAX)
}

/// Returns true if a text is the beginning of a line that has no message yet.
pub(super) fn is_beginning(text: &[u8]) -> bool {
    let mut words = text.splitn(2, |byte| *byte == b' ');
    let number = words.next().unwrap_or_default();
    let checksum = words.next().unwrap_or_default();
    let is_digit = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b'x' | b'X');
    !number.is_empty() && number.iter().all(u8::is_ascii_digit) && checksum.iter().all(is_digit)
}

/// The parts of a line of another program.
struct Fields<'a> {
    sequence: u64,
    number: &'a [u8],
    checksum: &'a [u8],
    message: &'a [u8],
}

impl<'a> Fields<'a> {
    fn of(line: &'a [u8]) -> Option<Self> {
        if line.len() > OTHERS_BYTES_MAX {
            return None;
        }
        let (number, rest) = split_at_space(line)?;
        let (checksum, message) = split_at_space(rest)?;
        if checksum.is_empty() || checksum.len() > FIELD_BYTES_MAX {
            return None;
        }
        let is_plain = !number.is_empty() && number.iter().all(u8::is_ascii_digit);
        let sequence =
            std::str::from_utf8(number).ok().filter(|_| is_plain).and_then(|n| n.parse().ok())?;
        Some(Self { sequence, number, checksum, message })
    }

    /// Returns the checksums that fit, of those that are known to come into question, and the
    /// message: without the carriage return or the blanks that its sender put behind it, if only so
    /// the checksum fits. The newline may count, too.
    fn sums(&self, known: Option<Checksums>) -> Option<(Checksums, &'a [u8])> {
        let of = |message: &[u8]| {
            let sums = Checksums::of(self.checksum, self.number, message);
            let sums = known.map_or(sums, |known| sums.and(known));
            (!sums.is_empty()).then_some(sums)
        };
        let trimmed = self.message.trim_ascii_end();
        if let Some(sums) = of(self.message) {
            return Some((sums, self.message));
        }
        if trimmed.len() < self.message.len()
            && let Some(sums) = of(trimmed)
        {
            return Some((sums, trimmed));
        }
        of(&[trimmed, b"\n"].concat()).map(|sums| (sums, trimmed))
    }
}

fn split_at_space(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    Some((&bytes[..space], &bytes[space + 1..]))
}

/// Cuts a line at each separator behind which another line begins, or the bare goodbye stands.
fn cut(line: &[u8]) -> Vec<&[u8]> {
    let (mut parts, mut begin, mut at) = (Vec::new(), 0, 0);
    while at + SEPARATOR.len() <= line.len() && parts.len() + 1 < PARTS_MAX {
        let behind = line[at..].strip_prefix(SEPARATOR);
        let Some(next) = behind.map(<[u8]>::trim_ascii_start).filter(|next| begins_line(next))
        else {
            at += 1;
            continue;
        };
        parts.push(&line[begin..at]);
        begin = line.len() - next.len();
        at = begin;
    }
    parts.push(&line[begin..]);
    parts
}

fn begins_line(bytes: &[u8]) -> bool {
    let digits = bytes.iter().take(21).take_while(|byte| byte.is_ascii_digit()).count();
    let is_goodbye = || {
        let rest = bytes.strip_prefix(GOODBYE);
        // So few that no line makes us look at it over and over.
        rest.is_some_and(|rest| rest.len() <= 2 && rest.trim_ascii().is_empty())
    };
    digits > 0 && bytes.get(digits) == Some(&b' ') || is_goodbye()
}

#[cfg(test)]
mod tests {
    use super::super::encode;
    use super::*;
    use proptest::prelude::*;

    fn read(line: &str) -> Option<(u64, String)> {
        let reader = Reader::default();
        let line = reader.read(line.as_bytes())?;
        Some((line.sequence, String::from_utf8_lossy(line.message).into_owned()))
    }

    #[test]
    fn lines_of_others_are_read() {
        for (line, sequence) in [
            ("0 907060870 hello", 0),
            ("1 3610A686 hello", 1),
            ("001 0x3610a686 hello", 1),
            ("0 103547413 hello", 0),
            ("0 532 hello", 0),
            ("0 20 hello\r", 0),
            ("0 542 hello", 0),
            ("0 98 hello ", 0),
            ("0 c2912e81 hello", 0),
        ] {
            assert_eq!(read(line), Some((sequence, "hello".to_owned())), "{line}");
        }
        let other = ["", "hello", "0 hello", "0 533 hello", "x 532 hello", "-1 532 hello"];
        for line in other.into_iter().chain(["0 532  hello", "0  532 hello", "0 C2912E81 hello"]) {
            assert_eq!(read(line), None, "{line}");
        }
    }

    #[test]
    fn a_weak_checksum_where_ours_may_have_been_has_to_come_twice() {
        // A flipped bit makes a space of a 0: ours may have been `0 4580a6c8 x`.
        let line = "0 458 a6c8 x";
        assert_eq!("a6c8 x".bytes().map(u32::from).sum::<u32>(), 458);
        assert!(resembles_ours(line.as_bytes()) && resembles_ours(b"0 c2912e81 hello"));
        for other in ["0 532 hello", "0 907060870 hello", "0 1071 how are you?", "0 391 have fun"] {
            assert!(!resembles_ours(other.as_bytes()), "{other}");
        }
        let mut reader = Reader::default();
        assert_eq!(reader.read(line.as_bytes()), None);
        reader.refuse(line.as_bytes());
        assert!(reader.read(line.as_bytes()).is_some() && reader.read(b"0 459 a6c8 y").is_none());
        // Behind a damaged line of ours, every weak one has to.
        let mut wary = Reader::default();
        assert!(wary.refuse(b"0 c2912e81 hullo").is_none());
        assert!(wary.read(b"0 532 hello").is_none());
        assert!(wary.refuse(b"0 532 hello").is_some());
        assert!(wary.read(b"0 532 hello").is_some() && wary.read(b"0 531 gello").is_none());
    }

    #[test]
    fn lines_with_separators_between_them_are_cut_and_messages_are_not() {
        let text = |parts: Vec<&[u8]>| {
            let parts = parts.into_iter().map(String::from_utf8_lossy);
            parts.map(String::from).collect::<Vec<_>>()
        };
        let line = b"0 97 a||b|| ||c||1 98 b || 2 99 c||TCHAU";
        assert_eq!(text(cut(line)), ["0 97 a||b|| ||c", "1 98 b ", "2 99 c", "TCHAU"]);
        let reader = Reader::default();
        assert_eq!(text(reader.parts(b"0 97 a||1 98 b")), ["0 97 a", "1 98 b"]);
        assert!(reader.parts(b"0 96 a||1 98 b").is_empty() && reader.parts(b"0 97 a").is_empty());
        assert_eq!(cut(&b"0 97 a||".repeat(1000)).len(), PARTS_MAX);
        let own = encode(0, b"a||1 98 b");
        assert_eq!(Reader::default().read(own.trim_ascii_end()).unwrap().message, b"a||1 98 b");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn damage_makes_no_line_of_others(
            message in "[ -~]{0,40}", sequence in 0u64..3,
            bits in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
        ) {
            let whole = encode(sequence, message.as_bytes());
            let mut line = whole[..whole.len() - 1].to_vec();
            for bit in &bits {
                let bit = bit.index(line.len() * 8);
                line[bit / 8] ^= 1 << (bit % 8);
            }
            let reader = Reader::default();
            for part in line.split(|byte| *byte == b'\n') {
                let read = reader.read(part);
                let is_right = read.is_none_or(|read| read.message == message.as_bytes());
                prop_assert!(is_right, "{read:?}");
            }
        }
    }
}
