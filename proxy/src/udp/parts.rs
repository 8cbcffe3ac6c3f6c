//! What a link has let go, cut into messages: pure.
//!
//! A message is one datagram, or a run of datagrams of one size, of which the last may be shorter: the
//! system cuts it. Runs cross a link whole, so what a message consists of is few parts, each of them
//! one datagram or many that lie one behind the other.

use jostle_common::ecn::Ecn;
use jostle_engine::packet::{Body, Packet};
use jostle_engine::stage::Output;
use jostle_sys::MESSAGES;
use std::ops::Range;

/// The most datagrams in a message: UDP_MAX_SEGMENTS was 64 until Linux 6.9.
const RUN_MAX: usize = 64;

/// The most bytes in a message: what fits an IPv4 datagram.
const RUN_BYTES_MAX: usize = 65_507;

/// The most parts that are sent with one call.
pub(super) const PARTS_MAX: usize = 64;

/// The place of a datagram among those staged: which output, and which one of it. Behind the last
/// datagram of an output comes the first of the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) staged: usize,
    pub(super) nth: u32,
}

/// Bounds on what goes as one message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// The most bytes of each datagram of a run, without header; 0: there are no runs.
    pub(super) segment_max: usize,
    /// What is in front of this place goes one by one.
    pub(super) singly_until: Place,
    /// The bytes in front of each datagram.
    pub(super) header: usize,
}

/// Datagrams of one output that lie one behind the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) place: Place,
    pub(super) count: u32,
    /// Their bytes, of the output's.
    pub(super) range: Range<usize>,
    /// The bytes of each but the last.
    pub(super) segment: usize,
    pub(super) ecn: Ecn,
    /// Set if it may not share a message.
    alone: bool,
}

impl Part {
    /// Returns the bytes that it is on the wire with headers of so many bytes.
    pub(super) fn wire_bytes(&self, header: usize) -> usize {
        self.range.len() + self.count as usize * header
    }
}

/// Returns the payload of an output; of a run the payloads one behind the other.
pub(super) fn payload(output: &Output) -> &[u8] {
    match output.packet().body() {
        Body::Data(payload) => payload,
        Body::Segment(_) | Body::Cross(_) | Body::End | Body::Reset => &[],
    }
}

/// Fills `parts` with the datagrams from `from` on of those outputs that are `staged`, as many as one
/// call takes. Returns the place behind them.
pub(super) fn cut(
    outputs: &[Output],
    staged: &[usize],
    from: Place,
    bounds: Bounds,
    parts: &mut Vec<Part>,
) -> Place {
    parts.clear();
    let mut at = from;
    while parts.len() < PARTS_MAX && at.staged < staged.len() {
        let packet = outputs[staged[at.staged]].packet();
        let part = part(packet, at, bounds);
        at = match at.nth + part.count {
            nth if nth < packet.count() => Place { nth, ..at },
            _ => Place { staged: at.staged + 1, nth: 0 },
        };
        parts.push(part);
    }
    at
}

/// Returns what of a packet may go together, from a place within it on.
fn part(packet: &Packet, place: Place, bounds: Bounds) -> Part {
    let (size, ecn) = (packet.size() as usize, packet.ecn);
    let segment = packet.segment().map_or(size, usize::from);
    let singly = place < bounds.singly_until || segment > bounds.segment_max;
    let most = (RUN_BYTES_MAX / (segment + bounds.header).max(1)).clamp(1, RUN_MAX) as u32;
    let count = if singly { 1 } else { (packet.count() - place.nth).min(most) };
    let start = place.nth as usize * segment;
    let end = size.min(start + count as usize * segment);
    // An empty datagram cannot be part of a run.
    let alone = singly || end - start + bounds.header == 0;
    Part { place, count, range: start..end, segment: segment.min(end - start), ecn, alone }
}

/// Returns which of the parts make up each message, as many messages as one call takes. One has one
/// IP header until it is cut into datagrams, so all of it says the same of congestion.
pub(super) fn messages(
    parts: &[Part],
    header: usize,
) -> impl Iterator<Item = Range<usize>> + Clone {
    let mut start = 0;
    let next = move || {
        let first = start;
        start += message_length(&parts[first..], header);
        (first < start).then_some(first..start)
    };
    std::iter::from_fn(next).take(MESSAGES)
}

