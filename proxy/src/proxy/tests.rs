//! Checks that refused sends are accounted for. Refusals that loopback never makes by itself are
//! made here, between the relay and its socket.

use super::*;
use crate::fate::{Fate, Loss, Settled};
use crate::sinks::Sink;
use crate::turn::Transmit;
use jostle_common::chance::Direction;
use jostle_common::transport::Transport;
use jostle_engine::route::Configuration;
use jostle_sys::Message;
use mio::net::UdpSocket;
use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const MANY: u64 = 100_000;

/// The most datagrams under way to the proxy.
const WINDOW: u64 = 50;

/// A way out on which every tenth call works; the others fail in two ways.
struct Clogged {
    outbox: Outbox,
    calls: AtomicU64,
}

impl Transmit for Clogged {
    fn takes_runs(&self) -> bool {
        self.outbox.takes_runs()
    }

    fn send(&self, socket: &UdpSocket, messages: &[Message<'_>]) -> io::Result<usize> {
        match self.calls.fetch_add(1, Ordering::Relaxed) % 10 {
            0 => self.outbox.send(socket, messages),
            1 => Err(io::ErrorKind::PermissionDenied.into()),
            _ => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

/// A sink that counts packets and bytes by fate.
#[derive(Clone, Default)]
struct Tally {
    fates: Arc<Mutex<BTreeMap<&'static str, u64>>>,
    total: Arc<AtomicU64>,
}

impl Sink for Tally {
    fn record(&mut self, settled: &Settled<'_>) {
        assert_eq!(settled.payload(), [7; 100], "the bytes are there");
        let fate = match settled.fate {
            Fate::Delivered => "delivered",
            Fate::Discarded(loss) => loss.name(),
        };
        *self.fates.lock().unwrap().entry(fate).or_default() += 1;
        self.total.fetch_add(1, Ordering::Release);
    }
}

/// An event log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn wait_until(mut is_so: impl FnMut() -> bool) {
    for _ in 0..200_000 {
        if is_so() {
            return;
        }
        std::thread::park_timeout(Duration::from_micros(100));
    }
    panic!("it does not come");
}

#[test]
fn a_full_send_buffer_and_other_refusals_are_fates() {
    let server = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let text = format!(
        r#"{{ "seed": 7, "proxies": [ {{ "listen": "udp://127.0.0.1:0", "upstream": "{}" }} ] }}"#,
        server.local_addr().unwrap()
    );
    let no_files = |name: &str| Err(format!("{name}: tests read no files"));
    let routes = Configuration::from_json(&text, &no_files).unwrap().routes;
    let (tally, log) = (Tally::default(), Log::default());
    let mut settings = Settings::new(routes, 7);
    settings.events = Some(Box::new(log.clone()));
    settings.sinks = vec![Box::new(tally.clone())];
    let mut proxy = Proxy::bind(settings).unwrap();
    proxy.first.1.turn.datagrams.outbox =
        Box::new(Clogged { outbox: Outbox::new(false), calls: AtomicU64::new(0) });
    let (address, control) = (proxy.listeners()[0].address, proxy.control());
    let thread = std::thread::spawn(move || proxy.run());
    let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for sent in 0..MANY {
        wait_until(|| tally.total.load(Ordering::Acquire) + WINDOW >= sent);
        client.send_to(&[7; 100], address).unwrap();
    }
    wait_until(|| tally.total.load(Ordering::Acquire) == MANY);
    control.stop();
    let summary = thread.join().unwrap();
    let link = summary.link("1", Transport::Udp, Direction::Up).unwrap();
    assert_eq!((link.entered, link.bytes_in, link.held), (MANY, 100 * MANY, 0));
    assert_eq!(link.delivered + link.discarded_total(), MANY, "{link:?}");
    assert_eq!(link.bytes_out, 100 * link.delivered);
    let (no_buffer, failed) = (link.discarded["no_buffer"], link.discarded["send_failed"]);
    assert!(no_buffer > MANY / 2 && failed > 0 && link.delivered > 0, "{link:?}");
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines = |what: &str| log.lines().filter(|line| line.contains(what)).count() as u64;
    let fates = tally.fates.lock().unwrap();
    for loss in [Loss::NoBuffer, Loss::SendFailed] {
        let (name, count) = (loss.name(), link.discarded[loss.name()]);
        let reason = format!(r#""fate":"discarded","reason":"{name}""#);
        assert_eq!((fates[name], lines(&reason)), (count, count), "{name}");
    }
    assert_eq!(fates["delivered"], link.delivered);
    assert_eq!(lines(r#""fate":"delivered""#), link.delivered);
    let sockets = |name| summary.socket_count("1", Transport::Udp, name);
    assert_eq!((sockets("no_send_buffer"), sockets("send_failed")), (no_buffer, failed));
}
