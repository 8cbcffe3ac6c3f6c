//! Captures as programs write them, byte for byte.

use super::packet::UDP;
use super::reader::in_nanos;
use super::*;
use std::io::Write as _;

const ETHERNET: u32 = 1;
const CLIENT: [u8; 4] = [10, 0, 0, 1];
const SERVER: [u8; 4] = [10, 0, 0, 2];

/// Returns an IPv4 packet with a payload behind its header.
fn ipv4(ends: [[u8; 4]; 2], protocol: u8, fragment: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend((20 + payload.len() as u16).to_be_bytes());
    packet.extend(fragment.0.to_be_bytes());
    packet.extend(fragment.1.to_be_bytes());
    packet.extend([64, protocol, 0, 0]);
    packet.extend(ends.concat());
    packet.extend(payload);
    packet
}

/// Returns a UDP datagram.
fn udp(from: u16, to: u16, payload: usize) -> Vec<u8> {
    let length = 8 + payload as u16;
    let mut datagram =
        [from.to_be_bytes(), to.to_be_bytes(), length.to_be_bytes(), [0, 0]].concat();
    datagram.resize(usize::from(length), 0);
    datagram
}

/// Returns a datagram from the client's port 5000 to the server's 53, or back, in IPv4.
fn datagram(up: bool, payload: usize) -> Vec<u8> {
    let (ends, ports) =
        if up { ([CLIENT, SERVER], (5000, 53)) } else { ([SERVER, CLIENT], (53, 5000)) };
    ipv4(ends, UDP, (0, 0), &udp(ports.0, ports.1, payload))
}

/// Returns a frame of Ethernet.
fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    [&[2; 12][..], &kind.to_be_bytes(), payload].concat()
}

/// A record of a pcap file.
struct Record {
    micros: u32,
    bytes: Vec<u8>,
    /// What the record says was on the wire.
    length: u32,
}

fn record(micros: u32, bytes: Vec<u8>) -> Record {
    let length = bytes.len() as u32;
    Record { micros, bytes, length }
}

/// Returns a pcap file, little-endian, with microseconds.
fn pcap(link: u32, snap_length: u32, records: &[Record]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, snap_length, link] {
        file.extend(u32::to_le_bytes(word));
    }
    for Record { micros, bytes, length } in records {
        for word in [1_000, *micros, bytes.len() as u32, *length] {
            file.extend(word.to_le_bytes());
        }
        file.extend(bytes);
    }
    file
}

/// What was read of one direction: microseconds, size and flow of each packet.
type Read = (Vec<(u64, u32, u32)>, Reading);

fn read(capture: &[u8], direction: Direction) -> Read {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(capture).unwrap();
    let (arrivals, reading) = arrivals(file.path(), direction).unwrap();
    (arrivals.map(|one| (one.at.as_nanos() / 1000, one.size, one.flow)).collect(), reading)
}

fn sizes(capture: &[u8], direction: Direction) -> Vec<u32> {
    read(capture, direction).0.into_iter().map(|(_, size, _)| size).collect()
}

/// Asserts that a capture of one datagram up and one down reads whole.
fn reads_both(name: &str, capture: &[u8]) {
    for (direction, size) in [(Direction::Up, 40), (Direction::Down, 300)] {
        let (packets, reading) = read(capture, direction);
        let found: Vec<u32> = packets.iter().map(|(_, size, _)| *size).collect();
        assert_eq!(found, [size], "{name} {direction}: {:?}", reading.remark());
        assert!(!reading.is_cut() && reading.remark().is_none(), "{name}: {:?}", reading.remark());
    }
}

#[test]
fn a_capture_gives_times_sizes_flows_and_directions() {
    let frame = |from, to, payload| {
        ethernet(0x0800, &ipv4([CLIENT, CLIENT], UDP, (0, 0), &udp(from, to, payload)))
    };
    let records = [
        record(0, frame(5000, 53, 40)),
        record(500, frame(53, 5000, 300)),
        record(400, frame(5001, 53, 41)),
        record(2000, frame(5000, 53, 42)),
    ];
    let capture = pcap(ETHERNET, 65_535, &records);
    assert_eq!(read(&capture, Direction::Up).0, [(0, 40, 1), (500, 41, 2), (2000, 42, 1)]);
    assert_eq!(read(&capture, Direction::Down).0, [(500, 300, 1)]);
    assert!(read(&capture, Direction::Up).1.remark().is_none());
}

