//! The IP packet in a frame, by the frame's link type: tcpdump's registry of them
//! (<https://www.tcpdump.org/linktypes.html>).

use jostle_common::words::count;

/// The reason why a frame is not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PassedOver {
    /// It is of a link type that is not known here.
    UnknownLink(u32),
    /// It has something else in it: ARP, say.
    NoIp,
    /// It was cut before the end of its headers when it was captured.
    Short,
    /// The capture does not describe its interface.
    NoInterface,
}

impl PassedOver {
    /// Says how many frames are passed over, and why.
    pub(super) fn words(self, frames: u64) -> String {
        let frames = count(frames, "frame");
        match self {
            Self::UnknownLink(link) => {
                format!("{frames} of link type {link}, which is not known here")
            }
            Self::NoIp => format!("{frames} without an IP packet"),
            Self::Short => format!("{frames} captured short of their headers (tcpdump -s)"),
            Self::NoInterface => format!("{frames} of interfaces that are not described"),
        }
    }

    /// Returns the name for machines.
    pub(super) fn name(self) -> String {
        match self {
            Self::UnknownLink(link) => format!("link_type_{link}"),
            Self::NoIp => "no_ip".to_owned(),
            Self::Short => "short".to_owned(),
            Self::NoInterface => "no_interface".to_owned(),
        }
    }
}

/// What is found, or why it is not.
type Found<'a> = Result<&'a [u8], PassedOver>;

/// Finds the IP packet in a frame of this link type.
pub(super) fn ip_packet(link: u32, frame: &[u8]) -> Found<'_> {
    match link {
        // Ethernet.
        1 => typed(frame, 12),
        // BSD's loopback, and OpenBSD's.
        0 | 108 => ip(behind(frame, 4)?),
        // PPP, with or without its HDLC framing.
        9 | 50 => ppp(frame),
        51 => pppoe(frame),
        // Bare IP.
        12 | 14 | 101 | 228 | 229 => ip(frame),
        // Cisco's HDLC.
        104 => typed(frame, 2),
        105 => wifi(frame),
        // OpenBSD's IPsec.
        109 => ip(behind(frame, 12)?),
        // Linux's cooked captures.
        113 => typed(frame, 14),
        276 => of_type(half(frame, 0)?, behind(frame, 20)?),
        // 802.11 behind radiotap.
        127 => {
            let length: [u8; 2] = part(frame, 2)?;
            wifi(behind(frame, usize::from(u16::from_le_bytes(length)))?)
        }
        239 => netfilter(frame),
        link => Err(PassedOver::UnknownLink(link)),
    }
}

fn behind(bytes: &[u8], at: usize) -> Found<'_> {
    bytes.get(at..).ok_or(PassedOver::Short)
}

fn part<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], PassedOver> {
    let part = bytes.get(at..at + N).and_then(|part| part.try_into().ok());
    part.ok_or(PassedOver::Short)
}

fn half(bytes: &[u8], at: usize) -> Result<u16, PassedOver> {
    part(bytes, at).map(u16::from_be_bytes)
}

/// Returns bytes that begin with an IP header.
fn ip(bytes: &[u8]) -> Found<'_> {
    match bytes.first().map(|first| first >> 4) {
        Some(4 | 6) => Ok(bytes),
        Some(_) => Err(PassedOver::NoIp),
        None => Err(PassedOver::Short),
    }
}

/// Looks behind a type of Ethernet's that stands at an offset.
fn typed(bytes: &[u8], at: usize) -> Found<'_> {
    of_type(half(bytes, at)?, behind(bytes, at + 2)?)
}

/// Looks into what stands behind a type of Ethernet's, or behind a length.
fn of_type(kind: u16, bytes: &[u8]) -> Found<'_> {
    match kind {
        0x0800 | 0x86dd => ip(bytes),
        // VLAN tags, the standard's and those before it.
        0x8100 | 0x88a8 | 0x9100 | 0x9200 | 0x9300 => typed(bytes, 2),
        0x8864 => pppoe(bytes),
        0x8847 | 0x8848 => mpls(bytes),
        0..=1500 => llc(bytes),
        _ => Err(PassedOver::NoIp),
    }
}

/// Looks behind the header of a PPPoE session (RFC 2516).
fn pppoe(bytes: &[u8]) -> Found<'_> {
    match part(bytes, 0)? {
        [0x11, 0] => ppp(behind(bytes, 6)?),
        _ => Err(PassedOver::NoIp),
    }
}

/// Looks behind PPP's protocol (RFC 1661), which may be one byte, and whose framing may be left
/// out.
fn ppp(bytes: &[u8]) -> Found<'_> {
    let bytes = match part(bytes, 0)? {
        [0xff, 0x03] => behind(bytes, 2)?,
        // Cisco's framing on a line that may have either.
        [0x0f | 0x8f, _] => return typed(bytes, 2),
        _ => bytes,
    };
    let [first] = part(bytes, 0)?;
    let (protocol, rest) = if first & 1 == 1 {
        (u16::from(first), behind(bytes, 1)?)
    } else {
        (half(bytes, 0)?, behind(bytes, 2)?)
    };
    match protocol {
        0x0021 | 0x0057 => ip(rest),
        _ => Err(PassedOver::NoIp),
    }
}

/// Looks behind a stack of MPLS labels (RFC 3032).
fn mpls(bytes: &[u8]) -> Found<'_> {
    let [_, _, last, _] = part(bytes, 0)?;
    let rest = behind(bytes, 4)?;
    if last & 1 == 1 { ip(rest) } else { mpls(rest) }
}

/// Looks behind a header of 802.2.
fn llc(bytes: &[u8]) -> Found<'_> {
    match part(bytes, 0)? {
        // SNAP, with a type of Ethernet's behind an organisation.
        [0xaa, 0xaa, 0x03] => typed(bytes, 6),
        [0x06, 0x06, 0x03] => ip(behind(bytes, 3)?),
        _ => Err(PassedOver::NoIp),
    }
}

/// Looks into a frame of 802.11.
fn wifi(bytes: &[u8]) -> Found<'_> {
    let [control, flags] = part(bytes, 0)?;
    let (is_data, has_body) = (control & 0x0c == 0x08, control & 0x40 == 0);
    let is_protected = flags & 0x40 != 0;
    if !is_data || !has_body || is_protected {
        return Err(PassedOver::NoIp);
    }
    // Between two access points there is a fourth address.
    let mut header = if flags & 0x03 == 0x03 { 30 } else { 24 };
    if control & 0x80 != 0 {
        header += if flags & 0x80 != 0 { 6 } else { 2 };
    }
    llc(behind(bytes, header)?)
}

/// Looks for the packet among the fields of a netfilter log: in the byte order of the machine that
/// wrote it, which is nearly always the one that is assumed here.
fn netfilter(bytes: &[u8]) -> Found<'_> {
    const PAYLOAD: u16 = 9;
    let mut fields = behind(bytes, 4)?;
    while !fields.is_empty() {
        let length = usize::from(u16::from_le_bytes(part(fields, 0)?));
        if length < 4 {
            break;
        }
        if u16::from_le_bytes(part(fields, 2)?) == PAYLOAD {
            return ip(behind(fields, 4)?);
        }
        fields = behind(fields, length.next_multiple_of(4))?;
    }
    Err(PassedOver::NoIp)
}
