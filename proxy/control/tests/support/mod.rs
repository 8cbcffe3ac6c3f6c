//! A proxy with its API, and a client that shows every byte of an answer.

#![allow(dead_code, reason = "each test takes what it needs")]
#![allow(clippy::disallowed_methods, reason = "it looks at the real clock")]

pub(crate) mod sse;
#[path = "../../../tests/support/vacant.rs"]
mod vacant;
pub(crate) mod weather;

use jostle_control::{Registry, Server, ServerSettings};
use jostle_engine::route::Route;
use jostle_proxy::{Control, Proxy, Settings};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
#[allow(unused_imports, reason = "every test file uses a part of it")]
pub(crate) use vacant::vacant_address;

/// The time after which a test gives up waiting.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running proxy without routes, and its API.
pub(crate) struct Running {
    pub(crate) api: SocketAddr,
    pub(crate) control: Control,
    server: Option<Server>,
    proxy: Option<JoinHandle<()>>,
}

impl Running {
    pub(crate) fn start() -> Self {
        Self::with(Vec::new())
    }

    /// The same with routes of its own.
    pub(crate) fn with(routes: Vec<Route>) -> Self {
        Self::with_settings(Settings::new(routes, 7))
    }

    /// The same with settings of its own.
    pub(crate) fn with_settings(settings: Settings) -> Self {
        Self::serving(settings, ServerSettings::default())
    }

    /// The same with an API that serves many clients at once.
    pub(crate) fn wide(settings: Settings) -> Self {
        Self::serving(settings, ServerSettings { descriptors: 160, ..ServerSettings::default() })
    }

    /// The same with settings of the API's own.
    pub(crate) fn serving(settings: Settings, api: ServerSettings) -> Self {
        let proxy = Proxy::bind(settings).expect("free ports");
        let control = proxy.control();
        let any = "127.0.0.1:0".parse().expect("an address");
        let registry = Arc::new(Registry::new(proxy.control(), proxy.routes()));
        let server = Server::start_with(any, registry, api).expect("a free port");
        let proxy = std::thread::spawn(move || drop(proxy.run()));
        Self { api: server.address(), control, server: Some(server), proxy: Some(proxy) }
    }

    /// Asks, and returns the answer.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        self.ask_with(method, path, &[], body)
    }

    /// The same with further headers.
    pub(crate) fn ask_with(
        &self,
        method: &str,
        path: &str,
        headers: &[&str],
        body: &str,
    ) -> Answer {
        let mut stream = TcpStream::connect(self.api).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let more: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
             Content-Length: {length}\r\n{more}\r\n",
            self.api
        );
        stream.write_all((head + body).as_bytes()).expect("it reads");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("it answers in time, in UTF-8");
        Answer::read(&text)
    }

    /// Sends bytes as they are, and returns whatever comes until the connection ends.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.api).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        // It may have ended before it has read all.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("it hangs"),
            _ => answer,
        }
    }

    /// Creates a proxy, and returns where it listens.
    pub(crate) fn create(&self, name: &str, upstream: SocketAddr) -> SocketAddr {
        let body = format!(r#"{{"name":"{name}","listen":"127.0.0.1:0","upstream":"{upstream}"}}"#);
        let answer = self.ask("POST", "/proxies", &body);
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["listen"].as_str().expect("a text").parse().expect("the bound address")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.server.take());
        self.control.stop_within(Duration::ZERO);
        if let Some(proxy) = self.proxy.take() {
            proxy.join().expect("the proxy does not panic");
        }
    }
}

/// An answer, as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Self { status: status.expect("a status"), head: head.into(), body: body.into() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("the body is JSON")
    }
}

/// A server that sends back what it gets, until the test ends.
pub(crate) fn echo_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut to = stream.try_clone().expect("a second handle");
                let mut from = stream;
                // It ends with the connection, one way or the other.
                let _ = std::io::copy(&mut from, &mut to);
            });
        }
    });
    address
}