#[test]
fn what_a_record_says_of_lengths_and_times_ends_no_reading() {
    let whole = || ethernet(0x0800, &datagram(true, 1200));
    let short = |snap: usize| {
        let frame = whole();
        Record { micros: 1, length: frame.len() as u32, bytes: frame[..snap].to_vec() }
    };
    let trailer = || {
        let mut bytes = whole();
        let length = bytes.len() as u32;
        bytes.extend([0; 16]);
        Record { micros: 2, bytes, length }
    };
    for (name, snap_length, records) in [
        ("tcpdump -s 96", 96, vec![short(96), short(96), short(96)]),
        ("a snap length of 0", 0, vec![record(0, whole()), record(1, whole()), record(2, whole())]),
        ("more captured than sent", 65_535, vec![trailer(), trailer(), trailer()]),
        ("above the snap length", 60, vec![record(0, whole()), short(96), record(2, whole())]),
        (
            "a fraction above one",
            65_535,
            vec![record(0, whole()), record(1_000_001, whole()), record(4_000_000_000, whole())],
        ),
    ] {
        let (packets, reading) = read(&pcap(ETHERNET, snap_length, &records), Direction::Up);
        let sizes: Vec<u32> = packets.iter().map(|(_, size, _)| *size).collect();
        assert_eq!(sizes, [1200; 3], "{name}: {:?}", reading.remark());
        assert!(!reading.is_cut(), "{name}");
    }
    let (packets, reading) = read(&pcap(ETHERNET, 30, &[short(30), short(42)]), Direction::Up);
    assert_eq!(packets, [(0, 1200, 1)], "what has its headers is taken in");
    let remark = reading.remark().unwrap();
    assert!(
        remark.ends_with("passed over 1 frame captured short of their headers (tcpdump -s)"),
        "{remark}"
    );
}

#[test]
fn the_parts_of_a_datagram_are_packets_of_its_flow() {
    let mut records = Vec::new();
    for number in 0..10 {
        let request = ipv4([CLIENT, SERVER], UDP, (number, 0), &udp(900, 2049, 100));
        records.push(record(u32::from(number) * 1000, ethernet(0x0800, &request)));
        let answer = udp(2049, 900, 4000);
        for (part, payload) in answer.chunks(1480).enumerate() {
            let more = if part < 2 { 0x2000 } else { 0 };
            let place = (part * 1480 / 8) as u16 | more;
            let packet = ipv4([SERVER, CLIENT], UDP, (100 + number, place), payload);
            records.push(record(u32::from(number) * 1000 + 1, ethernet(0x0800, &packet)));
        }
    }
    let capture = pcap(ETHERNET, 65_535, &records);
    assert_eq!(sizes(&capture, Direction::Up), [100; 10]);
    let down = read(&capture, Direction::Down).0;
    assert_eq!(down.len(), 30);
    assert_eq!(down.iter().map(|(_, size, _)| size).sum::<u32>(), 40_000);
    assert!(down.iter().all(|(_, _, flow)| *flow == 1), "{down:?}");
}

/// Returns an IPv6 packet.
fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((payload.len() as u16).to_be_bytes());
    packet.extend([next, 64]);
    packet.extend([[0xfd; 16], [0xfe; 16]].concat());
    packet.extend(payload);
    packet
}

#[test]
fn the_transport_stands_behind_the_extensions_of_ipv6() {
    let options = |next: u8, units: u8| {
        let mut header = vec![next, units];
        header.resize((usize::from(units) + 1) * 8, 0);
        header
    };
    let authentication = |next: u8| {
        let mut header = vec![next, 4];
        header.resize(24, 0);
        header
    };
    let part = |place: u16, payload: &[u8]| {
        [&[UDP, 0][..], &place.to_be_bytes(), &7u32.to_be_bytes(), payload].concat()
    };
    let long = udp(5000, 53, 1000);
    for (name, next, payloads, expected) in [
        ("none", UDP, vec![udp(5000, 53, 100)], vec![100]),
        ("hop by hop", 0, vec![[options(UDP, 0), udp(5000, 53, 100)].concat()], vec![100]),
        (
            "hop by hop, routing, options",
            0,
            vec![[options(43, 0), options(60, 2), options(UDP, 1), udp(5000, 53, 100)].concat()],
            vec![100],
        ),
        ("authentication", 51, vec![[authentication(UDP), udp(5000, 53, 100)].concat()], vec![100]),
        ("an atomic fragment", 44, vec![part(0, &udp(5000, 53, 100))], vec![100]),
        (
            "two fragments",
            44,
            vec![part(1, &long[..504]), part(63 << 3, &long[504..])],
            vec![496, 504],
        ),
        // The size of what is no UDP is that of the packet.
        ("no next header", 59, vec![vec![]], vec![40]),
    ] {
        let records: Vec<Record> = payloads
            .iter()
            .map(|payload| record(0, ethernet(0x86dd, &ipv6(next, payload))))
            .collect();
        let capture = pcap(ETHERNET, 65_535, &records);
        let (packets, reading) = read(&capture, Direction::Up);
        let sizes: Vec<u32> = packets.iter().map(|(_, size, _)| *size).collect();
        assert_eq!(sizes, expected, "{name}: {:?}", reading.remark());
        assert!(packets.iter().all(|(_, _, flow)| *flow == 1), "{name}: {packets:?}");
    }
    let two = [5000, 5001].map(|port| {
        record(0, ethernet(0x86dd, &ipv6(0, &[options(UDP, 0), udp(port, 53, 100)].concat())))
    });
    let flows = read(&pcap(ETHERNET, 65_535, &two), Direction::Up).0;
    assert_eq!(flows, [(0, 100, 1), (0, 100, 2)], "two ports are two flows");
}

