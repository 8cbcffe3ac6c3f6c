//! Philox 4x32-10, a counter-based random generator: a pure function from (counter, key) to 128
//! random bits.
//!
//! Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. The
//! constants are the paper's; the tests hold the known answers published with its reference library
//! Random123.

const MULTIPLIER: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// Returns the 128 random bits at `counter` under `key`.
#[inline]
pub const fn philox4x32(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    let mut round = 0;
    while round < ROUNDS {
        let (high0, low0) = wide_product(MULTIPLIER[0], counter[0]);
        let (high1, low1) = wide_product(MULTIPLIER[1], counter[2]);
        counter = [high1 ^ counter[1] ^ key[0], low1, high0 ^ counter[3] ^ key[1], low0];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
        round += 1;
    }
    counter
}

/// The number of consecutive counters whose bits are made together.
pub const TOGETHER: usize = 8;

/// Returns the first 64 of the random bits at `counter` under `key`, and at the next ones: those
/// whose first 64 bits, as a number, are larger by 1, 2, 3 …
///
/// The processor makes several at a time, each for less than half of what one by itself takes. So
/// each word has 64 bits here, of which the lower ones count, and what is above them is carried
/// along: the product of two words is all that its vector instructions have.
pub fn first_halves(counter: [u32; 4], key: [u32; 2]) -> [u64; TOGETHER] {
    const LOWER: u64 = u32::MAX as u64;
    let first = u64::from(counter[0]) | u64::from(counter[1]) << 32;
    let (third, fourth) = (u64::from(counter[2]), u64::from(counter[3]));
    let mut halves = [0; TOGETHER];
    for (place, half) in halves.iter_mut().enumerate() {
        let number = first.wrapping_add(place as u64);
        let (mut a, mut b, mut c, mut d) = (number, number >> 32, third, fourth);
        let mut key = key;
        for _ in 0..ROUNDS {
            let product0 = (a & LOWER) * u64::from(MULTIPLIER[0]);
            let product1 = (c & LOWER) * u64::from(MULTIPLIER[1]);
            let [key0, key1] = key.map(u64::from);
            (a, b) = ((product1 >> 32) ^ b ^ key0, product1);
            (c, d) = ((product0 >> 32) ^ d ^ key1, product0);
            key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
        }
        *half = (a & LOWER) | b << 32;
    }
    halves
}

const fn wide_product(a: u32, b: u32) -> (u32, u32) {
    let product = a as u64 * b as u64;
    ((product >> 32) as u32, product as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_published_answers() {
        assert_eq!(
            philox4x32([0; 4], [0; 2]),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            philox4x32([0xffff_ffff; 4], [0xffff_ffff; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox4x32(
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0]
            ),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn many_at_a_time_are_what_each_is_by_itself() {
        for number in [0, 7, (1 << 32) - 3, u64::MAX - 2] {
            let counter = |number: u64| [number as u32, (number >> 32) as u32, 0x1319_8a2e, 5];
            let key = [0xa409_3822, 0x299f_31d0];
            let each = (0..TOGETHER as u64).map(|place| {
                let [low, high, ..] = philox4x32(counter(number.wrapping_add(place)), key);
                u64::from(low) | u64::from(high) << 32
            });
            assert!(first_halves(counter(number), key).into_iter().eq(each), "{number}");
        }
    }
}
