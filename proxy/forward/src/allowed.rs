//! Which targets may be reached.

use crate::target::{Host, Target};
use jostle_common::hosts::{have_prefix, is_below, part_port};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The list of targets that may be reached.
///
/// It is asked twice: about the target as it was written, before any name is looked up, and about
/// each address that the name turned out to have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    entries: Vec<Entry>,
    public_only: bool,
}

/// An entry of the list: hosts, and the port if only one is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    /// Every host.
    All,
    /// One name.
    Name(String),
    /// All names below one, and not itself.
    Below(String),
    /// The addresses that have so many first bits in common.
    Network(IpAddr, u32),
}

/// The reason why a target may not be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The list does not have it.
    #[error("it is not on the list of targets (--allow)")]
    NotListed,
    /// Its address is not of the public internet.
    #[error(
        "its address is private, and who reaches this proxy from elsewhere must not reach it; list \
         the address itself (--allow) if that is meant"
    )]
    Private,
}

impl Allowed {
    /// Makes a list. An empty one has every target. With `public_only` addresses that are not of
    /// the public internet are refused unless the list has them as addresses: that is for proxies
    /// that others than this machine reach.
    ///
    /// # Errors
    /// Says of the first entry that cannot be read what to write instead.
    pub fn new<'a>(
        entries: impl IntoIterator<Item = &'a str>,
        public_only: bool,
    ) -> Result<Self, String> {
        let entries = entries.into_iter().map(str::parse).collect::<Result<_, _>>()?;
        Ok(Self { entries, public_only })
    }

    /// The same list with `public_only` as it is said here.
    #[must_use]
    pub fn guarded(self, public_only: bool) -> Self {
        Self { public_only, ..self }
    }

    /// Returns true if the list has every target.
    pub fn is_any(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the entries as they are read; none if every target is on the list.
    pub fn written(&self) -> Vec<String> {
        self.entries.iter().map(Entry::to_string).collect()
    }

    /// Judges a target as it was written.
    ///
    /// # Errors
    /// When it may not be reached whatever addresses it has.
    pub fn judge(&self, target: &Target) -> Result<(), Refused> {
        match &target.host {
            Host::Address(address) => self.judge_address(target, *address),
            Host::Name(name) => {
                let lists = |entry: &Entry| entry.has_name(name, target.port);
                // A name that is not listed may still have a listed address.
                let lists_addresses = |entry: &Entry| matches!(entry.hosts, Hosts::Network(..));
                let may = self.entries.is_empty()
                    || self.entries.iter().any(|entry| lists(entry) || lists_addresses(entry));
                if may { Ok(()) } else { Err(Refused::NotListed) }
            }
        }
    }

    /// Judges an address that a target has.
    ///
    /// # Errors
    /// When it may not be reached.
    pub fn judge_address(&self, target: &Target, address: IpAddr) -> Result<(), Refused> {
        let address = address.to_canonical();
        if self.entries.iter().any(|entry| entry.has_address(address, target.port)) {
            return Ok(());
        }
        let listed = self.entries.is_empty()
            || self.entries.iter().any(|entry| match &target.host {
                Host::Name(name) => entry.has_name(name, target.port),
                Host::Address(_) => entry.hosts == Hosts::All && entry.has_port(target.port),
            });
        if !listed {
            return Err(Refused::NotListed);
        }
        if self.public_only && !is_public(address) { Err(Refused::Private) } else { Ok(()) }
    }
}

impl Entry {
    fn has_port(&self, port: u16) -> bool {
        self.port.is_none_or(|only| only == port)
    }

    fn has_name(&self, name: &str, port: u16) -> bool {
        let has = match &self.hosts {
            Hosts::All => true,
            Hosts::Name(one) => one == name,
            Hosts::Below(parent) => is_below(name, parent),
            Hosts::Network(..) => false,
        };
        has && self.has_port(port)
    }

