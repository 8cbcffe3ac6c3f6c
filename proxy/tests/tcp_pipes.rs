//! Bulk transfers that pass inside the kernel are the same as those that are read and written:
//! every byte in its place, ends and resets behind it, whatever comes meanwhile; and of the pipes
//! nothing is left. A process of its own, for it counts what the process has.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![cfg(target_os = "linux")]

mod support;

use jostle_common::chance::Direction;
use jostle_common::transport::Transport;
use jostle_engine::profile::{Profile, Timeline};
use jostle_proxy::{Observed, RouteId, Settings, Settled, Sink, Summary};
use socket2::SockRef;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use support::{PATIENCE, Running, assert_conserved, rules, settings, wait_until};

/// What is sent in a transfer: more than all sockets and pipes on the way hold.
const BYTES: usize = 60_000_000;

/// One test at a time: they look at the descriptors of the whole process.
static ALONE: Mutex<()> = Mutex::new(());

/// The pipes that are none of the proxy's: whoever runs the tests may have given it some.
static OTHERS: OnceLock<usize> = OnceLock::new();

fn alone() -> MutexGuard<'static, ()> {
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    OTHERS.get_or_init(|| descriptors().1);
    alone
}

/// The descriptors that the process has open, and how many of them are ends of pipes.
fn descriptors() -> (usize, usize) {
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    let links = open.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    links.fold((0, 0), |(all, pipes), link| {
        (all + 1, pipes + usize::from(link.to_string_lossy().starts_with("pipe:")))
    })
}

fn pipes() -> usize {
    (descriptors().1 - OTHERS.get().unwrap()) / 2
}

/// The byte at a place of a stream.
const fn byte(place: usize) -> u8 {
    ((place as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8
}

fn delay() -> Profile {
    let timeline = || Timeline::constant(rules(r#"{ "rule": "delay", "time": "1ms" }"#));
    Profile { up: timeline(), down: timeline(), ..Profile::default() }
}

/// A route without rules, and where it leads.
fn route(with: impl FnOnce(Settings) -> Settings) -> (Running, RouteId, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = listener.local_addr().unwrap();
    let text = format!(r#"{{ "listen": "tcp://127.0.0.1:0", "upstream": "{upstream}" }}"#);
    let proxy = Running::with(with(settings(&text)));
    let id = proxy.control.routes().unwrap()[0].id;
    (proxy, id, listener)
}

fn connect(proxy: &Running, listener: &TcpListener) -> [TcpStream; 2] {
    let client = TcpStream::connect(proxy.address(Transport::Tcp)).unwrap();
    let (server, _) = listener.accept().unwrap();
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
    }
    [client, server]
}

/// Writes a stream and ends it; how far it is, is told.
fn send(mut stream: TcpStream, sent: Arc<AtomicUsize>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut at = 0;
        while at < BYTES {
            let end = (at + 300_000).min(BYTES);
            let bytes: Vec<u8> = (at..end).map(byte).collect();
            stream.write_all(&bytes).unwrap();
            at = end;
            sent.store(at, Ordering::Release);
        }
        stream.shutdown(Shutdown::Write).unwrap();
    })
}

/// Reads a stream to its end, and looks at each byte.
fn receive(mut stream: TcpStream) -> JoinHandle<usize> {
    std::thread::spawn(move || read_from(&mut stream, 0).unwrap())
}

/// Reads what comes from a place of a stream on, and returns where it ends.
fn read_from(stream: &mut TcpStream, mut at: usize) -> io::Result<usize> {
    let mut buffer = vec![0; 1 << 18];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(at);
        }
        let wrong = buffer[..count].iter().zip(at..).find(|(found, at)| **found != byte(*at));
        assert!(wrong.is_none(), "the byte at {}", wrong.unwrap().1);
        at += count;
    }
}

/// Writes until nothing more is taken, and returns how much was.
fn stuff(stream: &mut TcpStream) -> usize {
    stream.set_nonblocking(true).unwrap();
    let (mut at, mut idle) = (0, 0);
    // What is on its way makes room once more.
    while idle < 200 {
        let bytes: Vec<u8> = (at..at + 100_000).map(byte).collect();
        match stream.write(&bytes) {
            Ok(count) => (at, idle) = (at + count, 0),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                idle += 1;
                std::thread::park_timeout(Duration::from_millis(1));
            }
        }
    }
    stream.set_nonblocking(false).unwrap();
    at
}

