//! A capture as a stream: the times, sizes and flows of its IP packets, read as they are needed.

use crate::probe::Arrival;
use anyhow::Context;
use jostle_common::chance::Direction;
use jostle_common::time::Instant;
use jostle_console::terminal;
use pcap_file::DataLink;
use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionOption;
use pcap_file::pcapng::{Block, PcapNgReader};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Flows beyond this number share one.
const FLOWS_MAX: usize = 65_536;
/// The first bytes of a pcapng file: the type of a section header.
const PCAPNG_MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
/// Protocol numbers of IP.
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Returns the packets that crossed in one direction: up is what the first speaker of each flow
/// sent. A capture that ends in the middle of a packet ends there, with a remark.
///
/// # Errors
/// When the file cannot be read, or is no capture.
pub(super) fn arrivals(
    path: &Path,
    direction: Direction,
) -> anyhow::Result<impl Iterator<Item = Arrival> + use<>> {
    let reader = Reader::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let packets =
        Packets { reader, path: path.to_owned(), flows: BTreeMap::new(), first: None, last: 0 };
    Ok(packets.filter(move |(way, _)| *way == direction).map(|(_, arrival)| arrival))
}

enum Reader {
    Pcap(Box<PcapReader<BufReader<File>>>, u32),
    PcapNg(Box<PcapNgReader<BufReader<File>>>),
}

/// A frame: its time in nanoseconds, its length on the wire, and the packet in it.
struct Frame {
    nanos: u64,
    packet: Option<IpPacket>,
}

impl Reader {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let mut file = File::open(path)?;
        let mut magic = [0; 4];
        file.read_exact(&mut magic).context("it is no capture")?;
        file.seek(SeekFrom::Start(0))?;
        let file = BufReader::new(file);
        Ok(if magic == PCAPNG_MAGIC {
            Self::PcapNg(Box::new(PcapNgReader::new(file).context("it is no capture")?))
        } else {
            let reader = PcapReader::new(file).context("it is no capture (pcap or pcapng)")?;
            let link = u32::from(reader.header().datalink);
            Self::Pcap(Box::new(reader), link)
        })
    }

    fn next(&mut self) -> Option<Result<Frame, pcap_file::PcapError>> {
        match self {
            Self::Pcap(reader, link) => Some(reader.next_packet()?.map(|packet| Frame {
                nanos: packet.timestamp.as_nanos() as u64,
                packet: IpPacket::in_frame(*link, &packet.data),
            })),
            Self::PcapNg(reader) => loop {
                let interfaces: Vec<(u32, u8)> = reader
                    .interfaces()
                    .iter()
                    .map(|interface| {
                        (u32::from(interface.linktype), resolution(&interface.options))
                    })
                    .collect();
                match reader.next_block()? {
                    Err(error) => break Some(Err(error)),
                    Ok(Block::EnhancedPacket(packet)) => {
                        let (link, resolution) = interfaces
                            .get(packet.interface_id as usize)
                            .copied()
                            .unwrap_or_else(|| (u32::from(DataLink::ETHERNET), 6));
                        break Some(Ok(Frame {
                            // The reader takes the units of the interface for nanoseconds.
                            nanos: in_nanos(packet.timestamp.as_nanos() as u64, resolution),
                            packet: IpPacket::in_frame(link, &packet.data),
                        }));
                    }
                    Ok(_) => {}
                }
            },
        }
    }
}

/// Returns the exponent of an interface's time units: microseconds unless it says otherwise (the
/// pcapng specification, 4.2).
fn resolution(options: &[InterfaceDescriptionOption<'_>]) -> u8 {
    let stated = options.iter().find_map(|option| match option {
        InterfaceDescriptionOption::IfTsResol(exponent) => Some(*exponent),
        _ => None,
    });
    stated.unwrap_or(6)
}

/// Converts `units` to nanoseconds: there is a power of ten of them in a second, or of two if the
/// highest bit is set.
fn in_nanos(units: u64, resolution: u8) -> u64 {
    let divisor = match resolution {
        binary if binary & 0x80 != 0 => 1u128.checked_shl(u32::from(binary & 0x7f)),
        decimal => 10u128.checked_pow(u32::from(decimal)),
    };
    divisor.map_or(0, |divisor| (u128::from(units) * 1_000_000_000 / divisor.max(1)) as u64)
}

/// An address, a port and a protocol.
type Endpoint = (IpAddr, u16);

/// The packet in a frame, as its headers describe it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct IpPacket {
    source: Endpoint,
    target: Endpoint,
    protocol: u8,
    /// The size that a route would count: the payload of UDP, all of other packets.
    size: u32,
}

impl IpPacket {
    /// Finds the packet in a frame of this link type (tcpdump's registry); `None` if there is none.
    fn in_frame(link: u32, frame: &[u8]) -> Option<Self> {
        let packet = match link {
            // Ethernet, with any number of VLAN tags.
            1 => {
                let mut kind = frame.get(12..)?;
                while matches!(kind.get(..2)?, [0x81, 0x00] | [0x88, 0xa8]) {
                    kind = kind.get(4..)?;
                }
                kind.get(2..)?
            }
            // BSD's loopback.
            0 | 108 => frame.get(4..)?,
            // Linux's cooked captures.
            113 => frame.get(16..)?,
            276 => frame.get(20..)?,
            // Bare IP.
            12 | 14 | 101 | 228 | 229 => frame,
            _ => return None,
        };
        match packet.first()? >> 4 {
            4 => {
                let header = usize::from(packet[0] & 0xf) * 4;
                let length = u32::from(u16::from_be_bytes(packet.get(2..4)?.try_into().ok()?));
                let source: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
                let target: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
                Self::new(packet, packet[9], header, length, source.into(), target.into())
            }
            6 => {
                let length = 40 + u32::from(u16::from_be_bytes(packet.get(4..6)?.try_into().ok()?));
                let source: [u8; 16] = packet.get(8..24)?.try_into().ok()?;
                let target: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
                Self::new(packet, packet[6], 40, length, source.into(), target.into())
            }
            _ => None,
        }
    }

