//! A proxy holds no more memory than it may, whatever comes: what is charged is what is held.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "it looks at the real clock")]

mod support;

use jostle_common::chance::Direction;
use jostle_common::ecn::Ecn;
use jostle_common::transport::Transport;
use jostle_proxy::{MemorySummary, Settings};
use jostle_sys::{Message, Outbox};
use socket2::SockRef;
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use support::{PATIENCE, Running, assert_conserved, settings, wait_until};

const MIB: u64 = 1 << 20;

/// What a process may take beside what it is charged with: the buffers of its loop, and what an
/// allocator has left over.
const SLACK: u64 = 8 * MIB;

/// One test at a time: they look at the memory of the whole process.
static ALONE: Mutex<()> = Mutex::new(());

fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

fn bounded(routes: &str, mebibytes: u64) -> Settings {
    Settings { memory: mebibytes * MIB, ..settings(routes) }
}

fn held(proxy: &Running) -> MemorySummary {
    proxy.control.counters().unwrap().memory
}

/// Sends datagrams of `size` bytes, `run` of them at a time, until there is no room for more.
/// Returns how many are held.
fn fill(chance: &str, size: usize, run: usize, mebibytes: u64) -> u64 {
    let server = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let upstream = server.local_addr().unwrap();
    let proxy = Running::with(bounded(
        &format!(
            r#"{{ "listen": "udp://127.0.0.1:0", "upstream": "{upstream}", "profile": {{ "up": [
                {{ "rule": "drop", "chance": "{chance}" }}, {{ "rule": "delay", "time": "1h" }} ] }} }}"#
        ),
        mebibytes,
    ));
    let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(proxy.address(Transport::Udp)).unwrap();
    client.set_nonblocking(true).unwrap();
    let client = mio::net::UdpSocket::from_std(client);
    let (outbox, payload) = (Outbox::new(false), vec![7; size]);
    let before = resident();
    // However slowly it fills, there is more in it or refused each time that one waits for.
    let (mut last, mut entered, mut no_room) = (Instant::now(), 0, 0);
    while no_room < 10_000 {
        assert!(last.elapsed() < PATIENCE, "{chance} of {size} bytes: it is never full");
        for _ in 0..100 {
            let pieces = vec![IoSlice::new(&payload); run];
            let message = Message { pieces: &pieces, to: None, source: None, ecn: Ecn::NotEct };
            if let Err(error) = outbox.send(&client, &[message]) {
                assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
            }
        }
        let counters = proxy.control.counters().unwrap();
        no_room = counters.socket_count("1", Transport::Udp, "no_room");
        let now = counters.link("1", Transport::Udp, Direction::Up).unwrap().entered + no_room;
        if now > entered {
            (last, entered) = (Instant::now(), now);
        }
    }
    let (grown, memory) = (resident().saturating_sub(before), held(&proxy));
    assert!(memory.used > mebibytes * MIB / 5 && memory.used <= mebibytes * MIB / 4, "{memory:?}");
    assert_eq!(memory.bound, mebibytes * MIB);
    let text = format!("{chance} of {size} bytes: {grown} bytes more for {} charged", memory.used);
    assert!(grown <= memory.used + SLACK, "{text}");
    proxy.control.stop_within(Duration::ZERO);
    let summary = proxy.stop();
    assert_conserved(&summary);
    summary.link("1", Transport::Udp, Direction::Up).unwrap().held
}

/// Where most of a run is lost, each survivor would keep all of it: 50 times its size.
#[test]
fn survivors_of_a_drop_rule_do_not_keep_their_runs() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for (chance, least) in [("30%", 55), ("95%", 65)] {
        let count = fill(chance, 1200, 50, 64);
        let share = count * 1200 * 100 / (16 * MIB);
        assert!((least..100).contains(&share), "{chance}: {share} % of it is payload");
    }
}

