//! A journal has every change and what holds since; what it tells can be played again, and a file
//! that takes nothing holds up nobody.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod lines;
mod played;
mod room;

use jostle_control::{Journal, JournalEnd, Origin, Registry};
use jostle_engine::profile::{Profile, no_files};
use jostle_engine::route::Configuration;
use jostle_proxy::{Control, Proxy, Settings, Sink};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// A file that a test looks into.
#[derive(Clone, Default)]
struct File(Arc<Mutex<Vec<u8>>>);

impl File {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A proxy with routes, written as in a configuration.
struct Running {
    registry: Arc<Registry>,
    at: SocketAddr,
    control: Control,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start(routes: &str, seed: u64, sinks: Vec<Box<dyn Sink>>) -> Self {
        let text = format!(r#"{{ "proxies": [ {routes} ] }}"#);
        let routes = Configuration::from_json(&text, &no_files).unwrap().routes;
        let proxy = Proxy::bind(Settings { sinks, ..Settings::new(routes, seed) }).unwrap();
        let registry = Arc::new(Registry::new(proxy.control(), proxy.routes()));
        let (at, control) = (proxy.listeners()[0].address, proxy.control());
        let thread = Some(std::thread::spawn(move || drop(proxy.run())));
        Self { registry, at, control, thread }
    }

    fn set(&self, name: &str, profile: &str) {
        let profile = Profile::from_json(profile).unwrap();
        self.registry.open(Origin::Api).set_profile(name, profile).unwrap();
    }

    fn switch(&self, on: bool) {
        self.registry.open(Origin::Key).set_rules_on(on).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.control.stop_within(Duration::ZERO);
        self.thread.take().unwrap().join().unwrap();
    }
}

fn routes(names: &[&str]) -> String {
    let route = |name: &&str| {
        format!(
            r#"{{ "name": "{name}", "listen": "udp://127.0.0.1:0", "upstream": "127.0.0.1:9" }}"#
        )
    };
    names.iter().map(route).collect::<Vec<_>>().join(", ")
}

/// A journal of a few changes of two proxies.
fn some_journal() -> String {
    let running = Running::start(&routes(&["a", "b"]), 7, Vec::new());
    let file = File::default();
    let journal = Journal::start(&running.registry, 7, Box::new(file.clone())).unwrap();
    running.set("a", r#"{ "up": [ { "rule": "drop", "chance": "5%" } ] }"#);
    running.switch(false);
    running.registry.open(Origin::Api).disable("b").unwrap();
    running.registry.open(Origin::Panel).remove("b").unwrap();
    running.switch(true);
    let JournalEnd { lines, lost, error } = journal.finish();
    assert_eq!((lines, lost, error), (7, 0, None));
    file.text()
}
