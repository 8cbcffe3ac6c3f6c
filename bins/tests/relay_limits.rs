//! `jostle proxy` with few descriptors: it serves whom it can, lets the others wait or go, says so
//! once, and does not burn the processor over it.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "it looks at the real clock")]

mod proxy_support;

use proxy_support::{Jostle, PATIENCE, jostle};
use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

/// A quarter is kept in reserve, one is the listener's: 59 are left.
const DESCRIPTORS: &str = "80";

/// A command that runs what is appended to it with so many descriptors, and stderr where a shell
/// is told so.
fn limited(descriptors: &str, stderr: &str) -> Command {
    let script = format!("ulimit -n {descriptors}; exec \"$@\" 2{stderr}");
    let program = jostle().get_program().to_owned();
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh"]).arg(program);
    command
}

fn start(route: &str, more: &[&str]) -> Jostle {
    let listeners = if route.starts_with("both") { 2 } else { 1 };
    let arguments = [&[route, "--seed", "7", "--drain", "100ms"], more].concat();
    Jostle::start_with(limited(DESCRIPTORS, ">/dev/null"), &arguments, listeners)
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

/// A server that sends back what it gets.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
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
    address
}

/// A client with the address 127.0.0.`last` that has said hello.
fn client(last: u8, address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, last], 0)).into()).unwrap();
    socket.connect(&address.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    // One that is turned away may have gone already.
    let _ = stream.write_all(b"hello");
    stream
}

/// Waits for the answer; an error tells how it ended instead.
fn is_served(client: &mut TcpStream, patience: Duration) -> Result<(), ErrorKind> {
    client.set_read_timeout(Some(patience)).unwrap();
    client.read_exact(&mut [0; 5]).map_err(|error| error.kind())
}

/// Starts it with so few descriptors and returns how many it says it needs, if it does not start.
fn needed(route: &str, descriptors: usize) -> Option<usize> {
    let mut command = limited(&descriptors.to_string(), ">&1");
    command.args(["proxy", route, "--for", "1ms"]);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let starts = text.contains("route 1: ");
    assert_eq!(output.status.code(), Some(i32::from(!starts)), "{route}: {text}");
    (!starts).then(|| {
        let (_, remedy) = text.split_once("raise the limit (ulimit -n ").expect("the remedy");
        remedy.split_once(')').unwrap().0.parse().unwrap()
    })
}

#[test]
fn too_few_for_one_client_is_refused_and_said_how_many_are_needed() {
    for (scheme, beside_udp) in [("udp", 0), ("tcp", 1), ("both", 3)] {
        let route = |scheme: &str| format!("{scheme}://127.0.0.1:0=127.0.0.1:9");
        let least = needed(&route(scheme), 16).expect("too few");
        assert_eq!(least, needed(&route("udp"), 16).unwrap() + beside_udp, "{scheme}");
        assert_eq!(needed(&route(scheme), least - 1), Some(least), "{scheme}");
        assert_eq!(needed(&route(scheme), least), None, "{scheme}");
        assert_eq!(needed(&route(scheme), 64), None, "{scheme}");
    }
}

#[test]
fn clients_without_a_descriptor_wait_in_the_backlog() {
    let folder = tempfile::tempdir().unwrap();
    let stderr = folder.path().join("stderr");
    let redirect = format!(">{}", stderr.display());
    let route = format!("tcp://127.0.0.1:0={}", echo());
    let jostle = Jostle::start_with(
        limited(DESCRIPTORS, &redirect),
        &[&route, "--seed", "7", "--drain", "100ms"],
        1,
    );
    let address = jostle.address("tcp");
    // No address has half of all.
    let mut clients: Vec<TcpStream> = (0..60).map(|n| client(1 + n % 6, address)).collect();
    for client in &mut clients[..29] {
        is_served(client, PATIENCE).expect("two descriptors each");
    }
    for client in &mut clients[29..] {
        assert_eq!(is_served(client, Duration::from_millis(10)), Err(ErrorKind::WouldBlock));
    }
    let before = processor_time(jostle.pid());
    std::thread::park_timeout(Duration::from_secs(1));
    let burnt = processor_time(jostle.pid()) - before;
    assert!(burnt <= Duration::from_millis(100), "waiting costs {burnt:?} a second");
    // Who was served leaves, and the others have their turn.
    let mut waiting = clients.split_off(29);
    drop(clients);
    let begun = Instant::now();
    for client in &mut waiting[..29] {
        is_served(client, PATIENCE).unwrap();
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    drop(waiting);
    let summary = jostle.stop();
    assert!(summary.sockets("tcp", "accept_paused") > 0);
    assert!(summary.sockets("tcp", "connections") >= 58);
    assert_eq!(summary.sockets("tcp", "turned_away"), 0);
    let said = std::fs::read_to_string(stderr).unwrap();
    assert_eq!(said.matches("TCP clients wait").count(), 1, "{said}");
    assert!(said.contains("raise the limit (ulimit -n)"), "{said}");
}

#[test]
fn the_longest_silent_flow_makes_room() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let jostle = start(&format!("udp://127.0.0.1:0={}", server.local_addr().unwrap()), &[]);
    let address = jostle.address("udp");
    let clients: Vec<UdpSocket> = (0..64)
        .map(|n| UdpSocket::bind(SocketAddr::from(([127, 0, 0, 1 + n % 6], 0))).unwrap())
        .collect();
    let ask = |client: &UdpSocket| {
        client.send_to(b"hello", address).unwrap();
        server.recv_from(&mut [0; 10]).unwrap().1
    };
    // One descriptor listens, and one for answers from elsewhere.
    let mut peers: Vec<_> = clients[..58].iter().map(ask).collect();
    assert_eq!(ask(&clients[0]), peers[0], "the first is not the longest silent any more");
    peers.extend(clients[58..].iter().map(ask));
    assert_eq!(ask(&clients[0]), peers[0], "it has kept its flow");
    assert_ne!(ask(&clients[1]), peers[1], "the second has lost its own");
    let summary = jostle.stop();
    assert_eq!(summary.sockets("udp", "flows"), 65);
    assert_eq!(summary.sockets("udp", "flows_evicted"), 7);
    assert_eq!(summary.sockets("udp", "no_room"), 0);
}

