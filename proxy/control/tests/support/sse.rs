//! A reader of server-sent events.

use super::PATIENCE;
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};

/// An answer that goes on.
pub(crate) struct EventSource {
    lines: BufReader<TcpStream>,
    pub(crate) head: String,
}

impl EventSource {
    /// Asks, and reads the head of the answer.
    pub(crate) fn open(api: SocketAddr, path: &str) -> Self {
        let mut stream = TcpStream::connect(api).expect("it listens");
        // To HTTP/1.0 the body comes without chunks.
        let request = format!("GET {path} HTTP/1.0\r\nHost: {api}\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it reads");
        Self::of(stream)
    }

    /// Reads the head of the answer to what was asked already.
    pub(crate) fn of(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let mut source = Self { lines: BufReader::new(stream), head: String::new() };
        loop {
            let line = source.line();
            if line.is_empty() {
                return source;
            }
            source.head += &(line + "\n");
        }
    }

    /// Returns the status of the answer.
    pub(crate) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status")
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("it goes on in time");
        assert!(line.ends_with('\n'), "it has ended: {line:?}");
        line.trim_end().to_owned()
    }

    /// Returns the next event: its name and its data.
    pub(crate) fn next(&mut self) -> (String, Value) {
        let (mut name, mut data) = (String::new(), String::new());
        loop {
            let line = self.line();
            match line.split_once(':') {
                None if data.is_empty() => {}
                None => return (name, serde_json::from_str(&data).expect("the data is JSON")),
                Some(("event", text)) => name = text.trim_start().to_owned(),
                Some(("data", text)) => data += text.trim_start(),
                Some(_) => {}
            }
        }
    }

    /// Returns the data of the next event of a name; what comes before it is skipped.
    pub(crate) fn next_of(&mut self, wanted: &str) -> Value {
        loop {
            let (name, data) = self.next();
            if name == wanted {
                return data;
            }
        }
    }
}
