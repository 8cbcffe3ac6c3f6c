//! A set number of places: who waits gets the one of a client that has long been silent, and
//! nobody else's.

use crate::support::{Server, names};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Command;
use std::time::Duration;

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

/// Says something and returns the line that answers it.
fn ask(stream: &TcpStream, said: &[u8]) -> String {
    (&mut &*stream).write_all(said).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
}

#[test]
fn silent_connections_yield_to_who_waits() {
    let folder = tempfile::tempdir().unwrap();
    let file = ["file", "--over", "tcp", "--dir", folder.path().to_str().unwrap()];
    std::thread::scope(|scope| {
        for (kind, said, answer) in [
            (&["messages"][..], &b"0 c2912e81 hello\n"[..], "ACK 0 e5820718\n"),
            (&["clock", "--format", "unix"], b"what time is it?\n", "."),
            (&["echo", "--over", "tcp"], b"hello\n", "hello\n"),
            (&file, b"music", "received.mp3 5 "),
        ] {
            scope.spawn(move || {
                let server = Server::start(&[kind, &["--max-clients", "3"]].concat());
                let mut silent: Vec<_> = (0..3).map(|_| connect(&server)).collect();
                let client = connect(&server);
                if kind[0] == "file" {
                    (&mut &client).write_all(said).unwrap();
                    client.shutdown(Shutdown::Write).unwrap();
                }
                let heard = match kind[0] {
                    "file" => ask(&client, b""),
                    _ => ask(&client, said),
                };
                assert!(heard.contains(answer), "{kind:?}: {heard}");
                // The longest silent has gone, and only that one.
                let mut byte = [0];
                assert!(matches!(silent[0].read(&mut byte), Ok(0) | Err(_)));
                for other in &silent[1..] {
                    other.set_nonblocking(true).unwrap();
                    let is_open = other.peek(&mut byte).unwrap_err().kind();
                    assert_eq!(is_open, std::io::ErrorKind::WouldBlock, "{kind:?}");
                }
                let (_, lines) = server.terminate();
                assert_eq!(lines.last().unwrap()["yielded"], 1, "{kind:?}: {lines:?}");
            });
        }
    });
    assert_eq!(names(folder.path()), ["received.mp3"]);
}

#[test]
fn a_client_that_talks_keeps_its_place_and_the_next_one_waits() {
    let server = Server::start(&["echo", "--over", "tcp", "--max-clients", "1"]);
    let active = connect(&server);
    assert_eq!(ask(&active, b"one\n"), "one\n");
    let waiting = connect(&server);
    (&mut &waiting).write_all(b"wait\n").unwrap();
    waiting.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    // Longer than a connection may be silent that never said anything.
    for _ in 0..12 {
        assert_eq!(ask(&active, b"more\n"), "more\n");
        let still = (&waiting).read(&mut [0]).unwrap_err().kind();
        assert_eq!(still, std::io::ErrorKind::WouldBlock);
    }
    drop(active);
    waiting.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    assert_eq!(ask(&waiting, b""), "wait\n");
    assert_eq!(server.terminate().1.last().unwrap()["yielded"], 0);
}

#[test]
fn a_server_that_could_take_no_client_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    for kind in [
        vec!["clock"],
        vec!["messages"],
        vec!["echo", "--over", "tcp"],
        vec!["file", "--over", "tcp", "--dir", dir],
        vec!["http", "--root", dir],
    ] {
        let output = Command::new("sh")
            .args(["-c", "ulimit -n 12; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_jostle-server")])
            .args(&kind)
            .args(["--listen", "127.0.0.1:0"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{kind:?}: {said}");
        assert!(output.stdout.is_empty(), "{kind:?}: it does not listen");
        assert!(said.contains("open descriptors are too few"), "{kind:?}: {said}");
        assert!(said.contains("raise the limit (ulimit -n "), "{kind:?}: {said}");
    }
}
