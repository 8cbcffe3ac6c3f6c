//! A proxy on a thread of its own, stopped when it is done with.
#![allow(dead_code, reason = "every test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "it looks at the real clock")]

mod vacant;

use jostle_common::chance::Direction;
use jostle_common::transport::Transport;
use jostle_engine::profile::{Profile, Rule};
use jostle_engine::route::{Configuration, Route};
use jostle_proxy::{Control, Fate, Listener, Proxy, Settings, Settled, Sink, Summary};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
#[allow(unused_imports, reason = "every test file uses a part of it")]
pub(crate) use vacant::vacant_address;

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running proxy.
pub(crate) struct Running {
    pub(crate) listeners: Vec<Listener>,
    pub(crate) control: Control,
    thread: Option<JoinHandle<Summary>>,
}

/// How many event loops a proxy has unless a test says so: what the tests promise holds for any
/// number, so all of them can be run with more than one.
fn workers() -> usize {
    let wanted = std::env::var("JOSTLE_TEST_WORKERS");
    wanted.map_or(1, |count| count.parse().expect("JOSTLE_TEST_WORKERS is a number"))
}

/// Settings for routes given as a configuration's `proxies`, with seed 7.
pub(crate) fn settings(routes: &str) -> Settings {
    let text = format!(r#"{{ "seed": 7, "proxies": [ {routes} ] }}"#);
    let read_profile = |name: &str| Err(format!("{name}: tests read no files"));
    let configuration =
        Configuration::from_json(&text, &read_profile).expect("the test's routes are right");
    Settings { workers: workers(), ..Settings::new(configuration.routes, 7) }
}

/// One route, written as in a configuration.
pub(crate) fn route(text: &str) -> Route {
    settings(text).routes.pop().expect("there is one")
}

/// The rules of one direction, written as in a profile.
pub(crate) fn rules(text: &str) -> Vec<Rule> {
    let profile = Profile::from_json(&format!(r#"{{ "up": [ {text} ] }}"#));
    profile.expect("the test's rules are right").up.rules().cloned().collect()
}

/// A TCP and a UDP socket on one port.
pub(crate) fn on_one_port() -> (TcpListener, UdpSocket) {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        // Another test may have the port.
        if let Ok(socket) = UdpSocket::bind(listener.local_addr().unwrap()) {
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            return (listener, socket);
        }
    }
}

/// Waits until something is so, and panics if it takes too long.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what} does not come");
        std::thread::park_timeout(Duration::from_micros(200));
    }
}

/// Asserts that each packet that came in has its fate, or is still inside.
pub(crate) fn assert_conserved(summary: &Summary) {
    for link in &summary.links {
        let fates = link.delivered + link.discarded_total() + link.held;
        assert_eq!(link.entered + link.copies, fates, "{link:?}");
    }
}

/// How many packets met which fate, by route and direction; `delivered` or a reason.
pub(crate) type Fates = BTreeMap<(String, Direction, String), u64>;

/// A sink that counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    fates: Arc<Mutex<Fates>>,
    total: Arc<AtomicU64>,
}

impl Tally {
    /// How many fates it was told so far.
    pub(crate) fn total(&self) -> u64 {
        self.total.load(Ordering::Acquire)
    }

    /// What it was told.
    pub(crate) fn fates(&self) -> Fates {
        self.fates.lock().unwrap().clone()
    }
}

impl Sink for Tally {
    fn record(&mut self, settled: &Settled<'_>) {
        if settled.transport == Transport::Udp {
            let (there, size) = (settled.payload().len(), settled.packet.size() as usize);
            assert_eq!(there, size, "the bytes are there");
        }
        let fate = match settled.fate {
            Fate::Delivered => "delivered",
            Fate::Discarded(loss) => loss.name(),
        };
        let key = (settled.route.to_owned(), settled.direction, fate.to_owned());
        *self.fates.lock().unwrap().entry(key).or_default() += 1;
        self.total.fetch_add(1, Ordering::Release);
    }
}

/// A sink that lets the loop stand still until it is told to go on.
pub(crate) struct Brake(pub(crate) mpsc::Receiver<()>);

impl Sink for Brake {
    fn record(&mut self, _: &Settled<'_>) {
        let _ = self.0.recv();
    }
}

/// An event log in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// How many bytes it has.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Its lines.
    pub(crate) fn lines(&self) -> Vec<serde_json::Value> {
        let bytes = self.0.lock().unwrap();
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).expect("a whole line")).collect()
    }

    /// What its lines say.
    pub(crate) fn fates(&self) -> Fates {
        let mut fates = Fates::new();
        for line in self.lines() {
            let direction = Direction::BOTH
                .into_iter()
                .find(|direction| line["direction"] == direction.name())
                .expect("a direction");
            let fate = line["reason"].as_str().or_else(|| line["fate"].as_str()).expect("a fate");
            let key = (line["route"].as_str().expect("a route").to_owned(), direction, fate.into());
            *fates.entry(key).or_default() += 1;
        }
        fates
    }
}

/// What the counters say.
pub(crate) fn counted(summary: &Summary) -> Fates {
    let mut fates = Fates::new();
    for link in &summary.links {
        let delivered = ("delivered".to_owned(), link.delivered);
        let discarded = link.discarded.iter().map(|(reason, count)| ((*reason).into(), *count));
        for (fate, count) in std::iter::once(delivered).chain(discarded) {
            if count > 0 {
                fates.insert((link.route.clone(), link.direction, fate), count);
            }
        }
    }
    fates
}

impl Running {
    /// Starts a proxy with these routes.
    pub(crate) fn start(routes: &str) -> Self {
        Self::with(settings(routes))
    }

    /// Starts a proxy with these settings.
    pub(crate) fn with(settings: Settings) -> Self {
        let proxy = Proxy::bind(settings).expect("the proxy starts");
        let (listeners, control) = (proxy.listeners().to_vec(), proxy.control());
        let thread = std::thread::spawn(move || proxy.run());
        Self { listeners, control, thread: Some(thread) }
    }

    /// Where the first listener of a protocol is.
    pub(crate) fn address(&self, protocol: Transport) -> SocketAddr {
        self.listeners
            .iter()
            .find(|listener| listener.protocol == protocol)
            .expect("there is one")
            .address
    }

    /// Stops it and returns what it did.
    pub(crate) fn stop(mut self) -> Summary {
        self.control.stop();
        self.thread.take().expect("it was started").join().expect("the proxy does not panic")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.control.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
