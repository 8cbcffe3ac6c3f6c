//! Addresses that people write: `HOST:PORT`, with names and IPv6.

use anyhow::Context;
use jostle_console::exit::Usage;
use std::net::{SocketAddr, ToSocketAddrs};

/// Reads `HOST:PORT`, `HOST` (then with `port`), `[::1]:PORT`, or any of them behind `scheme://`,
/// and resolves the host. The addresses come in the system's order of preference; there is at least
/// one.
///
/// # Errors
/// A [`Usage`] when it is written wrongly; another error when the host is unknown.
pub(crate) fn resolve(text: &str, scheme: &str, port: u16) -> anyhow::Result<Vec<SocketAddr>> {
    let (host, port) = read(text, scheme, port)?;
    let found: Vec<_> = (host, port)
        .to_socket_addrs()
        .with_context(|| format!("cannot find the host \"{host}\""))?
        .collect();
    anyhow::ensure!(!found.is_empty(), "the host \"{host}\" has no address");
    Ok(found)
}

/// Reads the same without resolving it: the host, and the port.
///
/// # Errors
/// A [`Usage`] when it is written wrongly.
pub(crate) fn read<'a>(text: &'a str, scheme: &str, port: u16) -> anyhow::Result<(&'a str, u16)> {
    let bare = match text.split_once("://") {
        Some((found, rest)) if found == scheme => rest,
        Some((found, rest)) => {
            return Err(Usage::error(format!(
                "\"{text}\" says {found}, this is {scheme}; write {scheme}://{rest}"
            )));
        }
        None => text,
    };
    if let Ok(port) = bare.parse::<u16>() {
        return Err(Usage::error(format!("\"{text}\" names no host; write 127.0.0.1:{port}, say")));
    }
    split(bare, port).ok_or_else(|| {
        Usage::error(format!(
            "\"{text}\" is not an address; write HOST:PORT, such as 127.0.0.1:{port} or \
             [::1]:{port}"
        ))
    })
}

/// Returns the one address to listen on: `localhost` is 127.0.0.1, where IPv4-only programs look.
///
/// # Errors
/// As [`resolve`].
pub(crate) fn resolve_listener(text: &str, scheme: &str, port: u16) -> anyhow::Result<SocketAddr> {
    let found = resolve(text, scheme, port)?;
    let first_v4 = found.iter().find(|address| address.is_ipv4() && address.ip().is_loopback());
    Ok(*first_v4.unwrap_or(&found[0]))
}

/// Returns the host and the port, `port` when there is none. An IPv6 address with a port needs its
/// brackets.
fn split(text: &str, port: u16) -> Option<(&str, u16)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        let port = if rest.is_empty() { port } else { rest.strip_prefix(':')?.parse().ok()? };
        return (!host.is_empty()).then_some((host, port));
    }
    match text.rsplit_once(':') {
        _ if text.is_empty() => None,
        None => Some((text, port)),
        Some((host, _)) if host.contains(':') => Some((text, port)),
        Some(("", _)) => None,
        Some((host, port)) => Some((host, port.parse().ok()?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_way_to_write_an_address() {
        for (text, host, port) in [
            ("127.0.0.1:80", "127.0.0.1", 80),
            ("127.0.0.1", "127.0.0.1", 9001),
            ("[::1]:80", "::1", 80),
            ("[::1]", "::1", 9001),
            ("::1", "::1", 9001),
            ("host.example:0", "host.example", 0),
        ] {
            assert_eq!(split(text, 9001), Some((host, port)), "{text}");
        }
        for text in ["", ":80", "host:port", "host:99999", "[::1", "[]:80", "[::1]80", "host:"] {
            assert_eq!(split(text, 9001), None, "{text}");
        }
    }

    #[test]
    fn a_wrong_scheme_is_wrong_usage_and_an_unknown_host_is_not() {
        let usage = |text| resolve(text, "udp", 9001).unwrap_err().is::<Usage>();
        assert!(usage("tcp://127.0.0.1:1"));
        assert!(usage("127.0.0.1:x"));
        // The system would take it for an address.
        let said = resolve("8080", "udp", 9001).unwrap_err().to_string();
        assert_eq!(said, "\"8080\" names no host; write 127.0.0.1:8080, say");
        assert!(!usage("no-such-host.invalid:1"));
        assert_eq!(
            resolve("udp://127.0.0.1:7", "udp", 9001).unwrap(),
            ["127.0.0.1:7".parse().unwrap()]
        );
    }

    #[test]
    fn localhost_listens_on_ipv4() {
        assert_eq!(
            resolve_listener("localhost:7", "udp", 1).unwrap(),
            "127.0.0.1:7".parse().unwrap()
        );
        assert_eq!(resolve_listener("[::1]:7", "udp", 1).unwrap(), "[::1]:7".parse().unwrap());
    }
}