    fn has_address(&self, address: IpAddr, port: u16) -> bool {
        matches!(self.hosts, Hosts::Network(network, bits) if have_prefix(address, network, bits))
            && self.has_port(port)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hosts {
            Hosts::All => f.write_str("*")?,
            Hosts::Name(name) => f.write_str(name)?,
            Hosts::Below(parent) => write!(f, "*.{parent}")?,
            Hosts::Network(IpAddr::V4(address), 32) => address.fmt(f)?,
            Hosts::Network(address @ IpAddr::V4(_), bits) => write!(f, "{address}/{bits}")?,
            Hosts::Network(address, 128) => write!(f, "[{address}]")?,
            Hosts::Network(address, bits) => write!(f, "[{address}]/{bits}")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl FromStr for Entry {
    type Err = String;

    /// Reads `HOST`, `*.HOST`, `ADDRESS`, `ADDRESS/BITS` or `*`, each with or without `:PORT`.
    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || {
            format!(
                "\"{text}\" is no target; write example.org, *.example.org, 10.0.0.0/8, \
                 [2001:db8::]/32 or *, with :PORT behind it if only one is meant"
            )
        };
        let (hosts, behind) = part_port(text);
        let read = |digits| number(digits).filter(|port| *port != 0).ok_or_else(refuse);
        let port = behind.map(read).transpose()?;
        Ok(Self { hosts: hosts_of(hosts).ok_or_else(refuse)?, port })
    }
}

fn hosts_of(text: &str) -> Option<Hosts> {
    if text == "*" {
        return Some(Hosts::All);
    }
    let (host, bits) = match text.split_once('/') {
        Some((host, bits)) => (host, Some(number(bits)?)),
        None => (text, None),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Some(parent) = host.strip_prefix("*.") {
        return match (Host::read(parent).ok()?, bits) {
            (Host::Name(parent), None) => Some(Hosts::Below(parent)),
            _ => None,
        };
    }
    match (Host::read(host).ok()?, bits) {
        (Host::Name(name), None) => Some(Hosts::Name(name)),
        (Host::Name(_), Some(_)) => None,
        (Host::Address(address), bits) => {
            let all = if address.is_ipv4() { 32 } else { 128 };
            let bits = bits.unwrap_or(all);
            (bits <= all).then_some(Hosts::Network(address, bits))
        }
    }
}

/// Reads a number of digits alone.
fn number<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Returns true for an address that every host of the internet could have and reach (the IANA
/// registries of special-purpose addresses, RFC 6890).
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    const SPECIAL: [(Ipv4Addr, u32); 15] = [
        (Ipv4Addr::new(0, 0, 0, 0), 8),       // this network
        (Ipv4Addr::new(10, 0, 0, 0), 8),      // private (RFC 1918)
        (Ipv4Addr::new(100, 64, 0, 0), 10),   // shared by carriers (RFC 6598)
        (Ipv4Addr::new(127, 0, 0, 0), 8),     // loopback
        (Ipv4Addr::new(169, 254, 0, 0), 16),  // link-local (RFC 3927)
        (Ipv4Addr::new(172, 16, 0, 0), 12),   // private
        (Ipv4Addr::new(192, 0, 0, 0), 24),    // protocol assignments
        (Ipv4Addr::new(192, 0, 2, 0), 24),    // documentation
        (Ipv4Addr::new(192, 88, 99, 0), 24),  // 6to4 relays, given up (RFC 7526)
        (Ipv4Addr::new(192, 168, 0, 0), 16),  // private
        (Ipv4Addr::new(198, 18, 0, 0), 15),   // benchmarks (RFC 2544)
        (Ipv4Addr::new(198, 51, 100, 0), 24), // documentation
        (Ipv4Addr::new(203, 0, 113, 0), 24),  // documentation
        (Ipv4Addr::new(224, 0, 0, 0), 4),     // multicast
        (Ipv4Addr::new(240, 0, 0, 0), 4),     // reserved, and broadcast
    ];
    !SPECIAL.iter().any(|&(network, bits)| have_prefix(address.into(), network.into(), bits))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    // Only this is given out (the IANA registry of global unicast addresses).
    const GLOBAL: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
    const SPECIAL: [(Ipv6Addr, u32); 4] = [
        (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // protocol assignments, Teredo among them
        (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation
        (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4: an IPv4 address inside
        (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation (RFC 9637)
    ];
    // NAT64 has an IPv4 address inside (RFC 6052), which may be any.
    const NAT64: (Ipv6Addr, u32) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);
    let is_in =
        |(network, bits): (Ipv6Addr, u32)| have_prefix(address.into(), network.into(), bits);
    if is_in(NAT64) {
        let bits = address.to_bits() as u32;
        return is_public_v4(Ipv4Addr::from_bits(bits));
    }
    is_in(GLOBAL) && !SPECIAL.into_iter().any(is_in)
}

#[cfg(test)]
mod tests;
