//! A TCP connection as the two sides of the box see it: sequence numbers, acknowledgements, and
//! what a made-up handshake looks like.
//!
//! The segments of the model are shown as they are. Where there are none, on raw routes and on
//! those without rules, each piece becomes a segment of its side, which is acknowledged at once.

use super::headers::{Payload, TcpHeader, flags};
use super::mirror::Mirror;
use super::note::{FlowKey, PacketKey};
use super::order::Side;
use crate::observed::Crossing;
use jostle_common::chance::Direction;
use jostle_common::ecn::Ecn;
use jostle_common::time::Instant;
use jostle_engine::tcp::Segment;
use std::net::SocketAddr;

/// The most bytes of a segment: an IP packet has no more than 65,535.
const PAYLOAD_MAX: usize = 65_000;

/// The most segments that wait for the addresses of the server's side.
const WAITING_MAX: usize = 1024;

/// A segment without its addresses.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) at: Instant,
    pub(super) side: Side,
    pub(super) direction: Direction,
    pub(super) header: TcpHeader,
    pub(super) payload: Payload,
    pub(super) remark: Remark,
}

/// What is said of a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Remark {
    pub(super) comment: String,
    /// What its IP header says of congestion.
    pub(super) ecn: Ecn,
    /// The packet whose fate is still to come.
    pub(super) awaits: Option<PacketKey>,
}

/// Both ends of a connection on one side: the one that writes upwards first.
pub(super) type Ends = (SocketAddr, SocketAddr);

/// What one side has seen. All by direction.
#[derive(Debug, Default)]
struct View {
    /// The offset behind what was sent, from 0 behind the SYN.
    next: [u64; 2],
    /// The offset at which the stream of the links begins.
    base: [u64; 2],
    /// The offset up to which the stream was acknowledged.
    acknowledged: [u64; 2],
    /// The last timestamp.
    stamp: [u32; 2],
    finished: [bool; 2],
    is_reset: bool,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Conversation {
    pub(super) ends: [Option<Ends>; 2],
    pub(super) mirrors: [Mirror; 2],
    crossing: Crossing,
    /// Set while the handshake is that of the model.
    is_modelled: bool,
    views: [View; 2],
    /// The initial sequence number of each direction.
    initial: [u32; 2],
    /// When the upstream was first asked.
    reached: Option<Instant>,
    /// Set once the server's side is settled: before that its addresses may change.
    is_settled: bool,
    /// The segments of the server's side that wait for that.
    waiting: Vec<Draft>,
    /// What can be written.
    ready: Vec<Draft>,
}

impl Conversation {
    /// A connection that a client has opened.
    pub(super) fn open(key: FlowKey, at: Instant, ends: Ends, crossing: Crossing) -> Self {
        // Any numbers will do that differ from one connection to the next.
        let spread = |salt: u32| {
            key.flow.wrapping_mul(0x9e37_79b1) ^ key.route.wrapping_mul(0x85eb_ca6b) ^ salt
        };
        let mut conversation = Self {
            ends: [Some(ends), None],
            mirrors: Default::default(),
            crossing,
            is_modelled: crossing == Crossing::Model,
            views: Default::default(),
            initial: [spread(0x1b87_3593), spread(0xe654_6b64)],
            reached: None,
            is_settled: false,
            waiting: Vec::new(),
            ready: Vec::new(),
        };
        if !conversation.is_modelled {
            conversation.shake_hands(Side::Client, at, at);
        }
        conversation
    }

    /// Returns what can be written now.
    pub(super) fn take_ready(&mut self) -> Vec<Draft> {
        std::mem::take(&mut self.ready)
    }

    /// Returns how its bytes cross the route.
    pub(super) const fn crossing(&self) -> Crossing {
        self.crossing
    }

    /// Notes how its bytes cross the route from now on.
    pub(super) fn cross(&mut self, crossing: Crossing) {
        self.crossing = crossing;
        self.mirrors = Default::default();
        for view in &mut self.views {
            view.base = view.next;
        }
    }

    /// Notes where it leads.
    pub(super) fn reach(&mut self, at: Instant, ends: Ends) {
        self.reached.get_or_insert(at);
        self.ends[Side::Server.index()] = Some(ends);
    }

    /// Notes that the upstream has accepted it.
    pub(super) fn connect(&mut self, at: Instant) {
        if self.is_settled {
            return;
        }
        if !self.is_modelled {
            let waiting = std::mem::take(&mut self.waiting);
            self.is_settled = true;
            // The bytes that crossed the links meanwhile are written now.
            self.shake_hands(Side::Server, self.reached.unwrap_or(at), at);
            let waiting = waiting.into_iter();
            self.ready.extend(waiting.map(|draft| Draft { at: draft.at.max(at), ..draft }));
        }
        self.settle();
    }

