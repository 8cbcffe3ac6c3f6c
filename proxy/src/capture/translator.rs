//! From notes to records: whose packet it is, which side sees it, and what is said of it.

use super::conversation::{Conversation, Draft, Ends, Remark};
use super::headers::{self, Payload};
use super::note::{Chunk, Content, FlowKey, Note, Outcome, PacketKey, Span, What};
use super::order::{Order, Record, Side};
use crate::fate::Loss;
use crate::observed::Crossing;
use jostle_common::chance::Direction;
use jostle_common::ecn::Ecn;
use jostle_common::time::Instant;
use jostle_common::transport::Transport;
use jostle_common::words::time;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// The most bytes of modelled streams that are kept, of all connections together.
const MIRRORED_MAX: usize = 64 << 20;

/// The time for which a flow that was closed is still known: its packets may be in the links.
const KNOWN_AFTER: Duration = Duration::from_secs(60);

/// The most flows that were closed and are still known.
const CLOSED_MAX: usize = 16_384;

/// What is known of flows and connections.
#[derive(Debug, Default)]
pub(super) struct Translator {
    routes: Vec<String>,
    flows: BTreeMap<FlowKey, Flow>,
    closed: VecDeque<(Instant, FlowKey)>,
    mirrored: usize,
    frames: Frames,
}

#[derive(Debug)]
enum Flow {
    Datagrams([Option<Ends>; 2]),
    Stream(Box<Conversation>),
}

/// Numbers the frames as a sender's IP does.
#[derive(Debug, Default)]
struct Frames(u16);

impl Translator {
    /// Takes notes in. Returns how many packets of them belong to no flow that is known.
    pub(super) fn take(&mut self, chunk: &Chunk, order: &mut Order) -> u64 {
        chunk.notes.iter().map(|note| self.take_note(note, chunk, order)).sum()
    }

    fn take_note(&mut self, note: &Note, chunk: &Chunk, order: &mut Order) -> u64 {
        let Note { key, at, what } = note;
        match what {
            What::Route(name) => {
                self.routes.push(String::from_utf8_lossy(chunk.at(*name)).into_owned());
                return 0;
            }
            What::Missing => {
                for flow in self.flows.values_mut() {
                    if let Flow::Stream(stream) = flow {
                        stream.mirrors.iter_mut().for_each(|mirror| mirror.break_off());
                    }
                }
                self.mirrored = 0;
                return 0;
            }
            What::Opened { client, listener, crossing } => {
                let ends = (*client, *listener);
                let flow = match key.transport {
                    Transport::Udp => Flow::Datagrams([Some(ends), None]),
                    Transport::Tcp => {
                        Flow::Stream(Box::new(Conversation::open(*key, *at, ends, *crossing)))
                    }
                };
                self.flows.insert(*key, flow);
            }
            What::Closed => {
                self.closed.push_back((*at, *key));
                self.forget(*at, order);
            }
            _ => {}
        }
        match self.flows.get_mut(key) {
            None => what.packets(),
            Some(Flow::Datagrams(ends)) => {
                let routes = &self.routes;
                datagram(routes, &mut self.frames, ends, note, chunk, order)
            }
            Some(Flow::Stream(_)) => {
                self.stream(note, chunk, order);
                0
            }
        }
    }

    /// Lets everything go that waits for addresses.
    pub(super) fn finish(&mut self, order: &mut Order) {
        for flow in self.flows.values_mut() {
            if let Flow::Stream(stream) = flow {
                stream.settle();
                write_drafts(stream, &mut self.frames, order);
            }
        }
    }

    /// Forgets flows that were closed long ago.
    fn forget(&mut self, now: Instant, order: &mut Order) {
        while let Some((at, key)) = self.closed.front().copied()
            && (at + KNOWN_AFTER <= now || self.closed.len() > CLOSED_MAX)
        {
            self.closed.pop_front();
            if let Some(Flow::Stream(mut stream)) = self.flows.remove(&key) {
                stream.settle();
                write_drafts(&mut stream, &mut self.frames, order);
                self.mirrored -= stream.mirrors.iter().map(|mirror| mirror.len()).sum::<usize>();
            }
        }
    }

