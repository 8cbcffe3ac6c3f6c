//! Reads the frames of a capture, pcap or pcapng, plain or compressed by gzip.
//!
//! A head's values that say nothing about where the next record begins are read over, as libpcap
//! does: a snap length that records exceed, more bytes captured than there were on the wire, a
//! fraction of a second above one.

use super::frame::{self, PassedOver};
use super::packet::IpPacket;
use anyhow::Context;
use flate2::bufread::MultiGzDecoder;
use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::PcapNgReader;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::{ENHANCED_PACKET_BLOCK, PACKET_BLOCK, SIMPLE_PACKET_BLOCK};
use pcap_file::{Endianness, PcapError, TsResolution};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::Path;

/// The first bytes of a pcapng file: the type of a section header.
const PCAPNG_MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
/// The first bytes of a gzip file.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// The bits of a link type that name it; those above say how long a checksum is.
const LINK_BITS: u32 = 0x03ff_ffff;
/// The bytes of a record that are looked at: more than all headers of a packet.
const HEAD_MAX: usize = 4096;
/// The blocks of pcapng that hold a packet.
const PACKET_BLOCKS: [u32; 3] = [ENHANCED_PACKET_BLOCK, PACKET_BLOCK, SIMPLE_PACKET_BLOCK];
const NANOS_PER_SECOND: u64 = 1_000_000_000;

type Source = Box<dyn Read>;

/// The frames of a capture.
pub(super) struct Reader {
    format: Format,
    /// The head of the record that was read last.
    head: Vec<u8>,
}

enum Format {
    Pcap(Box<PcapReader<Source>>),
    PcapNg(Box<PcapNgReader<Source>>),
}

/// A frame as it was captured.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    /// Its time since the epoch, where it has one.
    pub(super) nanos: Option<u64>,
    /// Its link type in tcpdump's registry; `None` where the capture does not say.
    link: Option<u32>,
    head: &'a [u8],
    /// Its length on the wire.
    length: u32,
}

impl Frame<'_> {
    /// Finds the IP packet in it.
    pub(super) fn packet(&self) -> Result<IpPacket, PassedOver> {
        let link = self.link.ok_or(PassedOver::NoInterface)?;
        let packet = frame::ip_packet(link, self.head)?;
        let front = self.head.len() - packet.len();
        IpPacket::read(packet, (self.length as usize).saturating_sub(front))
    }
}

impl Reader {
    /// Opens a file.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let mut file = BufReader::new(File::open(path)?);
        let is_gzip = file.fill_buf()?.starts_with(&GZIP_MAGIC);
        let plain: Source =
            if is_gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
        let mut plain = BufReader::new(plain);
        let is_pcapng = plain.fill_buf()?.starts_with(&PCAPNG_MAGIC);
        let plain: Source = Box::new(plain);
        let format = if is_pcapng {
            Format::PcapNg(Box::new(PcapNgReader::new(plain).context("it is no capture")?))
        } else {
            let reader = PcapReader::new(plain).context("it is no capture (pcap or pcapng)")?;
            Format::Pcap(Box::new(reader))
        };
        Ok(Self { format, head: Vec::new() })
    }

    /// Returns the next frame, or why there is none though the capture goes on.
    pub(super) fn next(&mut self) -> Option<Result<Frame<'_>, String>> {
        let Self { format, head } = self;
        match format {
            Format::Pcap(reader) => {
                let header = reader.header();
                let raw = match reader.next_raw_packet()? {
                    Ok(raw) => raw,
                    Err(error) => return Some(Err(words(&error))),
                };
                keep(head, &raw.data);
                let scale = match header.ts_resolution {
                    TsResolution::MicroSecond => 1_000,
                    TsResolution::NanoSecond => 1,
                };
                let seconds = u64::from(raw.ts_sec) * NANOS_PER_SECOND;
                Some(Ok(Frame {
                    nanos: Some(seconds + u64::from(raw.ts_frac) * scale),
                    link: Some(u32::from(header.datalink) & LINK_BITS),
                    head,
                    length: raw.orig_len,
                }))
            }
            Format::PcapNg(reader) => {
                let kind = loop {
                    match reader.next_raw_block()? {
                        Ok(block) if PACKET_BLOCKS.contains(&block.type_) => {
                            keep(head, &block.body);
                            break block.type_;
                        }
                        Ok(_) => {}
                        Err(error) => return Some(Err(words(&error))),
                    }
                };
                Some(in_block(kind, head, reader).ok_or_else(|| "a block is too short".to_owned()))
            }
        }
    }
}

