//! UDP programs that nobody here wrote, through `jostle proxy`: a DNS load tester, TFTP with its
//! wandering port, HTTP/3.
#![allow(clippy::print_stderr, reason = "it says what it skips or measures")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "it looks at the real clock")]

mod http3;
#[path = "../proxy_support/mod.rs"]
mod proxy_support;
mod socks5;

use proxy_support::{Background, Jostle, free_port, installed};
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write as _};
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Answers every DNS query with its own question and no records, until the process ends.
fn dns_responder() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut query = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut query) {
            if length > 3 {
                // QR: it is an answer (RFC 1035, 4.1.1).
                query[2] |= 0x80;
                let _ = socket.send_to(&query[..length], from);
            }
        }
    });
    address
}

/// The number behind `label` in what a program printed.
fn number(text: &str, label: &str) -> u64 {
    let line = text.lines().find_map(|line| line.trim().strip_prefix(label));
    let line = line.unwrap_or_else(|| panic!("{label} is in {text}"));
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn dnsperf_loses_exactly_the_queries_that_were_dropped() {
    const QUERIES: u64 = 3000;
    if !installed("dnsperf") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let queries = folder.path().join("queries");
    let mut text = String::new();
    for n in 0..QUERIES {
        writeln!(text, "host{n}.example.org A").unwrap();
    }
    fs::write(&queries, text).unwrap();
    let route = format!("udp://127.0.0.1:0={}", dns_responder());
    let jostle = Jostle::start(&[&route, "--drop", "2%", "--delay", "5ms", "--seed", "7"], 1);
    let address = jostle.address("udp");
    let output = Command::new("dnsperf")
        .args([
            "-s",
            "127.0.0.1",
            "-p",
            &address.port().to_string(),
            "-n",
            "1",
            "-t",
            "1",
            "-q",
            "1000",
            "-d",
        ])
        .arg(&queries)
        .args(["-Q", "2000"])
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{report}");
    let summary = jostle.stop();
    let (up, down) = (summary.link("udp", "up"), summary.link("udp", "down"));
    let dropped = |link: &serde_json::Value| link["discarded"]["drop"].as_u64().unwrap();
    assert_eq!(number(&report, "Queries sent:"), QUERIES);
    assert_eq!(up["in"], QUERIES, "{up}");
    assert_eq!(down["in"], QUERIES - dropped(up), "{down}");
    assert_eq!(number(&report, "Queries lost:"), dropped(up) + dropped(down), "{report}");
    assert_eq!(number(&report, "Queries completed:"), down["delivered"].as_u64().unwrap());
    // 2 % each way of 3000: 119 on average, with a standard deviation of 11.
    assert!((75..=165).contains(&(dropped(up) + dropped(down))), "{up} {down}");
    summary.assert_conserved();
}

/// As Python's sockets see it: of the type of service the two bits for congestion cross, and the
/// six beside them do not.
#[test]
fn the_congestion_bits_cross_and_the_service_does_not() {
    if !installed("python3") {
        return;
    }
    for host in ["127.0.0.1", "::1"] {
        if UdpSocket::bind((host, 0)).is_err() {
            eprintln!("SKIPPED: {host} is not there");
            continue;
        }
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/udp_programs/type_of_service.py");
        let mut program = Command::new("python3")
            .arg(script)
            .arg(host)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map(Background)
            .unwrap();
        let mut lines = BufReader::new(program.0.stdout.take().unwrap()).lines();
        let port: u16 = lines.next().unwrap().unwrap().parse().unwrap();
        let at = |port: u16| SocketAddr::new(host.parse().unwrap(), port);
        let jostle = Jostle::start(&[&format!("udp://{}={}", at(0), at(port))], 1);
        writeln!(program.0.stdin.take().unwrap(), "{}", jostle.address("udp").port()).unwrap();
        assert_eq!(lines.next().unwrap().unwrap().trim(), "00 01 02 03");
        let summary = jostle.stop();
        let ecn = &summary.link("udp", "up")["ecn"];
        assert_eq!(*ecn, serde_json::json!({ "ect0": 1, "ect1": 1, "ce": 1, "marked": 0 }));
    }
}

/// The bytes of a file that no two places share.
fn bytes(count: u32) -> Vec<u8> {
    (0..count).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// A folder that everybody may read, so that a server that gave up its rights may.
fn public_folder(name: &str, body: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let file = folder.path().join(name);
    fs::write(&file, body).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    folder
}

/// The path of a server that lives where only root looks.
fn server_program(name: &str) -> Option<PathBuf> {
    let found = ["/usr/sbin", "/usr/local/sbin"].iter().map(|folder| Path::new(folder).join(name));
    let found = found.into_iter().find(|path| path.is_file());
    if found.is_none() {
        eprintln!("SKIPPED: {name} is not installed");
    }
    found
}

#[test]
fn tftp_gets_a_file_whole_through_a_following_route_under_loss() {
    let Some(server) = server_program("in.tftpd") else { return };
    if !installed("tftp") {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: in.tftpd changes its root folder, which only root may");
        return;
    }
    // 94 blocks of 512 bytes and a last one that is shorter.
    let body = bytes(48_200);
    let folder = public_folder("song.mp3", &body);
    let port = free_port();
    let _server = Command::new(server)
        // It repeats an unanswered block after 50 ms.
        .args([
            "--listen",
            "--foreground",
            "--retransmit",
            "50000",
            "--address",
            &format!("127.0.0.1:{port}"),
        ])
        .arg("--secure")
        .arg(folder.path())
        .spawn()
        .map(Background)
        .unwrap();
    let profile = folder.path().join("profile.json");
    // A lost request would be repeated after 5 s: the first two packets are spared.
    let lossy = r#"{ "both": [ { "rule": "drop", "chance": "5%", "match": { "after": 2 } } ] }"#;
    fs::write(&profile, lossy).unwrap();
    let route = format!("udp://127.0.0.1:0=127.0.0.1:{port}");
    let jostle = Jostle::start(
        &[&route, "--follow", "--profile", profile.to_str().unwrap(), "--seed", "3"],
        1,
    );
    let received = folder.path().join("received.mp3");
    let begun = Instant::now();
    let port = jostle.address("udp").port().to_string();
    let get = format!("get song.mp3 {}", received.display());
    // tftp takes the rest of its line as the command.
    let output = Command::new("tftp")
        .args(["-m", "binary", "127.0.0.1", &port, "-c"])
        .args(get.split(' '))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let summary = jostle.stop();
    let (up, down) = (summary.link("udp", "up"), summary.link("udp", "down"));
    assert!(
        fs::read(&received).unwrap() == body,
        "after {:?}: {text} {up} {down}",
        begun.elapsed()
    );
    let dropped = |link: &serde_json::Value| link["discarded"]["drop"].as_u64().unwrap();
    assert!(dropped(up) + dropped(down) >= 3, "it was no clean network: {up} {down}");
    assert!(down["in"].as_u64().unwrap() >= 95 + dropped(down), "lost blocks came again: {down}");
    assert_eq!(summary.sockets("udp", "flows"), 1);
    summary.assert_conserved();
}
