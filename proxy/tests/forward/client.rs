//! A client written by hand, and servers to go to.

use crate::support::{PATIENCE, Running, settings};
use jostle_common::chance::Direction;
use jostle_common::transport::Transport;
use jostle_proxy::{LinkSummary, Summary};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;

/// The ways in which a route may carry connections: straight, by rules on the stream itself, and as
/// modelled segments.
pub(crate) const WAYS: [(&str, &str); 3] = [
    ("straight", ""),
    (
        "raw",
        r#", "tcp": "raw", "unit": "read", "profile": { "both": [ { "rule": "delay", "time": "2ms" } ] }"#,
    ),
    ("modelled", r#", "profile": { "both": [ { "rule": "delay", "time": "2ms" } ] }"#),
];

/// Starts a proxy with one route of this scheme, whose clients may take their time.
pub(crate) fn forward(scheme: &str, more: &str) -> Running {
    let mut settings = settings(&format!(r#"{{ "listen": "{scheme}://127.0.0.1:0"{more} }}"#));
    settings.negotiation_timeout = 10 * PATIENCE;
    Running::with(settings)
}

pub(crate) fn connect(proxy: &Running) -> TcpStream {
    let stream = TcpStream::connect(proxy.address(Transport::Tcp)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// A SOCKS5 request for a host as text and a port, greeting included.
pub(crate) fn socks_request(host: &str, port: u16) -> Vec<u8> {
    let host = [&[u8::try_from(host.len()).unwrap()], host.as_bytes()].concat();
    [&[5, 1, 0, 5, 1, 0, 3], &host[..], &port.to_be_bytes()].concat()
}

/// Reads the answer to a greeting and to a request: the reply.
pub(crate) fn socks_reply(stream: &mut TcpStream) -> u8 {
    let mut answer = [0; 2 + 10];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer[..3], [5, 0, 5], "no user is wanted");
    assert_eq!(answer[4..6], [0, 1], "an IPv4 address stands there");
    answer[3]
}

/// Connects to an address through SOCKS5.
pub(crate) fn through_socks(proxy: &Running, target: SocketAddr) -> TcpStream {
    let mut stream = connect(proxy);
    stream.write_all(&socks_request(&target.ip().to_string(), target.port())).unwrap();
    assert_eq!(socks_reply(&mut stream), 0);
    stream
}

/// Reads until the end.
pub(crate) fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

/// A server for one client: it reads to the end, then answers with `answer` and ends. It returns
/// what it read.
pub(crate) fn serve_once(answer: Vec<u8>) -> (SocketAddr, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let bytes = read_all(&mut stream);
        stream.write_all(&answer).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        bytes
    });
    (address, thread)
}

/// Bytes that do not repeat soon.
pub(crate) fn pattern(count: usize) -> Vec<u8> {
    (0..count as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 37) as u8).collect()
}

/// A count of the only TCP relay.
pub(crate) fn count(summary: &Summary, name: &str) -> u64 {
    let tcp = summary.sockets.iter().find(|sockets| sockets.protocol == Transport::Tcp).unwrap();
    tcp.counts.get(name).copied().unwrap_or_else(|| panic!("{name} is counted"))
}

/// What the TCP links did, up and down.
pub(crate) fn links(summary: &Summary) -> [&LinkSummary; 2] {
    Direction::BOTH.map(|direction| {
        let is_it =
            |link: &&LinkSummary| link.protocol == Transport::Tcp && link.direction == direction;
        summary.links.iter().find(is_it).unwrap()
    })
}
