//! The hosts that a request may ask for.
//!
//! A page can be made to reach us under a name of its owner, by an answer of the DNS that changes
//! (DNS rebinding); the browser then takes us for a part of that site. It still says which name it
//! asks for.

use std::net::IpAddr;

/// The names and addresses that are ours.
#[derive(Debug)]
pub(super) struct Hosts {
    bound: IpAddr,
    names: Vec<String>,
}

impl Hosts {
    pub(super) fn new(bound: IpAddr, names: &[String]) -> Self {
        Self { bound: bound.to_canonical(), names: names.to_vec() }
    }

    /// Returns true if a host is ours. Its port does not matter: a tunnel may have another.
    pub(super) fn contain(&self, host: &str) -> bool {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        if let Ok(address) = bare.parse::<IpAddr>() {
            let address = address.to_canonical();
            // An address leads where it says; where all are listened on, all are ours.
            return address.is_loopback()
                || address == self.bound
                || self.bound.is_unspecified()
                || self.is_named(bare);
        }
        let name = host.strip_suffix('.').unwrap_or(host);
        // Names under localhost are loopback's, and nobody else can have one (RFC 6761, 6.3).
        is_or_ends_with(name, "localhost") || self.is_named(name)
    }

    fn is_named(&self, host: &str) -> bool {
        self.names.iter().any(|name| name.eq_ignore_ascii_case(host))
    }
}

/// Returns true for a domain and what is under it.
fn is_or_ends_with(name: &str, domain: &str) -> bool {
    let Some(at) = name.len().checked_sub(domain.len()) else { return false };
    let Some((before, end)) = name.split_at_checked(at) else { return false };
    end.eq_ignore_ascii_case(domain) && (before.is_empty() || before.ends_with('.'))
}

/// Returns the host of `host` or `host:port`; `None` if it is neither.
pub(super) fn host_of(authority: &str) -> Option<&str> {
    let (host, port) = match authority.find(']') {
        Some(end) if authority.starts_with('[') => authority.split_at(end + 1),
        _ => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let is_host = !host.is_empty() && !host.contains(['@', '/', '\\', ' ']);
    let is_port = match port.strip_prefix(':') {
        Some(digits) => digits.bytes().all(|digit| digit.is_ascii_digit()),
        None => port.is_empty(),
    };
    (is_host && is_port).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_what_stands_in_front_of_a_port() {
        for (authority, host) in [
            ("localhost", Some("localhost")),
            ("localhost:8474", Some("localhost")),
            ("localhost:", Some("localhost")),
            ("[::1]:8474", Some("[::1]")),
            ("[::1]", Some("[::1]")),
            ("", None),
            (":8474", None),
            ("localhost:84x", None),
            ("a@localhost", None),
            ("localhost:1:2", None),
            ("[::1]x", None),
        ] {
            assert_eq!(host_of(authority), host, "{authority}");
        }
    }

    #[test]
    fn loopback_the_bound_address_and_given_names_are_ours() {
        let hosts = Hosts::new("10.1.2.3".parse().unwrap(), &["Proxy.test".into()]);
        for ours in [
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "127.0.0.1",
            "127.9.9.9",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "10.1.2.3",
            "proxy.TEST",
            "proxy.test.",
        ] {
            assert!(hosts.contain(ours), "{ours}");
        }
        for other in [
            "evil.test",
            "localhost.evil.test",
            "notlocalhost",
            "10.1.2.4",
            "0.0.0.0",
            "x.proxy.test",
            "2130706433",
            "ocalhost",
            "éocalhost",
        ] {
            assert!(!hosts.contain(other), "{other}");
        }
        let all = Hosts::new("0.0.0.0".parse().unwrap(), &[]);
        assert!(all.contain("192.0.2.7") && !all.contain("evil.test"));
    }
}
