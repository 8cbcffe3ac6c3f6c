//! A run that has happened, fed to the tally as if it happened now.

use super::Tally;
use jostle_common::time::Instant;
use jostle_engine::packet::{Body, Packet};
use jostle_engine::payload::Payload;
use jostle_engine::stage::{Output, Reason};

/// The fate of one packet, or of a copy of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// Its number in the link, from 1.
    pub number: u64,
    /// 0 for the original.
    pub copy: u32,
    /// The ordinal of its flow.
    pub flow: u32,
    /// Its size in bytes.
    pub size: u32,
    /// The time at which it came.
    pub entered: Instant,
    /// The time at which it went on, or was discarded.
    pub left: Instant,
    /// True if it went on.
    pub is_delivered: bool,
    /// The number of its bits that were flipped.
    pub flipped_bits: u32,
}

/// Feeds what was seen to a tally, in the order of time. Numbers that were not seen are closed up,
/// and copies of them are left out.
pub fn replay(mut seen: Vec<Seen>, tally: &mut Tally) {
    seen.sort_by_key(|one| (one.number, one.copy));
    let mut originals: Vec<(u64, Instant, u32)> = seen
        .iter()
        .filter(|one| one.copy == 0)
        .map(|one| (one.number, one.entered, one.size))
        .collect();
    originals.dedup_by_key(|(number, ..)| *number);
    let rank = |number: u64| originals.binary_search_by_key(&number, |(own, ..)| *own).ok();
    let mut leaving: Vec<(usize, Seen)> =
        seen.iter().filter_map(|one| Some((rank(one.number)?, *one))).collect();
    leaving.sort_by_key(|(_, one)| one.left);
    // A part of it is each packet's payload: only the size counts.
    let largest = leaving.iter().map(|(_, one)| one.size as usize).max().unwrap_or(0);
    let zeros = Payload::from(vec![0; largest.min(Payload::LENGTH_MAX)]);
    let (mut came, mut held, mut clock) = (0, 0usize, Instant::START);
    for (place, one) in leaving {
        // All that had come by then is inside, and the packet itself in any case.
        while originals.get(came).is_some_and(|(_, at, _)| *at <= one.left) || came <= place {
            let (_, at, size) = originals[came];
            clock = clock.max(at);
            (came, held) = (came + 1, held + 1);
            tally.enter(clock, size, held);
        }
        if one.copy == 0 {
            held -= 1;
        }
        tally.leave(&output(place, &one, &zeros), held);
    }
    tally.finish();
}

fn output(place: usize, one: &Seen, zeros: &Payload) -> Output {
    let size = zeros.len().min(one.size as usize);
    let mut packet = Packet::new(one.flow, one.left, Body::Data(zeros.slice(0..size)));
    (packet.number, packet.entered) = (place as u64 + 1, one.entered);
    packet.set_copy(one.copy);
    packet.set_flipped_bits(one.flipped_bits);
    // Why it was discarded is counted elsewhere.
    if one.is_delivered { Output::Deliver(packet) } else { Output::Discard(packet, Reason::Drop) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn seen(number: u64, entered: u64, left: u64, is_delivered: bool) -> Seen {
        let (entered, left) = (Instant::from_millis(entered), Instant::from_millis(left));
        Seen { number, copy: 0, flow: 1, size: 100, entered, left, is_delivered, flipped_bits: 0 }
    }

    #[test]
    fn what_was_seen_is_tallied_in_its_order() {
        // Number 4 is missing from the log; 3 overtakes 2; 5 and 6 are lost in a row.
        let mut all = vec![
            seen(1, 0, 10, true),
            seen(2, 1, 30, true),
            seen(3, 2, 12, true),
            seen(5, 4, 4, false),
            seen(6, 5, 5, false),
            seen(7, 6, 16, true),
        ];
        all.push(Seen { copy: 1, left: Instant::from_millis(40), ..all[0] });
        all.push(Seen { number: 4, copy: 1, ..all[0] });
        all.reverse();
        let mut tally = Tally::new(true, Duration::from_millis(1));
        replay(all, &mut tally);
        assert_eq!((tally.entered(), tally.runs().lost()), (6, 2));
        assert_eq!((tally.runs().count(), tally.runs().longest()), (1, 2));
        assert_eq!((tally.duplicates(), tally.reordering().reordered()), (1, 1));
        assert_eq!(tally.delivered_bytes(), 500);
        assert_eq!(tally.last(), Instant::from_millis(40));
    }

    #[test]
    fn nothing_is_no_run() {
        let mut tally = Tally::new(false, Duration::from_millis(1));
        replay(Vec::new(), &mut tally);
        assert_eq!((tally.entered(), tally.runs().lost()), (0, 0));
    }
}
