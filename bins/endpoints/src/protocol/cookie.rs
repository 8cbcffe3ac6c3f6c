//! Cookies, by which a source proves that it gets what is sent to its address: whoever forges
//! another's address does not see the cookie. The server remembers nothing about it (as TCP's SYN
//! cookies, DTLS and QUIC's Retry do; RFC 9000 §8.1.2).

use jostle_common::digest::{Digest, Hasher};
use jostle_common::time::Instant;
use std::net::{IpAddr, SocketAddr};

/// The bytes of a cookie.
pub const COOKIE_SIZE: usize = 16;
/// The time for which the same cookie is given; it is taken for as long again.
const EPOCH_SECS: u64 = 60;

/// A cookie; never all zeros, which stands for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookie([u8; COOKIE_SIZE]);

impl Cookie {
    /// Reads a cookie; `None` when the bytes stand for none.
    pub fn read(bytes: [u8; COOKIE_SIZE]) -> Option<Self> {
        (bytes != [0; COOKIE_SIZE]).then_some(Self(bytes))
    }

    /// Returns the bytes that stand for a cookie or for none.
    pub fn bytes(cookie: Option<Self>) -> [u8; COOKIE_SIZE] {
        cookie.map_or([0; COOKIE_SIZE], |cookie| cookie.0)
    }
}

/// Gives cookies, and knows them again.
#[derive(Clone, Copy)]
pub struct CookieJar {
    secret: [u8; 32],
}

impl std::fmt::Debug for CookieJar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CookieJar")
    }
}

impl CookieJar {
    /// Creates a jar with a secret, which must be random where cookies shall prove anything.
    pub const fn new(secret: [u8; 32]) -> Self {
        Self { secret }
    }

    /// Returns the cookie of a source at `now`.
    pub fn cookie(&self, now: Instant, source: SocketAddr) -> Cookie {
        self.of_epoch(epoch(now), source)
    }

    /// Returns true if `source` was given this cookie not long ago.
    pub fn knows(&self, now: Instant, source: SocketAddr, cookie: Cookie) -> bool {
        let epoch = epoch(now);
        [Some(epoch), epoch.checked_sub(1)]
            .into_iter()
            .flatten()
            .any(|epoch| self.of_epoch(epoch, source) == cookie)
    }

    /// Hashes secret and message. Its length is fixed and it is cut to half, so that nobody can
    /// go on from a cookie to the hash of a longer message; an HMAC would say no more.
    fn of_epoch(&self, epoch: u64, source: SocketAddr) -> Cookie {
        let mut hasher = Hasher::new();
        hasher.update(&self.secret);
        hasher.update(&epoch.to_be_bytes());
        let address = match source.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        hasher.update(&address.octets());
        hasher.update(&source.port().to_be_bytes());
        let Digest(hash) = hasher.finish();
        let (bytes, _) = hash.split_first_chunk().expect("a digest is longer than a cookie");
        // One hash in 2^128 is all zeros.
        Cookie::read(*bytes).unwrap_or(Cookie([1; COOKIE_SIZE]))
    }
}

const fn epoch(now: Instant) -> u64 {
    now.as_nanos() / (EPOCH_SECS * 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_holds_for_one_source_and_for_a_minute_or_two() {
        let jar = CookieJar::new([7; 32]);
        let sources = ["192.0.2.1:5000", "192.0.2.1:5001", "192.0.2.2:5000", "[2001:db8::1]:5000"]
            .map(|source| source.parse().unwrap());
        for given in [0, 59, 60, 1_000_000] {
            for source in sources {
                let cookie = jar.cookie(Instant::from_secs(given), source);
                for (later, holds) in [(0, true), (60, true), (120, false), (100_000, false)] {
                    let now = Instant::from_secs(given + later);
                    assert_eq!(jar.knows(now, source, cookie), holds, "{given} + {later}");
                }
                for other in sources.iter().filter(|other| **other != source) {
                    assert!(!jar.knows(Instant::from_secs(given), *other, cookie), "{other}");
                }
                let other = CookieJar::new([8; 32]);
                assert!(!other.knows(Instant::from_secs(given), source, cookie));
            }
        }
    }

    #[test]
    fn zeros_are_no_cookie() {
        assert_eq!(Cookie::read([0; COOKIE_SIZE]), None);
        assert_eq!(Cookie::bytes(None), [0; COOKIE_SIZE]);
        let cookie = Cookie::read([9; COOKIE_SIZE]);
        assert_eq!(Cookie::read(Cookie::bytes(cookie)), cookie);
    }
}
