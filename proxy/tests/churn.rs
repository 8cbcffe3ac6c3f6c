//! A thousand routes come, change and go under traffic: those that stay are not disturbed, each
//! packet has its fate, and neither descriptors nor memory are left behind. A process of its own,
//! for it counts what the process has.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "it looks at the real clock")]
#![cfg(target_os = "linux")]

mod support;

use jostle_common::chance::Direction;
use jostle_common::transport::Transport;
use jostle_engine::route::Route;
use jostle_proxy::{Control, RouteId};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use support::{
    Log, PATIENCE, Running, Tally, assert_conserved, counted, on_one_port, route, settings,
    wait_until,
};

const ROUNDS: usize = 1000;

/// Routes that stay: their names and profiles.
const STAYING: [(&str, &str); 3] = [
    ("plain", ""),
    (
        "model",
        r#""both": [ { "rule": "drop", "chance": "1%" }, { "rule": "delay", "time": "1ms" } ]"#,
    ),
    ("other", r#""both": [ { "rule": "rate", "limit": "200Mbit/s", "queue": "10s" } ]"#),
];

/// Profiles of those that come and go.
const PROFILES: [&str; 4] = [
    "",
    r#""both": [ { "rule": "delay", "time": "2ms" } ]"#,
    r#""both": [ { "rule": "drop", "chance": "30%" }, { "rule": "duplicate", "chance": "30%" } ]"#,
    r#""both": [ { "rule": "rate", "limit": "1Mbit/s" }, { "rule": "reorder", "chance": "50%" } ]"#,
];

/// The descriptors that the process has open.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// The memory that the process has, in bytes.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// A server that echoes datagrams and streams on one port, until told to stop.
struct Echo {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    /// How many streams are being served.
    serving: Arc<AtomicU64>,
}

impl Echo {
    fn start() -> Self {
        let (listener, socket) = on_one_port();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let serving = Arc::new(AtomicU64::new(0));
        let stopped = Arc::clone(&stop);
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let datagrams = std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            while !stopped.load(Ordering::Relaxed) {
                if let Ok((length, from)) = socket.recv_from(&mut buffer) {
                    let _ = socket.send_to(&buffer[..length], from);
                }
            }
        });
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&serving));
        let streams = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(mut stream) = stream else { continue };
                let count = Arc::clone(&count);
                count.fetch_add(1, Ordering::Relaxed);
                std::thread::spawn(move || {
                    let mut buffer = vec![0; 65_536];
                    while let Ok(length @ 1..) = stream.read(&mut buffer) {
                        if stream.write_all(&buffer[..length]).is_err() {
                            break;
                        }
                    }
                    drop(stream);
                    count.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        Self { address, stop, threads: vec![datagrams, streams], serving }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

/// Sends a stream through a route that stays and checks that it comes back byte for byte, until
/// told to stop. Returns how many bytes that were.
fn stream(address: SocketAddr, stop: Arc<AtomicBool>) -> JoinHandle<u64> {
    let byte = |place: u64| (place.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8;
    let client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.set_write_timeout(Some(PATIENCE)).unwrap();
    let mut writer = client.try_clone().unwrap();
    let writing = std::thread::spawn(move || {
        let mut at = 0u64;
        while !stop.load(Ordering::Relaxed) {
            let bytes: Vec<u8> = (at..at + 4000).map(byte).collect();
            writer.write_all(&bytes).unwrap();
            at += 4000;
            // Slowly: there are others.
            std::thread::park_timeout(Duration::from_millis(2));
        }
        writer.shutdown(Shutdown::Write).unwrap();
        at
    });
    std::thread::spawn(move || {
        let (mut at, mut reader) = (0u64, client);
        let mut buffer = vec![0; 65_536];
        loop {
            let length = reader.read(&mut buffer).unwrap();
            if length == 0 {
                assert_eq!(at, writing.join().unwrap(), "all that was sent came back");
                return at;
            }
            for found in &buffer[..length] {
                assert_eq!(*found, byte(at), "the byte at {at}");
                at += 1;
            }
        }
    })
}

/// Sends datagrams through a route that stays, one after the other, until told to stop. Returns
/// how many were sent, and how many came back within `patience` each.
fn datagrams(
    address: SocketAddr,
    patience: Duration,
    stop: Arc<AtomicBool>,
) -> JoinHandle<(u64, u64)> {
    std::thread::spawn(move || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(patience)).unwrap();
        let (mut sent, mut back) = (0, 0);
        while !stop.load(Ordering::Relaxed) {
            socket.send_to(&[7; 500], address).unwrap();
            sent += 1;
            back += u64::from(socket.recv(&mut [0; 2048]).is_ok());
        }
        (sent, back)
    })
}

fn staying(upstream: SocketAddr) -> String {
    let routes: Vec<String> = STAYING
        .iter()
        .map(|(name, profile)| {
            format!(
                r#"{{ "name": "{name}", "listen": "both://127.0.0.1:0", "upstream": "{upstream}",
                    "profile": {{ {profile} }} }}"#
            )
        })
        .collect();
    routes.join(",")
}

fn coming(round: usize, shift: usize, upstream: SocketAddr) -> Route {
    let profile = PROFILES[(round + shift) % PROFILES.len()];
    let tcp = [r#""model""#, r#""raw""#, r#""raw", "unit": "read""#][round % 3];
    route(&format!(
        r#"{{ "name": "r{}", "listen": "both://127.0.0.1:0", "upstream": "{upstream}",
            "tcp": {tcp}, "profile": {{ {profile} }} }}"#,
        round % 50
    ))
}