    /// Lets what waits on the server's side go: there will be no other addresses.
    pub(super) fn settle(&mut self) {
        self.is_settled = true;
        self.ready.append(&mut self.waiting);
    }

    /// Says more about a packet that waits here. Returns false if it does not.
    pub(super) fn comment(&mut self, key: &PacketKey, text: &str, is_over: bool) -> bool {
        let awaited = |draft: &&mut Draft| draft.remark.awaits.as_ref() == Some(key);
        let Some(draft) = self.waiting.iter_mut().find(awaited) else { return false };
        draft.remark.comment.push_str(text);
        if is_over {
            draft.remark.awaits = None;
        }
        true
    }

    /// A segment of the model passes a side; `entered` is when it was sent.
    pub(super) fn segment(
        &mut self,
        (side, direction): (Side, Direction),
        (at, entered): (Instant, Instant),
        segment: &Segment,
        remark: Remark,
    ) {
        let (forth, back) = (direction.index(), direction.opposite().index());
        let view = &mut self.views[side.index()];
        let (sequence, mut flags, mut payload) = match segment {
            Segment::Syn { .. } => (None, flags::SYN, Payload::Bytes(Vec::new())),
            Segment::SynAck { .. } => (None, flags::SYN | flags::ACK, Payload::Bytes(Vec::new())),
            Segment::Data(data) => {
                let offset = view.base[forth] + data.start;
                let end = view.base[forth] + data.end();
                view.next[forth] = view.next[forth].max(end);
                view.finished[forth] |= data.fin;
                let fin = if data.fin { flags::FIN } else { 0 };
                let payload = self.mirrors[forth].payload(data.start, data.payload);
                (Some(offset), flags::ACK | fin, payload)
            }
            Segment::Ack(ack) => {
                let acknowledged = view.base[back] + ack.next;
                view.acknowledged[back] = view.acknowledged[back].max(acknowledged);
                (Some(view.next[forth]), flags::ACK, Payload::Bytes(Vec::new()))
            }
        };
        if payload.len() > 0 {
            flags |= flags::PSH;
        } else {
            payload = Payload::Bytes(Vec::new());
        }
        let mut header = self.header(side, direction, sequence, flags, entered);
        if let Segment::Ack(ack) = segment {
            // What this very segment says, which another may have overtaken.
            let acknowledged = self.views[side.index()].base[back] + ack.next;
            header.acknowledged = self.sequence(direction.opposite(), acknowledged);
            let blocks = ack.blocks.as_slice();
            if !blocks.is_empty() {
                header.options.extend([1, 1, 5, 2 + 8 * blocks.len() as u8]);
                let base = self.views[side.index()].base[back];
                for edge in blocks.iter().flat_map(|block| [block.start, block.end]) {
                    let edge = self.sequence(direction.opposite(), base + edge);
                    header.options.extend(edge.to_be_bytes());
                }
            }
        }
        self.add(Draft { at, side, direction, header, payload, remark });
    }

    /// A piece of the stream passes a side, and is acknowledged there.
    pub(super) fn piece(
        &mut self,
        (side, direction): (Side, Direction),
        at: Instant,
        payload: Payload,
        remark: Remark,
    ) {
        let mut remark = Some(remark);
        let mut add = |conversation: &mut Self, payload: Payload| {
            let view = &mut conversation.views[side.index()];
            let offset = view.next[direction.index()];
            view.next[direction.index()] += u64::from(payload.len());
            let flags = flags::ACK | flags::PSH;
            let header = conversation.header(side, direction, Some(offset), flags, at);
            let remark = remark.take().unwrap_or_default();
            conversation.add(Draft { at, side, direction, header, payload, remark });
        };
        match payload {
            Payload::Bytes(bytes) => {
                for part in bytes.chunks(PAYLOAD_MAX) {
                    add(self, Payload::Bytes(part.to_vec()));
                }
            }
            Payload::Unknown(mut length) => {
                while length > 0 {
                    let part = length.min(PAYLOAD_MAX as u32);
                    add(self, Payload::Unknown(part));
                    length -= part;
                }
            }
        }
        self.acknowledge(side, direction, at);
    }

    /// The end of a stream passes a side, unless it did before.
    pub(super) fn finish(&mut self, side: Side, direction: Direction, at: Instant) {
        let view = &mut self.views[side.index()];
        if view.is_reset || std::mem::replace(&mut view.finished[direction.index()], true) {
            return;
        }
        let offset = view.next[direction.index()];
        view.next[direction.index()] += 1;
        self.mark((side, direction), Some(offset), flags::FIN | flags::ACK, at);
        self.acknowledge(side, direction, at);
    }

