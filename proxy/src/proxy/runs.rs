//! Checks that datagrams meet the same fate whether runs of them cross as one or one by one.

use super::*;
use crate::flow::FlowCounts;
use crate::lateness::LatenessSummary;
use crate::summary::LinkSummary;
use crate::turn::Transmit;
use jostle_common::chance::Direction;
use jostle_common::ecn::Ecn;
use jostle_common::transport::Transport;
use jostle_engine::route::Configuration;
use jostle_sys::{DatagramOptions, Message, prepare_datagram_socket};
use mio::net::UdpSocket;
use socket2::{Domain, Socket, Type};
use std::io::{self, IoSlice, Write};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

/// The rounds of traffic, each of them up and down.
const ROUNDS: u64 = 120;

/// The most datagrams of a run.
const RUN_MAX: u64 = 40;

/// A way out that does not take every datagram: what it refuses depends on the bytes alone, so it
/// is the same in a run and without one.
struct Picky {
    outbox: Outbox,
    /// The error for a run in which there is one that it refuses.
    run_error: i32,
}

impl Picky {
    /// Returns true if it takes no such datagram.
    fn refuses(datagram: &[u8]) -> bool {
        datagram.last().is_some_and(|last| last % 16 == 3)
    }
}

impl Transmit for Picky {
    fn takes_runs(&self) -> bool {
        true
    }

    fn send(&self, socket: &UdpSocket, messages: &[Message<'_>]) -> io::Result<usize> {
        let is_refused = |message: &Message<'_>| {
            let bytes: Vec<u8> = message.pieces.iter().flat_map(|piece| piece.to_vec()).collect();
            let size = message.segment().map_or(bytes.len(), usize::from).max(1);
            bytes.chunks(size).any(Self::refuses)
        };
        match messages.iter().position(is_refused) {
            Some(0) if messages[0].segment().is_some() => {
                Err(io::Error::from_raw_os_error(self.run_error))
            }
            Some(0) => Err(io::Error::from_raw_os_error(EMSGSIZE)),
            Some(taken) => self.outbox.send(socket, &messages[..taken]),
            None => self.outbox.send(socket, messages),
        }
    }
}

/// An event log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What does not depend on when something happened.
#[derive(Debug, PartialEq)]
struct Outcome {
    /// The datagrams that arrived, up and down, in their order.
    arrived: [Vec<Vec<u8>>; 2],
    links: Vec<LinkSummary>,
    flows: Vec<[FlowCounts; 2]>,
    log: Vec<serde_json::Value>,
}

/// A case of traffic.
#[derive(Clone, Copy)]
struct Case {
    profile: &'static str,
    is_logged: bool,
    run_error: Option<i32>,
    portable: bool,
}

const EPERM: i32 = 1;
const EIO: i32 = 5;
const EMSGSIZE: i32 = 90;

const PLAIN: Case = Case { profile: "{}", is_logged: false, run_error: None, portable: false };

/// Numbers that are the same in each run (Steele, Lea and Flood, 2014).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ mixed >> 31) % bound
    }
}

/// A socket on loopback that neither loses datagrams nor merges them.
fn socket() -> UdpSocket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    let options =
        DatagramOptions { portable: true, asked_address: false, ipv6: false, hops: false };
    prepare_datagram_socket(&socket, options).unwrap();
    let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&address.into()).unwrap();
    UdpSocket::from_std(socket.into())
}

/// Sends datagrams of one round: runs, and others one by one. Returns how many.
fn send_round(socket: &UdpSocket, to: SocketAddr, numbers: &mut Numbers) -> u64 {
    let outbox = Outbox::new(false);
    let mut sent = 0;
    for _ in 0..1 + numbers.below(3) {
        let (count, size) = (1 + numbers.below(RUN_MAX), numbers.below(1400) as usize);
        let ecn = if numbers.below(4) == 0 { Ecn::Ect0 } else { Ecn::NotEct };
        let payloads: Vec<Vec<u8>> = (0..count)
            .map(|nth| {
                let is_short = nth + 1 == count && numbers.below(2) == 0;
                let size = if is_short { size / 2 } else { size };
                (0..size).map(|_| numbers.below(256) as u8).collect()
            })
            .collect();
        let pieces: Vec<IoSlice<'_>> = payloads.iter().map(|one| IoSlice::new(one)).collect();
        let is_run = size > 1 && numbers.below(3) > 0;
        let step = if is_run { pieces.len() } else { 1 };
        for pieces in pieces.chunks(step) {
            let message = Message { pieces, to: Some(to), source: None, ecn };
            assert_eq!(outbox.send(socket, &[message]).unwrap(), 1);
        }
        sent += count;
    }
    sent
}

fn drain(socket: &UdpSocket, arrived: &mut Vec<Vec<u8>>, from: &mut Option<SocketAddr>) {
    let mut buffer = [0; 2048];
    while let Ok((length, sender)) = socket.recv_from(&mut buffer) {
        arrived.push(buffer[..length].to_vec());
        *from = Some(sender);
    }
}

/// Waits until as many have come in and nothing is inside.
fn wait_until_settled(control: &Control, direction: Direction, sent: u64) {
    for _ in 0..100_000 {
        let summary = control.counters().unwrap();
        let link = summary.link("1", Transport::Udp, direction).unwrap();
        if link.entered == sent && link.held == 0 {
            return;
        }
        std::thread::park_timeout(Duration::from_micros(100));
    }
    panic!("it does not come");
}

