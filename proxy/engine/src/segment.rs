//! A segment of the modelled TCP: what its header says. The payload itself stays with the
//! connection, which hands it out when the receiver has it in order.
//!
//! Segments that leave together and follow each other are a train: one value for all of them, which
//! is as good as its segments one by one.

use jostle_common::ecn::Ecn;
use jostle_common::time::Instant;
use std::ops::Range;

/// IP and TCP headers with timestamps, in bytes.
const HEADER: u32 = 52;

/// The most payload in a segment: 1500 bytes less headers with timestamps.
pub const PAYLOAD_MAX: u32 = 1500 - HEADER;

/// IP and TCP headers of a SYN, with its options, in bytes.
const SYN: u32 = 60;

/// The most SACK blocks that fit next to timestamps (RFC 2018 §3).
pub(crate) const SACK_BLOCKS_MAX: usize = 3;

/// A segment on the wire, or a train of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// The client asks for a connection.
    Syn {
        /// The time at which it was sent (its timestamp).
        sent: Instant,
    },
    /// The server agrees.
    SynAck {
        /// The time at which it was sent.
        sent: Instant,
        /// The time at which the SYN that it answers was sent (the echoed timestamp).
        echo: Instant,
    },
    /// Bytes of the stream.
    Data(Data),
    /// The receiver's account of what it has.
    Ack(Ack),
}

/// A piece of the stream on its way: a segment, or a train of full ones of which the last may be
/// shorter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// The offset of its first byte in the stream.
    pub start: u64,
    /// The bytes of payload; more than [`PAYLOAD_MAX`] are those of a train.
    pub payload: u32,
    /// True if the stream ends behind it; the end takes one place in the stream of its own.
    pub fin: bool,
    /// The time at which it was sent.
    pub sent: Instant,
    /// What its IP header says of congestion when it is sent.
    pub ecn: Ecn,
    /// True if its sender has answered the marks that it was told of (CWR).
    pub answered: bool,
}

impl Data {
    /// Returns the first offset behind it.
    pub const fn end(&self) -> u64 {
        self.start + self.payload as u64 + self.fin as u64
    }

    /// Returns the bytes on the wire, headers and options included; of a train those of all its
    /// segments.
    pub(crate) const fn wire_size(&self) -> u32 {
        HEADER * self.count() + self.payload
    }

    /// Returns the number of segments.
    const fn count(&self) -> u32 {
        // The end of a stream may come without payload.
        if self.payload <= PAYLOAD_MAX { 1 } else { self.payload.div_ceil(PAYLOAD_MAX) }
    }

    /// Takes the first `count` segments out of a train that has more.
    const fn split_to(&mut self, count: u32) -> Self {
        let (start, sent, ecn) = (self.start, self.sent, self.ecn);
        let payload = count * PAYLOAD_MAX;
        self.start += payload as u64;
        self.payload -= payload;
        Self { start, payload, fin: false, sent, ecn, answered: false }
    }

    /// Takes a segment in that leaves behind it, if they make a train. Returns false if they do
    /// not.
    fn join(&mut self, next: &Self) -> bool {
        let is_full = self.payload > 0 && self.payload.is_multiple_of(PAYLOAD_MAX) && !self.fin;
        let follows = next.start == self.end() && next.payload > 0 && next.sent == self.sent;
        let is_alike = next.ecn == self.ecn && !self.answered && !next.answered;
        if !is_full || !follows || !is_alike {
            return false;
        }
        self.payload += next.payload;
        self.fin = next.fin;
        true
    }
}

/// The receiver's account of what it had when it sent this; or a train of such accounts, each of
/// which acknowledges a step more than the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Everything before this offset has arrived.
    pub next: u64,
    /// The bytes that have arrived beyond, the block with the latest arrival first.
    pub blocks: Blocks,
    /// The time at which the segment that caused it was sent: for a delayed one, the first that
    /// waited (RFC 7323 §4.3).
    pub echo: Instant,
    /// True if a mark came that the sender has not answered yet (ECE).
    pub congested: bool,
    /// The number of segments that came marked, if the sender answers each mark; else 0.
    pub marked: u64,
    /// The acknowledgements of a train behind the first, and the bytes by which each goes beyond
    /// the one before; both are 0 for a single one.
    pub train: (u32, u32),
}

impl Ack {
    /// Takes the first `count` acknowledgements out of a train that has more.
    fn split_to(&mut self, count: u32) -> Self {
        let (more, step) = self.train;
        let train = |more| if more == 0 { (0, 0) } else { (more, step) };
        let front = Self { train: train(count - 1), ..self.clone() };
        self.next += u64::from(count) * u64::from(step);
        self.train = train(more - count);
        front
    }

