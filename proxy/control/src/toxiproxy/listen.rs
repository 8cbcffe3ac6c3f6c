//! Addresses to listen on as Go reads them, and what it says of those it cannot.

use jostle_engine::route::HostPort;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// What stands in front of what the system says: the operation and the network.
const LISTEN: &str = "listen tcp";

/// Reads `HOST:PORT` to listen on. Nothing is any address and a port of the system's choice, and so
/// is a part that is missing; a port may be a service's name.
pub(super) fn parse(text: &str, service: impl Fn(&str) -> Option<u16>) -> Result<HostPort, String> {
    if text.is_empty() {
        return Ok(HostPort { host: Ipv6Addr::UNSPECIFIED.to_string(), port: 0 });
    }
    let invalid = |problem: &str| format!("{LISTEN}: address {text}: {problem}");
    let (host, port) = split(text).map_err(invalid)?;
    let port = match port {
        "" => 0,
        number if number.bytes().all(|digit| digit.is_ascii_digit()) => {
            number.parse().map_err(|_| format!("{LISTEN}: address {number}: invalid port"))?
        }
        name => service(name)
            .ok_or_else(|| format!("{LISTEN}: lookup tcp/{}: unknown port", name.escape_debug()))?,
    };
    // Every address is one socket for both families, however it is written.
    let any = host.is_empty() || host.parse().is_ok_and(|ip: IpAddr| ip.is_unspecified());
    let host = if any { Ipv6Addr::UNSPECIFIED.to_string() } else { host.to_owned() };
    Ok(HostPort { host, port })
}

/// Splits host and port at the last colon, an IPv6 address standing in brackets.
fn split(text: &str) -> Result<(&str, &str), &'static str> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("missing ']' in address")?;
        let port = rest.strip_prefix(':').ok_or("missing port in address")?;
        return Ok((host, port));
    }
    let (host, port) = text.rsplit_once(':').ok_or("missing port in address")?;
    if host.contains(':') {
        return Err("too many colons in address");
    }
    Ok((host, port))
}

/// Returns true if what is asked for is what a proxy listens on already.
pub(super) fn is_same(asked: &HostPort, bound: SocketAddr) -> bool {
    let host = asked.host.parse::<IpAddr>();
    let same = match (host, asked.host.as_str()) {
        (Ok(ip), _) => ip == bound.ip(),
        (Err(_), "localhost") => bound.ip().is_loopback(),
        (Err(_), _) => false,
    };
    same && asked.port == bound.port()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        parse(text, |name| {
            [("http-alt", 8080), ("http", 80)]
                .into_iter()
                .find(|(known, _)| *known == name)
                .map(|(_, port)| port)
        })
        .map(|address| address.to_string())
    }

    #[test]
    fn addresses_are_read_as_go_reads_them() {
        assert_eq!(read("localhost:3310").unwrap(), "localhost:3310");
        for any in ["", ":0", "0.0.0.0:0", "[::]:0", ":"] {
            assert_eq!(read(any).unwrap(), "[::]:0", "{any}");
        }
        assert_eq!(read("[::1]:53").unwrap(), "[::1]:53");
        assert_eq!(read("127.0.0.1:http-alt").unwrap(), "127.0.0.1:8080");
    }

    #[test]
    fn what_cannot_be_read_is_refused_in_go_s_words() {
        let said = |text: &str| read(text).unwrap_err();
        assert_eq!(said("local373"), "listen tcp: address local373: missing port in address");
        assert_eq!(said("127.0.0.1:99999"), "listen tcp: address 99999: invalid port");
        assert_eq!(said("127.0.0.1:nope"), "listen tcp: lookup tcp/nope: unknown port");
        assert_eq!(said("::1:80"), "listen tcp: address ::1:80: too many colons in address");
        assert_eq!(said("[::1:80"), "listen tcp: address [::1:80: missing ']' in address");
    }

    #[test]
    fn what_a_proxy_listens_on_is_recognised() {
        let same = |asked: &str, bound: &str| {
            is_same(&parse(asked, |_| None).unwrap(), bound.parse().unwrap())
        };
        assert!(same("localhost:21020", "127.0.0.1:21020"));
        assert!(same(":80", "[::]:80") && same("0.0.0.0:80", "[::]:80"));
        assert!(!same("127.0.0.1:0", "127.0.0.1:21020"));
        assert!(!same("127.0.0.1:1", "127.0.0.1:2") && !same("127.0.0.2:1", "127.0.0.1:1"));
    }
}
