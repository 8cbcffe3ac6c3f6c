//! A capture as a stream: the times, sizes and flows of its IP packets, read as they are needed.

mod frame;
mod packet;
mod reader;
#[cfg(test)]
mod tests;

use crate::probe::Arrival;
use anyhow::Context;
use frame::PassedOver;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_common::words::{count, list};
use packet::{Fragment, IpPacket};
use reader::Reader;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Flows beyond this number share one.
const FLOWS_MAX: usize = 65_536;

/// Datagrams in fragments whose ports are remembered.
const FRAGMENTED_MAX: usize = 4096;

/// Returns the packets that crossed in one direction: up is what the first speaker of each flow
/// sent. What was read and what was not is in the reading.
///
/// # Errors
/// When the file cannot be read, or is no capture.
pub(super) fn arrivals(
    path: &Path,
    direction: Direction,
) -> anyhow::Result<(impl Iterator<Item = Arrival> + use<>, Reading)> {
    let reader = Reader::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let reading = Reading(Rc::new(RefCell::new(Record::new(path))));
    let packets = Packets {
        reader,
        reading: reading.clone(),
        flows: BTreeMap::new(),
        fragmented: BTreeMap::new(),
        first: None,
        last: 0,
    };
    let packets = packets.filter(move |(way, _)| *way == direction).map(|(_, arrival)| arrival);
    Ok((packets, reading))
}

/// What has been read of a capture so far.
#[derive(Clone, Debug)]
pub(super) struct Reading(Rc<RefCell<Record>>);

#[derive(Debug)]
struct Record {
    path: PathBuf,
    frames: u64,
    passed_over: BTreeMap<PassedOver, u64>,
    /// Why the reading ended before the capture did.
    cut: Option<String>,
}

impl Record {
    fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), frames: 0, passed_over: BTreeMap::new(), cut: None }
    }
}

impl Reading {
    /// Returns true if the reading ended before the capture did.
    pub(super) fn is_cut(&self) -> bool {
        self.0.borrow().cut.is_some()
    }

    /// Says what was not taken in, if anything: a sentence without its end.
    pub(super) fn remark(&self) -> Option<String> {
        let Record { path, frames, passed_over, cut } = &*self.0.borrow();
        let passed: Vec<String> =
            passed_over.iter().map(|(reason, frames)| reason.words(*frames)).collect();
        let passed = (!passed.is_empty()).then(|| format!("passed over {}", list(&passed)));
        let cut = cut
            .as_ref()
            .map(|why| format!("the capture is cut after {}: {why}", count(*frames, "frame")));
        let parts: Vec<String> = passed.into_iter().chain(cut).collect();
        (!parts.is_empty()).then(|| format!("{}: {}", path.display(), parts.join("; ")))
    }

    /// Returns the same for machines.
    pub(super) fn json(&self) -> Value {
        let Record { frames, passed_over, cut, .. } = &*self.0.borrow();
        let passed: Value =
            passed_over.iter().map(|(reason, frames)| (reason.name(), json!(frames))).collect();
        json!({ "frames": frames, "passed_over": passed, "cut": cut })
    }
}

/// An address and a port.
type Endpoint = (IpAddr, u16);

/// All packets of a capture with their directions.
struct Packets {
    reader: Reader,
    reading: Reading,
    /// The flows by protocol and both ends, the smaller first: their ordinals, and who spoke first.
    flows: BTreeMap<(u8, Endpoint, Endpoint), (u32, Endpoint)>,
    /// The ports of datagrams in fragments, which only the first of them has.
    fragmented: BTreeMap<(IpAddr, IpAddr, u8, u32), [u16; 2]>,
    first: Option<u64>,
    last: u64,
}

impl Iterator for Packets {
    type Item = (Direction, Arrival);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let frame = match self.reader.next()? {
                Ok(frame) => frame,
                Err(why) => {
                    self.reading.0.borrow_mut().cut = Some(why);
                    return None;
                }
            };
            let found = frame.packet();
            let nanos = frame.nanos;
            let mut record = self.reading.0.borrow_mut();
            record.frames += 1;
            let packet = match found {
                Ok(packet) => packet,
                Err(reason) => {
                    *record.passed_over.entry(reason).or_default() += 1;
                    continue;
                }
            };
            drop(record);
            // Some blocks of a capture have no time: they come with the one before.
            let nanos = nanos.unwrap_or_else(|| self.first.unwrap_or(0) + self.last);
            let first = *self.first.get_or_insert(nanos);
            // Captures of several processors step back now and then; a link's arrivals never do.
            self.last = self.last.max(nanos.saturating_sub(first));
            let packet = self.with_ports(packet);
            let (flow, speaker) = self.flow(&packet);
            let direction = if packet.source == speaker { Direction::Up } else { Direction::Down };
            return Some((
                direction,
                Arrival {
                    at: Instant::from_nanos(self.last),
                    size: packet.size,
                    flow,
                    ecn: packet.ecn,
                },
            ));
        }
    }
}

impl Packets {
    /// Gives a later fragment the ports of the first one, which it crosses the network with.
    fn with_ports(&mut self, mut packet: IpPacket) -> IpPacket {
        let Some(Fragment { id, is_first }) = packet.fragment else { return packet };
        let key = (packet.source.0, packet.target.0, packet.protocol, id);
        if is_first {
            if self.fragmented.len() >= FRAGMENTED_MAX {
                self.fragmented.clear();
            }
            self.fragmented.insert(key, [packet.source.1, packet.target.1]);
        } else if let Some([source, target]) = self.fragmented.get(&key) {
            packet.source.1 = *source;
            packet.target.1 = *target;
        }
        packet
    }

    fn flow(&mut self, packet: &IpPacket) -> (u32, Endpoint) {
        let ends = (packet.source.min(packet.target), packet.source.max(packet.target));
        let key = (packet.protocol, ends.0, ends.1);
        let count = self.flows.len();
        if count >= FLOWS_MAX {
            return self.flows.get(&key).copied().unwrap_or((FLOWS_MAX as u32, packet.source));
        }
        *self.flows.entry(key).or_insert((count as u32 + 1, packet.source))
    }
}