fn outcome(case: Case, runs: bool) -> Outcome {
    let (server, client) = (socket(), socket());
    let text = format!(
        r#"{{ "proxies": [ {{ "listen": "udp://127.0.0.1:0", "upstream": "{}",
            "profile": {} }} ] }}"#,
        server.local_addr().unwrap(),
        case.profile
    );
    let no_files = |name: &str| Err(format!("{name}: tests read no files"));
    let routes = Configuration::from_json(&text, &no_files).unwrap().routes;
    let log = Log::default();
    let mut settings = Settings { runs, portable: case.portable, ..Settings::new(routes, 7) };
    settings.events = case.is_logged.then(|| Box::new(log.clone()) as Box<dyn Write + Send>);
    let mut proxy = Proxy::bind(settings).unwrap();
    if let Some(run_error) = case.run_error {
        proxy.first.1.turn.datagrams.outbox =
            Box::new(Picky { outbox: Outbox::new(false), run_error });
    }
    let (address, control) = (proxy.listeners()[0].address, proxy.control());
    let route = proxy.routes()[0].id;
    let thread = std::thread::spawn(move || proxy.run());
    let (mut numbers, mut sent) = (Numbers(7), [0; 2]);
    let (mut arrived, mut flow) = ([Vec::new(), Vec::new()], None);
    for _ in 0..ROUNDS {
        sent[0] += send_round(&client, address, &mut numbers);
        wait_until_settled(&control, Direction::Up, sent[0]);
        drain(&server, &mut arrived[0], &mut flow);
        let Some(flow) = flow else { continue };
        sent[1] += send_round(&server, flow, &mut numbers);
        wait_until_settled(&control, Direction::Down, sent[1]);
        drain(&client, &mut arrived[1], &mut None);
    }
    let flows = control.flows(route, 0).unwrap().flows;
    let flows = flows.iter().map(|flow| flow.counts).collect();
    control.stop();
    let summary = thread.join().unwrap();
    for (link, arrived) in summary.links.iter().zip(&arrived) {
        let fates = link.delivered + link.discarded_total() + link.held;
        assert_eq!(link.entered + link.copies, fates, "{link:?}");
        assert_eq!(link.delivered, arrived.len() as u64);
        assert_eq!(link.bytes_out, arrived.iter().map(|one| one.len() as u64).sum::<u64>());
        assert!(link.entered > 20 * ROUNDS, "there was traffic: {link:?}");
    }
    let untimed = |link: &LinkSummary| LinkSummary {
        lateness: LatenessSummary { packets: link.lateness.packets, ..Default::default() },
        ..link.clone()
    };
    let links = summary.links.iter().map(untimed).collect();
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let line = |line: &str| {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        let fields = line.as_object_mut().unwrap();
        fields.remove("t");
        fields.remove("lateness");
        line
    };
    let mut log: Vec<serde_json::Value> = log.lines().map(line).collect();
    // When a drop is known does not depend on when those in front of it are sent.
    log.sort_by_key(|line| {
        let number = |field: &str| line[field].as_u64();
        (line["direction"].to_string(), number("packet"), number("copy"))
    });
    Outcome { arrived, links, flows, log }
}

/// Runs the same traffic with runs and without, and returns what came of it if that is the same.
fn compared(case: Case) -> Outcome {
    let (with, without) = (outcome(case, true), outcome(case, false));
    assert_eq!(with.links, without.links);
    assert_eq!(with.flows, without.flows);
    assert_eq!(with.log.len(), without.log.len());
    for (with, without) in with.log.iter().zip(&without.log) {
        assert_eq!(with, without);
    }
    assert!(with.arrived == without.arrived, "the same bytes arrive in the same order");
    with
}

#[test]
fn without_rules_the_same_arrives() {
    compared(PLAIN);
    let logged = compared(Case { is_logged: true, ..PLAIN });
    let came = logged.links.iter().map(|link| link.entered).sum::<u64>();
    assert_eq!(logged.log.len() as u64, came, "each packet has its line");
    compared(Case { portable: true, is_logged: true, ..PLAIN });
}

#[test]
fn rules_hit_the_same_packets() {
    const RULES: &str = r#"{ "both": [
        { "rule": "drop", "chance": "5%" }, { "rule": "corrupt", "chance": "2%" },
        { "rule": "duplicate", "chance": "3%" }, { "rule": "delay", "time": "1ms" } ] }"#;
    let outcome = compared(Case { profile: RULES, is_logged: true, ..PLAIN });
    for link in &outcome.links {
        assert!(link.discarded["drop"] > 0 && link.corrupted > 0 && link.copies > 0, "{link:?}");
    }
    const MOST_ARE_LOST: &str = r#"{ "both": [
        { "rule": "drop", "chance": "80%" }, { "rule": "delay", "time": "1ms" } ] }"#;
    compared(Case { profile: MOST_ARE_LOST, is_logged: true, ..PLAIN });
    compared(Case { profile: MOST_ARE_LOST, ..PLAIN });
}

#[test]
fn what_the_system_refuses_of_a_run_is_accounted_for_packet_by_packet() {
    for run_error in [EPERM, EMSGSIZE, EIO] {
        for is_logged in [false, true] {
            let case = Case { run_error: Some(run_error), is_logged, ..PLAIN };
            let outcome = compared(case);
            for link in &outcome.links {
                assert!(link.discarded["too_big"] > ROUNDS, "{link:?}");
            }
            let refused = |line: &&serde_json::Value| line["reason"] == "too_big";
            let told = outcome.log.iter().filter(refused).count() as u64;
            let counted = outcome.links.iter().map(|link| link.discarded["too_big"]).sum::<u64>();
            assert_eq!(told, if is_logged { counted } else { 0 });
        }
    }
}
