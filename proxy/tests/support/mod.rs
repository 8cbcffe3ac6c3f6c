//! A proxy on a thread of its own, stopped when it is done with.
#![allow(dead_code, reason = "every test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use jostle_common::transport::Transport;
use jostle_engine::route::Configuration;
use jostle_proxy::{Control, Listener, Proxy, Settings, Summary};
use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running proxy.
pub(crate) struct Running {
    pub(crate) listeners: Vec<Listener>,
    pub(crate) control: Control,
    thread: Option<JoinHandle<Summary>>,
}

/// Settings for routes given as a configuration's `proxies`, with seed 7.
pub(crate) fn settings(routes: &str) -> Settings {
    let text = format!(r#"{{ "seed": 7, "proxies": [ {routes} ] }}"#);
    let read_profile = |name: &str| Err(format!("{name}: tests read no files"));
    let configuration =
        Configuration::from_json(&text, &read_profile).expect("the test's routes are right");
    Settings::new(configuration.routes, 7)
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