    /// Takes in a note of a connection.
    fn stream(&mut self, note: &Note, chunk: &Chunk, order: &mut Order) {
        let Note { key, at, what } = note;
        let Some(Flow::Stream(stream)) = self.flows.get_mut(key) else { return };
        let at = *at;
        let kept = |stream: &Conversation| -> usize {
            stream.mirrors.iter().map(|mirror| mirror.len()).sum()
        };
        let before = kept(stream);
        match what {
            What::Reached { local, upstream } => stream.reach(at, (*local, *upstream)),
            What::Connected => stream.connect(at),
            What::Crosses(crossing) => stream.cross(*crossing),
            What::Pushed(direction, bytes) => {
                let room = MIRRORED_MAX.saturating_sub(self.mirrored);
                stream.mirrors[direction.index()].push(chunk.at(*bytes), room);
            }
            What::Passed(direction, bytes) => {
                for side in [entry(*direction), exit(*direction)] {
                    let payload = Payload::Bytes(chunk.at(*bytes).to_vec());
                    stream.piece((side, *direction), at, payload, Remark::default());
                }
            }
            What::Ended(direction) => {
                for side in [entry(*direction), exit(*direction)] {
                    stream.finish(side, *direction, at);
                }
            }
            What::Reset(direction) => {
                for side in [entry(*direction), exit(*direction)] {
                    stream.reset(side, *direction, at);
                }
            }
            What::TornDown => stream.tear_down(at),
            What::Arrived(direction, number, ecn, content) => {
                let packet = packet(key, *direction, *number);
                let comment = name(&self.routes, &packet, key.flow, 0);
                let awaits = (*number > 0).then_some(packet);
                let remark = Remark { comment, ecn: *ecn, awaits };
                let times = (at, at);
                pass(stream, (entry(*direction), *direction), times, content, chunk, remark);
            }
            What::Left(direction, number, content, outcome) => {
                let packet = packet(key, *direction, *number);
                let text = fate(outcome, chunk);
                let is_over = outcome.copy == 0;
                if outcome.loss == Some(Loss::Stream) {
                    // These bytes crossed the links in other packets.
                } else if *number > 0 && !stream.comment(&packet, &text, is_over) {
                    order.comment(&packet, &text, is_over);
                }
                if outcome.loss.is_none() {
                    let comment = match number {
                        0 => String::new(),
                        _ => {
                            let name = name(&self.routes, &packet, key.flow, outcome.copy);
                            name + &passage(outcome, chunk)
                        }
                    };
                    let remark = Remark { comment, ecn: outcome.ecn, awaits: None };
                    // As the model tells time: what answers a segment was sent when it was due.
                    let times = (outcome.due, outcome.entered);
                    pass(stream, (exit(*direction), *direction), times, content, chunk, remark);
                    if let Content::Segment(segment) = content
                        && let jostle_engine::tcp::Segment::Ack(ack) = &**segment
                    {
                        stream.mirrors[direction.opposite().index()].acknowledge(ack.next);
                    }
                }
            }
            What::Opened { .. } | What::Closed | What::Route(_) | What::Missing => {}
        }
        self.mirrored = self.mirrored + kept(stream) - before;
        write_drafts(stream, &mut self.frames, order);
    }
}

/// A packet or a mark of a connection passes a side.
fn pass(
    stream: &mut Conversation,
    (side, direction): (Side, Direction),
    (at, entered): (Instant, Instant),
    content: &Content,
    chunk: &Chunk,
    remark: Remark,
) {
    match content {
        Content::Segment(segment) => {
            stream.segment((side, direction), (at, entered), segment, remark);
        }
        Content::Bytes(bytes) => {
            let payload = if stream.crossing() == Crossing::Blocks {
                Payload::Unknown(bytes.length)
            } else {
                Payload::Bytes(chunk.at(*bytes).to_vec())
            };
            stream.piece((side, direction), at, payload, remark);
        }
        Content::Finish => stream.finish(side, direction, at),
        Content::Reset => stream.reset(side, direction, at),
    }
}

