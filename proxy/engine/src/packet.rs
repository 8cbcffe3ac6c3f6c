//! A packet on its way through a link.

use crate::payload::Payload;
use crate::segment::{Data, Segment};
use jostle_common::ecn::Ecn;
use jostle_common::time::Instant;

/// The first ordinal of the flows of cross traffic: no flow from outside has one of these.
pub(crate) const CROSS_FLOWS: u32 = u32::MAX - 4095;

/// One thing that travels: a UDP datagram, a piece of a TCP stream, a modelled TCP segment, or a
/// mark in a stream; or a run of datagrams or segments.
///
/// A run is packets of one flow that come together: they have consecutive numbers, and the same
/// arrival, ECN and trace. Their payloads lie one behind the other, all of one length but the last,
/// which may be shorter; those of segments stay at their sender. A run is as good as its [single](Self::singles) packets: a link may take
/// it through whole or in parts, and what becomes of each packet is the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Packet {
    /// Its place among the packets that entered the link: 1, 2, 3 …; copies share it. The link sets
    /// it. Of a run it is the first one's.
    pub number: u64,
    /// Its place among the packets of its flow: 1, 2, 3 …; 0 unless a rule of the link counts per
    /// flow. The link sets it. Of a run it is the first one's.
    pub flow_number: u64,
    /// The time at which it entered the link.
    pub entered: Instant,
    /// Its place in time: the arrival at this stage, or the time at which it was due to leave the
    /// last one.
    pub at: Instant,
    /// The trace of what was done to it so far.
    pub trace: Trace,
    pub(crate) content: Content,
    /// The ordinal of its flow or connection, from 1. No rule looks at it unless it counts per
    /// flow.
    pub flow: u32,
    /// The bytes of each packet of a run but the last, a segment's on the wire; 0 if it is a single
    /// packet.
    pub(crate) segment: u16,
    /// What its IP header says of congestion: as it came, and from then on as rules marked it.
    pub ecn: Ecn,
    pub(crate) flags: u8,
}

// Packets are moved several times on their way, and a million may be in flight: one is a line of
// the cache.
const _: () = assert!(size_of::<Packet>() == 64);

/// Set in the flags of a packet that skips every wait that is still in front of it.
const AHEAD: u8 = 1;

/// Set in the flags of a packet on which a rule set CE.
const MARKED: u8 = 2;

/// The content of a packet, and what few packets have besides.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    Plain(Body),
    Noted(Box<Noted>),
}

/// The content of a packet that is a copy, or was damaged, or changed its path.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Noted {
    body: Body,
    copy: u32,
    flipped_bits: u32,
    path: u32,
}

impl Packet {
    /// Creates a packet of `flow` that arrives at `at`. Its size is that of its body.
    pub const fn new(flow: u32, at: Instant, body: Body) -> Self {
        Self {
            number: 0,
            flow_number: 0,
            entered: at,
            at,
            trace: Trace { rules: 0 },
            content: Content::Plain(body),
            flow,
            segment: 0,
            ecn: Ecn::NotEct,
            flags: 0,
        }
    }

    /// Creates a run of packets of `flow` that arrive together at `at`. Their payloads are `segment`
    /// bytes each, the last one what is left; 0 puts all bytes into one packet.
    ///
    /// ```
    /// use jostle_common::time::Instant;
    /// use jostle_engine::packet::Packet;
    /// let run = Packet::run(1, Instant::START, vec![7; 2500], 1200);
    /// assert_eq!((run.count(), run.size()), (3, 2500));
    /// let sizes: Vec<u32> = run.singles().map(|packet| packet.size()).collect();
    /// assert_eq!(sizes, [1200, 1200, 100]);
    /// ```
    ///
    /// # Panics
    /// When the bytes are more than a [`Payload`] has.
    pub fn run(flow: u32, at: Instant, payloads: impl Into<Payload>, segment: u16) -> Self {
        let payloads = payloads.into();
        let is_single = payloads.len() <= usize::from(segment);
        let segment = if is_single { 0 } else { segment };
        Self { segment, ..Self::new(flow, at, Body::Data(payloads)) }
    }

