//! Flips bits.

use super::{Corrupt, Flips};
use crate::packet::{Body, Packet};
use crate::rules::setting::InstantRule;
use crate::rules::source::{Origin, Source};
use crate::stage::Verdict;
use bytes::{Bytes, BytesMut};
use jostle_common::chance::{DrawStream, below};
use jostle_common::units::Probability;
use std::ops::Range;

/// A `corrupt` rule at work.
#[derive(Debug)]
pub(super) struct CorruptRule {
    source: Source,
    setting: Corrupt,
}

impl CorruptRule {
    pub(super) fn new(setting: &Corrupt, origin: Origin) -> Self {
        Self { source: origin.source, setting: setting.clone() }
    }
}

impl InstantRule for CorruptRule {
    fn untouched(&mut self, run: &Packet) -> u32 {
        let ranges = run.sizes().map(|size| self.setting.bit_range(u64::from(size)));
        if ranges.iter().all(Range::is_empty) {
            return run.count();
        }
        let rate = match self.setting.flips {
            Flips::Bits { chance, .. } | Flips::Bytes { chance, .. } => {
                return self.source.misses(run, chance.threshold());
            }
            Flips::Rate(rate) => rate,
        };
        let [all, last] = &ranges;
        let flips = |index: &u32| {
            let range = if index + 1 == run.count() { last } else { all };
            let draw = self.source.draw_nth(run, *index);
            !range.is_empty() && !each_bit(draw.more(), rate, range).is_empty()
        };
        (0..run.count()).find(flips).unwrap_or_else(|| run.count())
    }

    fn judge(&mut self, packet: &mut Packet) -> Verdict {
        let range = self.setting.bit_range(u64::from(packet.size()));
        if range.is_empty() {
            return Verdict::Pass;
        }
        let draw = self.source.draw(packet);
        let bits = match self.setting.flips {
            Flips::Bits { chance, .. } | Flips::Bytes { chance, .. } if !draw.hits(chance) => {
                return Verdict::Pass;
            }
            Flips::Bytes { bytes, .. } => bits_of_bytes(draw.more(), u64::from(bytes), &range),
            Flips::Bits { bits, .. } => distinct_bits(draw.more(), u64::from(bits), &range),
            Flips::Rate(rate) => each_bit(draw.more(), rate, &range),
        };
        if !bits.is_empty() {
            packet.set_flipped_bits(packet.flipped_bits() + bits.len() as u32);
            packet.trace.choose();
            if let Body::Data(payload) = packet.body_mut() {
                *payload = flipped(payload, &bits).into();
            }
        }
        Verdict::Pass
    }
}

/// Chooses `count` distinct bits of `range`, each set with the same probability (Floyd's algorithm:
/// Bentley and Floyd, CACM 1987); all of them when there are no more.
fn distinct_bits(stream: DrawStream, count: u64, range: &Range<u64>) -> Vec<u64> {
    let length = range.end - range.start;
    let count = count.min(length);
    let mut chosen = Vec::with_capacity(count as usize);
    for last in length - count..length {
        let bit = range.start + below(stream.draw(last, 0, 0).first(), last + 1);
        chosen.push(if chosen.contains(&bit) { range.start + last } else { bit });
    }
    chosen
}

/// Chooses `count` distinct bytes of `range`, which is of whole bytes, and of each the bits that
/// make another value of it.
fn bits_of_bytes(stream: DrawStream, count: u64, range: &Range<u64>) -> Vec<u64> {
    let bytes = distinct_bits(stream, count, &(range.start / 8..range.end / 8));
    let bits_of = |byte: u64| {
        // Any pattern but none, from a draw of which the choice of bytes made no use.
        let pattern = 1 + below(stream.draw(byte, 1, 0).first(), 255);
        (0..8).filter(move |bit| pattern >> bit & 1 == 1).map(move |bit| byte * 8 + bit)
    };
    bytes.into_iter().flat_map(bits_of).collect()
}

/// Chooses each bit of `range` with probability `rate`, by drawing the gaps between chosen bits,
/// which are geometric.
fn each_bit(stream: DrawStream, rate: Probability, range: &Range<u64>) -> Vec<u64> {
    if rate.is_never() {
        return Vec::new();
    }
    if rate == Probability::ALWAYS {
        return range.clone().collect();
    }
    let log_miss = libm::log1p(-rate.as_f64());
    let mut chosen = Vec::new();
    let mut bit = range.start;
    for index in 0.. {
        // 2^-53 · (k + ½): never 0, whose logarithm is none.
        let uniform =
            ((stream.draw(index, 0, 0).first() >> 11) as f64 + 0.5) / 9_007_199_254_740_992.0;
        bit = bit.saturating_add((libm::log(uniform) / log_miss) as u64);
        if bit >= range.end {
            break;
        }
        chosen.push(bit);
        bit += 1;
    }
    chosen
}

