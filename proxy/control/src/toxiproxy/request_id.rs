//! The id that each answer carries: twenty characters, in the order of time.

use std::fmt::Write;
use std::sync::atomic::{AtomicU32, Ordering};

/// The digits of base 32 with the extended hex alphabet (RFC 4648, 7), in small letters.
const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

/// Makes the ids of one server.
#[derive(Debug)]
pub(crate) struct RequestIds {
    /// Which server: of those on one machine each has another process.
    process: u32,
    next: AtomicU32,
}

impl RequestIds {
    /// Creates the ids of this process.
    pub(crate) fn new() -> Self {
        Self { process: std::process::id(), next: AtomicU32::new(0) }
    }

    /// Returns the next id, at so many seconds since 1970: 12 bytes of time, process and count.
    pub(crate) fn next(&self, seconds: u64) -> String {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        let bits =
            u128::from(seconds as u32) << 64 | u128::from(self.process) << 32 | u128::from(count);
        let mut id = String::with_capacity(20);
        // 96 bits are 19 digits of five and one of a single bit, on the left of its five.
        let bits = bits << 4;
        for place in (0..20).rev() {
            let digit = DIGITS[(bits >> (5 * place) & 31) as usize];
            id.write_char(char::from(digit)).expect("a string takes all");
        }
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_twenty_digits_in_order_of_time() {
        let ids = RequestIds::new();
        let made: Vec<String> = (0..100).map(|n| ids.next(1_800_000_000 + n / 10)).collect();
        assert!(made.iter().all(|id| id.len() == 20));
        assert!(made.iter().flat_map(|id| id.bytes()).all(|digit| DIGITS.contains(&digit)));
        assert!(made.is_sorted_by(|a, b| a < b), "{made:?}");
    }
}