#[test]
fn ip_is_found_in_what_carries_it() {
    let ppp = |packet: &[u8]| [&[0x00, 0x21], packet].concat();
    let pppoe = |packet: &[u8]| [&[0x11, 0, 0, 1, 0, 9][..], &ppp(packet)].concat();
    let snap = |packet: &[u8]| [&[0xaa, 0xaa, 3, 0, 0, 0, 0x08, 0x00][..], packet].concat();
    let tag = |kind: u16, rest: &[u8]| [&[0, 5][..], &kind.to_be_bytes(), rest].concat();
    let wifi = |packet: &[u8]| [&[0x88, 0x02][..], &[0; 24], &snap(packet)].concat();
    type Frame<'a> = Box<dyn Fn(&[u8]) -> Vec<u8> + 'a>;
    let cases: Vec<(&str, u32, Frame<'_>)> = vec![
        ("Ethernet", 1, Box::new(|packet| ethernet(0x0800, packet))),
        ("a VLAN", 1, Box::new(|packet| ethernet(0x8100, &tag(0x0800, packet)))),
        ("two VLANs", 1, Box::new(|packet| ethernet(0x88a8, &tag(0x8100, &tag(0x0800, packet))))),
        ("an old tag", 1, Box::new(|packet| ethernet(0x9100, &tag(0x0800, packet)))),
        ("PPPoE", 1, Box::new(|packet| ethernet(0x8864, &pppoe(packet)))),
        ("PPPoE in a VLAN", 1, Box::new(|packet| ethernet(0x8100, &tag(0x8864, &pppoe(packet))))),
        (
            "MPLS",
            1,
            Box::new(|packet| ethernet(0x8847, &[&[0, 1, 0, 9, 0, 2, 1, 9][..], packet].concat())),
        ),
        ("802.3", 1, Box::new(|packet| ethernet(packet.len() as u16 + 8, &snap(packet)))),
        ("loopback", 0, Box::new(|packet| [&[2, 0, 0, 0], packet].concat())),
        ("PPP", 9, Box::new(|packet| ppp(packet))),
        ("PPP, compressed", 9, Box::new(|packet| [&[0x21], packet].concat())),
        ("PPP in HDLC", 50, Box::new(|packet| [&[0xff, 3][..], &ppp(packet)].concat())),
        ("PPPoE alone", 51, Box::new(|packet| pppoe(packet))),
        ("bare IP", 101, Box::new(|packet| packet.to_vec())),
        ("Cisco's HDLC", 104, Box::new(|packet| [&[0x0f, 0, 0x08, 0x00], packet].concat())),
        ("802.11", 105, Box::new(|packet| wifi(packet))),
        (
            "radiotap",
            127,
            Box::new(|packet| [&[0, 0, 10, 0, 0, 0, 0, 0, 0, 0][..], &wifi(packet)].concat()),
        ),
        ("cooked", 113, Box::new(|packet| [&[0; 14][..], &[0x08, 0x00], packet].concat())),
        ("cooked, 2", 276, Box::new(|packet| [&[0x08, 0x00][..], &[0; 18], packet].concat())),
        (
            "with a checksum",
            1 | 0x5400_0000,
            Box::new(|packet| [&ethernet(0x0800, packet)[..], &[0; 4]].concat()),
        ),
        (
            "a netfilter log",
            239,
            Box::new(|packet| {
                let length = (packet.len() as u16 + 4).to_le_bytes();
                [&[2, 0, 0, 0, 7, 0, 10, 0, 97, 98, 0, 0][..], &length, &[9, 0], packet].concat()
            }),
        ),
    ];
    for (name, link, frame) in &cases {
        let records = [(true, 40), (false, 300)]
            .map(|(up, payload)| record(0, frame(&datagram(up, payload))));
        reads_both(name, &pcap(*link, 65_535, &records));
    }
    assert_eq!(cases.len(), 21);
}

