//! The checksums that programs of others write into their lines.
//!
//! A line tells which of them it may carry; several may fit, as the sum of a few bytes is the same
//! modulo 65536. So they are a set, which shrinks with every line.

use super::md5::md5;
use crate::protocol::wire::crc;
use jostle_common::digest::Digest;
use std::fmt;

/// The longest checksum as it is written: SHA-256 in hex digits, behind `0x`.
pub(super) const FIELD_BYTES_MAX: usize = 2 + 64;

/// A way to compute a checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sum {
    Crc32,
    /// Over the number, a space and the message, as ours is; in decimal.
    Crc32Numbered,
    Adler32,
    Sha256,
    Md5,
    Bytes,
    /// The sum of the characters' code points.
    Characters,
    Bytes65536,
    Bytes256,
    Crc16Xmodem,
    Crc16CcittFalse,
    Crc16Arc,
    /// The one's complement of RFC 1071.
    Internet,
    Xor,
}

/// All of them, the likeliest first.
const SUMS: [Sum; 14] = [
    Sum::Crc32,
    Sum::Crc32Numbered,
    Sum::Adler32,
    Sum::Sha256,
    Sum::Md5,
    Sum::Bytes,
    Sum::Characters,
    Sum::Bytes65536,
    Sum::Bytes256,
    Sum::Crc16Xmodem,
    Sum::Crc16CcittFalse,
    Sum::Crc16Arc,
    Sum::Internet,
    Sum::Xor,
];

impl Sum {
    const fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC-32 of the message",
            Self::Crc32Numbered => "CRC-32 of number and message",
            Self::Adler32 => "Adler-32 of the message",
            Self::Sha256 => "SHA-256 of the message",
            Self::Md5 => "MD5 of the message",
            Self::Bytes => "sum of the bytes",
            Self::Characters => "sum of the characters",
            Self::Bytes65536 => "sum of the bytes modulo 65536",
            Self::Bytes256 => "sum of the bytes modulo 256",
            Self::Crc16Xmodem => "CRC-16/XMODEM of the message",
            Self::Crc16CcittFalse => "CRC-16/CCITT-FALSE of the message",
            Self::Crc16Arc => "CRC-16/ARC of the message",
            Self::Internet => "Internet checksum of the message",
            Self::Xor => "XOR of the bytes",
        }
    }

    /// Returns true if damage cannot make it fit by chance.
    const fn is_strong(self) -> bool {
        use Sum::{Adler32, Crc32, Crc32Numbered, Md5, Sha256};
        matches!(self, Crc32 | Crc32Numbered | Adler32 | Sha256 | Md5)
    }

    /// Returns the digits of a checksum that is longer than a number.
    fn digest(self, message: &[u8]) -> Option<String> {
        match self {
            Self::Sha256 => Some(Digest::of(message).to_string()),
            Self::Md5 => Some(md5(message)),
            _ => None,
        }
    }

    /// Returns the checksum; `None` for one that is no number.
    fn value(self, number: &[u8], message: &[u8]) -> Option<u64> {
        let sum = || message.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        Some(match self {
            Self::Crc32 => crc(message).into(),
            Self::Crc32Numbered => crc(&[number, b" ", message].concat()).into(),
            Self::Adler32 => adler(message).into(),
            Self::Sha256 | Self::Md5 => return None,
            Self::Bytes => sum(),
            Self::Characters => {
                std::str::from_utf8(message).ok()?.chars().map(|c| u64::from(u32::from(c))).sum()
            }
            Self::Bytes65536 => sum() % 65536,
            Self::Bytes256 => sum() % 256,
            Self::Crc16Xmodem => crc16(0, message).into(),
            Self::Crc16CcittFalse => crc16(0xFFFF, message).into(),
            Self::Crc16Arc => crc16_reflected(message).into(),
            Self::Internet => internet(message).into(),
            Self::Xor => message.iter().fold(0, |xor, byte| xor ^ byte).into(),
        })
    }
}