    /// Takes an acknowledgement in that leaves behind it, if they make a train. Returns false if
    /// they do not.
    fn join(&mut self, next: &Self) -> bool {
        let is_plain = self.blocks.count + next.blocks.count == 0 && next.train.0 == 0;
        let is_alike =
            (next.echo, next.congested, next.marked) == (self.echo, self.congested, self.marked);
        let (more, step) = self.train;
        let last = self.next + u64::from(more) * u64::from(step);
        let Some(beyond) = next.next.checked_sub(last).and_then(|by| u32::try_from(by).ok()) else {
            return false;
        };
        let is_regular = more == 0 || beyond == step;
        if !is_plain || !is_alike || !is_regular {
            return false;
        }
        self.train = (more + 1, beyond);
        true
    }
}

/// The SACK blocks of an acknowledgement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blocks {
    ranges: [Range<u64>; SACK_BLOCKS_MAX],
    count: u8,
}

impl Blocks {
    /// Adds a block; one too many is left out.
    pub(crate) fn push(&mut self, block: Range<u64>) {
        if let Some(place) = self.ranges.get_mut(usize::from(self.count)) {
            *place = block;
            self.count += 1;
        }
    }

    /// Returns the blocks.
    pub fn as_slice(&self) -> &[Range<u64>] {
        &self.ranges[..usize::from(self.count)]
    }
}

impl Segment {
    /// Returns the number of segments: 1 unless it is a train.
    pub const fn count(&self) -> u32 {
        match self {
            Self::Data(data) => data.count(),
            Self::Ack(ack) => ack.train.0 + 1,
            Self::Syn { .. } | Self::SynAck { .. } => 1,
        }
    }

    /// Returns the bytes on the wire of each segment of a train but the last.
    pub(crate) const fn wire_size_of_each(&self) -> u32 {
        match self {
            Self::Data(_) => HEADER + PAYLOAD_MAX,
            // In a train none has SACK blocks.
            Self::Syn { .. } | Self::SynAck { .. } | Self::Ack(_) => HEADER,
        }
    }

    /// Takes the first `count` segments out of a train that has more.
    pub(crate) fn split_to(&mut self, count: u32) -> Self {
        match self {
            Self::Data(data) => Self::Data(data.split_to(count)),
            Self::Ack(ack) => Self::Ack(ack.split_to(count)),
            Self::Syn { .. } | Self::SynAck { .. } => unreachable!("handshakes make no trains"),
        }
    }

    /// Takes a segment in that leaves behind it, if they make a train. Returns false if they do
    /// not.
    pub(crate) fn join(&mut self, next: &Self) -> bool {
        match (self, next) {
            (Self::Data(data), Self::Data(next)) => data.join(next),
            (Self::Ack(ack), Self::Ack(next)) => ack.join(next),
            _ => false,
        }
    }