fn count(summary: &Summary, name: &str) -> u64 {
    summary.socket_count("1", Transport::Tcp, name)
}

/// Sends both ways at once, with rules that come and go, and returns what was counted.
fn both_ways(with: impl FnOnce(Settings) -> Settings, has_pipes: bool) -> [u64; 4] {
    let before = descriptors().0;
    let (proxy, id, listener) = route(with);
    let [client, server] = connect(&proxy, &listener);
    let sent = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let halves = || [client.try_clone().unwrap(), server.try_clone().unwrap()];
    let receivers = halves().map(receive);
    let [up, down] = halves();
    let senders = [send(up, Arc::clone(&sent[0])), send(down, Arc::clone(&sent[1]))];
    let mut most = 0;
    for stretch in 1..12 {
        let at = BYTES / 12 * stretch;
        wait_until("the next stretch", || {
            most = most.max(pipes());
            sent.iter().all(|sent| sent.load(Ordering::Acquire) >= at)
        });
        let profile = if stretch % 3 == 2 { delay() } else { Profile::default() };
        proxy.control.set_profile(id, profile).unwrap();
    }
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    for receiver in receivers {
        assert_eq!(receiver.join().unwrap(), BYTES);
    }
    assert_eq!(most > 0, has_pipes, "{most} pipes");
    drop((client, server));
    wait_until("the end", || count(&proxy.control.counters().unwrap(), "finished") == 1);
    let summary = proxy.stop();
    assert_conserved(&summary);
    drop(listener);
    wait_until("nothing to be left", || descriptors().0 <= before);
    let links = [Direction::Up, Direction::Down]
        .map(|direction| summary.link("1", Transport::Tcp, direction).unwrap());
    assert!(links.iter().all(|link| link.lateness.packets > 0), "some of it crossed links");
    [links[0].bytes_in, links[0].bytes_out, links[1].bytes_in, links[1].bytes_out]
}

#[test]
fn the_same_bytes_arrive_with_pipes_and_without() {
    let _alone = alone();
    let piped = both_ways(|settings| settings, true);
    assert_eq!(piped, [BYTES as u64; 4]);
    assert_eq!(both_ways(|settings| Settings { splices: false, ..settings }, false), piped);
    assert_eq!(both_ways(|settings| Settings { portable: true, ..settings }, false), piped);
}

/// A sink that wants to see the bytes of streams.
struct Watcher;

