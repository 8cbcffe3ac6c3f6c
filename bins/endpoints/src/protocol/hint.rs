//! Remarks for people about a peer that is not understood: what it said, and the remedy.
//!
//! A machine holds one remark until its driver takes it. A server's driver tells one of each peer,
//! and of a bounded number of peers: whatever comes from the network fills no terminal.

use jostle_common::time::Instant;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// The bytes of what a peer said that are shown.
const EXCERPT_BYTES: usize = 40;
/// The most peers that are remembered as told of.
const PEERS_MAX: usize = 256;
/// The silence after which a peer is forgotten, when the place is needed.
const FORGET: Duration = Duration::from_secs(600);

/// A remark about a peer; not to be printed without escaping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint(Cow<'static, str>);

impl Hint {
    /// Creates a remark in these words, which stand behind the peer's address.
    pub fn new(words: impl Into<Cow<'static, str>>) -> Self {
        Self(words.into())
    }

    /// Creates the remark that `said` is not understood, with the remedy.
    pub fn not_understood(said: &[u8], remedy: &str) -> Self {
        let size = said.len();
        let shown = String::from_utf8_lossy(&said[..size.min(EXCERPT_BYTES)]);
        let said = match size {
            0 => "an empty line".to_owned(),
            1..=EXCERPT_BYTES => format!("\"{shown}\""),
            _ => format!("\"{shown}\" … ({size} bytes)"),
        };
        Self(format!("does not understand {said}; {remedy}").into())
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The peers that were told of.
#[derive(Debug, Default)]
pub struct HintTable {
    /// The peers, and when each last said something that was not understood.
    peers: BTreeMap<SocketAddr, Instant>,
    untold: u64,
}

impl HintTable {
    /// Returns the line to print about `peer`, if one is due: the first of each peer, and one when
    /// there are too many peers.
    pub fn line(&mut self, now: Instant, peer: SocketAddr, hint: &Hint) -> Option<String> {
        if let Some(last) = self.peers.get_mut(&peer) {
            *last = now;
            return None;
        }
        if self.peers.len() >= PEERS_MAX {
            self.peers.retain(|_, last| *last + FORGET > now);
        }
        if self.peers.len() >= PEERS_MAX {
            self.untold += 1;
            return (self.untold == 1).then(|| {
                format!(
                    "more than {PEERS_MAX} peers are not understood; further ones are not named"
                )
            });
        }
        self.peers.insert(peer, now);
        Some(format!("{peer}: the server {hint}"))
    }

    /// Returns the number of hints for which there was no place.
    pub const fn untold(&self) -> u64 {
        self.untold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: usize) -> SocketAddr {
        ([192, 0, 2, 1], 10_000 + number as u16).into()
    }

    #[test]
    fn each_peer_is_told_of_once_and_only_so_many() {
        let (mut table, hint) = (HintTable::default(), Hint::not_understood(b"\x1b[2J", "ask"));
        let first = table.line(Instant::START, peer(0), &hint).unwrap();
        assert_eq!(first, "192.0.2.1:10000: the server does not understand \"\u{1b}[2J\"; ask");
        assert_eq!(table.line(Instant::START, peer(0), &hint), None);
        let told = (1..1000).filter_map(|number| table.line(Instant::START, peer(number), &hint));
        // The rest, and the line that there are more.
        assert_eq!(told.count(), PEERS_MAX - 1 + 1);
        assert_eq!(table.untold(), 1000 - PEERS_MAX as u64);
        assert_eq!(table.peers.len(), PEERS_MAX);
        // A place is free again when its peer was silent for long; one that is not keeps its own.
        let later = Instant::START + FORGET;
        table.line(later - Duration::from_secs(1), peer(0), &hint);
        assert!(table.line(later, peer(1000), &hint).is_some());
        assert_eq!(table.line(later, peer(0), &hint), None);
    }

    #[test]
    fn a_long_text_is_cut() {
        let hint = Hint::not_understood(&[b'x'; 70_000], "stop").to_string();
        assert!(hint.len() < 130 && hint.contains("x\" … (70000 bytes); stop"), "{hint}");
        assert_eq!(Hint::not_understood(b"", "stop").0, "does not understand an empty line; stop");
    }
}