/// Returns Adler-32 (RFC 1950), as `zlib.adler32` in Python.
fn adler(message: &[u8]) -> u32 {
    const MODULUS: u32 = 65_521;
    let (a, b) = message.iter().fold((1, 0), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % MODULUS;
        (a, (b + a) % MODULUS)
    });
    b << 16 | a
}

/// Returns the CRC with the polynomial 0x1021, as `binascii.crc_hqx` in Python.
fn crc16(initial: u16, message: &[u8]) -> u16 {
    message.iter().fold(initial, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| {
            crc << 1 ^ if crc & 0x8000 == 0 { 0 } else { 0x1021 }
        })
    })
}

/// Returns the CRC with the polynomial 0x8005, its bits reflected.
fn crc16_reflected(message: &[u8]) -> u16 {
    message.iter().fold(0, |crc, byte| {
        (0..8)
            .fold(crc ^ u16::from(*byte), |crc, _| crc >> 1 ^ if crc & 1 == 0 { 0 } else { 0xA001 })
    })
}

/// Returns the checksum of IP, UDP and TCP (RFC 1071).
fn internet(message: &[u8]) -> u16 {
    let words = message
        .chunks(2)
        .map(|pair| u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or_default()));
    let mut sum: u64 = words.sum();
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !(sum as u16)
}

/// A set of checksums, each in a notation: two bits for each kind, decimal and hexadecimal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checksums(u32);

impl Checksums {
    /// Returns those that `field` is, of a message with this number.
    pub(super) fn of(field: &[u8], number: &[u8], message: &[u8]) -> Self {
        let decimal = read(field, 10);
        let digits = match field {
            [b'0', b'x' | b'X', digits @ ..] => digits,
            digits => digits,
        };
        let hexadecimal = read(digits, 16);
        let is_digest = hexadecimal.is_none() && digits.iter().all(u8::is_ascii_hexdigit);
        let mut found = 0;
        if decimal.is_none() && hexadecimal.is_none() && !is_digest {
            return Self(found);
        }
        for (place, sum) in SUMS.into_iter().enumerate() {
            if is_digest {
                let digest = sum.digest(message);
                let is_it = digest.is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(digits));
                found |= u32::from(is_it) << (2 * place + 1);
                continue;
            }
            let Some(value) = sum.value(number, message) else { continue };
            found |= u32::from(decimal == Some(value)) << (2 * place);
            // With eight hex digits that is ours, and is read strictly: a flipped bit makes an `A`
            // of an `a`.
            let is_hex = hexadecimal == Some(value) && sum != Sum::Crc32Numbered;
            found |= u32::from(is_hex) << (2 * place + 1);
        }
        Self(found)
    }

    /// Returns those that are in both sets.
    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns true if there is none.
    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns true if one of them is of 32 bits or more.
    pub(super) fn is_strong(self) -> bool {
        self.each().any(|(sum, _)| sum.is_strong())
    }

    fn each(self) -> impl Iterator<Item = (Sum, bool)> {
        let places = (0..SUMS.len()).flat_map(|place| [(place, false), (place, true)]);
        places
            .filter(move |(place, is_hex)| self.0 >> (2 * place + usize::from(*is_hex)) & 1 == 1)
            .map(|(place, is_hex)| (SUMS[place], is_hex))
    }
}

impl fmt::Display for Checksums {
    /// Writes the likeliest of them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((sum, is_hex)) = self.each().next() else { return f.write_str("none") };
        let notation = if is_hex { "hexadecimal" } else { "decimal" };
        write!(f, "{}, {notation}", sum.name())
    }
}

/// Returns the checksums that a line may carry, for people who look for theirs.
pub(super) fn examples(message: &[u8]) -> String {
    let value = |sum: Sum| sum.value(b"", message).unwrap_or_default();
    let crc = value(Sum::Crc32);
    format!(
        "for that message CRC-32 is {crc} or {crc:x}, Adler-32 {}, the sum of its bytes {}",
        value(Sum::Adler32),
        value(Sum::Bytes)
    )
}

