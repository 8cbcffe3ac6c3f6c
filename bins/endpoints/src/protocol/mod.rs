//! The protocols of the endpoints as sans-I/O state machines: datagrams and time go in, datagrams
//! and deadlines come out.
//!
//! An [`Endpoint`] is driven by a real socket in the programs and by virtual time in a study, so
//! what is measured in one holds in the other. The caller's rule, after every event:
//! send what [`Endpoint::poll`] returns until it returns `None`, then wait for a datagram or for
//! [`Endpoint::deadline`]. The formats on the wire are specified in `docs/protocols.md`; whatever
//! else arrives is counted and ignored.

pub mod clock;
pub mod cookie;
pub mod echo;
pub mod file;
pub mod finishing;
pub mod hint;
pub mod jitter;
pub mod line_server;
pub mod lines;
pub mod messages;
pub mod pacer;
pub mod ping;
pub mod reflector;
pub mod repeats;
pub mod saw;
pub mod socks5;
pub mod storage;
pub mod stream;
pub mod timer;
pub mod wire;

use bytes::Bytes;
use hint::Hint;
use jostle_common::ecn::Ecn;
use jostle_common::time::Instant;
use std::net::{IpAddr, SocketAddr};

/// The bytes of a file that one packet carries.
pub const CHUNK: usize = 4096;

/// The same, for sums with file sizes.
pub const CHUNK_BYTES: u64 = CHUNK as u64;

/// A datagram to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// The address that it goes to.
    pub to: SocketAddr,
    /// The bytes that it carries.
    pub payload: Bytes,
    /// What its IP header is to say of congestion.
    pub ecn: Ecn,
}

impl Transmit {
    /// Makes a datagram whose sender takes no marks.
    pub const fn new(to: SocketAddr, payload: Bytes) -> Self {
        Self { to, payload, ecn: Ecn::NotEct }
    }
}

/// One end of a protocol over datagrams.
pub trait Endpoint {
    /// Takes in a datagram that arrived from `from` at `now`. Never panics, whatever it holds.
    fn handle(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]);

    /// Takes in a datagram of which it is known what its IP header said of congestion.
    fn handle_marked(&mut self, now: Instant, from: SocketAddr, ecn: Ecn, datagram: &[u8]) {
        let _ = ecn;
        self.handle(now, from, datagram);
    }

    /// Returns true if it wants to know that.
    fn hears_marks(&self) -> bool {
        false
    }

    /// Returns the next datagram to send at `now`; `None`: nothing before [`Self::deadline`] or
    /// another datagram.
    fn poll(&mut self, now: Instant) -> Option<Transmit>;

    /// Returns the time at which `poll` next has something to do by itself; `None`: not before
    /// another datagram comes.
    fn deadline(&self) -> Option<Instant>;

    /// Returns true if this end has done its job, well or not: nothing is left to send or to wait
    /// for.
    fn is_finished(&self) -> bool;

    /// Takes in that it is stopped at `now`: what silence would have ended is ended by that.
    fn handle_stop(&mut self, now: Instant) {
        let _ = now;
    }

    /// Returns a remark for people about the peer that was heard last, once: it says what is not
    /// understood.
    fn take_hint(&mut self) -> Option<Hint> {
        None
    }

    /// Takes in that the network said at `now` that nothing listens at `to` (an ICMP refusal).
    fn handle_refusal(&mut self, now: Instant, to: SocketAddr) {
        let _ = (now, to);
    }
}

/// A client's end that can begin anew at another address of its server.
pub trait Redirect: Endpoint + Sized {
    /// Returns true if nothing listens at the server, and nothing ever came from it.
    fn is_refused(&self) -> bool;

    /// Begins anew at another address.
    #[must_use]
    fn redirected(self, server: SocketAddr) -> Self;
}

/// Returns true if an address is this machine's own, so that no other host can be flooded
/// through it.
pub const fn is_loopback(address: SocketAddr) -> bool {
    match address.ip() {
        IpAddr::V4(ip) => ip.is_loopback(),
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => ip.is_loopback(),
            None => ip.is_loopback(),
        },
    }
}

/// Returns the number of packets that a file of `size` bytes takes; `None` when their numbers do
/// not fit 32 bits (16 TiB).
pub fn chunks_in(size: u64) -> Option<u32> {
    u32::try_from(size.div_ceil(CHUNK_BYTES)).ok()
}

/// Returns the number of bytes of a file of `size` bytes that packet `number` carries: 0 beyond the
/// end.
pub fn chunk_length(size: u64, number: u32) -> usize {
    size.saturating_sub(u64::from(number) * CHUNK_BYTES).min(CHUNK_BYTES) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_cut_into_chunks_without_rest() {
        for (size, chunks, last) in [
            (0, 0, 0),
            (1, 1, 1),
            (4096, 1, 4096),
            (4097, 2, 1),
            (1 << 20, 256, 4096),
            (960_000, 235, 1536),
        ] {
            assert_eq!(chunks_in(size), Some(chunks), "{size}");
            assert_eq!(chunk_length(size, chunks.saturating_sub(1)), last, "{size}");
            assert_eq!(chunk_length(size, chunks), 0, "{size}");
        }
        assert_eq!(chunks_in(u64::MAX), None);
        assert_eq!(chunk_length(u64::MAX, u32::MAX), CHUNK);
    }

    /// Collects the sources of the machines, without the tests in them.
    fn sources(folder: &std::path::Path, found: &mut Vec<(std::path::PathBuf, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else {
                let text = std::fs::read_to_string(&path).unwrap();
                let (source, _) =
                    text.split_once("#[cfg(test)]\nmod tests {").unwrap_or((&text, ""));
                found.push((path, source.to_owned()));
            }
        }
    }

    #[test]
    fn the_machines_have_no_socket_no_clock_no_file_and_no_terminal() {
        let mut found = Vec::new();
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/protocol");
        sources(&folder, &mut found);
        assert!(found.len() >= 45, "{} files were read", found.len());
        let outside = [
            "mio::",
            "tokio::",
            "std::fs",
            "std::thread",
            "Clock::",
            "Socket::",
            "TcpStream",
            "rand::",
            "jostle_console",
            "jostle_sys",
            "crate::streams",
            "crate::datagrams",
        ];
        for (path, source) in &found {
            for word in outside {
                assert!(!source.contains(word), "{} knows {word}", path.display());
            }
        }
    }

    #[test]
    fn loopback_is_known_in_every_family() {
        for own in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert!(is_loopback(own.parse().unwrap()), "{own}");
        }
        for other in ["10.0.0.1:1", "[fe80::1]:1", "[::ffff:10.0.0.1]:1"] {
            assert!(!is_loopback(other.parse().unwrap()), "{other}");
        }
    }
}