    /// A reset passes a side, unless it did before.
    pub(super) fn reset(&mut self, side: Side, direction: Direction, at: Instant) {
        let view = &mut self.views[side.index()];
        if std::mem::replace(&mut view.is_reset, true) {
            return;
        }
        let offset = view.next[direction.index()];
        if side == Side::Server && !self.is_settled && direction == Direction::Down {
            // It is the answer to the connect.
            if !self.is_modelled
                && let Some(reached) = self.reached
            {
                let header = self.header(side, Direction::Up, None, flags::SYN, reached);
                let (payload, remark) = (Payload::Bytes(Vec::new()), Remark::default());
                let direction = Direction::Up;
                self.ready.push(Draft { at: reached, side, direction, header, payload, remark });
            }
            self.settle();
        }
        self.mark((side, direction), Some(offset), flags::RST | flags::ACK, at);
    }

    /// The proxy tears it down towards both sides, unless they have ended.
    pub(super) fn tear_down(&mut self, at: Instant) {
        for (side, direction) in [(Side::Client, Direction::Down), (Side::Server, Direction::Up)] {
            let has_ended = self.views[side.index()].finished == [true; 2];
            if !has_ended && (side == Side::Client || self.is_settled) {
                self.reset(side, direction, at);
            }
        }
    }

    fn shake_hands(&mut self, side: Side, asked: Instant, answered: Instant) {
        self.mark((side, Direction::Up), None, flags::SYN, asked);
        self.mark((side, Direction::Down), None, flags::SYN | flags::ACK, answered);
        self.mark((side, Direction::Up), Some(0), flags::ACK, answered);
    }

    /// The receiver of a stream acknowledges what passed its side.
    fn acknowledge(&mut self, side: Side, direction: Direction, at: Instant) {
        let view = &mut self.views[side.index()];
        view.acknowledged[direction.index()] = view.next[direction.index()];
        let back = direction.opposite();
        let offset = view.next[back.index()];
        if !view.is_reset {
            self.mark((side, back), Some(offset), flags::ACK, at);
        }
    }

    /// Adds a segment without payload or remark.
    fn mark(
        &mut self,
        (side, direction): (Side, Direction),
        offset: Option<u64>,
        flags: u8,
        at: Instant,
    ) {
        let header = self.header(side, direction, offset, flags, at);
        let (payload, remark) = (Payload::Bytes(Vec::new()), Remark::default());
        self.add(Draft { at, side, direction, header, payload, remark });
    }

    /// Makes a header; without an offset it is a SYN's.
    fn header(
        &mut self,
        side: Side,
        direction: Direction,
        offset: Option<u64>,
        flags: u8,
        sent: Instant,
    ) -> TcpHeader {
        let back = direction.opposite();
        // Milliseconds, as Linux has them; nought would say that there is none.
        let stamp = ((sent.as_nanos() / 1_000_000) as u32).wrapping_add(1);
        let view = &mut self.views[side.index()];
        view.stamp[direction.index()] = stamp;
        // What a handshake answers is the other's SYN, also one that is made up behind the bytes.
        let acknowledged = offset.map_or(0, |_| view.acknowledged[back.index()]);
        let echo = if flags & flags::ACK == 0 { 0 } else { view.stamp[back.index()] };
        let mut options = Vec::with_capacity(36);
        if offset.is_none() {
            // 1460 bytes at most, SACK permitted, timestamps, a window scale of 8.
            options.extend([2, 4, 0x05, 0xb4, 4, 2]);
        } else {
            options.extend([1, 1]);
        }
        options.extend([8, 10]);
        options.extend(stamp.to_be_bytes());
        options.extend(echo.to_be_bytes());
        if offset.is_none() {
            options.extend([1, 3, 3, 8]);
        }
        let sequence = match offset {
            None => self.initial[direction.index()],
            Some(offset) => self.sequence(direction, offset),
        };
        let acknowledged =
            if flags & flags::ACK == 0 { 0 } else { self.sequence(back, acknowledged) };
        TcpHeader { sequence, acknowledged, flags, options }
    }

    /// Returns the sequence number of an offset.
    const fn sequence(&self, direction: Direction, offset: u64) -> u32 {
        self.initial[direction.index()].wrapping_add(1).wrapping_add(offset as u32)
    }