    /// Creates a segment of the TCP model, or a run of those of a train.
    pub(crate) fn segments(flow: u32, at: Instant, segments: Box<Segment>) -> Self {
        let segment = if segments.count() > 1 { segments.wire_size_of_each() as u16 } else { 0 };
        let ecn = segments.ecn();
        Self { segment, ecn, ..Self::new(flow, at, Body::Segment(segments)) }
    }

    /// Returns it with what its IP header says of congestion.
    #[must_use]
    pub const fn with_ecn(mut self, ecn: Ecn) -> Self {
        self.ecn = ecn;
        self
    }

    /// Returns the number of packets that it stands for: 1 unless it is a run.
    #[inline]
    pub fn count(&self) -> u32 {
        match self.segment {
            0 => 1,
            segment => self.size().div_ceil(u32::from(segment)),
        }
    }

    /// Returns true if it stands for more packets than one.
    #[inline]
    pub const fn is_run(&self) -> bool {
        self.segment != 0
    }

    /// Returns the bytes of the payload of each packet of a run but the last; `None` if it is a
    /// single packet.
    #[inline]
    pub const fn segment(&self) -> Option<u16> {
        match self.segment {
            0 => None,
            segment => Some(segment),
        }
    }

    /// Returns the sizes of the first packet of it and of the last.
    #[inline]
    pub(crate) fn sizes(&self) -> [u32; 2] {
        let size = self.size();
        match u32::from(self.segment) {
            0 => [size; 2],
            segment => [segment, size - (self.count() - 1) * segment],
        }
    }

    /// Returns the packets that it stands for, one by one; a single packet is the only one.
    pub fn singles(&self) -> impl Iterator<Item = Self> + use<> {
        let mut rest = Some(self.clone());
        std::iter::from_fn(move || {
            let run = rest.as_mut()?;
            if run.is_run() { Some(run.split_to(1)) } else { rest.take() }
        })
    }

    /// Takes the first `count` packets out of a run that has more. What stays is a run, or a single
    /// packet.
    pub(crate) fn split_to(&mut self, count: u32) -> Self {
        let segment = usize::from(self.segment);
        let front = Self { content: Content::Plain(Body::End), ..*self };
        let front = match &mut self.content {
            Content::Plain(body) => {
                Self { content: Content::Plain(body.split_to(count, segment)), ..front }
            }
            Content::Noted(noted) => {
                let body = noted.body.split_to(count, segment);
                let (copy, flipped_bits, path) = (noted.copy, noted.flipped_bits, noted.path);
                let noted = Noted { body, copy, flipped_bits, path };
                Self { content: Content::Noted(Box::new(noted)), ..front }
            }
        };
        // What has no number yet gets none by being split.
        self.number += if self.number == 0 { 0 } else { u64::from(count) };
        self.flow_number += if self.flow_number == 0 { 0 } else { u64::from(count) };
        self.settle_segment();
        Self { segment: if count == 1 { 0 } else { front.segment }, ..front }
    }

    /// Makes a run of which one packet is left a single packet.
    fn settle_segment(&mut self) {
        if self.size() <= u32::from(self.segment) {
            self.segment = 0;
        }
    }

    /// Returns its content; of a run the payloads are one behind the other.
    #[inline]
    pub const fn body(&self) -> &Body {
        match &self.content {
            Content::Plain(body) => body,
            Content::Noted(noted) => &noted.body,
        }
    }

    /// Returns its content, to change it.
    #[inline]
    pub(crate) fn body_mut(&mut self) -> &mut Body {
        match &mut self.content {
            Content::Plain(body) => body,
            Content::Noted(noted) => &mut noted.body,
        }
    }

    /// Returns its content alone.
    pub fn into_body(self) -> Body {
        match self.content {
            Content::Plain(body) => body,
            Content::Noted(noted) => noted.body,
        }
    }

    /// Returns the bytes that rules count: those of its payload, or a modelled segment's on the wire.
    /// Of a run it is the sum.
    #[inline]
    pub fn size(&self) -> u32 {
        self.body().size()
    }