/// What a packet costs besides its bytes is most of it here.
#[test]
fn empty_and_tiny_datagrams_are_not_free() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for (size, run) in [(0, 1), (1, 60)] {
        let count = fill("0%", size, run, 64);
        // A run is held as one, with its bytes. That this is no less than what it takes is seen by
        // the memory of the process.
        let each = jostle_engine::link::PACKET_BYTES + (run * size) as u64;
        let most = run as u64 * 16 * MIB / each;
        assert!((20_000..=most).contains(&count), "{count} of {size} bytes");
    }
}

/// Connections whose receivers do not read hold what they may, on plain, modelled and raw routes;
/// once they do, everything arrives.
#[test]
fn receivers_that_do_not_read_cost_no_more_than_the_bound() {
    const CLIENTS: usize = 100;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let delay = r#""profile": { "both": [ { "rule": "delay", "time": "5ms" } ] }"#;
    for (mode, bound) in [
        (String::new(), 16),
        (format!(", {delay}"), 32),
        (format!(r#", "tcp": "raw", "unit": "line", {delay}"#), 32),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        SockRef::from(&listener).set_recv_buffer_size(16 << 10).unwrap();
        let upstream = listener.local_addr().unwrap();
        let proxy = Running::with(bounded(
            &format!(r#"{{ "listen": "tcp://127.0.0.1:0", "upstream": "{upstream}" {mode} }}"#),
            bound,
        ));
        let before = resident();
        let mut pairs: Vec<(TcpStream, TcpStream, usize)> = (0..CLIENTS)
            .map(|_| {
                let client = TcpStream::connect(proxy.address(Transport::Tcp)).unwrap();
                SockRef::from(&client).set_send_buffer_size(16 << 10).unwrap();
                client.set_nonblocking(true).unwrap();
                (client, listener.accept().unwrap().0, 0)
            })
            .collect();
        let idle = held(&proxy).used;
        // As much as they take, until for a while they take no more though the proxy has turns.
        let bytes: Vec<u8> =
            (0..64 << 10).map(|n| if n % 1000 == 999 { b'\n' } else { 7 }).collect();
        let (begun, mut last, mut turns) = (Instant::now(), Instant::now(), 0);
        while turns < 50 || last.elapsed() < Duration::from_millis(300) {
            // It answers between two turns.
            held(&proxy);
            turns += 1;
            let taken: usize = pairs.iter().map(|(_, _, sent)| sent).sum();
            assert!(
                begun.elapsed() < PATIENCE,
                "{mode}: {taken} bytes and no end, {:?}",
                held(&proxy)
            );
            for (client, _, sent) in &mut pairs {
                if let Ok(count) = client.write(&bytes) {
                    *sent += count;
                    (last, turns) = (Instant::now(), 0);
                }
            }
            std::thread::park_timeout(Duration::from_millis(1));
        }
        let (grown, memory) = (resident().saturating_sub(before), held(&proxy));
        let text = format!("{mode}: {grown} bytes more, {memory:?}");
        // On a plain route the kernel has most of it, and how much depends on who came first.
        let least = if mode.is_empty() { idle } else { idle + 4 * MIB };
        assert!(memory.used <= bound * MIB / 2 && memory.used > least, "{text}, {idle}");
        assert!(grown <= memory.used + SLACK, "{text}");
        // The end of it: both sides at once, as neither waits for the other.
        let total: usize = pairs.iter().map(|(_, _, sent)| sent).sum();
        let mut received = 0;
        for (client, mut server, _) in pairs {
            client.set_nonblocking(false).unwrap();
            drop(client);
            server.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut buffer = vec![0; 1 << 20];
            while let count @ 1.. = server.read(&mut buffer).unwrap() {
                received += count;
            }
        }
        assert_eq!(received, total, "{mode}");
        wait_until("all to be given back", || held(&proxy).used == 0);
        assert_conserved(&proxy.stop());
    }
}
