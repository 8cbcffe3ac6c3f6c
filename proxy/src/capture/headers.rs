//! The IP, UDP and TCP headers of frames, with their checksums (RFC 791, 768, 8200, 9293).

use jostle_common::ecn::Ecn;
use std::net::{IpAddr, SocketAddr};

const UDP: u8 = 17;
const TCP: u8 = 6;

/// The hops that are written into each header. The real ones are not known.
const HOPS: u8 = 64;

/// The window of each TCP header: with the scale of the SYNs 16 MiB, so that nobody takes it for
/// full.
const WINDOW: u16 = u16::MAX;

/// The flags of a TCP header.
pub(super) mod flags {
    pub(in super::super) const FIN: u8 = 0x01;
    pub(in super::super) const SYN: u8 = 0x02;
    pub(in super::super) const RST: u8 = 0x04;
    pub(in super::super) const PSH: u8 = 0x08;
    pub(in super::super) const ACK: u8 = 0x10;
}

/// A frame of bare IP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// The bytes that are known: all, or the headers.
    pub(super) bytes: Vec<u8>,
    /// The length on the wire.
    pub(super) length: u32,
}

/// The bytes behind the headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Payload {
    /// All of them.
    Bytes(Vec<u8>),
    /// No more than their number.
    Unknown(u32),
}

impl Payload {
    pub(super) fn len(&self) -> u32 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u32,
            Self::Unknown(length) => *length,
        }
    }
}

/// A TCP header without its ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TcpHeader {
    pub(super) sequence: u32,
    pub(super) acknowledged: u32,
    pub(super) flags: u8,
    /// A multiple of four bytes.
    pub(super) options: Vec<u8>,
}

/// Makes the frame of a datagram. An IPv6 header has no place for its `id`.
pub(super) fn udp(
    from: SocketAddr,
    to: SocketAddr,
    (id, ecn): (u16, Ecn),
    payload: &[u8],
) -> Frame {
    let length = 8 + payload.len() as u32;
    let mut datagram = Vec::with_capacity(length as usize);
    for half in [from.port(), to.port(), length as u16, 0] {
        datagram.extend_from_slice(&half.to_be_bytes());
    }
    datagram.extend_from_slice(payload);
    let ends = same_family(from.ip(), to.ip());
    // Nought would say that there is none.
    let sum = match checksum(pseudo_header(ends, UDP, length), &datagram) {
        0 => u16::MAX,
        sum => sum,
    };
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    behind_ip(ends, UDP, (id, ecn), &datagram, length)
}

/// Makes the frame of a segment.
pub(super) fn tcp(
    from: SocketAddr,
    to: SocketAddr,
    (id, ecn): (u16, Ecn),
    header: &TcpHeader,
    payload: &Payload,
) -> Frame {
    let TcpHeader { sequence, acknowledged, flags, options } = header;
    let length = 20 + options.len() as u32 + payload.len();
    let mut segment = Vec::with_capacity(length as usize);
    for half in [from.port(), to.port()] {
        segment.extend_from_slice(&half.to_be_bytes());
    }
    segment.extend_from_slice(&sequence.to_be_bytes());
    segment.extend_from_slice(&acknowledged.to_be_bytes());
    segment.extend_from_slice(&[(5 + options.len() as u8 / 4) << 4, *flags]);
    for half in [WINDOW, 0, 0] {
        segment.extend_from_slice(&half.to_be_bytes());
    }
    segment.extend_from_slice(options);
    let ends = same_family(from.ip(), to.ip());
    if let Payload::Bytes(bytes) = payload {
        segment.extend_from_slice(bytes);
        let sum = checksum(pseudo_header(ends, TCP, length), &segment);
        segment[16..18].copy_from_slice(&sum.to_be_bytes());
    }
    behind_ip(ends, TCP, (id, ecn), &segment, length)
}

