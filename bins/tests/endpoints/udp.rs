//! Files over plain UDP: accounted for, and bare.

use crate::support::{Server, bytes, client, folder_with, names};
use jostle_endpoints::protocol::file::DATA_SIZE;
use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[test]
fn files_arrive_whole_at_once_and_both_ends_say_so() {
    let (folder, song) = folder_with("song.mp3", 400_000);
    let incoming = folder.path().join("in");
    for listen in ["127.0.0.1:0", "[::1]:0"] {
        let mut server = Server::start_on(
            listen,
            &["file", "--over", "udp", "--dir", incoming.to_str().unwrap()],
        );
        let address = server.address.to_string();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let run = client(&[
                        "file",
                        &address,
                        song.to_str().unwrap(),
                        "--over",
                        "udp",
                        "--strict",
                    ]);
                    assert_eq!(run.status, Some(0), "{} {}", run.stderr, run.summary);
                    assert_eq!(
                        (&run.summary["intact"], &run.summary["packets"]),
                        (&98.into(), &98.into())
                    );
                    // 98 datagrams of 4152 bytes at 10 Mbit/s; the first goes at once.
                    let seconds = run.summary["seconds"].as_f64().unwrap();
                    assert!((0.31..2.0).contains(&seconds), "{seconds}");
                });
            }
        });
        for _ in 0..3 {
            let received = server.line();
            assert_eq!(
                (&received["digest_equal"], &received["missing"]),
                (&true.into(), &0.into())
            );
            assert_eq!(received["map"].as_str().unwrap(), "1".repeat(98));
        }
        assert_eq!(server.terminate().0, Some(0));
    }
    assert_eq!(names(&incoming).len(), 6);
}

/// Relays datagrams between one client and the server until `over`; `keep` says whether the k-th
/// data datagram passes.
fn relay(socket: &UdpSocket, server: SocketAddr, over: &AtomicBool, keep: impl Fn(usize) -> bool) {
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut buffer = [0; 5000];
    let (mut client, mut data) = (None, 0);
    while !over.load(Ordering::SeqCst) {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
        if from == server {
            socket.send_to(&buffer[..length], client.unwrap()).unwrap();
            continue;
        }
        client = Some(from);
        let passes = length != DATA_SIZE || keep(data);
        data += usize::from(length == DATA_SIZE);
        if passes {
            socket.send_to(&buffer[..length], server).unwrap();
        }
    }
}

#[test]
fn what_is_lost_is_named_by_both_ends_and_strict_minds() {
    let (folder, song) = folder_with("song.mp3", 40_000);
    let incoming = folder.path().join("in");
    let mut server = Server::start(&["file", "--over", "udp", "--dir", incoming.to_str().unwrap()]);
    for (strict, status) in [(&[][..], 0), (&["--strict"][..], 1)] {
        let (socket, over) = (UdpSocket::bind("127.0.0.1:0").unwrap(), AtomicBool::new(false));
        let address = socket.local_addr().unwrap().to_string();
        std::thread::scope(|scope| {
            scope.spawn(|| relay(&socket, server.address, &over, |data| data != 2 && data != 9));
            let arguments = ["file", &address, song.to_str().unwrap(), "--over", "udp"];
            let run = client(&[&arguments, strict].concat());
            over.store(true, Ordering::SeqCst);
            assert_eq!(run.status, Some(status), "{}", run.stderr);
            assert_eq!(
                (&run.summary["ok"], &run.summary["digest_equal"]),
                (&true.into(), &false.into())
            );
            assert_eq!(
                (&run.summary["map"], &run.summary["missing"]),
                (&"1101111110".into(), &2.into())
            );
        });
        let received = server.line();
        assert_eq!((&received["map"], &received["size"]), (&"1101111110".into(), &40_000.into()));
        let mut expected = bytes(40_000);
        expected[2 * 4096..3 * 4096].fill(0);
        expected[9 * 4096..].fill(0);
        assert_eq!(
            std::fs::read(incoming.join(received["file"].as_str().unwrap())).unwrap(),
            expected
        );
    }
}

#[test]
fn noise_does_not_disturb_a_transfer() {
    let (folder, song) = folder_with("song.mp3", 100_000);
    let incoming = folder.path().join("in");
    let server = Server::start(&["file", "--over", "udp", "--dir", incoming.to_str().unwrap()]);
    let noise = UdpSocket::bind("127.0.0.1:0").unwrap();
    for size in [0, 1, 16, 400, 1199, DATA_SIZE, 65_000] {
        for _ in 0..20 {
            noise.send_to(&bytes(size), server.address).unwrap();
        }
    }
    let run = client(&[
        "file",
        &server.address.to_string(),
        song.to_str().unwrap(),
        "--over",
        "udp",
        "--strict",
    ]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert_eq!(server.terminate().0, Some(0));
    assert_eq!(names(&incoming), ["received.mp3"]);
}

#[test]
fn plain_senders_deliver_to_a_naive_server() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(&[
        "file",
        "--over",
        "udp",
        "--naive",
        "--idle",
        "300ms",
        "--dir",
        folder.path().to_str().unwrap(),
    ]);
    let senders: Vec<_> = (0..2).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let contents = [bytes(20_000), bytes(9_999)];
    for (sender, content) in senders.iter().zip(&contents) {
        for chunk in content.chunks(4096) {
            sender.send_to(chunk, server.address).unwrap();
        }
    }
    let mut stored = BTreeMap::new();
    for _ in 0..2 {
        let received = server.line();
        assert_eq!(
            (&received["ok"], &received["digest_equal"]),
            (&true.into(), &serde_json::Value::Null)
        );
        let name = received["file"].as_str().unwrap();
        stored.insert(
            received["size"].as_u64().unwrap(),
            std::fs::read(folder.path().join(name)).unwrap(),
        );
    }
    assert_eq!(stored, contents.map(|content| (content.len() as u64, content)).into());
}

#[test]
fn a_naive_server_keeps_what_it_has_when_it_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&[
        "file",
        "--over",
        "udp",
        "--naive",
        "--idle",
        "1h",
        "--dir",
        folder.path().to_str().unwrap(),
    ]);
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"music", server.address).unwrap();
    while names(folder.path()).is_empty() {
        std::thread::yield_now();
    }
    let (status, lines) = server.terminate();
    assert_eq!((status, &lines[0]["file"]), (Some(0), &"received.mp3".into()));
    assert_eq!(std::fs::read(folder.path().join("received.mp3")).unwrap(), b"music");
}