/// Datagrams from ever new ports, one each: their flows would stay for two minutes.
#[test]
fn udp_flows_leave_tcp_its_share_and_idle_ones_make_room_for_it() {
    let upstream = echo();
    let jostle = start(&format!("both://127.0.0.1:0={upstream}"), &[]);
    let [udp, tcp] = ["udp", "tcp"].map(|scheme| jostle.address(scheme));
    // All at once, or a port would come again.
    let flood: Vec<UdpSocket> = (0..100)
        .map(|n| UdpSocket::bind(SocketAddr::from(([127, 0, 0, 1 + n % 2], 0))).unwrap())
        .collect();
    for client in &flood {
        client.send_to(b"x", udp).unwrap();
    }
    // A quarter is TCP's, at once: 15 descriptors of 60, for seven clients.
    let mut served: Vec<TcpStream> = (0..7).map(|n| client(1 + n, tcp)).collect();
    for client in &mut served {
        is_served(client, PATIENCE).unwrap();
    }
    // More of them take those of flows that have been silent for a second.
    let begun = Instant::now();
    let mut more: Vec<TcpStream> = (0..10).map(|n| client(1 + n, tcp)).collect();
    for client in &mut more {
        is_served(client, PATIENCE).unwrap();
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let summary = jostle.stop();
    let (flows, evicted, open) = (
        summary.sockets("udp", "flows"),
        summary.sockets("udp", "flows_evicted"),
        summary.sockets("udp", "flows_open"),
    );
    assert_eq!((flows, flows - evicted), (100, open), "no flow was lost otherwise");
    assert!(open <= 58 - 34, "{open} flows beside 17 connections");
    assert_eq!(summary.sockets("tcp", "connections"), 17);
}

#[test]
fn one_address_does_not_take_all_places() {
    let route = format!("tcp://127.0.0.1:0={}", echo());
    // Of 59 descriptors one has three quarters, or the number that was stated.
    for (more, most, others) in [(&[][..], 21, 8), (&["--per-source", "5"], 5, 5)] {
        let jostle = start(&route, more);
        let address = jostle.address("tcp");
        let mut clients: Vec<TcpStream> = (0..30).map(|_| client(1, address)).collect();
        for (n, client) in clients.iter_mut().enumerate() {
            let result = is_served(client, PATIENCE);
            assert_eq!(result.is_ok(), n < most, "{n}: {result:?}");
        }
        let mut clients: Vec<TcpStream> = (0..others).map(|_| client(2, address)).collect();
        for client in &mut clients {
            is_served(client, PATIENCE).unwrap();
        }
        let summary = jostle.stop();
        assert_eq!(summary.sockets("tcp", "turned_away"), 30 - most as u64);
    }
}

#[test]
fn an_address_with_many_flows_gives_up_its_own() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let route = format!("udp://127.0.0.1:0={}", server.local_addr().unwrap());
    let jostle = start(&route, &["--per-source", "10"]);
    let address = jostle.address("udp");
    let ask = |client: &UdpSocket| {
        client.send_to(b"hello", address).unwrap();
        server.recv_from(&mut [0; 10]).unwrap().1
    };
    let other = UdpSocket::bind("127.0.0.2:0").unwrap();
    let peer = ask(&other);
    // All at once, or a port would come again.
    let clients: Vec<UdpSocket> =
        (0..100).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    for client in &clients {
        ask(client);
    }
    assert_eq!(ask(&other), peer, "the flow of another address is left alone, old as it is");
    let summary = jostle.stop();
    assert_eq!(summary.sockets("udp", "flows_open"), 11);
    assert_eq!(summary.sockets("udp", "flows_evicted"), 90);
}