/// Reads a number of up to 64 bits.
fn read(digits: &[u8], radix: u32) -> Option<u64> {
    // The standard library takes a sign too.
    let is_plain = digits.iter().all(u8::is_ascii_hexdigit) && digits.len() <= FIELD_BYTES_MAX;
    is_plain.then(|| u64::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_are_those_of_others() {
        // The check values of the catalogue of parametrised CRC algorithms, and Python's.
        for (sum, value) in [
            (Sum::Crc32, 0xCBF4_3926),
            (Sum::Adler32, 0x091E_01DE),
            (Sum::Bytes, 477),
            (Sum::Characters, 477),
            (Sum::Bytes65536, 477),
            (Sum::Bytes256, 221),
            (Sum::Crc16Xmodem, 0x31C3),
            (Sum::Crc16CcittFalse, 0x29B1),
            (Sum::Crc16Arc, 0xBB3D),
            (Sum::Xor, 0x31),
        ] {
            assert_eq!(sum.value(b"0", b"123456789"), Some(value), "{sum:?}");
        }
        // RFC 1071's own numbers: their sum is ddf2.
        let words = [0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7];
        assert_eq!(internet(&words), !0xDDF2);
        assert_eq!(Sum::Crc32Numbered.value(b"0", b"hello"), Some(0xC291_2E81));
    }

    #[test]
    fn a_checksum_is_known_in_every_notation() {
        let message = b"hello";
        for (field, name) in [
            ("907060870", "CRC-32 of the message, decimal"),
            ("3610a686", "CRC-32 of the message, hexadecimal"),
            ("3610A686", "CRC-32 of the message, hexadecimal"),
            ("0x3610a686", "CRC-32 of the message, hexadecimal"),
            ("0X3610A686", "CRC-32 of the message, hexadecimal"),
            ("3264294529", "CRC-32 of number and message, decimal"),
            ("103547413", "Adler-32 of the message, decimal"),
            ("062c0215", "Adler-32 of the message, hexadecimal"),
            ("532", "sum of the bytes, decimal"),
            ("0x214", "sum of the bytes, hexadecimal"),
            ("20", "sum of the bytes modulo 256, decimal"),
            ("98", "XOR of the bytes, decimal"),
            ("c362", "CRC-16/XMODEM of the message, hexadecimal"),
        ] {
            let found = Checksums::of(field.as_bytes(), b"0", message);
            assert_eq!(found.to_string(), name, "{field}");
        }
        let found = Checksums::of(b"5d41402abc4b2a76b9719d911017c592", b"0", message);
        assert_eq!(found.to_string(), "MD5 of the message, hexadecimal");
        let digest = Digest::of(message).to_string();
        let found = Checksums::of(digest.to_ascii_uppercase().as_bytes(), b"0", message);
        assert_eq!(found.to_string(), "SHA-256 of the message, hexadecimal");
        for wrong in ["", "0x", "+532", "533", "-", "c2912e81", "C2912E81", "five", "5 3"] {
            assert!(Checksums::of(wrong.as_bytes(), b"0", message).is_empty(), "{wrong}");
        }
    }

    #[test]
    fn lines_narrow_the_choice() {
        let (short, long) = ([b'b'; 2], [b'z'; 600]);
        let first = Checksums::of(b"196", b"0", &short);
        let sum = first.and(Checksums::of(b"73200", b"1", &long));
        assert_eq!(sum.to_string(), "sum of the bytes, decimal");
        let modulo = first.and(Checksums::of(b"240", b"1", &long));
        assert_eq!(modulo.to_string(), "sum of the bytes modulo 256, decimal");
        assert!(sum.and(modulo).is_empty() && !sum.is_strong());
        assert!(Checksums::of(b"3610a686", b"0", b"hello").is_strong());
    }
}
