//! Addresses as people write them: of listeners, and of servers.

use super::{HostPort, Scheme, Transports, services};

/// Reads `SCHEME://HOST:PORT` of one of [`Scheme::ALL`], TCP without one; an empty host is every
/// address.
///
/// # Errors
/// What is wrong, with the remedy.
pub fn parse_listen(text: &str) -> Result<(Scheme, HostPort), String> {
    let (scheme, rest) = match text.split_once("://") {
        Some((name, rest)) => {
            let unknown = || {
                format!(
                    "\"{name}://\" is not relayed; write udp://, tcp:// or both://, or socks5:// \
                     or http-proxy:// for clients that say where they want to go"
                )
            };
            (Scheme::named(name).ok_or_else(unknown)?, rest)
        }
        None => (Scheme::Plain(Transports::Tcp), text),
    };
    let mut listen = parse_host_port(rest)?;
    if listen.host.is_empty() {
        listen.host = "::".into();
    }
    Ok((scheme, listen))
}

/// Reads `HOST:PORT` of a server.
///
/// # Errors
/// What is wrong, with the remedy.
pub fn parse_upstream(text: &str) -> Result<HostPort, String> {
    let upstream = parse_host_port(text)?;
    if upstream.host.is_empty() {
        return Err(format!("\"{text}\" names no host; write 127.0.0.1{text}, say"));
    }
    if upstream.port == 0 {
        return Err(format!(
            "\"{text}\" has port 0, which nobody can be reached at; write the server's port"
        ));
    }
    Ok(upstream)
}

/// Reads `HOST:PORT`; an IPv6 address stands in brackets.
fn parse_host_port(text: &str) -> Result<HostPort, String> {
    let (host, port) = text
        .rsplit_once(':')
        .filter(|(host, _)| !host.contains(':') || (host.starts_with('[') && host.ends_with(']')))
        .ok_or_else(|| match text.parse::<u16>() {
            Ok(port) => format!("\"{text}\" names no host; write 127.0.0.1:{port}, say"),
            Err(_) => {
                format!(
                    "\"{text}\" is not an address; write HOST:PORT, an IPv6 address as [::1]:PORT"
                )
            }
        })?;
    let port = port
        .parse()
        .ok()
        .or_else(|| services::service_port(port))
        .ok_or_else(|| format!("\"{port}\" is not a port; write a number from 0 to 65535"))?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if host.contains(char::is_whitespace) || host.contains('/') {
        return Err(format!("\"{host}\" is not a host; write a name or an address"));
    }
    Ok(HostPort { host: host.into(), port })
}
