//! Five thousand UDP flows and five thousand TCP connections at once, through one `jostle proxy`.
#![allow(clippy::print_stderr, reason = "it says what it skips or measures")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod proxy_support;

use proxy_support::{Jostle, PATIENCE};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Mutex, PoisonError};

const COUNT: usize = 5000;

/// The descriptors of the test's own process are enough for one test at a time.
static DESCRIPTORS: Mutex<()> = Mutex::new(());

/// How many are spoken to before their answers are read: what a server's socket buffer holds.
const BATCH: usize = 100;

/// Raises the limit of descriptors; says aloud when it is too low for the test.
fn enough_descriptors() -> bool {
    let hard = getrlimit(Resource::Nofile).maximum;
    let _ = setrlimit(Resource::Nofile, Rlimit { current: hard, maximum: hard });
    let enough = getrlimit(Resource::Nofile).current.is_none_or(|limit| limit >= 16_000);
    if !enough {
        eprintln!("SKIPPED: 16,000 descriptors per process are needed, the hard limit is {hard:?}");
    }
    enough
}

/// Resident memory of a process in KiB.
fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// Answers each datagram with itself.
fn echo_datagrams() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 100];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..length], peer);
        }
    });
    address
}

fn talk_over_udp(jostle: &Jostle) {
    let address = jostle.address("udp");
    let clients: Vec<UdpSocket> = (0..COUNT)
        .map(|_| {
            let client = UdpSocket::bind("127.0.0.1:0").unwrap();
            client.connect(address).unwrap();
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            client
        })
        .collect();
    for round in 0..2u8 {
        for (batch, clients) in clients.chunks(BATCH).enumerate() {
            let text = |number: usize| [round, batch as u8, number as u8];
            for (number, client) in clients.iter().enumerate() {
                client.send(&text(number)).unwrap();
            }
            for (number, client) in clients.iter().enumerate() {
                let mut buffer = [0; 10];
                let length = client.recv(&mut buffer).unwrap();
                assert_eq!(buffer[..length], text(number), "each client its own answer");
            }
        }
    }
}

/// Connects all, then lets all speak twice while all are open, then ends all.
fn talk_over_tcp(jostle: &Jostle, server: &TcpListener) {
    let address = jostle.address("tcp");
    let mut pairs: Vec<(TcpStream, TcpStream)> = Vec::new();
    for _ in 0..COUNT / BATCH {
        let clients: Vec<TcpStream> =
            (0..BATCH).map(|_| TcpStream::connect(address).unwrap()).collect();
        // A relay may connect to the server in another order: who is who is said first.
        for (number, mut client) in clients.iter().enumerate() {
            client.write_all(&[number as u8]).unwrap();
        }
        let mut servers: Vec<Option<TcpStream>> = (0..BATCH).map(|_| None).collect();
        for _ in 0..BATCH {
            let (mut stream, _) = server.accept().unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut number = [0];
            stream.read_exact(&mut number).unwrap();
            servers[usize::from(number[0])] = Some(stream);
        }
        pairs.extend(
            clients
                .into_iter()
                .zip(servers.into_iter().map(|server| server.expect("each came once"))),
        );
    }
    for round in 0..2u8 {
        for (client, server) in &mut pairs {
            client.write_all(&[round; 3]).unwrap();
            server.write_all(&[round; 4]).unwrap();
        }
        for (client, server) in &mut pairs {
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            let (mut up, mut down) = ([9; 3], [9; 4]);
            server.read_exact(&mut up).unwrap();
            client.read_exact(&mut down).unwrap();
            assert_eq!((up, down), ([round; 3], [round; 4]));
        }
    }
    eprintln!("{COUNT} connections open: {} KiB resident", resident_kib(jostle.pid()));
    for (client, mut server) in pairs {
        drop(client);
        assert_eq!(server.read(&mut [0]).unwrap(), 0, "the end comes through");
    }
}

fn run(weather: &[&str]) {
    if !enough_descriptors() {
        return;
    }
    let _one_at_a_time = DESCRIPTORS.lock().unwrap_or_else(PoisonError::into_inner);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = format!("udp://127.0.0.1:0={}", echo_datagrams());
    let tcp = format!("tcp://127.0.0.1:0={}", listener.local_addr().unwrap());
    let jostle = Jostle::start(&[&[udp.as_str(), "--seed", "7"], weather].concat(), 1);
    talk_over_udp(&jostle);
    eprintln!("{COUNT} flows open: {} KiB resident", resident_kib(jostle.pid()));
    let summary = jostle.stop();
    assert_eq!(summary.sockets("udp", "flows_open"), COUNT as u64);
    assert_eq!(summary.sockets("udp", "flows_evicted"), 0);
    assert_eq!(summary.link("udp", "down")["delivered"], 2 * COUNT);
    summary.assert_conserved();

    let jostle = Jostle::start(&[&[tcp.as_str(), "--seed", "7"], weather].concat(), 1);
    talk_over_tcp(&jostle, &listener);
    let summary = jostle.stop();
    assert_eq!(summary.sockets("tcp", "connections"), COUNT as u64);
    assert_eq!(summary.sockets("tcp", "accept_failed"), 0);
    summary.assert_conserved();
}

#[test]
fn five_thousand_flows_and_connections_at_once() {
    run(&[]);
}

#[test]
fn five_thousand_flows_and_modelled_connections_at_once() {
    run(&["--delay", "2ms"]);
}