    /// Returns the segments that it stands for, one by one; a single one is the only one.
    pub(crate) fn singles(&self) -> impl Iterator<Item = Self> + use<> {
        let (mut rest, mut left) = (self.clone(), self.count());
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            Some(if left > 0 { rest.split_to(1) } else { rest.clone() })
        })
    }

    /// Returns the bytes of payload.
    pub const fn payload(&self) -> u32 {
        match self {
            Self::Data(data) => data.payload,
            Self::Syn { .. } | Self::SynAck { .. } | Self::Ack(_) => 0,
        }
    }

    /// Returns the bytes on the wire, headers and options included.
    pub const fn wire_size(&self) -> u32 {
        match self {
            Self::Syn { .. } | Self::SynAck { .. } => SYN,
            Self::Data(data) => data.wire_size(),
            // Two bytes of padding, kind and length, then two sequence numbers each (RFC 2018 §3).
            Self::Ack(Ack { blocks, train, .. }) => match blocks.count {
                0 => HEADER * (train.0 + 1),
                count => HEADER + 4 + 8 * count as u32,
            },
        }
    }

    /// Returns what its IP header says of congestion when it is sent: acknowledgements and
    /// handshakes take no marks (RFC 3168 §6.1.1 and §6.1.4).
    pub const fn ecn(&self) -> Ecn {
        match self {
            Self::Data(data) => data.ecn,
            Self::Syn { .. } | Self::SynAck { .. } | Self::Ack(_) => Ecn::NotEct,
        }
    }

    /// Returns the kind of segment, for events.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Syn { .. } => "syn",
            Self::SynAck { .. } => "syn_ack",
            Self::Data(Data { fin: true, .. }) => "fin",
            Self::Data(_) => "data",
            Self::Ack(_) => "ack",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(start: u64, sent: Instant) -> Data {
        Data { start, payload: 5, fin: true, sent, ecn: Ecn::NotEct, answered: false }
    }

    #[test]
    fn sizes_are_those_of_linux_with_timestamps() {
        let sent = Instant::START;
        assert_eq!(Segment::Syn { sent }.wire_size(), 60);
        assert_eq!(Segment::SynAck { sent, echo: sent }.wire_size(), 60);
        assert_eq!(Segment::Data(Data { payload: 1448, ..data(0, sent) }).wire_size(), 1500);
        let blocks = Blocks::default();
        let mut ack =
            Ack { next: 7, blocks, echo: sent, congested: false, marked: 0, train: (0, 0) };
        for size in [52, 64, 72, 80, 80] {
            assert_eq!(Segment::Ack(ack.clone()).wire_size(), size);
            ack.blocks.push(10..20);
        }
    }

    #[test]
    fn the_end_of_the_stream_takes_a_place() {
        let data = data(10, Instant::START);
        assert_eq!(data.end(), 16);
        assert_eq!(Data { fin: false, ..data }.end(), 15);
    }

    /// Returns the trains that segments make which leave one behind the other.
    fn joined(segments: &[Segment]) -> Vec<Segment> {
        let mut trains: Vec<Segment> = Vec::new();
        for segment in segments {
            if !trains.last_mut().is_some_and(|last| last.join(segment)) {
                trains.push(segment.clone());
            }
        }
        trains
    }

    #[test]
    fn a_train_is_its_segments() {
        let sent = Instant::START;
        let full = |index: u64| Data {
            payload: PAYLOAD_MAX,
            fin: false,
            ..data(index * u64::from(PAYLOAD_MAX), sent)
        };
        let end = 3 * u64::from(PAYLOAD_MAX);
        let ack = |next, blocks: Blocks| {
            Segment::Ack(Ack {
                next,
                blocks,
                echo: sent,
                congested: false,
                marked: 0,
                train: (0, 0),
            })
        };
        let mut block = Blocks::default();
        block.push(90..95);
        let none = Blocks::default;
        let later = Data { sent: Instant::from_millis(1), ..full(1) };
        let answers = Data { answered: true, ..full(1) };
        let lone_end = Data { payload: 0, ..data(end, sent) };
        let syn = Segment::Syn { sent };
        // The segments, and the numbers of those in each train.
        let cases: [(Vec<Segment>, &[u32]); 9] = [
            ([0, 1, 2].map(|index| Segment::Data(full(index))).to_vec(), &[3]),
            (
                vec![
                    Segment::Data(full(1)),
                    Segment::Data(full(2)),
                    Segment::Data(data(end, sent)),
                ],
                &[3],
            ),
            (vec![Segment::Data(full(2)), Segment::Data(lone_end)], &[1, 1]),
            (vec![Segment::Data(data(0, sent)), Segment::Data(data(6, sent))], &[1, 1]),
            (vec![Segment::Data(full(0)), Segment::Data(full(2))], &[1, 1]),
            (vec![Segment::Data(full(0)), Segment::Data(later)], &[1, 1]),
            (vec![Segment::Data(full(0)), Segment::Data(answers), Segment::Data(full(2))], &[1; 3]),
            (
                [10, 20, 30, 40, 45, 50, 50, 40].map(|next| ack(next, none())).to_vec(),
                &[4, 2, 1, 1],
            ),
            (
                vec![ack(10, none()), ack(10, block.clone()), ack(20, none()), syn.clone(), syn],
                &[1; 5],
            ),
        ];
        for (segments, counts) in cases {
            let trains = joined(&segments);
            let found: Vec<u32> = trains.iter().map(Segment::count).collect();
            assert_eq!(found, counts, "{segments:?}");
            let singles: Vec<Segment> = trains.iter().flat_map(Segment::singles).collect();
            assert_eq!(singles, segments);
            let sizes = |all: &[Segment]| all.iter().map(Segment::wire_size).sum::<u32>();
            assert_eq!(sizes(&trains), sizes(&segments));
        }
    }

    #[test]
    fn a_train_is_split_anywhere() {
        let sent = Instant::START;
        let train = Data { payload: 7 * PAYLOAD_MAX + 3, ..data(100, sent) };
        let blocks = Blocks::default();
        let acks = Ack { next: 5, blocks, echo: sent, congested: false, marked: 0, train: (7, 9) };
        for train in [Segment::Data(train), Segment::Ack(acks)] {
            assert_eq!(train.count(), 8);
            for count in 1..8 {
                let mut rest = train.clone();
                let front = rest.split_to(count);
                assert_eq!((front.count(), rest.count()), (count, 8 - count));
                assert!(front.singles().chain(rest.singles()).eq(train.singles()));
            }
        }
    }
}