fn address(control: &Control, id: RouteId) -> SocketAddr {
    let routes = control.routes().unwrap();
    routes.iter().find(|state| state.id == id).unwrap().listeners[0].address
}

/// Adds a route, uses it, replaces it, uses it again, and removes it with bytes inside.
fn round(control: &Control, round: usize, upstream: SocketAddr) {
    let id = control.add(coming(round, 0, upstream)).unwrap();
    let at = address(control, id);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut stream = TcpStream::connect(at).unwrap();
    for number in 0..5u8 {
        client.send_to(&[number; 200], at).unwrap();
    }
    stream.write_all(&[b'\n'; 3000]).unwrap();
    let mut next = coming(round, 1, upstream);
    if round.is_multiple_of(7) {
        // Another one on the same sockets.
        next.seed = Some(round as u64);
    }
    if round.is_multiple_of(5) {
        next.listen.host = "127.0.0.2".into();
    }
    control.replace(id, next, Duration::from_millis(200)).unwrap();
    let at = address(control, id);
    client.send_to(&[9; 200], at).unwrap();
    stream.write_all(&[b'\n'; 3000]).unwrap();
    control.set_profile(id, coming(round, 2, upstream).profile).unwrap();
    client.send_to(&[9; 200], at).unwrap();
    let drain = Duration::from_millis([0, 20, 500][round % 3]);
    control.remove(id, drain).unwrap();
}

#[test]
fn a_thousand_routes_come_change_and_go_under_traffic() {
    let echo = Echo::start();
    let (tally, log) = (Tally::default(), Log::default());
    let mut settings = settings(&staying(echo.address));
    settings.events = Some(Box::new(log.clone()));
    settings.sinks = vec![Box::new(tally.clone())];
    let proxy = Running::with(settings);
    let stop = Arc::new(AtomicBool::new(false));
    let mut streams = Vec::new();
    let mut clients = Vec::new();
    for listener in &proxy.listeners {
        match listener.protocol {
            Transport::Tcp => streams.push(stream(listener.address, Arc::clone(&stop))),
            Transport::Udp => {
                // Where some are dropped, a late one is as good as lost.
                let lossy = listener.route == "model";
                let patience = if lossy { Duration::from_millis(50) } else { PATIENCE };
                clients.push(datagrams(listener.address, patience, Arc::clone(&stop)));
            }
        }
    }
    wait_until("the streams", || echo.serving.load(Ordering::Relaxed) == 3);
    let settled =
        || echo.serving.load(Ordering::Relaxed) == 3 && proxy.control.routes().unwrap().len() == 3;
    // The first rounds find the allocator's and the threads' level.
    let mut before = (0, 0);
    for number in 0..ROUNDS {
        if number == 200 {
            wait_until("the removed routes to be gone", settled);
            before = (descriptors(), resident());
        }
        round(&proxy.control, number, echo.address);
    }
    wait_until("the removed routes to be gone", settled);
    wait_until("their descriptors to be closed", || descriptors() <= before.0);
    let growth = resident().saturating_sub(before.1);
    // The event log of the test grows in memory.
    let logged = log.len() as u64;
    assert!(growth < (48 << 20) + 3 * logged, "{growth} bytes more, {logged} of the log");
    stop.store(true, Ordering::Relaxed);
    for stream in streams {
        let bytes = stream.join().unwrap();
        assert!(bytes > 100_000, "{bytes}");
    }
    for (client, (name, _)) in clients.into_iter().zip(STAYING) {
        let (sent, back) = client.join().unwrap();
        assert!(back > 100, "{name}: {back} of {sent}");
        if name != "model" {
            assert_eq!(back, sent, "{name}");
        }
    }
    let idle = || {
        let summary = proxy.control.counters().unwrap();
        summary
            .links
            .iter()
            .all(|link| !STAYING.iter().any(|(name, _)| *name == link.route) || link.held == 0)
    };
    wait_until("the links to be empty", idle);
    let summary = proxy.stop();
    assert_conserved(&summary);
    // On TCP without rules nothing but the counters tells.
    let udp_of = |name: &str| summary.link(name, Transport::Udp, Direction::Up).unwrap();
    for (name, _) in STAYING {
        assert_eq!((udp_of(name).missed_by_kernel, udp_of(name).held), (Some(0), 0), "{name}");
    }
    let (told, written) = (tally.fates(), log.fates());
    match summary.events_lost {
        0 => assert_eq!(told, written, "the sink and the event log"),
        // A machine that is busy elsewhere may not write as fast as packets go; what it left out
        // is counted.
        lost => assert_eq!(
            told.values().sum::<u64>(),
            written.values().sum::<u64>() + lost,
            "the sink and the event log"
        ),
    }
    let mut udp = summary.clone();
    udp.links.retain(|link| link.protocol == Transport::Udp);
    for (key, count) in counted(&udp) {
        assert!(tally.fates()[&key] >= count, "{key:?}");
    }
    let (entered, removed): (u64, usize) = {
        let gone = summary.links.iter().filter(|link| link.route.starts_with('r'));
        gone.fold((0, 0), |(sum, count), link| (sum + link.entered, count + 1))
    };
    assert_eq!(removed, 50 * 4, "fifty names, two transports, two directions");
    assert!(entered > 5 * ROUNDS as u64, "{entered}");
    echo.stop();
}
