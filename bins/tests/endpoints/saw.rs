//! Stop-and-wait on real sockets.

use crate::support::{Server, bytes, client, folder_with};
use jostle_endpoints::protocol::saw::{Answer, Request};
use jostle_endpoints::protocol::wire;
use std::net::UdpSocket;
use std::time::Duration;

#[test]
fn files_of_every_shape_arrive_whole() {
    for size in [0, 1, 4096, 4097, 300_000] {
        let (folder, song) = folder_with("song.mp3", size);
        let out = folder.path().join("out.mp3");
        let mut server = Server::start(&["saw", song.to_str().unwrap(), "--once"]);
        let run = client(&["saw", &server.address.to_string(), "-o", out.to_str().unwrap()]);
        assert_eq!(run.status, Some(0), "{}", run.stderr);
        assert_eq!(std::fs::read(&out).unwrap(), bytes(size));
        assert_eq!(run.summary["packets"], size.div_ceil(4096));
        assert_eq!((&run.summary["ok"], &run.summary["size"]), (&true.into(), &size.into()));
        let (status, lines) = server.wait();
        assert_eq!((status, &lines[0]["finished"]), (Some(0), &1.into()), "it ends when thanked");
        assert!(!folder.path().join("out.mp3.part").exists());
    }
}

#[test]
fn many_clients_are_served_at_once_over_both_families() {
    let (folder, song) = folder_with("song.mp3", 500_000);
    for listen in ["127.0.0.1:0", "[::1]:0", "localhost:0"] {
        let server = Server::start_on(listen, &["saw", song.to_str().unwrap()]);
        let host = if server.address.is_ipv4() { "localhost" } else { "[::1]" };
        let address = format!("{host}:{}", server.address.port());
        std::thread::scope(|scope| {
            for number in 0..6 {
                let out = folder.path().join(format!("out-{number}"));
                let address = &address;
                scope.spawn(move || {
                    let run = client(&["saw", address, "-o", out.to_str().unwrap()]);
                    assert_eq!(run.status, Some(0), "{}", run.stderr);
                    assert_eq!(std::fs::read(&out).unwrap(), bytes(500_000));
                });
            }
        });
        let (status, lines) = server.terminate();
        assert_eq!((status, &lines[0]["event"]), (Some(0), &"summary".into()));
        assert!(lines[0]["answers"].as_u64().unwrap() >= 6 * 123);
    }
}

#[test]
fn hostile_datagrams_are_counted_and_a_changed_file_shows_in_the_next_answer() {
    let (_folder, song) = folder_with("song.mp3", 10_000);
    let server = Server::start(&["saw", song.to_str().unwrap()]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server.address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let whole = Request { number: 1, attempt: 9 }.encode(false);
    let mut damaged = whole.to_vec();
    damaged[6] ^= 1;
    for datagram in [
        &[][..],
        b"x",
        &bytes(65_000),
        &damaged,
        &wire::seal(bytes(100)),
        &wire::seal(b"SAW?".to_vec()),
    ] {
        socket.send(datagram).unwrap();
    }
    let ask = || {
        let mut buffer = [0; 5000];
        socket.send(&whole).unwrap();
        let length = socket.recv(&mut buffer).unwrap();
        let answer = Answer::decode(wire::open(&buffer[..length]).unwrap()).unwrap();
        assert_eq!((answer.number, answer.attempt), (1, 9));
        (answer.size, answer.digest)
    };
    let first = ask();
    std::fs::write(&song, bytes(9_000)).unwrap();
    // The server looks for changes ten times a second.
    let changed = (0..100_000).map(|_| ask()).find(|answer| *answer != first).unwrap();
    assert_eq!(changed.0, 9_000);
    let (status, lines) = server.terminate();
    assert_eq!(status, Some(0));
    assert_eq!((&lines[0]["damaged"], &lines[0]["ignored"]), (&4.into(), &2.into()));
}
