//! `--pcap` as Wireshark's own dissectors read it: headers and checksums, what became of each
//! packet, and that counters, event log and capture agree.
#![allow(clippy::print_stderr, reason = "it says what it skips")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "endpoints/support.rs"]
mod endpoints;
mod proxy_support;

use proxy_support::{Jostle, PATIENCE, Summary, installed, jostle};
use rustix::process::Signal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The fields of each frame, as tshark names them.
const FIELDS: [&str; 12] = [
    "frame.interface_id",
    "frame.time_epoch",
    "frame.comment",
    "udp.srcport",
    "udp.dstport",
    "udp.payload",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.len",
    "tcp.flags",
    "ip.dsfield.ecn",
    "ipv6.tclass.ecn",
];

/// A frame: its fields in the order of [`FIELDS`].
type Frame = Vec<String>;

fn tshark(capture: &Path, arguments: &[&str]) -> String {
    let output = Command::new("tshark")
        .args(["-n", "-r", capture.to_str().unwrap()])
        .args(["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"])
        .args(["-o", "tcp.check_checksum:TRUE"])
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let said: Vec<&str> = said.lines().filter(|line| !line.contains("as user \"root\"")).collect();
    assert!(output.status.success() && said.is_empty(), "{said:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn frames(capture: &Path) -> Vec<Frame> {
    let fields = FIELDS.iter().flat_map(|field| ["-e", field]);
    let mut arguments = vec!["-T", "fields", "-E", "separator=/t"];
    arguments.extend(fields);
    let text = tshark(capture, &arguments);
    text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

/// What tshark's expert has to say but for comments, as lines.
fn complaints(capture: &Path) -> Vec<String> {
    let text = tshark(capture, &["-q", "-z", "expert"]);
    let mut severity = String::new();
    let mut found = Vec::new();
    for line in text.lines() {
        let heads = ["Errors", "Warns", "Notes", "Chats", "Comments"];
        if let Some(head) = heads.into_iter().find(|head| line.starts_with(head)) {
            severity = head.to_owned();
        }
        let is_told = line.trim_start().starts_with(|first: char| first.is_ascii_digit());
        // That a connection ends is a note of its own.
        let is_end = line.contains("the connection closing");
        if is_told && !is_end && severity != "Comments" && severity != "Chats" {
            found.push(format!("{severity}: {}", line.trim()));
        }
    }
    found
}

fn events(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// How the capture names the packet of an event.
fn name(event: &Value) -> String {
    let copy = match event["copy"].as_u64().unwrap() {
        0 => String::new(),
        copy => format!(" copy {copy}"),
    };
    let (route, direction) =
        (event["route"].as_str().unwrap(), event["direction"].as_str().unwrap());
    format!("route {route} {direction}: packet {}{copy}, flow {}", event["packet"], event["flow"])
}

/// Checks that each event is in the capture as what it was, and that there is nothing else that has
/// a name.
fn assert_agreement(frames: &[Frame], events: &[Value], summary: &Summary, protocol: &str) {
    let mut by_name: BTreeMap<String, Vec<&Frame>> = BTreeMap::new();
    for frame in frames.iter().filter(|frame| !frame[2].is_empty()) {
        let name: Vec<&str> = frame[2].split(", ").take(2).collect();
        by_name.entry(name.join(", ")).or_default().push(frame);
    }
    let mut told = 0;
    for event in events {
        let [entry, exit] = if event["direction"] == "up" { ["0", "1"] } else { ["1", "0"] };
        let seen = by_name.get(&name(event)).map_or(&[][..], Vec::as_slice);
        let on = |side: &str| seen.iter().filter(|frame| frame[0] == side).count();
        let (is_copy, is_delivered) = (event["copy"] != 0, event["fate"] == "delivered");
        assert_eq!(on(entry), usize::from(!is_copy), "{event}: {seen:?}");
        assert_eq!(on(exit), usize::from(is_delivered), "{event}: {seen:?}");
        told += seen.len();
        if !is_delivered && !is_copy {
            let reason = format!("discarded: {}", event["reason"].as_str().unwrap());
            assert!(seen[0][2].contains(&reason), "{event}: {seen:?}");
            let rules: Vec<&str> = event["rules"]
                .as_array()
                .unwrap()
                .iter()
                .map(|rule| rule.as_str().unwrap())
                .collect();
            assert!(rules.iter().all(|rule| seen[0][2].contains(rule)), "{event}: {seen:?}");
            // Drops by a chance say what was drawn, and that it was a hit.
            if event["reason"] == "drop" {
                let drawn = seen[0][2].split(": drew ").nth(1).expect("a draw");
                let (number, below) = drawn.split_once(" of ").expect("and what it had to be");
                let below: String =
                    below.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
                let [number, below] = [number, &below].map(|text| text.parse::<f64>().unwrap());
                assert!(number < below && below < 0.5, "{}", seen[0][2]);
            }
        }
        if is_delivered && protocol == "udp" {
            let exit = seen.iter().find(|frame| frame[0] == exit).unwrap();
            let bits = match event["ecn"].as_str() {
                None => "0",
                Some("ect1") => "1",
                Some("ect0") => "2",
                Some(ecn) => ["3", "?"][usize::from(ecn != "ce")],
            };
            assert_eq!(exit[10].to_owned() + &exit[11], bits, "{event}: {exit:?}");
            assert_eq!(exit[2].contains("marked CE"), event["marked"] == true, "{exit:?}");
        }
        let flipped = event["flipped_bits"].as_u64().unwrap();
        if is_delivered && flipped > 0 {
            let exit = seen.iter().find(|frame| frame[0] == exit).unwrap();
            assert!(exit[2].contains(&format!("{flipped} bit")), "{event}: {exit:?}");
        }
    }
    let named: usize = by_name.values().map(Vec::len).sum();
    assert_eq!(told, named, "nothing else has a name");
    for (direction, exit) in [("up", "1"), ("down", "0")] {
        let link = summary.link(protocol, direction);
        let of = format!("route 1 {direction}: ");
        let crossed = frames.iter().filter(|frame| frame[2].starts_with(&of) && frame[0] == exit);
        assert_eq!(crossed.count() as u64, link["delivered"].as_u64().unwrap(), "{link}");
    }
    let end = summary.0.iter().find(|value| value["event"] == "summary").unwrap();
    assert_eq!((&end["capture_lost"], &end["events_lost"]), (&0.into(), &0.into()));
}

/// A server that sends each datagram back.
fn echo(address: &str) -> Option<SocketAddr> {
    let server = UdpSocket::bind(address).ok()?;
    let at = server.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut bytes = [0; 2000];
        while let Ok((count, from)) = server.recv_from(&mut bytes) {
            if bytes[..count] == *b"end" {
                return;
            }
            let _ = server.send_to(&bytes[..count], from);
        }
    });
    Some(at)
}

#[test]
fn datagrams_are_on_the_side_where_they_came_in_with_what_became_of_them() {
    if !installed("tshark") {
        return;
    }
    for host in ["127.0.0.1:0", "[::1]:0"] {
        let Some(server) = echo(host) else {
            eprintln!("SKIPPED: {host} is not there");
            continue;
        };
        let folder = tempfile::tempdir().unwrap();
        let [capture, log] = ["x.pcapng", "log"].map(|name| folder.path().join(name));
        let route = format!("udp://{host}={server}");
        let arguments = [
            route.as_str(),
            "--seed",
            "7",
            "--drop",
            "10%",
            "--corrupt",
            "10%",
            "--duplicate",
            "10%",
            "--delay",
            "30ms",
            "--jitter",
            "5ms",
            "--allow-reorder",
            "--pcap",
            capture.to_str().unwrap(),
            "--events",
            log.to_str().unwrap(),
        ];
        let jostle = Jostle::start(&arguments, 1);
        let address = jostle.address("udp");
        let client = UdpSocket::bind(host).unwrap();
        client.connect(address).unwrap();
        let sent: Vec<Vec<u8>> = (0..400_u32).map(|n| vec![n as u8; 1 + n as usize * 3]).collect();
        sent.iter().for_each(|bytes| assert_eq!(client.send(bytes).unwrap(), bytes.len()));
        // Until nothing comes any more.
        client.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        while client.recv(&mut [0; 2000]).is_ok() {}
        let summary = jostle.stop();
        let frames = frames(&capture);
        let events = events(&log);
        assert!(events.len() > 600, "{}", events.len());
        assert_agreement(&frames, &events, &summary, "udp");
        assert_eq!(complaints(&capture), [""; 0]);
        // The addresses are those of the sockets, and what came in is what was sent.
        let ends =
            [client.local_addr().unwrap().port(), address.port()].map(|port| port.to_string());
        let came: Vec<&Frame> =
            frames.iter().filter(|frame| frame[0] == "0" && frame[3..5] == ends).collect();
        assert_eq!(came.len(), 400);
        for (frame, bytes) in came.iter().zip(&sent) {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(frame[5], hex);
        }
        let upstream = server.port().to_string();
        let out = frames.iter().filter(|frame| frame[0] == "1" && frame[4] == upstream);
        assert!(out.count() > 300);
        // In the order of time, and delayed ones at their release.
        let times: Vec<f64> = frames.iter().map(|frame| frame[1].parse().unwrap()).collect();
        assert!(times.is_sorted());
        let named = |side: &str, number: u64| {
            let name = format!("route 1 up: packet {number},");
            frames
                .iter()
                .position(|one| one[0] == side && one[2].starts_with(&name))
                .map(|at| times[at])
        };
        let crossed: Vec<f64> = (1..=400)
            .filter_map(|number| Some(named("1", number)? - named("0", number)?))
            .collect();
        assert!(crossed.len() > 300 && crossed.iter().all(|time| *time >= 0.0249), "{crossed:?}");
        UdpSocket::bind(host).unwrap().send_to(b"end", server).unwrap();
        simulate(&capture);
    }
}

/// What the client counts is what the counters, the event log and the headers of the capture have.
#[test]
fn marks_stand_in_the_headers_and_arrive() {
    for host in ["127.0.0.1:0", "[::1]:0"] {
        if UdpSocket::bind(host).is_err() {
            eprintln!("SKIPPED: {host} is not there");
            continue;
        }
        let server = endpoints::Server::start_on(host, &["ping"]);
        let folder = tempfile::tempdir().unwrap();
        let [capture, log] = ["x.pcapng", "log"].map(|name| folder.path().join(name));
        let route = format!("udp://{host}={}", server.address);
        let files = ["--pcap", capture.to_str().unwrap(), "--events", log.to_str().unwrap()];
        let arguments = [&[route.as_str(), "--mark", "20%", "--seed", "7"], &files[..]].concat();
        let proxy = Jostle::start(&arguments, 1);
        let address = proxy.address("udp").to_string();
        let many = ["--count", "300", "--interval", "1ms", "--ecn", "ect0"];
        let run = endpoints::client(&[&["ping", &address], &many[..]].concat());
        let summary = proxy.stop();
        assert_eq!(run.status, Some(0), "{}", run.stderr);
        let (up, down) = (summary.link("udp", "up"), summary.link("udp", "down"));
        let count = |link: &Value, name: &str| link["ecn"][name].as_u64().unwrap();
        // Nothing is lost; what was marked on the way up comes back as it was heard.
        assert_eq!((&run.summary["received"], &run.summary["lost"]), (&300.into(), &0.into()));
        let marked = count(up, "marked") + count(down, "marked");
        let heard = &run.summary["ecn"];
        assert_eq!((&heard["sent"], &heard["ce"]), (&"ect0".into(), &marked.into()), "{heard}");
        assert_eq!((&heard["ect0"], &heard["not_ect"]), (&(300 - marked).into(), &0.into()));
        assert_eq!((count(down, "ce"), count(up, "ce")), (marked, count(up, "marked")));
        // 20 % of 300, and of the rest: 108 on average, with a standard deviation of 8.3.
        assert!((71..=145).contains(&marked), "{up} {down}");
        let events = events(&log);
        let logged = events.iter().filter(|event| event["marked"] == true).count();
        assert_eq!(logged as u64, marked);
        if installed("tshark") {
            assert_agreement(&frames(&capture), &events, &summary, "udp");
            assert_eq!(complaints(&capture), [""; 0]);
        }
    }
}

/// The capture is one that the project itself reads.
fn simulate(capture: &Path) {
    let output = jostle()
        .args(["simulate", "coffee-shop-wifi", "--pcap", capture.to_str().unwrap(), "--json"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// Sends `up` bytes through a route and gets `down` bytes back, each side ending behind its own.
fn exchange(address: SocketAddr, listener: &TcpListener, up: usize, down: usize) {
    let server = listener.try_clone().unwrap();
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        stream.write_all(&vec![b'd'; down]).unwrap();
        bytes.len()
    });
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(&vec![b'u'; up]).unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).unwrap();
    assert!(bytes.iter().all(|byte| *byte == b'd'));
    serving.join().unwrap();
}

/// What was said of a stream.
struct Said {
    frames: Vec<Frame>,
    complaints: Vec<String>,
    events: Vec<Value>,
    summary: Summary,
}

/// What a route does to a stream of TCP, and what the capture says of it.
fn stream(host: &str, options: &[&str]) -> Option<Said> {
    let Ok(listener) = TcpListener::bind(host) else {
        eprintln!("SKIPPED: {host} is not there");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let [capture, log] = ["x.pcapng", "log"].map(|name| folder.path().join(name));
    let route = format!("tcp://{host}={}", listener.local_addr().unwrap());
    let mut arguments = vec![route.as_str(), "--seed", "7"];
    arguments.extend(["--pcap", capture.to_str().unwrap(), "--events", log.to_str().unwrap()]);
    arguments.extend(options);
    let jostle = Jostle::start(&arguments, 1);
    exchange(jostle.address("tcp"), &listener, 100_000, 50_000);
    let summary = jostle.stop();
    let (frames, complaints, events) = (frames(&capture), complaints(&capture), events(&log));
    Some(Said { frames, complaints, events, summary })
}

/// How many bytes of payload a side shows on their way to a port.
fn payload(frames: &[Frame], side: &str) -> u64 {
    let of_side = frames.iter().filter(|frame| frame[0] == side);
    of_side.map(|frame| frame[8].parse::<u64>().unwrap_or(0)).sum()
}

#[test]
fn a_modelled_stream_is_shown_as_its_segments() {
    if !installed("tshark") {
        return;
    }
    for host in ["127.0.0.1:0", "[::1]:0"] {
        let Some(Said { frames, complaints: told, events, summary }) =
            stream(host, &["--delay", "5ms"])
        else {
            continue;
        };
        assert_eq!(told, [""; 0], "{host}");
        assert_agreement(&frames, &events, &summary, "tcp");
        assert_eq!([payload(&frames, "0"), payload(&frames, "1")], [150_000; 2]);
        let [syns, fins] = ["0x0002", "0x0012"]
            .map(|flags| frames.iter().filter(|frame| frame[9] == flags).count());
        assert_eq!((syns, fins), (2, 2), "a handshake on either side");
    }
}

#[test]
fn what_the_model_sends_again_is_seen_and_nothing_else_is_complained_about() {
    if !installed("tshark") {
        return;
    }
    let options = ["--delay", "5ms", "--drop", "3%", "--corrupt", "2%"];
    let Some(Said { frames, complaints: told, events, summary }) = stream("127.0.0.1:0", &options)
    else {
        return;
    };
    assert_agreement(&frames, &events, &summary, "tcp");
    assert!(summary.sockets("tcp", "retransmissions") > 0);
    // What any capture of a network that loses has.
    let usual = [
        "retransmission",
        "Duplicate ACK",
        "Previous segment",
        "out-of-order",
        "ACKed segment",
        "Retransmission",
    ];
    let unusual: Vec<&String> =
        told.iter().filter(|line| !usual.iter().any(|usual| line.contains(usual))).collect();
    assert!(unusual.is_empty(), "{unusual:#?}");
    assert!(told.iter().any(|line| line.contains("etransmission")), "{told:#?}");
    assert!(!told.iter().any(|line| line.contains("hecksum")), "{told:#?}");
}

#[test]
fn the_pieces_of_a_raw_route_are_segments_of_either_side() {
    if !installed("tshark") {
        return;
    }
    for unit in ["read", "4KiB"] {
        let options = ["--tcp", "raw", "--unit", unit, "--drop", "10%", "--delay", "5ms"];
        let Some(Said { frames, complaints: told, events, summary }) =
            stream("127.0.0.1:0", &options)
        else {
            return;
        };
        assert_eq!(told, [""; 0], "{unit}");
        assert_agreement(&frames, &events, &summary, "tcp");
        assert!(payload(&frames, "0") >= 150_000 - 8192, "{unit}");
    }
}

#[test]
fn a_route_without_rules_is_captured_too() {
    if !installed("tshark") {
        return;
    }
    let Some(Said { frames, complaints: told, .. }) = stream("127.0.0.1:0", &[]) else { return };
    assert_eq!(told, [""; 0]);
    assert_eq!([payload(&frames, "0"), payload(&frames, "1")], [150_000; 2]);
    let fins = frames.iter().filter(|frame| frame[9] == "0x0011");
    assert_eq!(fins.count(), 4);
}

/// Sends datagrams through a proxy that captures, up to a number of bytes.
fn flood(capture: &Path, options: &[&str], bytes: usize) -> Jostle {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let route = format!("udp://127.0.0.1:0={}", server.local_addr().unwrap());
    let mut arguments = vec![route.as_str(), "--seed", "7", "--pcap", capture.to_str().unwrap()];
    arguments.extend(options);
    let jostle = Jostle::start(&arguments, 1);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    for _ in 0..bytes / 1000 {
        client.send_to(&[7; 1000], jostle.address("udp")).unwrap();
        server.recv(&mut [0; 2000]).unwrap();
    }
    jostle
}

#[test]
fn files_are_bounded_in_size_and_number() {
    if !installed("tshark") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("x.pcapng");
    let jostle = flood(&capture, &["--pcap-size", "64KiB", "--pcap-files", "3"], 400_000);
    jostle.stop();
    let mut names: Vec<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_by_key(|name| name.len());
    // 800 frames of about 1,120 bytes are a little under 14 files.
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names.contains(&"x.13.pcapng".to_owned()), "{names:?}");
    for name in names {
        let path = folder.path().join(name);
        assert!(std::fs::metadata(&path).unwrap().len() < (64 << 10) + 2000);
        assert_eq!(complaints(&path), [""; 0]);
    }
}

#[test]
fn a_capture_that_was_cut_opens_up_to_the_cut() {
    if !installed("tshark") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("x.pcapng");
    let jostle = flood(&capture, &["--pcap-snap", "100"], 100_000);
    // The writer is a fraction of a second behind.
    for _ in 0..200 {
        if std::fs::metadata(&capture).unwrap().len() > 200 * 150 {
            break;
        }
        std::thread::park_timeout(Duration::from_millis(25));
    }
    jostle.signal(Signal::KILL);
    let _ = jostle.wait_killed();
    let frames = frames(&capture);
    assert!(frames.len() > 150, "{}", frames.len());
}

#[test]
fn what_cannot_be_captured_is_said_at_once() {
    for (options, right) in [
        (&["--pcap", "-"][..], "--pcap -: a capture goes to a file"),
        (&["--pcap", "/no/such/folder/x"][..], "cannot write /no/such/folder/x"),
        (&["--pcap", "x.pcapng", "--pcap-size", "1KiB"][..], "--pcap-size: write 64KiB or more"),
        (&["--pcap-size", "1MiB"][..], "--pcap"),
    ] {
        let route = ["proxy", "udp://127.0.0.1:0=127.0.0.1:9", "--for", "0s"];
        let output = jostle().args(route).args(options).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(right), "{said}");
    }
}