/// Returns both addresses in one family: IPv4 if both are, mapped or not.
fn same_family(from: IpAddr, to: IpAddr) -> (IpAddr, IpAddr) {
    match (from.to_canonical(), to.to_canonical()) {
        (IpAddr::V4(from), IpAddr::V6(to)) => (from.to_ipv6_mapped().into(), to.into()),
        (IpAddr::V6(from), IpAddr::V4(to)) => (from.into(), to.to_ipv6_mapped().into()),
        same => same,
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// Returns the sum of the pseudo-header that a checksum covers.
fn pseudo_header((from, to): (IpAddr, IpAddr), protocol: u8, length: u32) -> u64 {
    sum(&octets(from)) + sum(&octets(to)) + u64::from(protocol) + u64::from(length)
}

fn sum(bytes: &[u8]) -> u64 {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let pairs: u64 = pairs.iter().map(|pair| u64::from(u16::from_be_bytes(*pair))).sum();
    pairs + rest.first().map_or(0, |last| u64::from(*last) << 8)
}

/// Returns the Internet checksum (RFC 1071) of bytes behind what is summed up already.
fn checksum(before: u64, bytes: &[u8]) -> u16 {
    let mut total = before + sum(bytes);
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    !(total as u16)
}

/// Puts the IP header in front of what is known of `length` bytes.
fn behind_ip(
    (from, to): (IpAddr, IpAddr),
    protocol: u8,
    (id, ecn): (u16, Ecn),
    known: &[u8],
    length: u32,
) -> Frame {
    let mut bytes = Vec::with_capacity(40 + known.len());
    if from.is_ipv4() {
        let total = 20 + length;
        bytes.extend_from_slice(&[0x45, ecn.bits()]);
        // What does not fit is told as what fits, as large frames of offloading kernels are.
        bytes.extend_from_slice(&u16::try_from(total).unwrap_or(u16::MAX).to_be_bytes());
        bytes.extend_from_slice(&id.to_be_bytes());
        // It may not be fragmented.
        bytes.extend_from_slice(&[0x40, 0, HOPS, protocol, 0, 0]);
        bytes.extend_from_slice(&octets(from));
        bytes.extend_from_slice(&octets(to));
        let sum = checksum(0, &bytes);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
    } else {
        // The traffic class is in the second half of the first byte and the first of the next.
        bytes.extend_from_slice(&[0x60, ecn.bits() << 4, 0, 0]);
        bytes.extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
        bytes.extend_from_slice(&[protocol, HOPS]);
        bytes.extend_from_slice(&octets(from));
        bytes.extend_from_slice(&octets(to));
    }
    let length = bytes.len() as u32 + length;
    bytes.extend_from_slice(known);
    Frame { bytes, length }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example of RFC 1071 §3.
    #[test]
    fn the_checksum_is_that_of_the_rfc() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(checksum(0, &bytes), !0xddf2);
        assert_eq!(checksum(0, &bytes[..7]), checksum(0, &[0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0]));
    }

    #[test]
    fn what_is_summed_with_its_checksum_is_nothing() {
        for (from, to) in [("10.0.0.1:5", "10.0.0.2:6"), ("[::1]:5", "[fe80::2]:6")] {
            let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
            for length in [0, 1, 2, 1200, 1201] {
                let payload = vec![0xab; length];
                let Frame { bytes, length } = udp(from, to, (7, Ecn::Ce), &payload);
                assert_eq!(bytes.len() as u32, length);
                let ip = if from.is_ipv4() { 20 } else { 40 };
                let ends = (from.ip(), to.ip());
                let pseudo = pseudo_header(ends, UDP, length - ip);
                assert_eq!(checksum(pseudo, &bytes[ip as usize..]), 0);
                if from.is_ipv4() {
                    assert_eq!(checksum(0, &bytes[..20]), 0);
                }
                let header = TcpHeader { options: vec![1; 12], ..TcpHeader::default() };
                let segment =
                    tcp(from, to, (7, Ecn::Ce), &header, &Payload::Bytes(payload.clone()));
                let pseudo = pseudo_header(ends, TCP, segment.length - ip);
                assert_eq!(checksum(pseudo, &segment.bytes[ip as usize..]), 0);
                let unknown = Payload::Unknown(payload.len() as u32);
                let short = tcp(from, to, (7, Ecn::Ce), &header, &unknown);
                assert_eq!((short.length, short.bytes.len() as u32), (segment.length, ip + 32));
            }
        }
    }

    /// RFC 791 and RFC 8200: the second byte of one header, bits 4 to 11 of the other.
    #[test]
    fn congestion_stands_where_the_headers_have_it() {
        for ecn in Ecn::ALL {
            let of = |from: &str, to: &str| {
                udp(from.parse().unwrap(), to.parse().unwrap(), (0, ecn), b"x").bytes
            };
            assert_eq!(of("10.0.0.1:5", "10.0.0.2:6")[1], ecn.bits());
            let word = of("[::1]:5", "[::2]:6");
            let word = u32::from_be_bytes([word[0], word[1], word[2], word[3]]);
            assert_eq!((word >> 28, word >> 20 & 0xff), (6, u32::from(ecn.bits())));
        }
    }

    #[test]
    fn mapped_addresses_are_those_that_they_map() {
        let from = "[::ffff:10.0.0.1]:5".parse().unwrap();
        let told = (0, Ecn::NotEct);
        let frame = udp(from, "10.0.0.2:6".parse().unwrap(), told, b"x");
        assert_eq!(frame.length, 29);
        let frame = udp("10.0.0.1:5".parse().unwrap(), "[::1]:6".parse().unwrap(), told, b"x");
        assert_eq!(frame.length, 49);
    }
}