    fn new(
        packet: &[u8],
        protocol: u8,
        header: usize,
        length: u32,
        source: IpAddr,
        target: IpAddr,
    ) -> Option<Self> {
        let port = |offset: usize| {
            let bytes = packet
                .get(header + offset..header + offset + 2)
                .filter(|_| matches!(protocol, TCP | UDP));
            bytes.map_or(0, |bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
        };
        let size = if protocol == UDP { length.checked_sub(header as u32 + 8)? } else { length };
        Some(Self { source: (source, port(0)), target: (target, port(2)), protocol, size })
    }
}

/// All packets of a capture with their directions.
struct Packets {
    reader: Reader,
    path: PathBuf,
    /// The flows by protocol and both ends, the smaller first: their ordinals, and who spoke first.
    flows: BTreeMap<(u8, Endpoint, Endpoint), (u32, Endpoint)>,
    first: Option<u64>,
    last: u64,
}

impl Iterator for Packets {
    type Item = (Direction, Arrival);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let frame = match self.reader.next()? {
                Ok(frame) => frame,
                Err(error) => {
                    terminal::note(&format!(
                        "jostle: {}: {error}; what follows is left out",
                        self.path.display()
                    ));
                    return None;
                }
            };
            let Some(packet) = frame.packet else { continue };
            let first = *self.first.get_or_insert(frame.nanos);
            // Captures of several processors step back now and then; a link's arrivals never do.
            self.last = self.last.max(frame.nanos.saturating_sub(first));
            let (flow, speaker) = self.flow(&packet);
            let direction = if packet.source == speaker { Direction::Up } else { Direction::Down };
            return Some((
                direction,
                Arrival { at: Instant::from_nanos(self.last), size: packet.size, flow },
            ));
        }
    }
}

impl Packets {
    fn flow(&mut self, packet: &IpPacket) -> (u32, Endpoint) {
        let ends = (packet.source.min(packet.target), packet.source.max(packet.target));
        let count = self.flows.len();
        if count >= FLOWS_MAX {
            return self
                .flows
                .get(&(packet.protocol, ends.0, ends.1))
                .copied()
                .unwrap_or((FLOWS_MAX as u32, packet.source));
        }
        *self
            .flows
            .entry((packet.protocol, ends.0, ends.1))
            .or_insert((count as u32 + 1, packet.source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pcap_file::pcap::{PcapPacket, PcapWriter};
    use std::time::Duration;

    /// Returns an Ethernet frame with a UDP datagram from one port to another.
    fn frame(from: u16, to: u16, payload: u16) -> Vec<u8> {
        let mut frame = vec![0; 12];
        frame.extend([0x08, 0x00, 0x45, 0]);
        frame.extend((28 + payload).to_be_bytes());
        frame.extend([0, 0, 0, 0, 64, UDP, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
        frame.extend(
            [from.to_be_bytes(), to.to_be_bytes(), (8 + payload).to_be_bytes(), [0, 0]].concat(),
        );
        frame.resize(42 + usize::from(payload), 0);
        frame
    }

    #[test]
    fn a_capture_gives_times_sizes_flows_and_directions() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut writer = PcapWriter::new(file.reopen().unwrap()).unwrap();
        for (micros, from, to, payload) in [
            (1_000_000, 5000, 53, 40),
            (1_000_500, 53, 5000, 300),
            (1_000_400, 5001, 53, 41),
            (1_002_000, 5000, 53, 42),
        ] {
            let data = frame(from, to, payload);
            let packet = PcapPacket::new(Duration::from_micros(micros), data.len() as u32, &data);
            writer.write_packet(&packet).unwrap();
        }
        drop(writer);
        let all = |direction| {
            let arrivals = arrivals(file.path(), direction).unwrap();
            arrivals.map(|one| (one.at.as_nanos() / 1000, one.size, one.flow)).collect::<Vec<_>>()
        };
        assert_eq!(all(Direction::Up), [(0, 40, 1), (500, 41, 2), (2000, 42, 1)]);
        assert_eq!(all(Direction::Down), [(500, 300, 1)]);
    }

    #[test]
    fn what_is_no_capture_is_refused_and_a_torn_one_ends_early() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(arrivals(file.path(), Direction::Up).is_err());
        std::fs::write(file.path(), "{ \"up\": [] }".repeat(9)).unwrap();
        assert!(arrivals(file.path(), Direction::Up).is_err());
        let mut writer = PcapWriter::new(Vec::new()).unwrap();
        let data = frame(1, 2, 100);
        writer.write_packet(&PcapPacket::new(Duration::ZERO, data.len() as u32, &data)).unwrap();
        writer.write_packet(&PcapPacket::new(Duration::ZERO, data.len() as u32, &data)).unwrap();
        let mut bytes = writer.into_writer();
        bytes.truncate(bytes.len() - 7);
        std::fs::write(file.path(), bytes).unwrap();
        assert_eq!(arrivals(file.path(), Direction::Up).unwrap().count(), 1);
    }

    #[test]
    fn time_units_of_an_interface_are_turned_into_nanoseconds() {
        assert_eq!(
            [in_nanos(5, 6), in_nanos(5, 9), in_nanos(1024, 0x8a)],
            [5_000, 5, 1_000_000_000]
        );
    }
}
