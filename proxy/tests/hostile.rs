//! Nothing that comes off the wire stops a proxy or takes its memory.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "it looks at the real clock")]

mod support;

use jostle_common::transport::Transport;
use socket2::SockRef;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc;
use std::time::Duration;
use support::{PATIENCE, Running};

/// A cheap stream of numbers.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize
    }
}

const STORM: &str = r#""profile": { "both": [ { "rule": "drop", "chance": "20%" },
    { "rule": "duplicate", "chance": "50%" },
    { "rule": "corrupt", "chance": "50%" }, { "rule": "rate", "limit": "20Mbit/s" },
    { "rule": "delay", "time": "3ms", "jitter": "3ms" },
    { "rule": "reorder", "chance": "20%" } ] }"#;

const WEATHER: &str = r#""profile": { "both": [ { "rule": "drop", "chance": "2%" },
    { "rule": "duplicate", "chance": "50%" },
    { "rule": "corrupt", "chance": "2%" }, { "rule": "rate", "limit": "500Mbit/s" },
    { "rule": "delay", "time": "3ms", "jitter": "3ms" },
    { "rule": "reorder", "chance": "20%" } ] }"#;

#[test]
fn datagrams_of_any_kind_are_relayed_or_counted() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let upstream = server.local_addr().unwrap();
    for portable in [false, true] {
        let mut settings = support::settings(&format!(
            r#"{{ "listen": "udp://127.0.0.1:0", "upstream": "{upstream}", {STORM} }}"#
        ));
        settings.portable = portable;
        let proxy = Running::with(settings);
        let clients: Vec<UdpSocket> =
            (0..20).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let mut numbers = Numbers(1);
        let noise: Vec<u8> = (0..65_507).map(|_| numbers.next() as u8).collect();
        for round in 0..2000 {
            let client = &clients[numbers.next() % clients.len()];
            let size = [0, 1, 100, 1472, 9000, 65_507][numbers.next() % 6];
            client.send_to(&noise[..size], proxy.address(Transport::Udp)).unwrap();
            if round % 20 == 0 {
                std::thread::park_timeout(Duration::from_millis(1));
            }
        }
        let summary = proxy.stop();
        let up = &summary.links[0];
        assert!(up.entered + up.missed_by_kernel.unwrap_or(0) >= 1000, "{up:?}");
        assert!(
            up.discarded["drop"] > 0 && up.discarded["queue_full"] > 0 && up.copies > 0,
            "{up:?}"
        );
        assert_eq!(up.entered + up.copies, up.delivered + up.discarded_total() + up.held);
    }
}

/// What hostile clients and servers do to one connection.
fn misbehave(address: std::net::SocketAddr, kind: usize) {
    let Ok(mut stream) = TcpStream::connect(address) else { return };
    let reset =
        |stream: TcpStream| SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    let _ = stream.set_read_timeout(Some(Duration::from_millis(10)));
    let _ = stream.set_write_timeout(Some(Duration::from_millis(10)));
    match kind % 7 {
        0 => reset(stream),
        1 => drop(stream),
        2 => {
            let _ = stream.write(&[b'\n'; 20_000]);
            reset(stream);
        }
        3 => {
            let _ = stream.write(&[0; 100_000]);
            let _ = stream.shutdown(Shutdown::Both);
        }
        4 => {
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read(&mut [0; 10]);
            reset(stream);
        }
        5 => {
            // Writes without ever reading.
            for _ in 0..20 {
                let _ = stream.write(&[7; 65_536]);
            }
        }
        _ => {
            let _ = stream.write(b"half a line");
            let _ = stream.shutdown(Shutdown::Read);
            let _ = stream.write(b" and more\n");
        }
    }
}

/// Opens a connection, closes it for writing and waits for its end.
fn meet_the_end(address: std::net::SocketAddr) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = stream.shutdown(Shutdown::Write);
    while let Ok(1..) = stream.read(&mut [0; 10_000]) {}
}

#[test]
fn connections_of_any_kind_leave_nothing_behind() {
    for (tcp, portable) in [
        (r#""tcp": "model""#, false),
        (r#""tcp": "raw", "unit": "line""#, false),
        (r#""tcp": "raw", "unit": "100B""#, true),
        (r#""tcp": "raw", "unit": "read""#, false),
    ] {
        for weather in [r#""profile": {}"#, WEATHER] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let upstream = listener.local_addr().unwrap();
            // The server is no better.
            let (served, serving) = mpsc::channel();
            std::thread::spawn(move || {
                for (kind, stream) in listener.incoming().enumerate() {
                    let Ok(mut stream) = stream else { return };
                    let server = std::thread::spawn(move || {
                        let _ = stream.set_read_timeout(Some(Duration::from_millis(20)));
                        match kind % 5 {
                            0 => SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap(),
                            1 => {}
                            2 => {
                                let _ = stream.write_all(&[1; 300_000]);
                            }
                            3 => {
                                let _ = stream.shutdown(Shutdown::Write);
                                let _ = stream.read(&mut [0; 1000]);
                            }
                            _ => {
                                let mut buffer = [0; 10_000];
                                while let Ok(1..) = stream.read(&mut buffer) {}
                            }
                        }
                    });
                    if served.send(server).is_err() {
                        return;
                    }
                }
            });
            let mut settings = support::settings(&format!(
                r#"{{ "listen": "tcp://127.0.0.1:0", "upstream": "{upstream}", {tcp}, {weather} }}"#
            ));
            settings.portable = portable;
            let proxy = Running::with(settings);
            let address = proxy.address(Transport::Tcp);
            let threads: Vec<_> = (0..4)
                .map(|thread| {
                    std::thread::spawn(move || {
                        (0..100).for_each(|n| misbehave(address, n * 4 + thread))
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            // Connections are accepted in their order, at the proxy and at the server: once this
            // one has met its end, all have been.
            meet_the_end(address);
            serving.try_iter().for_each(|server| server.join().unwrap());
            // Both ends of all are closed. The proxy was told before it is told of this one.
            meet_the_end(address);
            let summary = proxy.stop();
            let count = |name: &str| summary.socket_count("1", Transport::Tcp, name);
            assert!(count("connections") >= 390, "{tcp} {weather}: {:?}", summary.sockets);
            assert_eq!(count("connections_open"), 0, "{tcp} {weather}");
            if weather != WEATHER {
                assert_eq!(count("cut"), 0, "{tcp}: nothing hangs: {:?}", summary.sockets);
            }
            for link in &summary.links {
                assert_eq!(
                    link.entered + link.copies,
                    link.delivered + link.discarded_total() + link.held
                );
            }
        }
    }
}