fn flipped(bytes: &[u8], bits: &[u64]) -> Bytes {
    let mut copy = BytesMut::from(bytes);
    for bit in bits {
        copy[(bit / 8) as usize] ^= 0x80 >> (bit % 8);
    }
    copy.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jostle_common::chance::Direction;
    use jostle_common::time::Instant;

    fn damaged(
        flips: Flips,
        range: Option<Range<u64>>,
        size: usize,
        packets: u64,
    ) -> Vec<Vec<u64>> {
        let stream = DrawStream::new(3, "test", Direction::Up, "corrupt");
        let mut rule = CorruptRule::new(&Corrupt { flips, range }, Origin::of_link(stream));
        let original = vec![0xA5u8; size];
        (1..=packets)
            .map(|number| {
                let body = Body::data(original.clone());
                let mut packet = Packet { number, ..Packet::new(1, Instant::START, body) };
                assert_eq!(rule.judge(&mut packet), Verdict::Pass);
                let Body::Data(bytes) = packet.body() else { unreachable!() };
                let bits: Vec<u64> = (0..size as u64 * 8)
                    .filter(|bit| (bytes[(bit / 8) as usize] ^ 0xA5) & (0x80 >> (bit % 8)) != 0)
                    .collect();
                assert_eq!(bits.len() as u32, packet.flipped_bits());
                bits
            })
            .collect()
    }

    #[test]
    fn flips_exactly_so_many_bits_in_the_range() {
        for bits in [1, 3, 64, 256] {
            let flips = Flips::Bits { chance: Probability::ALWAYS, bits };
            for hit in damaged(flips, Some(10..50), 60, 200) {
                assert_eq!(hit.len() as u32, bits);
                assert!(hit.iter().all(|bit| (80..400).contains(bit)));
            }
        }
    }

    #[test]
    fn a_small_payload_has_all_its_bits_flipped() {
        let flips = Flips::Bits { chance: Probability::ALWAYS, bits: 64 };
        assert!(damaged(flips, None, 3, 50).iter().all(|hit| hit.len() == 24));
        assert!(
            damaged(flips, None, 0, 50).iter().all(Vec::is_empty),
            "nothing to flip in nothing"
        );
        assert!(
            damaged(flips, Some(70..80), 60, 50).iter().all(Vec::is_empty),
            "the range is behind the end"
        );
    }

    #[test]
    fn bytes_get_another_value_each_alike() {
        let flips = Flips::Bytes { chance: Probability::ALWAYS, bytes: 1 };
        let (mut places, mut values) = ([0u32; 51], [0u32; 256]);
        for hit in damaged(flips, Some(0..51), 1200, 51_000) {
            let place = hit[0] / 8;
            assert!(hit.iter().all(|bit| bit / 8 == place), "one byte: {hit:?}");
            places[place as usize] += 1;
            values[hit.iter().fold(0, |value, bit| value | 1 << (bit % 8))] += 1;
        }
        // 1000 each, sd 31, and 200 each, sd 14; five of them.
        assert!(places.iter().all(|count| (845..=1155).contains(count)), "{places:?}");
        assert!(values[1..].iter().all(|count| (130..=270).contains(count)), "{values:?}");
        assert_eq!(values[0], 0, "it stayed what it was");
        let flips = Flips::Bytes { chance: Probability::ALWAYS, bytes: 5 };
        for hit in damaged(flips, None, 9, 200) {
            let mut bytes: Vec<u64> = hit.iter().map(|bit| bit / 8).collect();
            bytes.dedup();
            assert_eq!(bytes.len(), 5);
        }
    }

    #[test]
    fn every_bit_is_hit_alike() {
        let flips = Flips::Bits { chance: Probability::ALWAYS, bits: 2 };
        let mut counts = [0u32; 80];
        for bit in damaged(flips, None, 10, 40_000).into_iter().flatten() {
            counts[bit as usize] += 1;
        }
        // 80 000 flips over 80 bits: 1000 each, sd 31; five of them.
        assert!(counts.iter().all(|count| (845..=1155).contains(count)), "{counts:?}");
    }

    #[test]
    fn the_bit_error_rate_is_met() {
        let flips = Flips::Rate(Probability::new(0.001).unwrap());
        let total: usize = damaged(flips, None, 1000, 2000).iter().map(Vec::len).sum();
        // 16 million bits: 16 000 expected, sd 126; five of them.
        assert!((15_370..=16_630).contains(&total), "{total}");
        let all = damaged(Flips::Rate(Probability::ALWAYS), None, 4, 3);
        assert!(all.iter().all(|hit| hit.len() == 32));
    }
}