    /// Returns 0 for the original, a number of its own for each copy.
    #[inline]
    pub fn copy(&self) -> u32 {
        self.noted().map_or(0, |noted| noted.copy)
    }

    /// Makes it the copy of this number.
    pub fn set_copy(&mut self, copy: u32) {
        if copy != self.copy() {
            self.note().copy = copy;
        }
    }

    /// Returns it as the copy of this number.
    #[must_use]
    pub(crate) fn into_copy(mut self, copy: u32) -> Self {
        self.set_copy(copy);
        self
    }

    /// Returns the number of bits of it that were flipped.
    #[inline]
    pub fn flipped_bits(&self) -> u32 {
        self.noted().map_or(0, |noted| noted.flipped_bits)
    }

    /// Notes that so many bits of it were flipped.
    pub fn set_flipped_bits(&mut self, bits: u32) {
        if bits != self.flipped_bits() {
            self.note().flipped_bits = bits;
        }
    }

    /// Returns true if a rule flipped bits in it.
    #[inline]
    pub fn is_damaged(&self) -> bool {
        self.flipped_bits() > 0
    }

    /// Returns the path on which it left a rule that has changed its path since; 0: it takes
    /// whichever is taken when it comes to a rule.
    #[inline]
    pub(crate) fn path(&self) -> u32 {
        self.noted().map_or(0, |noted| noted.path)
    }

    /// Keeps it on a path.
    pub(crate) fn set_path(&mut self, path: u32) {
        if path != self.path() {
            self.note().path = path;
        }
    }

    #[inline]
    const fn noted(&self) -> Option<&Noted> {
        match &self.content {
            Content::Plain(_) => None,
            Content::Noted(noted) => Some(noted),
        }
    }

    /// Returns what few packets have, to change it.
    fn note(&mut self) -> &mut Noted {
        if let Content::Plain(body) = &mut self.content {
            let body = std::mem::replace(body, Body::End);
            let noted = Noted { body, copy: 0, flipped_bits: 0, path: 0 };
            self.content = Content::Noted(Box::new(noted));
        }
        match &mut self.content {
            Content::Noted(noted) => noted,
            Content::Plain(_) => unreachable!("it was just noted"),
        }
    }

    /// Takes it out of its place, where a mark stays that nobody sends. So it is moved once, to
    /// where it comes to lie, by however many hands it goes.
    #[inline(always)]
    pub(crate) const fn take(&mut self) -> Self {
        std::mem::replace(self, Self::vacant())
    }

    /// Returns what lies in a place without a packet: a mark that nobody sends.
    #[inline(always)]
    pub(crate) const fn vacant() -> Self {
        Self::new(0, Instant::START, Body::End)
    }

    /// Returns the packet, at another time.
    #[inline]
    #[must_use]
    pub(crate) const fn moved_to(mut self, at: Instant) -> Self {
        // Written in place: rebuilding the packet field by field costs more than the rule that
        // asked for it.
        self.at = at;
        self
    }

    /// Returns true if it is a mark, which no rule drops, damages, copies or moves.
    #[inline]
    pub const fn is_mark(&self) -> bool {
        matches!(self.body(), Body::End | Body::Reset)
    }

    /// Returns true if a `cross` rule sent it.
    #[inline]
    pub const fn is_cross(&self) -> bool {
        matches!(self.body(), Body::Cross(_))
    }

    /// Returns true if it skips every wait that is still in front of it.
    #[inline]
    pub const fn is_ahead(&self) -> bool {
        self.flags & AHEAD != 0
    }

    /// Lets it skip every wait that is still in front of it.
    pub(crate) const fn send_ahead(&mut self) {
        self.flags |= AHEAD;
    }

    /// Returns true if a rule set CE.
    #[inline]
    pub const fn is_marked(&self) -> bool {
        self.flags & MARKED != 0
    }

    /// Tells its receiver of congestion, as RFC 3168, section 5, has it, and returns true: it says CE
    /// from now on, or did so before. Returns false if its sender takes no marks; then it has to be
    /// dropped instead.
    pub const fn mark_congestion(&mut self) -> bool {
        if matches!(self.ecn, Ecn::Ect0 | Ecn::Ect1) {
            self.ecn = Ecn::Ce;
            self.flags |= MARKED;
        }
        self.ecn.takes_marks()
    }
}

