//! The document of the protocols: its examples are what we send, and its Python clients work.
#![allow(clippy::print_stderr, reason = "it says what it skips or measures")]

use crate::support::{Server, bytes, folder_with};
use jostle_common::clock::Clock;
use jostle_common::digest::Digest;
use jostle_endpoints::protocol::clock::{ERROR, QUESTION, TimeFormat, parse_time};
use jostle_endpoints::protocol::cookie::Cookie;
use jostle_endpoints::protocol::file::{
    ChunkCounts, ChunkDatagram, ClientControl, ReportPage, ServerControl,
};
use jostle_endpoints::protocol::ping::Ping;
use jostle_endpoints::protocol::saw::{Answer, Request};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

pub(crate) const DOCUMENT: &str = include_str!("../../../docs/protocols.md");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_examples_are_what_we_send() {
    let examples: String =
        DOCUMENT.split("```text\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let examples = examples.replace(char::is_whitespace, "");
    let (size, digest, transfer) = (5, Digest::of(b"hello"), 7);
    let cookie = Cookie::read([0x0c; 16]).unwrap();
    let counts = ChunkCounts { chunks: 1, intact: 1, ..ChunkCounts::default() };
    let page = ReportPage {
        page: 0,
        counts,
        nanos: 153_000,
        digest,
        name: "received.mp3".to_owned(),
        map: vec![0x10],
    };
    let data = ChunkDatagram { transfer, number: 0, chunk: b"hello" }.encode();
    for datagram in [
        &Request { number: 0, attempt: 1 }.encode(false)[..],
        &Answer { number: 0, attempt: 1, size, digest, data: b"hello" }.encode(),
        &ServerControl::Prove { transfer, cookie }.encode(),
        &ServerControl::Accept { transfer }.encode(),
        &data[..28],
        &data[28 + 4096..],
        &Ping { run: 7, number: 1, attempt: 1 }.encode(24),
        &ServerControl::Report { transfer, page }.encode(),
    ] {
        assert!(examples.contains(&hex(datagram)), "{}", hex(datagram));
    }
    let (digest_said, cookie) = (Some(digest), Some(cookie));
    for control in [
        ClientControl::Start { transfer, size, digest: digest_said, cookie },
        ClientControl::Done { transfer, page: 0, digest: digest_said },
    ] {
        let hex = hex(&control.encode());
        let (zeros, crc) = hex.split_at(hex.len() - 8);
        // The digits of the last field may be zeros too.
        let fields = zeros.trim_end_matches("00");
        let written = (0..=8).map(|more| format!("{fields}{}…{crc}", "00".repeat(more)));
        assert!(written.into_iter().any(|written| examples.contains(&written)), "{fields} … {crc}");
    }
    assert!(examples.contains(&format!("received.mp35{digest}")));
    let wall = Duration::new(1_000_000_000, 7);
    assert!(
        DOCUMENT.contains(&format!(
            "{QUESTION}\n{}\nhello\n{ERROR}\n",
            TimeFormat::Rfc3339.print(wall)
        ))
    );
    for format in TimeFormat::ALL {
        assert!(DOCUMENT.contains(&format!("`{}`", format.print(wall))), "{format}");
    }
}

/// The script of the document that begins with `# name`.
pub(crate) fn script(name: &str) -> &'static str {
    let start = DOCUMENT.find(&format!("```python\n# {name} ")).unwrap() + "```python\n".len();
    DOCUMENT[start..].split("```").next().unwrap()
}

/// Runs a script of the document; `None`, said aloud, where there is no Python.
fn python(name: &str, server: &Server, file: &Path) -> Option<Output> {
    python_with(name, server, &[file.to_str().unwrap()])
}

fn python_with(name: &str, server: &Server, arguments: &[&str]) -> Option<Output> {
    let output = Command::new("python3")
        .args([
            "-c",
            script(name),
            &server.address.ip().to_string(),
            &server.address.port().to_string(),
        ])
        .args(arguments)
        .env("PYTHONIOENCODING", "utf-8")
        .output();
    match output {
        Ok(output) => {
            assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
            Some(output)
        }
        Err(error) => {
            eprintln!("SKIPPED: the Python client {name} was not tried: python3: {error}");
            None
        }
    }
}

#[test]
fn a_python_client_fetches_by_stop_and_wait() {
    for size in [0, 1, 4096, 50_000] {
        let (folder, song) = folder_with("song.mp3", size);
        let server = Server::start(&["saw", song.to_str().unwrap()]);
        let out = folder.path().join("out");
        if python("saw.py", &server, &out).is_some() {
            assert_eq!(std::fs::read(&out).unwrap(), bytes(size));
        }
    }
}

#[test]
fn python_clients_send_files() {
    for (name, over) in [
        ("tcp.py", &["tcp"][..]),
        ("udp.py", &["udp"]),
        ("naive.py", &["udp", "--naive", "--idle", "300ms"]),
    ] {
        let (folder, song) = folder_with("song.mp3", 50_000);
        let incoming = folder.path().join("in");
        let arguments =
            [&["file", "--dir", incoming.to_str().unwrap(), "--once", "--over"], over].concat();
        let mut server = Server::start(&arguments);
        let Some(output) = python(name, &server, &song) else { continue };
        let said = String::from_utf8(output.stdout).unwrap();
        let digest = Digest::of(&bytes(50_000));
        let expected = match name {
            "tcp.py" => format!("received.mp3 50000 {digest}\n"),
            "udp.py" => "chunks 13 intact 13 missing 0 damaged 0 11111111111110\n".to_owned(),
            _ => String::new(),
        };
        assert_eq!(said, expected, "{name}");
        let received = server.line();
        assert_eq!(
            (&received["file"], &received["sha256"]),
            (&"received.mp3".into(), &digest.to_string().into())
        );
        assert_eq!(std::fs::read(incoming.join("received.mp3")).unwrap(), bytes(50_000));
    }
}

#[test]
fn python_clients_ping_ask_the_time_and_hear_their_echo() {
    let said = |name, server: &Server, arguments: &[&str]| {
        python_with(name, server, arguments).map(|output| String::from_utf8(output.stdout).unwrap())
    };
    if let Some(said) = said("ping.py", &Server::start(&["ping"]), &[]) {
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines.len(), 4, "{said}");
        assert!(
            lines.iter().all(|line| line.starts_with("ping ") && line.ends_with(" ms")),
            "{said}"
        );
    }
    for format in TimeFormat::ALL {
        let server = Server::start(&["clock", "--format", format.name()]);
        let Some(said) = said("clock.py", &server, &[]) else { continue };
        let now = Clock::wall();
        let times =
            said.lines().map(|line| parse_time(line.split_once(" after ").unwrap().0).unwrap());
        let near =
            times.filter(|time| time.wall <= now && now < time.wall + Duration::from_secs(20));
        assert_eq!(near.count(), 3, "{said}");
    }
    for over in ["tcp", "udp"] {
        let mut server = Server::start(&["echo", "--over", over]);
        let Some(said) = said("echo.py", &server, &[over]) else { continue };
        assert_eq!(said, "hello\nworld\nGrüße\n");
        for text in ["hello", "world", "Grüße"] {
            assert_eq!(server.line()["text"], text);
        }
    }
}
