//! An IP packet as its headers describe it.

use super::Endpoint;
use super::frame::PassedOver;
use jostle_common::ecn::Ecn;
use std::net::IpAddr;

/// Protocol numbers of IP.
const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
/// IPv6's headers between its own and that of the transport: hop-by-hop options, routing, options
/// for the destination, mobility, HIP and shim6, all of one form (RFC 6564); and those of a form of
/// their own.
const EXTENSIONS: [u8; 6] = [0, 43, 60, 135, 139, 140];
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const UDP_HEADER: usize = 8;

/// A packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IpPacket {
    pub(super) source: Endpoint,
    pub(super) target: Endpoint,
    pub(super) protocol: u8,
    /// The size that a route would count: the payload of UDP, all of other packets.
    pub(super) size: u32,
    /// What it says of congestion.
    pub(super) ecn: Ecn,
    /// Set if it is a part of a datagram.
    pub(super) fragment: Option<Fragment>,
}

/// Returns what the header of a packet says of congestion: in the second byte of IPv4, and in the
/// second and third half of the first two bytes of IPv6.
fn congestion(packet: &[u8]) -> Ecn {
    match bytes(packet, 0) {
        Ok([first, second]) if first >> 4 == 4 => Ecn::of_tos(second),
        Ok([first, second]) => Ecn::of_tos(first << 4 | second >> 4),
        Err(_) => Ecn::NotEct,
    }
}

/// A part of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fragment {
    /// The number that the parts of a datagram share.
    pub(super) id: u32,
    /// True if the header of the transport is in it.
    pub(super) is_first: bool,
}

impl IpPacket {
    /// Reads the headers. `length` is the packet's on the wire, for one that does not say it: large
    /// packets that a network card was to cut.
    pub(super) fn read(packet: &[u8], length: usize) -> Result<Self, PassedOver> {
        match packet.first().map(|first| first >> 4) {
            Some(4) => Self::version_4(packet, length),
            _ => Self::version_6(packet, length),
        }
    }

    fn version_4(packet: &[u8], length: usize) -> Result<Self, PassedOver> {
        let header = usize::from(packet[0] & 0xf) * 4;
        if header < 20 {
            return Err(PassedOver::NoIp);
        }
        let half = |at: usize| Ok(u16::from_be_bytes(bytes(packet, at)?));
        let total = match half(2)? {
            0 => length,
            total => usize::from(total),
        };
        let (flags, id) = (half(6)?, half(4)?);
        let (more, offset) = (flags & 0x2000 != 0, flags & 0x1fff);
        let fragment =
            (more || offset > 0).then_some(Fragment { id: u32::from(id), is_first: offset == 0 });
        let [protocol] = bytes(packet, 9)?;
        let ends: [[u8; 4]; 2] = [bytes(packet, 12)?, bytes(packet, 16)?];
        Ok(Self::new(packet, ends.map(IpAddr::from), protocol, (header, total), fragment))
    }

    fn version_6(packet: &[u8], length: usize) -> Result<Self, PassedOver> {
        let total = match u16::from_be_bytes(bytes(packet, 4)?) {
            // A jumbogram has its length in an option.
            0 if length > 40 => length,
            payload => 40 + usize::from(payload),
        };
        let ends: [[u8; 16]; 2] = [bytes(packet, 8)?, bytes(packet, 24)?];
        let [mut protocol] = bytes(packet, 6)?;
        let (mut header, mut fragment) = (40, None);
        // Each header is at least 8 bytes, and the packet ends.
        while let Some(extension) = Extension::of(protocol) {
            let Ok([next, units]) = bytes(packet, header) else { break };
            if let Extension::Fragment = extension {
                let place = u16::from_be_bytes(bytes(packet, header + 2)?);
                let id = u32::from_be_bytes(bytes(packet, header + 4)?);
                let (more, offset) = (place & 1 == 1, place >> 3);
                // One that is whole nevertheless is an atomic fragment (RFC 6946).
                if more || offset > 0 {
                    fragment = Some(Fragment { id, is_first: offset == 0 });
                }
            }
            protocol = next;
            header += extension.length(usize::from(units));
            // What stands there in a later part is no header.
            if fragment.is_some_and(|fragment| !fragment.is_first) {
                break;
            }
        }
        Ok(Self::new(packet, ends.map(IpAddr::from), protocol, (header, total), fragment))
    }

    fn new(
        packet: &[u8],
        [source, target]: [IpAddr; 2],
        protocol: u8,
        (header, total): (usize, usize),
        fragment: Option<Fragment>,
    ) -> Self {
        let has_header = fragment.is_none_or(|fragment| fragment.is_first);
        let port = |at: usize| match protocol {
            TCP | UDP if has_header => bytes(packet, header + at).map_or(0, u16::from_be_bytes),
            _ => 0,
        };
        let in_front = match protocol {
            UDP if has_header => header + UDP_HEADER,
            UDP => header,
            _ => 0,
        };
        let size = u32::try_from(total.saturating_sub(in_front)).unwrap_or(u32::MAX);
        let [source, target] = [(source, port(0)), (target, port(2))];
        Self { source, target, protocol, size, ecn: congestion(packet), fragment }
    }
}

/// A header of IPv6 between its own and that of the transport.
#[derive(Clone, Copy)]
enum Extension {
    Options,
    Fragment,
    Authentication,
}

impl Extension {
    fn of(protocol: u8) -> Option<Self> {
        match protocol {
            FRAGMENT => Some(Self::Fragment),
            AUTHENTICATION => Some(Self::Authentication),
            options if EXTENSIONS.contains(&options) => Some(Self::Options),
            _ => None,
        }
    }

    /// Returns its length from what its second byte says.
    const fn length(self, units: usize) -> usize {
        match self {
            Self::Options => (units + 1) * 8,
            Self::Fragment => 8,
            Self::Authentication => (units + 2) * 4,
        }
    }
}

fn bytes<const N: usize>(packet: &[u8], at: usize) -> Result<[u8; N], PassedOver> {
    let bytes = packet.get(at..at + N).and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or(PassedOver::Short)
}
