//! Requests of programs that know no more than that packets have numbers: `0` as text, or as an
//! integer of 4 or 8 bytes. The answer is the bare packet.
//!
//! None of these can be a request of ours that was damaged: ours have 16 bytes or 1384, with a word
//! in front and bytes that are no text.

use super::wire::PADDED_SIZE;

/// The longest number as text, with a word in front of it.
const TEXT_BYTES_MAX: usize = 32;
/// The packets of a file from which on the two byte orders of an integer cannot be told apart.
const CHUNKS_MAX: u32 = 1 << 16;

/// Returns the number of the packet that a datagram asks for, of a file of so many packets; `None`
/// when it asks for none.
pub(super) fn number(datagram: &[u8], chunks: u32) -> Option<u32> {
    text_number(datagram).or_else(|| integer(datagram, chunks))
}

/// Reads a number as text, with a word in front of it or without one, and blanks around it. It may
/// be padded with blanks or zeros, so that its answer may be long.
fn text_number(datagram: &[u8]) -> Option<u32> {
    // `0` and zeros may as well be an integer of that size.
    let is_integer = matches!(datagram.len(), 2 | 4 | 8) && datagram.ends_with(&[0]);
    if is_integer || datagram.len() > 2 * PADDED_SIZE {
        return None;
    }
    let end = datagram.iter().rposition(|byte| !byte.is_ascii_whitespace() && *byte != 0)?;
    let text = datagram[..=end].trim_ascii_start();
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let digits = text.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (word, digits) = text.split_at(text.len() - digits);
    let is_word = match word {
        [] => true,
        [letters @ .., b' ' | b':' | b'=' | b'#'] => {
            letters.trim_ascii_end().iter().all(u8::is_ascii_alphabetic)
        }
        _ => false,
    };
    std::str::from_utf8(digits).ok().filter(|_| is_word)?.parse().ok()
}

/// Reads an integer in either byte order. In a file that has no more packets than two bytes can
/// count only one of them makes sense.
fn integer(datagram: &[u8], chunks: u32) -> Option<u32> {
    let orders = match datagram.len() {
        4 => {
            let bytes: [u8; 4] = datagram.try_into().ok()?;
            [u32::from_be_bytes(bytes), u32::from_le_bytes(bytes)].map(u64::from)
        }
        8 => {
            let bytes: [u8; 8] = datagram.try_into().ok()?;
            [u64::from_be_bytes(bytes), u64::from_le_bytes(bytes)]
        }
        _ => return None,
    };
    // The packet behind the last one is asked for too.
    let number = orders.into_iter().min()?;
    (chunks < CHUNKS_MAX && number <= u64::from(chunks)).then_some(number as u32)
}

#[cfg(test)]
mod tests {
    use super::super::wire::{Request, Thanks};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_read_in_every_likely_form() {
        for text in
            ["17", "17\n", "17\r\n", " 17 ", "0017", "packet 17", "GET 17\n", "n=17", "17\0"]
        {
            assert_eq!(number(text.as_bytes(), 100), Some(17), "{text:?}");
        }
        for wrong in
            ["", " ", "x", "-1", "1.5", "17x", "x17", "1 7", "4294967296", "hello", "SAW? 1!"]
        {
            assert_eq!(number(wrong.as_bytes(), 100), None, "{wrong:?}");
        }
        let mut padded = b"17".to_vec();
        for pad in [0, b' ', b'\n'] {
            padded.resize(2, pad);
            padded.resize(1400, pad);
            assert_eq!(number(&padded, 100), Some(17), "{pad}");
            padded.truncate(2);
        }
    }

    #[test]
    fn integers_are_read_in_both_orders_and_never_confused() {
        // 48 to 57 are digits, too.
        for wanted in [0u32, 1, 9, 10, 48, 57, 255, 256, 12_336, 65_535] {
            let chunks = 65_535;
            assert_eq!(number(&wanted.to_be_bytes(), chunks), Some(wanted));
            assert_eq!(number(&wanted.to_le_bytes(), chunks), Some(wanted));
            assert_eq!(number(&u64::from(wanted).to_be_bytes(), chunks), Some(wanted));
            assert_eq!(number(&u64::from(wanted).to_le_bytes(), chunks), Some(wanted));
        }
        assert_eq!(number(&7u32.to_be_bytes(), 6), None, "two beyond the end");
        assert_eq!(number(&7u32.to_be_bytes(), 1 << 16), None, "orders cannot be told apart");
        for short in [&[5][..], &[0, 5], &[5, 0], &[b'5', 0]] {
            assert_eq!(number(short, 100), None, "{short:?}");
        }
    }

    proptest! {
        #[test]
        fn damage_makes_no_number_of_ours(
            wanted: u32, attempt: u32, padded: bool, chunks: u32,
            bits in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let request = Request { number: wanted, attempt }.encode(padded);
            for datagram in [&request[..], &Thanks.encode()] {
                let mut damaged = datagram.to_vec();
                for bit in &bits {
                    let bit = bit.index(damaged.len() * 8);
                    damaged[bit / 8] ^= 1 << (bit % 8);
                }
                prop_assert_eq!(number(&damaged, chunks), None);
            }
        }
    }
}