/// Takes in a note of a UDP flow. Returns how many packets are lost with it.
fn datagram(
    routes: &[String],
    frames: &mut Frames,
    ends: &mut [Option<Ends>; 2],
    Note { key, at, what }: &Note,
    chunk: &Chunk,
    order: &mut Order,
) -> u64 {
    let mut add = |(side, direction): (Side, Direction), ecn: Ecn, bytes: Span, comment, awaits| {
        let Some(ends) = ends[side.index()] else { return 1 };
        let (from, to) = along(ends, direction);
        let frame = headers::udp(from, to, (frames.next(), ecn), chunk.at(bytes));
        let headers::Frame { bytes, length } = frame;
        order.add(Record { at: *at, side, bytes, length, comment, awaits });
        0
    };
    match what {
        What::Reached { local, upstream } => ends[1] = Some((*local, *upstream)),
        What::Arrived(direction, number, ecn, Content::Bytes(bytes)) => {
            let packet = packet(key, *direction, *number);
            let comment = name(routes, &packet, key.flow, 0);
            let way = (entry(*direction), *direction);
            return add(way, *ecn, *bytes, comment, Some(packet));
        }
        What::Left(direction, number, Content::Bytes(bytes), outcome) => {
            let packet = packet(key, *direction, *number);
            if *number == 0 {
                // It was refused before it got a number.
                let comment = name(routes, &packet, key.flow, 0) + &fate(outcome, chunk);
                let way = (entry(*direction), *direction);
                return add(way, outcome.ecn, *bytes, comment, None);
            }
            let mut missing = 0;
            if outcome.loss.is_none() {
                let name = name(routes, &packet, key.flow, outcome.copy);
                let comment = name + &passage(outcome, chunk);
                let way = (exit(*direction), *direction);
                missing = add(way, outcome.ecn, *bytes, comment, None);
            }
            order.comment(&packet, &fate(outcome, chunk), outcome.copy == 0);
            return missing;
        }
        _ => {}
    }
    0
}

/// Makes frames of what a connection can write.
fn write_drafts(stream: &mut Conversation, frames: &mut Frames, order: &mut Order) {
    for draft in stream.take_ready() {
        let Draft { at, side, direction, header, payload, remark } = draft;
        // One that was given up before it had a socket to the upstream.
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let ends = stream.ends[side.index()].unwrap_or((nowhere, nowhere));
        let (from, to) = along(ends, direction);
        let Remark { comment, ecn, awaits } = remark;
        let frame = headers::tcp(from, to, (frames.next(), ecn), &header, &payload);
        let headers::Frame { bytes, length } = frame;
        order.add(Record { at, side, bytes, length, comment, awaits });
    }
}

impl Frames {
    const fn next(&mut self) -> u16 {
        self.0 = self.0.wrapping_add(1);
        self.0
    }
}

const fn packet(key: &FlowKey, direction: Direction, number: u64) -> PacketKey {
    PacketKey { route: key.route, transport: key.transport, direction, number }
}

/// Returns the side on which packets of a direction come in.
const fn entry(direction: Direction) -> Side {
    match direction {
        Direction::Up => Side::Client,
        Direction::Down => Side::Server,
    }
}

/// Returns the side on which packets of a direction go out.
const fn exit(direction: Direction) -> Side {
    entry(direction.opposite())
}

/// Returns who sends to whom.
const fn along((upper, lower): Ends, direction: Direction) -> Ends {
    match direction {
        Direction::Up => (upper, lower),
        Direction::Down => (lower, upper),
    }
}

/// Names a packet as the event log does.
fn name(routes: &[String], packet: &PacketKey, flow: u32, copy: u32) -> String {
    let route = routes.get(packet.route as usize).map_or("?", String::as_str);
    let mut text = format!("route {route} {}: packet {}", packet.direction, packet.number);
    if copy > 0 {
        let _ = write!(text, " copy {copy}");
    }
    let _ = write!(text, ", flow {flow}");
    text
}

/// Says what became of a packet, for the side on which it came in; nothing if it went through.
fn fate(outcome: &Outcome, chunk: &Chunk) -> String {
    let Some(loss) = outcome.loss else { return String::new() };
    let mut text = String::from(", ");
    if outcome.copy > 0 {
        let _ = write!(text, "copy {} ", outcome.copy);
    }
    let _ = write!(text, "discarded: {}", loss.name());
    if outcome.rules.length > 0 {
        let rules = String::from_utf8_lossy(chunk.at(outcome.rules));
        let _ = write!(text, " (rule {rules})");
    }
    let after = outcome.due.since(outcome.entered);
    if !after.is_zero() {
        let _ = write!(text, " after {}", time(after.as_secs_f64()));
    }
    text
}

/// Says what was done to a packet, for the side on which it went out.
fn passage(outcome: &Outcome, chunk: &Chunk) -> String {
    let mut text = format!(", delayed {}", time(outcome.due.since(outcome.entered).as_secs_f64()));
    if outcome.flipped_bits > 0 {
        let plural = if outcome.flipped_bits == 1 { "" } else { "s" };
        let _ = write!(text, ", {} bit{plural} flipped", outcome.flipped_bits);
    }
    if outcome.marked {
        text.push_str(", marked CE");
    }
    if outcome.rules.length > 0 {
        let rules = String::from_utf8_lossy(chunk.at(outcome.rules));
        let _ = write!(text, " (rule {rules})");
    }
    text
}
