//! Thousands of calls leave no memory and no thread behind. Alone in its process, so that it
//! measures itself.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use support::{PATIENCE, Running, echo_server};

/// A number of `/proc/self/status`.
fn status(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with(&format!("{name}:"))).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// A client that keeps its connection.
struct Client(BufReader<TcpStream>, String);

impl Client {
    fn call(&mut self, method: &str, path: &str, body: &str) -> u16 {
        let (host, length) = (&self.1, body.len());
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n");
        self.0.get_mut().write_all((request + body).as_bytes()).unwrap();
        let (mut code, mut rest) = (0, 0);
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "it was closed");
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(status) = line.strip_prefix("http/1.1 ") {
                code = status[..3].parse().unwrap();
            } else if let Some(length) = line.strip_prefix("content-length: ") {
                rest = length.parse().unwrap();
            } else if line.is_empty() {
                let mut body = vec![0; rest];
                self.0.read_exact(&mut body).unwrap();
                return code;
            }
        }
    }
}

#[test]
fn five_thousand_calls_leave_nothing_behind() {
    let running = Running::start();
    let upstream = echo_server();
    let stream = TcpStream::connect(running.api).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut client = Client(BufReader::new(stream), running.api.to_string());
    let proxy = json!({ "name": "p", "listen": "127.0.0.1:0", "upstream": upstream.to_string() });
    let (proxy, toxic) = (proxy.to_string(), r#"{"type":"latency","attributes":{"latency":1}}"#);
    let calls: [(&str, &str, &str, u16); 10] = [
        ("POST", "/proxies", &proxy, 201),
        ("POST", "/proxies/p/toxics", toxic, 200),
        ("PATCH", "/proxies/p/toxics/latency_downstream", r#"{"attributes":{"latency":2}}"#, 200),
        ("GET", "/proxies", "", 200),
        ("POST", "/proxies/p", r#"{"enabled":false}"#, 200),
        ("POST", "/proxies/p", r#"{"enabled":true}"#, 200),
        ("DELETE", "/proxies/p/toxics/latency_downstream", "", 204),
        ("POST", "/reset", "", 204),
        ("DELETE", "/proxies/p", "", 204),
        ("GET", "/nope", "", 404),
    ];
    let mut round = |rounds: usize| {
        for _ in 0..rounds {
            for (method, path, body, status) in calls {
                assert_eq!(client.call(method, path, body), status, "{method} {path}");
            }
        }
    };
    // Pools fill, once.
    round(100);
    let (kibibytes, threads) = (status("VmRSS"), status("Threads"));
    round(400);
    let (grown, more) = (status("VmRSS") as i64 - kibibytes as i64, status("Threads"));
    assert!(grown < 4096, "{grown} KiB");
    // The pool of those who wait for the proxy may fill further, up to its bound.
    assert!(more <= threads + 16, "{threads} threads became {more}");
}
