//! A seeded run over UDP that ends with every fate known, and everything that was told of it.

use super::sse::EventSource;
use super::{PATIENCE, Running};
use jostle_common::chance::Direction;
use jostle_common::transport::Transport;
use jostle_engine::route::{Configuration, Route};
use jostle_proxy::{Settings, Summary};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The rules of both directions.
pub(crate) const RULES: &str = r#"[
    { "rule": "drop", "chance": "20%" },
    { "rule": "corrupt", "chance": "5%" },
    { "rule": "duplicate", "chance": "10%" },
    { "rule": "delay", "time": "30ms", "jitter": "5ms" } ]"#;

/// A UDP route with these rules both ways.
pub(crate) fn udp_route(name: &str, rules: &str, upstream: SocketAddr) -> Route {
    let text = format!(
        r#"{{ "proxies": [ {{ "name": {}, "listen": "udp://127.0.0.1:0",
            "upstream": "{upstream}", "profile": {{ "both": {rules} }} }} ] }}"#,
        Value::from(name)
    );
    let no_files = |_: &str| Err("no files".to_owned());
    Configuration::from_json(&text, &no_files).expect("the route is right").routes.remove(0)
}

/// A server that sends datagrams back until it is dropped.
pub(crate) struct UdpEcho {
    socket: UdpSocket,
    pub(crate) address: SocketAddr,
}

impl UdpEcho {
    pub(crate) fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let address = socket.local_addr().expect("it is bound");
        let server = socket.try_clone().expect("a second handle");
        std::thread::spawn(move || {
            let mut buffer = [0; 2000];
            while let Ok((size, from)) = server.recv_from(&mut buffer) {
                if size == 0 || server.send_to(&buffer[..size], from).is_err() {
                    break;
                }
            }
        });
        Self { socket, address }
    }
}

impl Drop for UdpEcho {
    fn drop(&mut self) {
        let _ = self.socket.send_to(b"", self.address);
    }
}

/// A log in memory.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panicked").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Returns its lines.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let bytes = self.0.lock().expect("nobody panicked");
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).expect("a whole line")).collect()
    }
}

/// A run that goes on.
pub(crate) struct Weather {
    pub(crate) running: Running,
    pub(crate) log: Log,
    name: String,
    listen: SocketAddr,
    client: UdpSocket,
    sent: u64,
    _server: UdpEcho,
}

impl Weather {
    /// Starts a route of this name with these rules, and with settings that `change` makes.
    pub(crate) fn start(name: &str, rules: &str, change: impl FnOnce(&mut Settings)) -> Self {
        let server = UdpEcho::start();
        let mut settings = Settings::new(vec![udp_route(name, rules, server.address)], 7);
        let log = Log::default();
        settings.events = Some(Box::new(log.clone()));
        change(&mut settings);
        let running = Running::wide(settings);
        let listen = running.control.routes().expect("it runs")[0].listeners[0].address;
        let client = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        client.connect(listen).expect("a socket");
        let name = name.to_owned();
        Self { running, log, name, listen, client, sent: 0, _server: server }
    }

    /// Returns where the route listens.
    pub(crate) const fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Sends so many datagrams, no more at once than a socket holds, and waits until each packet
    /// and each answer has its fate.
    pub(crate) fn send(&mut self, datagrams: u64) -> Summary {
        let last = self.sent + datagrams;
        while self.sent < last {
            self.client.send(format!("datagram {}", self.sent).as_bytes()).expect("loopback");
            self.sent += 1;
            if self.sent.is_multiple_of(100) {
                self.settled();
            }
        }
        self.settled()
    }

    fn settled(&self) -> Summary {
        let begun = Instant::now();
        loop {
            let summary = self.running.control.counters().expect("it runs");
            let [up, down] = Direction::BOTH.map(|direction| {
                summary.link(&self.name, Transport::Udp, direction).expect("it is there")
            });
            let held = up.held + down.held;
            if up.entered == self.sent && held == 0 && down.entered == up.delivered {
                return summary;
            }
            assert!(begun.elapsed() < PATIENCE, "{summary:?}");
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }
}

/// How many packets met which fate: by direction, and `delivered` or the reason.
pub(crate) type Fates = BTreeMap<(String, String), u64>;

/// What the counters say.
pub(crate) fn of_summary(summary: &Summary) -> Fates {
    let mut fates = Fates::new();
    for link in &summary.links {
        let delivered = std::iter::once(("delivered", link.delivered));
        let discarded = link.discarded.iter().map(|(reason, count)| (*reason, *count));
        for (fate, count) in delivered.chain(discarded).filter(|(_, count)| *count > 0) {
            *fates.entry((link.direction.name().into(), fate.into())).or_default() += count;
        }
    }
    fates
}

/// What lines of the event log say.
pub(crate) fn of_lines(lines: &[Value]) -> Fates {
    let mut fates = Fates::new();
    for line in lines {
        let fate = line["reason"].as_str().or_else(|| line["fate"].as_str()).expect("a fate");
        let direction = line["direction"].as_str().expect("a direction");
        *fates.entry((direction.into(), fate.into())).or_default() += 1;
    }
    fates
}

/// Reads so many lines of `/events`.
pub(crate) fn take_events(source: &mut EventSource, count: usize) -> Vec<Value> {
    let event = |_| {
        let (name, data) = source.next();
        assert_eq!(name, "", "nothing is lost: {data}");
        data
    };
    (0..count).map(event).collect()
}

/// The samples of a page of metrics, by name and labels as they stand there.
pub(crate) fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        (name.to_owned(), value.parse().expect("a number"))
    };
    lines.map(sample).collect()
}