/// The content of a packet.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// The payload of a datagram or of a piece of a stream.
    Data(Payload),
    /// A segment of the TCP model; its payload stays at the sender until it has arrived.
    Segment(Box<Segment>),
    /// A packet of cross traffic, which never leaves the link.
    Cross(Box<CrossPacket>),
    /// The stream ends here (FIN).
    End,
    /// The stream is torn down here (RST).
    Reset,
}

impl Body {
    /// Creates the payload of a datagram or of a piece of a stream.
    ///
    /// # Panics
    /// When the bytes are more than a [`Payload`] has.
    pub fn data(payload: impl Into<Payload>) -> Self {
        Self::Data(payload.into())
    }

    /// Returns the bytes it counts on the wire.
    #[inline]
    pub fn size(&self) -> u32 {
        match self {
            Self::Data(payload) => payload.len() as u32,
            Self::Segment(segment) => segment.wire_size(),
            Self::Cross(packet) => packet.size,
            Self::End | Self::Reset => 0,
        }
    }

    /// Takes the first `count` payloads of `segment` bytes, or as many segments, out of it.
    fn split_to(&mut self, count: u32, segment: usize) -> Self {
        match self {
            Self::Data(payload) => Self::Data(payload.split_to(count as usize * segment)),
            Self::Segment(train) => Self::Segment(Box::new(train.split_to(count))),
            Self::Cross(_) | Self::End | Self::Reset => unreachable!("these come singly"),
        }
    }
}

/// A packet that a `cross` rule sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrossPacket {
    /// The rule that sent it, by its place in the link.
    pub place: u8,
    /// Its bytes on the wire.
    pub size: u32,
    /// The sender of the rule that it comes from: its index, and how many were at that index
    /// before.
    pub(crate) sender: (u32, u32),
    /// What its header says, if it belongs to a modelled stream.
    pub(crate) data: Option<Data>,
}

/// A record of what rules did to a packet, for counters and events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// One bit per rule that chose this packet (dropped, damaged, copied or held it back), by
    /// [`crate::link::Link::rule_key`]'s place.
    pub rules: u64,
}

impl Trace {
    /// The number of rules that have a bit of their own; the last bit is the link's.
    pub const PLACES_MAX: usize = 63;

    /// Set by the rule that just chose the packet, which does not know its place.
    const CHOSEN: u64 = 1 << 63;

    /// Notes that the rule now looking at the packet chose it.
    pub(crate) const fn choose(&mut self) {
        self.rules |= Self::CHOSEN;
    }

    /// Returns true if the rule now looking at the packet chose it.
    pub(crate) const fn is_chosen(&self) -> bool {
        self.rules & Self::CHOSEN != 0
    }

    /// Returns true if the rule at `place` chose the packet.
    pub(crate) const fn is_signed(&self, place: u8) -> bool {
        self.rules & 1 << place != 0
    }

    /// Turns a choice just made into the bit of the rule at `place`.
    pub(crate) const fn sign(&mut self, place: u8) {
        if self.rules & Self::CHOSEN != 0 {
            self.rules = self.rules & !Self::CHOSEN | 1 << place;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_set_once_and_only_where_it_is_taken() {
        for (ecn, after, told, marked) in [
            (Ecn::NotEct, Ecn::NotEct, false, false),
            (Ecn::Ect0, Ecn::Ce, true, true),
            (Ecn::Ect1, Ecn::Ce, true, true),
            (Ecn::Ce, Ecn::Ce, true, false),
        ] {
            let packet = Packet::new(1, Instant::START, Body::data(vec![]));
            assert_eq!(packet.ecn, Ecn::NotEct);
            let mut packet = Packet { ecn, ..packet };
            assert_eq!(packet.mark_congestion(), told, "{ecn}");
            assert_eq!((packet.ecn, packet.is_marked()), (after, marked), "{ecn}");
        }
    }
}
