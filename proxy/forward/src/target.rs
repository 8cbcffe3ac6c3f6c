//! The destination of a request.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// The longest name that the domain name system has (RFC 1035, section 2.3.4).
const NAME_BYTES_MAX: usize = 253;

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The host.
    pub host: Host,
    /// The port, never 0.
    pub port: u16,
}

/// A host as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// An address. An IPv6 address that holds an IPv4 one (`::ffff:127.0.0.1`) is that.
    Address(IpAddr),
    /// A name in lower case, without a dot at its end.
    Name(String),
}

/// The reason why something is no target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// The host is neither a name nor an address.
    #[error("the host is neither a name nor an address")]
    Host,
    /// The port is missing, or no number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    Port,
}

impl Host {
    /// Reads a host without brackets: a name, or an address as text.
    ///
    /// What only some systems take for an address (`0177.1`, `2130706433`, `127.1`) stays a name: a
    /// list of names does not have it, and what the system makes of it is judged as an address.
    ///
    /// # Errors
    /// When it is neither.
    pub fn read(text: &str) -> Result<Self, TargetError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Address(address.to_canonical()));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        // An address with a dot behind it is still that address.
        if let Ok(address) = name.parse::<std::net::Ipv4Addr>() {
            return Ok(Self::Address(address.into()));
        }
        let is_of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let has_empty_label = name.is_empty() || name.split('.').any(str::is_empty);
        if has_empty_label || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_of_a_name) {
            return Err(TargetError::Host);
        }
        Ok(Self::Name(name.to_ascii_lowercase()))
    }
}

impl Host {
    /// Returns it as text without brackets.
    pub fn to_plain(&self) -> String {
        match self {
            Self::Address(address) => address.to_string(),
            Self::Name(name) => name.clone(),
        }
    }
}

impl Target {
    /// Makes a target of a host as text, without brackets, and a port.
    ///
    /// # Errors
    /// When the host is neither a name nor an address, or the port is 0.
    pub fn new(host: &str, port: u16) -> Result<Self, TargetError> {
        if port == 0 {
            return Err(TargetError::Port);
        }
        Ok(Self { host: Host::read(host)?, port })
    }

    /// Reads `HOST:PORT`, or `HOST` if there is a port that is meant without one.
    ///
    /// # Errors
    /// When it is no target.
    pub fn read(text: &str, port: Option<u16>) -> Result<Self, TargetError> {
        let (host, rest) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or(TargetError::Host)?;
                host.parse::<Ipv6Addr>().map_err(|_| TargetError::Host)?;
                (host, rest)
            }
            None => {
                let colon = text.find(':').unwrap_or(text.len());
                let (host, rest) = text.split_at(colon);
                (host, rest)
            }
        };
        let port = match (rest.strip_prefix(':'), port) {
            (Some(""), Some(port)) => port,
            (Some(digits), _) if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
                digits.parse().map_err(|_| TargetError::Port)?
            }
            (None, Some(port)) if rest.is_empty() => port,
            (None, _) if !rest.is_empty() => return Err(TargetError::Host),
            _ => return Err(TargetError::Port),
        };
        Self::new(host, port)
    }
}

impl FromStr for Target {
    type Err = TargetError;

    /// Reads `HOST:PORT`; IPv6 addresses stand in brackets.
    fn from_str(text: &str) -> Result<Self, TargetError> {
        Self::read(text, None)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_and_written() {
        for (text, is) in [
            ("Example.ORG:80", "example.org:80"),
            ("example.org.:80", "example.org:80"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("127.0.0.1.:1", "127.0.0.1:1"),
            ("[::1]:65535", "[::1]:65535"),
            ("[::ffff:10.0.0.1]:80", "10.0.0.1:80"),
            ("[::FFFF:0a00:1]:80", "10.0.0.1:80"),
            ("0177.0.0.1:80", "0177.0.0.1:80"),
            ("2130706433:80", "2130706433:80"),
            ("_sip._udp.example.org:5060", "_sip._udp.example.org:5060"),
        ] {
            assert_eq!(text.parse::<Target>().map(|target| target.to_string()), Ok(is.into()));
        }
        assert_eq!(Target::read("a", Some(80)).unwrap().to_string(), "a:80");
        assert_eq!(Target::read("[::1]:", Some(80)).unwrap().to_string(), "[::1]:80");
        assert_eq!(Target::read("a:81", Some(80)).unwrap().to_string(), "a:81");
    }

    #[test]
    fn what_is_no_target_is_refused() {
        for text in ["a", "a:", "a:0", "a:65536", "a:+1", "a:1x", "a: 1"] {
            assert_eq!(text.parse::<Target>(), Err(TargetError::Port), "{text}");
        }
        assert!("fe80::1%eth0:80".parse::<Target>().is_err());
        let long = format!("{}:80", "a.".repeat(200));
        for text in [
            ":80",
            ".:80",
            "a..b:80",
            "a b:80",
            "a@b:80",
            "[a]:80",
            "[::1:80",
            "[::1]x:80",
            "a/b:80",
            "a%00b:80",
            "\u{fc}.de:80",
            "[127.0.0.1]:80",
            "[fe80::1%eth0]:80",
            long.as_str(),
        ] {
            assert_eq!(text.parse::<Target>(), Err(TargetError::Host), "{text}");
        }
    }
}
