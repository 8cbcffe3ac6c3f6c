//! The names by which the server may be asked for.
//!
//! A page of another site can make a visitor's browser take a name of that site for our address
//! (DNS rebinding), and would then read our answers as its own. An address is no name, and some
//! names no public resolver leads anywhere; every other name has to be given.

use hyper::header::{HOST, HeaderMap};
use std::net::{IpAddr, Ipv6Addr};

/// The ends of names that are nobody's in the public DNS: RFC 6761, RFC 6762, RFC 8375, and ICANN's
/// resolution 2024.07.29.06.
const PRIVATE: [&str; 4] = ["localhost", "local", "home.arpa", "internal"];

/// The names that were given, besides addresses and names without a public meaning.
#[derive(Clone, Debug, Default)]
pub(super) struct Hosts(Vec<String>);

impl Hosts {
    /// Takes the given names, and the machine's own.
    pub(super) fn new(given: &[String], machine: Option<&str>) -> Self {
        Self(given.iter().map(String::as_str).chain(machine).map(bare).collect())
    }

    /// Checks the names of a request: the authority of its target, if there is one, and its `Host`.
    ///
    /// # Errors
    /// The reason, for the client.
    pub(super) fn check(&self, target: Option<&str>, headers: &HeaderMap) -> Result<(), String> {
        let host = headers.get(HOST).map(|host| String::from_utf8_lossy(host.as_bytes()));
        match target.into_iter().chain(host.as_deref()).find(|name| !self.knows(name)) {
            None => Ok(()),
            Some(authority) => {
                let name = bare(host_name(authority));
                let reason = "this server does not know itself as";
                Err(format!("{reason} {name}; start it with --allow-host {name}"))
            }
        }
    }

    /// Returns true if `authority` (`HOST` or `HOST:PORT`) cannot be somebody else's name for us.
    pub(super) fn knows(&self, authority: &str) -> bool {
        let name = bare(host_name(authority));
        is_address(&name) || is_private(&name) || self.0.contains(&name)
    }
}

/// Returns the host of `HOST:PORT`, without the brackets of an IPv6 address.
fn host_name(authority: &str) -> &str {
    match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => authority.rsplit_once(':').map_or(authority, |(name, _)| name),
    }
}

/// Returns a name in small letters, without the final dot of the DNS.
fn bare(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Returns true for an address in any of the ways that programs read one: what ends in a number is
/// never looked up as a name (WHATWG URL, "ends in a number").
fn is_address(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_hex = last
        .strip_prefix("0x")
        .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let is_number = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    // An address on one link has the link behind a percent sign.
    let unscoped = name.split('%').next().unwrap_or_default();
    is_number || is_hex || name.parse::<IpAddr>().is_ok() || unscoped.parse::<Ipv6Addr>().is_ok()
}

/// Returns true for a name without a dot, which only the machine's own network knows, and for those
/// that end like one.
fn is_private(name: &str) -> bool {
    let ends_so = |end: &str| {
        name.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    !name.is_empty() && (!name.contains('.') || PRIVATE.into_iter().any(ends_so))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> Hosts {
        Hosts::new(&["Files.Example".to_owned()], Some("box.corp.example"))
    }

    #[test]
    fn addresses_and_names_that_nobody_else_can_give_us_are_known() {
        for name in [
            "127.0.0.1",
            "127.0.0.1:12345",
            "192.168.1.20:12345",
            "[::1]",
            "[::1]:12345",
            "[fe80::1%25eth0]:80",
            "[fe80::1%eth0]",
            "127.1",
            "2130706433",
            "0x7f.1",
            "0x7f000001",
            "localhost:8080",
            "LOCALHOST.",
            "app.localhost",
            "printer",
            "printer.local:12345",
            "box.home.arpa",
            "server.namespace.svc.cluster.local",
            "db.internal",
            "files.example",
            "FILES.example.:80",
            "box.corp.example",
        ] {
            assert!(hosts().knows(name), "{name}");
        }
    }

    #[test]
    fn names_that_another_site_can_lead_here_are_not() {
        for name in [
            "evil.example",
            "evil.example:12345",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.1.nip.io",
            "xlocalhost.com",
            "evil.notlocal",
            "a.files.example",
            "files.example.evil.example",
            "corp.example",
            "1.2.3.4.5x",
            "0xz.evil.0xg",
            "",
            ":80",
            ".",
        ] {
            assert!(!hosts().knows(name), "{name}");
        }
    }

    #[test]
    fn the_target_counts_as_well_as_the_host() {
        let check = |target: Option<&str>, host: Option<&str>| {
            let headers = host.map(|host| (HOST, host.parse().unwrap()));
            hosts().check(target, &headers.into_iter().collect())
        };
        for (target, host, expected) in [
            (None, Some("localhost"), true),
            (None, None, true),
            (None, Some("evil.example"), false),
            (Some("localhost"), Some("evil.example"), false),
            (Some("evil.example:80"), Some("localhost"), false),
            (Some("evil.example"), None, false),
            (Some("127.0.0.1"), Some("localhost"), true),
        ] {
            assert_eq!(check(target, host).is_ok(), expected, "{target:?} {host:?}");
        }
        let reason = check(None, Some("Evil.Example:80")).unwrap_err();
        assert!(reason.ends_with("--allow-host evil.example"), "{reason}");
    }
}