/// Returns how many of the parts, from the first on, make up one message; 0 of none.
fn message_length(parts: &[Part], header: usize) -> usize {
    let Some(first) = parts.first() else { return 0 };
    if first.alone {
        return 1;
    }
    let (mut bytes, mut count, mut length) = (first.wire_bytes(header), first.count, 1);
    let mut is_full = first.range.len() == first.count as usize * first.segment;
    for part in &parts[1..] {
        (bytes, count) = (bytes + part.wire_bytes(header), count + part.count);
        let fits = bytes <= RUN_BYTES_MAX && count as usize <= RUN_MAX;
        let follows = match part.count {
            1 => part.segment <= first.segment,
            _ => part.segment == first.segment,
        };
        if !is_full || part.alone || part.ecn != first.ecn || !fits || !follows {
            break;
        }
        length += 1;
        is_full = part.range.len() == part.count as usize * first.segment;
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;
    use jostle_common::time::Instant;

    const ANY: Bounds =
        Bounds { segment_max: usize::MAX, singly_until: Place { staged: 0, nth: 0 }, header: 0 };

    fn output(size: usize, segment: u16, ecn: Ecn) -> Output {
        Output::Deliver(Packet::run(1, Instant::START, vec![7; size], segment).with_ecn(ecn))
    }

    /// Returns the datagrams and bytes of each message, over all calls, and checks that nothing is
    /// left out or sent twice.
    fn sent(outputs: &[Output], bounds: Bounds) -> Vec<(u32, usize)> {
        let staged: Vec<usize> = (0..outputs.len()).collect();
        let (mut at, mut parts, mut all) = (Place::default(), Vec::new(), Vec::new());
        let mut passed = vec![0; outputs.len()];
        while at.staged < outputs.len() {
            let behind = cut(outputs, &staged, at, bounds, &mut parts);
            assert!(!parts.is_empty() && parts.len() <= PARTS_MAX);
            let (mut last, mut count) = (0, 0);
            for range in messages(&parts, bounds.header) {
                assert_eq!(range.start, last, "messages follow one another");
                last = range.end;
                count += 1;
                let parts = &parts[range];
                let bytes = parts.iter().map(|part| part.wire_bytes(bounds.header)).sum();
                let datagrams: u32 = parts.iter().map(|part| part.count).sum();
                assert!(bytes <= RUN_BYTES_MAX && datagrams as usize <= RUN_MAX);
                all.push((datagrams, bytes));
                for part in parts {
                    assert_eq!(passed[part.place.staged], part.range.start);
                    passed[part.place.staged] = part.range.end;
                }
            }
            assert!(count <= MESSAGES);
            at = parts.get(last).map_or(behind, |part| part.place);
        }
        let sizes: Vec<usize> = outputs.iter().map(|one| one.packet().size() as usize).collect();
        assert_eq!(passed, sizes);
        all
    }

    fn singles(sizes: &[usize]) -> Vec<u32> {
        let outputs: Vec<Output> = sizes.iter().map(|size| output(*size, 0, Ecn::NotEct)).collect();
        sent(&outputs, ANY).into_iter().map(|(count, _)| count).collect()
    }

    #[test]
    fn equal_sizes_make_a_run_that_a_shorter_one_ends() {
        assert_eq!(singles(&[100, 100, 100]), [3]);
        assert_eq!(singles(&[100, 100, 40, 40]), [3, 1]);
        assert_eq!(singles(&[100, 200, 200, 1, 200]), [1, 3, 1]);
    }

    #[test]
    fn an_empty_datagram_is_on_its_own() {
        assert_eq!(singles(&[100, 0, 100]), [1, 1, 1]);
        assert_eq!(singles(&[0, 0]), [1, 1]);
        let outputs = [output(0, 0, Ecn::NotEct), output(0, 0, Ecn::NotEct)];
        assert_eq!(sent(&outputs, Bounds { header: 10, ..ANY }), [(2, 20)]);
    }

    #[test]
    fn a_run_fits_an_ip_datagram() {
        assert_eq!(singles(&[30_000; 5]), [2, 2, 1]);
        assert_eq!(singles(&[1; 64]), [64]);
        assert_eq!(singles(&[1; 200]), [64, 64, 64, 8]);
    }

    #[test]
    fn a_run_says_one_thing_of_congestion() {
        let (none, ect, ce) = (Ecn::NotEct, Ecn::Ect0, Ecn::Ce);
        let said = |said: &[Ecn]| {
            let outputs: Vec<Output> = said.iter().map(|ecn| output(100, 0, *ecn)).collect();
            sent(&outputs, ANY).into_iter().map(|(count, _)| count).collect::<Vec<_>>()
        };
        assert_eq!(said(&[ect, ect, ect]), [3]);
        assert_eq!(said(&[ect, ce, ce, ect, none]), [1, 2, 1, 1]);
    }

    #[test]
    fn runs_go_whole_and_together_where_they_fit() {
        let run = |size, segment| output(size, segment, Ecn::NotEct);
        // A whole super-packet; two halves and what ends them.
        assert_eq!(sent(&[run(64_800, 1200), run(64_800, 1200)], ANY), [(54, 64_800); 2]);
        let halves = [run(24_000, 1200), run(24_000, 1200), run(2_000, 1200), run(1200, 0)];
        assert_eq!(sent(&halves, ANY), [(42, 50_000), (1, 1200)]);
        // Of another size, or with a short one at its end, it is another message.
        assert_eq!(sent(&[run(2400, 1200), run(2400, 800)], ANY), [(2, 2400), (3, 2400)]);
        assert_eq!(sent(&[run(2300, 1200), run(2400, 1200)], ANY), [(2, 2300), (2, 2400)]);
        assert_eq!(sent(&[run(1200, 0), run(2400, 1200)], ANY), [(3, 3600)]);
        // More than a message takes.
        assert_eq!(sent(&[run(100, 1)], ANY), [(64, 64), (36, 36)]);
        let framed = Bounds { header: 10, ..ANY };
        assert_eq!(sent(&[run(64_800, 1200)], framed), [(54, 65_340)]);
        assert_eq!(sent(&[run(65_500, 1310)], framed), [(49, 64_680), (1, 1320)]);
    }

    #[test]
    fn what_the_system_refuses_as_a_run_goes_one_by_one() {
        let outputs = [output(3000, 1000, Ecn::NotEct), output(1500, 500, Ecn::NotEct)];
        let below = Bounds { segment_max: 999, ..ANY };
        assert_eq!(sent(&outputs, below), [(1, 1000), (1, 1000), (1, 1000), (3, 1500)]);
        let until = Bounds { singly_until: Place { staged: 0, nth: 2 }, ..ANY };
        assert_eq!(sent(&outputs, until), [(1, 1000), (1, 1000), (1, 1000), (3, 1500)]);
        let none = Bounds { segment_max: 0, ..ANY };
        assert_eq!(sent(&outputs, none).len(), 6);
    }
}