impl Sink for Watcher {
    fn record(&mut self, _: &Settled<'_>) {}

    fn observes(&self) -> bool {
        true
    }

    fn observe(&mut self, _: &Observed<'_>) {}
}

#[test]
fn what_somebody_is_to_see_is_read() {
    let _alone = alone();
    let watched = |mut settings: Settings| {
        settings.sinks.push(Box::new(Watcher));
        settings
    };
    assert_eq!(both_ways(watched, false), [BYTES as u64; 4]);
}

/// A receiver that does not read, until a rule has come: what is in a pipe goes first, and counts
/// as memory.
#[test]
fn bytes_in_a_pipe_stay_in_front_of_what_crosses_the_links() {
    let _alone = alone();
    let before = descriptors().0;
    for direction in Direction::BOTH {
        let (proxy, id, listener) = route(|settings| settings);
        let [client, server] = connect(&proxy, &listener);
        let (mut sender, mut receiver) = match direction {
            Direction::Up => (client, server),
            Direction::Down => (server, client),
        };
        let used = || proxy.control.counters().unwrap().memory.used;
        let at_rest = used();
        let stuffed = stuff(&mut sender);
        assert_eq!(pipes(), 1, "{direction}: {stuffed} bytes");
        assert!(used() > at_rest, "{direction}: what is in it is counted");
        proxy.control.set_profile(id, delay()).unwrap();
        let more: Vec<u8> = (stuffed..stuffed + 1000).map(byte).collect();
        let writer = std::thread::spawn(move || {
            sender.write_all(&more).unwrap();
            sender.shutdown(Shutdown::Write).unwrap();
            sender
        });
        assert_eq!(read_from(&mut receiver, 0).unwrap(), stuffed + 1000, "{direction}");
        receiver.shutdown(Shutdown::Write).unwrap();
        let mut sender = writer.join().unwrap();
        assert_eq!(sender.read(&mut [0]).unwrap(), 0);
        wait_until("the end", || count(&proxy.control.counters().unwrap(), "finished") == 1);
        wait_until("the memory", || proxy.control.counters().unwrap().memory.used == 0);
        wait_until("the pipe to be closed", || pipes() == 0);
        drop((sender, receiver, listener));
        assert_conserved(&proxy.stop());
    }
    wait_until("nothing to be left", || descriptors().0 <= before);
}

/// Either side tears the connection down while a pipe has something for it or of it.
#[test]
fn a_reset_leaves_no_pipe_behind() {
    let _alone = alone();
    let before = descriptors().0;
    for by_sender in [true, false] {
        for with_rule in [false, true] {
            let (proxy, id, listener) = route(|settings| settings);
            let [mut sender, mut receiver] = connect(&proxy, &listener);
            let stuffed = stuff(&mut sender);
            assert_eq!(pipes(), 1);
            if with_rule {
                proxy.control.set_profile(id, delay()).unwrap();
            }
            let reset = |stream: TcpStream| {
                SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
            };
            if by_sender {
                reset(sender);
                // With a rule the links have to hear of it first, behind what the receiver reads.
                let end = read_from(&mut receiver, 0).map_err(|error| error.kind());
                assert_eq!(end, Err(io::ErrorKind::ConnectionReset), "{stuffed}, {with_rule}");
            } else {
                reset(receiver);
                let end = loop {
                    if let Err(error) = sender.write(&[7]) {
                        break error.kind();
                    }
                    std::thread::park_timeout(Duration::from_millis(1));
                };
                let kinds = [io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe];
                assert!(kinds.contains(&end), "{end}, {with_rule}");
            }
            let text = format!("by the sender: {by_sender}, with a rule: {with_rule}");
            wait_until(&text, || {
                let summary = proxy.control.counters().unwrap();
                count(&summary, "connections_open") == 0 && summary.memory.used == 0
            });
            wait_until("the pipe to be closed", || pipes() == 0);
            let summary = proxy.stop();
            let by = if by_sender { "reset_by_client" } else { "reset_by_upstream" };
            assert_eq!(count(&summary, by), 1, "{text}");
            assert_conserved(&summary);
        }
    }
    wait_until("nothing to be left", || descriptors().0 <= before);
}

/// More receivers stand still than there are pipes; once they read, all arrives.
#[test]
fn without_a_pipe_bytes_are_copied() {
    const CONNECTIONS: usize = 90;
    let _alone = alone();
    let before = descriptors().0;
    let (proxy, _, listener) = route(|settings| settings);
    let mut pairs: Vec<([TcpStream; 2], usize)> =
        (0..CONNECTIONS).map(|_| (connect(&proxy, &listener), 0)).collect();
    let bytes: Vec<u8> = (0..4_000_000).map(byte).collect();
    for ([client, server], _) in &mut pairs {
        SockRef::from(&*server).set_recv_buffer_size(64 << 10).unwrap();
        client.set_nonblocking(true).unwrap();
    }
    let mut idle = 0;
    while idle < 100 {
        idle += 1;
        for ([client, _], sent) in &mut pairs {
            if let Ok(count @ 1..) = client.write(&bytes[*sent..]) {
                (*sent, idle) = (*sent + count, 0);
            }
        }
        std::thread::park_timeout(Duration::from_millis(1));
    }
    let most = pipes();
    assert!((1..=64).contains(&most), "{most} pipes for {CONNECTIONS} connections");
    for ([client, mut server], sent) in pairs {
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_from(&mut server, 0).unwrap(), sent);
    }
    wait_until("the ends", || {
        let summary = proxy.control.counters().unwrap();
        count(&summary, "connections_open") == 0 && summary.memory.used == 0
    });
    wait_until("the pipes to be closed", || pipes() == 0);
    let summary = proxy.stop();
    assert_conserved(&summary);
    let link = summary.link("1", Transport::Tcp, Direction::Up).unwrap();
    assert_eq!(link.bytes_in, link.bytes_out);
    drop(listener);
    wait_until("nothing to be left", || descriptors().0 <= before);
}
