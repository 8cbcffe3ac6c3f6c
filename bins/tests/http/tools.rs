//! A site to serve, curl, and bare connections.

use crate::proxy_support::installed;
use crate::support::{Server, bytes};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A folder with `public` to serve, `incoming` for uploads, and a secret beside them.
pub(crate) struct Site {
    pub(crate) folder: tempfile::TempDir,
}

impl Site {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let site = Self { folder };
        std::fs::create_dir_all(site.path("public/deep")).unwrap();
        site.write("public/hello.txt", b"hello world\n");
        site.write("public/song.mp3", &bytes(300_000));
        site.write("public/deep/index.html", b"<h1>deep</h1>");
        site.write("secret.txt", SECRET.as_bytes());
        site
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn write(&self, name: &str, content: &[u8]) {
        std::fs::write(self.path(name), content).unwrap();
    }

    /// Serves `public`, takes uploads into `incoming`.
    pub(crate) fn serve(&self, more: &[&str]) -> Server {
        let (root, uploads) = (self.text("public"), self.text("incoming"));
        Server::start(&[&["http", "--root", &root, "--uploads", &uploads], more].concat())
    }
}

/// What must never leave the server.
pub(crate) const SECRET: &str = "the secret beside the root";

/// Runs curl; `None`, aloud, when it is not installed. Returns what it printed.
pub(crate) fn curl(arguments: &[&str]) -> Option<String> {
    if !installed("curl") {
        return None;
    }
    let output =
        Command::new("curl").args(["-sS", "--max-time", "30"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A bare connection with patience.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Sends bytes, ends its half, and returns all that comes.
pub(crate) fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = connect(address);
    stream.write_all(request).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// The status of the first answer in `text`.
pub(crate) fn status(text: &str) -> u16 {
    let line = text.lines().next().unwrap_or_default();
    line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
}

/// A header of an answer, or of several.
pub(crate) fn headers<'t>(text: &'t str, name: &str) -> Vec<&'t str> {
    let fields = text.lines().filter_map(|line| line.split_once(": "));
    fields.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
}

/// Reads one answer with a `Content-Length`: its head and its body.
pub(crate) fn answer(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&head));
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length =
        headers(&head, "content-length").first().map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    (head, body)
}

/// How a server ended: its status, and its summary without what it printed before.
pub(crate) fn end((status, lines): (Option<i32>, Vec<Value>)) -> (Option<i32>, Value) {
    let summary = lines.last().unwrap();
    assert_eq!(summary["event"], "summary");
    (status, summary.clone())
}

/// The names in a folder that may not be there.
pub(crate) fn names_in(folder: &Path) -> Vec<String> {
    if folder.exists() { crate::support::names(folder) } else { Vec::new() }
}