/// Keeps the head of a record.
fn keep(head: &mut Vec<u8>, record: &[u8]) {
    head.clear();
    head.extend_from_slice(&record[..record.len().min(HEAD_MAX)]);
}

/// Returns the frame in a block (the pcapng specification, 4.3, 4.4 and the obsolete packet block),
/// unless the block is too short.
fn in_block<'a>(kind: u32, body: &'a [u8], reader: &PcapNgReader<Source>) -> Option<Frame<'a>> {
    let word = |at: usize| {
        let bytes = body.get(at..at + 4)?.try_into().ok()?;
        Some(match reader.section().endianness {
            Endianness::Big => u32::from_be_bytes(bytes),
            Endianness::Little => u32::from_le_bytes(bytes),
        })
    };
    let half = |at: usize| {
        let bytes = body.get(at..at + 2)?.try_into().ok()?;
        Some(match reader.section().endianness {
            Endianness::Big => u16::from_be_bytes(bytes),
            Endianness::Little => u16::from_le_bytes(bytes),
        })
    };
    let interface = match kind {
        ENHANCED_PACKET_BLOCK => word(0)?,
        PACKET_BLOCK => u32::from(half(0)?),
        _ => 0,
    };
    let interface = reader.interfaces().get(interface as usize);
    let link = interface.map(|interface| u32::from(interface.linktype) & LINK_BITS);
    if kind == SIMPLE_PACKET_BLOCK {
        return Some(Frame { nanos: None, link, head: body.get(4..)?, length: word(0)? });
    }
    let units = u64::from(word(4)?) << 32 | u64::from(word(8)?);
    let captured = word(12)? as usize;
    let head = body.get(20..)?;
    Some(Frame {
        nanos: Some(interface.map_or(0, |interface| since_epoch(units, interface))),
        link,
        head: &head[..captured.min(head.len())],
        length: word(16)?,
    })
}

/// Returns the time of a number of an interface's units: microseconds unless it says otherwise,
/// from an offset in seconds (the pcapng specification, 4.2).
fn since_epoch(units: u64, interface: &InterfaceDescriptionBlock<'_>) -> u64 {
    let (mut resolution, mut offset) = (6, 0);
    for option in &interface.options {
        match option {
            InterfaceDescriptionOption::IfTsResol(exponent) => resolution = *exponent,
            InterfaceDescriptionOption::IfTsOffset(seconds) => offset = *seconds,
            _ => {}
        }
    }
    in_nanos(units, resolution).saturating_add(offset.saturating_mul(NANOS_PER_SECOND))
}

/// Converts `units` to nanoseconds: there is a power of ten of them in a second, or of two if the
/// highest bit is set.
pub(super) fn in_nanos(units: u64, resolution: u8) -> u64 {
    let divisor = match resolution {
        binary if binary & 0x80 != 0 => 1u128.checked_shl(u32::from(binary & 0x7f)),
        decimal => 10u128.checked_pow(u32::from(decimal)),
    };
    let nanos = |divisor: u128| u128::from(units) * u128::from(NANOS_PER_SECOND) / divisor.max(1);
    divisor.map_or(0, |divisor| u64::try_from(nanos(divisor)).unwrap_or(u64::MAX))
}

fn words(error: &PcapError) -> String {
    match error {
        PcapError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            "it ends in the middle of a record".to_owned()
        }
        error => error.to_string(),
    }
}