    fn add(&mut self, draft: Draft) {
        if draft.side == Side::Client || self.is_settled {
            return self.ready.push(draft);
        }
        self.waiting.push(draft);
        if self.waiting.len() > WAITING_MAX {
            self.settle();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jostle_common::transport::Transport;

    fn open(crossing: Crossing) -> Conversation {
        let key = FlowKey { route: 0, transport: Transport::Tcp, flow: 1 };
        let ends = ("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap());
        Conversation::open(key, ms(1), ends, crossing)
    }

    const fn ms(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn bytes(length: usize) -> Payload {
        Payload::Bytes(vec![7; length])
    }

    /// The drafts of a side: time, direction, flags, relative numbers, payload.
    fn told(drafts: &[Draft], side: Side) -> Vec<(u64, Direction, u8, u32, u32, u32)> {
        let of_side: Vec<&Draft> = drafts.iter().filter(|draft| draft.side == side).collect();
        let syn = |direction| {
            let is_syn = |draft: &&&Draft| {
                draft.direction == direction && draft.header.flags & flags::SYN != 0
            };
            of_side.iter().find(is_syn).map_or(0, |draft| draft.header.sequence)
        };
        let initial = Direction::BOTH.map(syn);
        let told = of_side.iter().map(|draft| {
            let TcpHeader { sequence, acknowledged, flags, .. } = draft.header;
            let (forth, back) = (draft.direction.index(), draft.direction.opposite().index());
            let acknowledged =
                if flags & flags::ACK == 0 { 0 } else { acknowledged.wrapping_sub(initial[back]) };
            let at = draft.at.as_nanos() / 1_000_000;
            let sequence = sequence.wrapping_sub(initial[forth]);
            (at, draft.direction, flags, sequence, acknowledged, draft.payload.len())
        });
        told.collect()
    }

    #[test]
    fn pieces_are_segments_behind_a_handshake_and_numbered_by_side() {
        const UP: Direction = Direction::Up;
        const DOWN: Direction = Direction::Down;
        let mut stream = open(Crossing::Pieces);
        stream.reach(ms(2), ("127.0.0.1:3".parse().unwrap(), "127.0.0.1:4".parse().unwrap()));
        // The second of three is lost, and the first crosses before the upstream has answered.
        for length in [100, 200, 300] {
            stream.piece((Side::Client, UP), ms(3), bytes(length), Remark::default());
        }
        stream.piece((Side::Server, UP), ms(4), bytes(100), Remark::default());
        stream.connect(ms(5));
        stream.piece((Side::Server, UP), ms(6), bytes(300), Remark::default());
        stream.finish(Side::Server, UP, ms(7));
        stream.finish(Side::Server, UP, ms(8));
        let drafts = stream.take_ready();
        use flags::{ACK, FIN, PSH, SYN};
        let client = [
            (1, UP, SYN, 0, 0, 0),
            (1, DOWN, SYN | ACK, 0, 1, 0),
            (1, UP, ACK, 1, 1, 0),
            (3, UP, PSH | ACK, 1, 1, 100),
            (3, DOWN, ACK, 1, 101, 0),
            (3, UP, PSH | ACK, 101, 1, 200),
            (3, DOWN, ACK, 1, 301, 0),
            (3, UP, PSH | ACK, 301, 1, 300),
            (3, DOWN, ACK, 1, 601, 0),
        ];
        assert_eq!(told(&drafts, Side::Client), client);
        let server = [
            (2, UP, SYN, 0, 0, 0),
            (5, DOWN, SYN | ACK, 0, 1, 0),
            (5, UP, ACK, 1, 1, 0),
            (5, UP, PSH | ACK, 1, 1, 100),
            (5, DOWN, ACK, 1, 101, 0),
            (6, UP, PSH | ACK, 101, 1, 300),
            (6, DOWN, ACK, 1, 401, 0),
            (7, UP, FIN | ACK, 401, 1, 0),
            (7, DOWN, ACK, 1, 402, 0),
        ];
        assert_eq!(told(&drafts, Side::Server), server);
    }

    #[test]
    fn an_upstream_that_refuses_answers_the_syn_with_a_reset() {
        let mut stream = open(Crossing::Straight);
        stream.reach(ms(2), ("127.0.0.1:3".parse().unwrap(), "127.0.0.1:4".parse().unwrap()));
        stream.reset(Side::Server, Direction::Down, ms(3));
        stream.reset(Side::Client, Direction::Down, ms(3));
        stream.tear_down(ms(4));
        let drafts = stream.take_ready();
        let flags: Vec<u8> = told(&drafts, Side::Server).iter().map(|one| one.2).collect();
        assert_eq!(flags, [flags::SYN, flags::RST | flags::ACK]);
        assert_eq!(told(&drafts, Side::Client).len(), 4, "and the client is told once");
    }

    #[test]
    fn a_piece_that_is_too_long_for_a_packet_is_several() {
        let mut stream = open(Crossing::Blocks);
        stream.take_ready();
        let (way, remark) = ((Side::Client, Direction::Up), Remark::default());
        stream.piece(way, ms(2), Payload::Unknown(150_000), remark);
        let lengths: Vec<u32> =
            stream.take_ready().iter().map(|draft| draft.payload.len()).collect();
        assert_eq!(lengths, [65_000, 65_000, 20_000, 0]);
    }
}