#[test]
fn what_is_passed_over_is_counted_and_named() {
    let good = || record(0, ethernet(0x0800, &datagram(true, 40)));
    let arp = || record(0, ethernet(0x0806, &[0; 28]));
    let (packets, reading) = read(&pcap(ETHERNET, 0, &[arp(), good(), arp()]), Direction::Up);
    assert_eq!(packets.len(), 1);
    assert!(reading.remark().unwrap().ends_with(": passed over 2 frames without an IP packet"));
    assert_eq!(reading.json()["passed_over"], serde_json::json!({ "no_ip": 2 }));
    assert!(!reading.is_cut());
    let unknown = [(); 5].map(|()| record(0, vec![0; 60]));
    let (packets, reading) = read(&pcap(147, 0, &unknown), Direction::Up);
    let remark = reading.remark().unwrap();
    assert!(packets.is_empty());
    assert!(
        remark.ends_with("passed over 5 frames of link type 147, which is not known here"),
        "{remark}"
    );
}

#[test]
fn what_is_no_capture_is_refused_and_a_torn_one_is_cut() {
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(arrivals(file.path(), Direction::Up).is_err());
    std::fs::write(file.path(), "{ \"up\": [] }".repeat(9)).unwrap();
    assert!(arrivals(file.path(), Direction::Up).is_err());
    let good = || record(0, ethernet(0x0800, &datagram(true, 40)));
    let whole = pcap(ETHERNET, 65_535, &[good(), good()]);
    for torn in [1, 7, 90] {
        let (packets, reading) = read(&whole[..whole.len() - torn], Direction::Up);
        assert_eq!(packets.len(), 1, "{torn}");
        let remark = reading.remark().unwrap();
        let says = "the capture is cut after 1 frame: it ends in the middle of a record";
        assert!(reading.is_cut() && remark.ends_with(says), "{remark}");
    }
}

#[test]
fn a_compressed_capture_is_read_as_the_plain_one() {
    let records = [(true, 40), (false, 300)]
        .map(|(up, payload)| record(0, ethernet(0x0800, &datagram(up, payload))));
    let plain = pcap(ETHERNET, 65_535, &records);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&plain).unwrap();
    let packed = encoder.finish().unwrap();
    reads_both("gzip", &packed);
    let (_, reading) = read(&packed[..packed.len() - 12], Direction::Up);
    assert!(reading.is_cut(), "{:?}", reading.remark());
}

/// Returns a block of pcapng, big-endian.
fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    body.resize(body.len().next_multiple_of(4), 0);
    let length = (12 + body.len() as u32).to_be_bytes();
    [&kind.to_be_bytes()[..], &length, &body, &length].concat()
}

#[test]
fn every_block_of_pcapng_that_holds_a_packet_is_read() {
    let words =
        |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    let section = block(0x0a0d_0d0a, &words(&[0x1a2b_3c4d, 0x0001_0000, u32::MAX, u32::MAX]));
    // Ethernet with a snap length of 20, and nanoseconds.
    let interface = block(
        1,
        &[&words(&[1 << 16, 20, 0x0009_0001][..])[..], &[9, 0, 0, 0], &words(&[0])].concat(),
    );
    let up = ethernet(0x0800, &datagram(true, 40));
    let down = ethernet(0x0800, &datagram(false, 300));
    let enhanced = |nanos: u32, interface: u32, frame: &[u8]| {
        let length = frame.len() as u32;
        // More was captured than was sent.
        block(6, &[words(&[interface, 0, nanos, length, length - 10]), frame.to_vec()].concat())
    };
    let simple = block(3, &[words(&[up.len() as u32]), up.clone()].concat());
    let old = block(2, &[words(&[0, 0, 5_000_000, down.len() as u32, 0]), down.clone()].concat());
    let statistics = block(5, &[1, 2, 3]);
    let file = [
        section,
        interface,
        enhanced(2_000_000, 0, &up),
        statistics,
        simple,
        enhanced(4_000_000, 0, &down),
        enhanced(4_000_000, 3, &down),
        old,
    ]
    .concat();
    let (packets, reading) = read(&file, Direction::Up);
    assert_eq!(packets, [(0, 40, 1), (0, 40, 1)], "{:?}", reading.remark());
    assert!(!reading.is_cut());
    assert!(reading.remark().unwrap().contains("1 frame of interfaces that are not described"));
    assert_eq!(read(&file, Direction::Down).0, [(2_000, 300, 1), (3_000, 300, 1)]);
}

#[test]
fn time_units_of_an_interface_are_turned_into_nanoseconds() {
    let nanos = [in_nanos(5, 6), in_nanos(5, 9), in_nanos(1024, 0x8a), in_nanos(u64::MAX, 0)];
    assert_eq!(nanos, [5_000, 5, 1_000_000_000, u64::MAX]);
}
