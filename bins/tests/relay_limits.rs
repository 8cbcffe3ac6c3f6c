//! `jostle proxy` with few descriptors: it serves whom it can, lets the others wait or go, and does
//! not burn the processor over it.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "it looks at the real clock")]

mod proxy_support;

use proxy_support::{Jostle, PATIENCE, jostle};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

/// 64 are kept in reserve, one is the listener's: 15 are left.
const DESCRIPTORS: &str = "80";

fn start(route: &str) -> Jostle {
    let script = format!("ulimit -n {DESCRIPTORS}; exec \"$@\"");
    let program = jostle().get_program().to_owned();
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh"]).arg(program);
    Jostle::start_with(command, &[route, "--seed", "7"], 1)
}

/// Processor time that a process has taken.
fn processor_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // Behind the name, which may hold anything: user and system time are the 12th and 13th, in
    // ticks of 10 ms.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(10 * ticks)
}

#[test]
fn clients_without_a_descriptor_wait_in_the_backlog() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let jostle = start(&format!("tcp://127.0.0.1:0={}", listener.local_addr().unwrap()));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut buffer = [0; 10];
                while let Ok(length @ 1..) = stream.read(&mut buffer) {
                    let _ = stream.write_all(&buffer[..length]);
                }
            });
        }
    });
    let mut clients: Vec<TcpStream> =
        (0..30).map(|_| TcpStream::connect(jostle.address("tcp")).unwrap()).collect();
    for client in &mut clients {
        client.write_all(b"hello").unwrap();
        client.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    }
    let mut echo = [0; 5];
    let served =
        clients.iter_mut().filter(|client| (&**client).read_exact(&mut echo).is_ok()).count();
    assert_eq!(served, 7, "two descriptors each");
    let before = processor_time(jostle.pid());
    std::thread::park_timeout(Duration::from_secs(1));
    let burnt = processor_time(jostle.pid()) - before;
    assert!(burnt <= Duration::from_millis(100), "waiting costs {burnt:?} a second");
    // Who was served leaves, and the others have their turn.
    let mut waiting = clients.split_off(served);
    drop(clients);
    for client in &mut waiting[..7] {
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.read_exact(&mut echo).unwrap();
    }
    drop(waiting);
    let summary = jostle.stop();
    assert!(summary.sockets("tcp", "accept_paused") > 0);
    assert!(summary.sockets("tcp", "connections") >= 14);
}

#[test]
fn the_longest_silent_flow_makes_room() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let jostle = start(&format!("udp://127.0.0.1:0={}", server.local_addr().unwrap()));
    let address = jostle.address("udp");
    let clients: Vec<UdpSocket> =
        (0..20).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let ask = |client: &UdpSocket| {
        client.send_to(b"hello", address).unwrap();
        server.recv_from(&mut [0; 10]).unwrap().1
    };
    let begun = Instant::now();
    let mut peers: Vec<_> = clients[..15].iter().map(ask).collect();
    assert_eq!(ask(&clients[0]), peers[0], "the first is not the longest silent any more");
    peers.extend(clients[15..].iter().map(ask));
    assert_eq!(ask(&clients[0]), peers[0], "it has kept its flow");
    assert_ne!(ask(&clients[1]), peers[1], "the second has lost its own");
    assert!(begun.elapsed() < PATIENCE);
    let summary = jostle.stop();
    assert_eq!(summary.sockets("udp", "flows"), 21);
    assert_eq!(summary.sockets("udp", "flows_evicted"), 6);
    assert_eq!(summary.sockets("udp", "no_room"), 0);
}
