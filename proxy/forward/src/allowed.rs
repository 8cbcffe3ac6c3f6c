//! Which targets may be reached.

use crate::target::{Host, Target};
use jostle_common::hosts::{HostPattern, Hosts, have_prefix};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The list of targets that may be reached.
///
/// It is asked twice: about the target as it was written, before any name is looked up, and about
/// each address that the name turned out to have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    entries: Vec<HostPattern>,
    public_only: bool,
}

/// The reason why a target may not be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The list does not have it.
    #[error("it is not on the list of targets (--allow)")]
    NotListed,
    /// Its address is not of the public internet, or this machine's own.
    #[error(
        "its address is private or this machine's, and who reaches this proxy from elsewhere must \
         not reach it; list the address itself (--allow) if that is meant"
    )]
    Private,
}

impl Allowed {
    /// Makes a list. An empty one has every target. With `public_only` addresses that are not of
    /// the public internet, and this machine's own, are refused unless the list has them as
    /// addresses: that is for proxies that others than this machine reach.
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
        self.entries.iter().map(HostPattern::to_string).collect()
    }

    /// Judges a target as it was written.
    ///
    /// # Errors
    /// When it may not be reached whatever addresses it has.
    pub fn judge(&self, target: &Target) -> Result<(), Refused> {
        match &target.host {
            Host::Address(address) => self.judge_address(target, *address),
            Host::Name(name) => {
                // A name that is not listed may still have a listed address.
                let lists = |entry: &HostPattern| {
                    has_name(entry, name, target.port) || matches!(entry.hosts, Hosts::Network(_))
                };
                let may = self.entries.is_empty() || self.entries.iter().any(lists);
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
        if self.lists_address(target, address) {
            return Ok(());
        }
        let listed = self.entries.is_empty()
            || self.entries.iter().any(|entry| match &target.host {
                Host::Name(name) => has_name(entry, name, target.port),
                Host::Address(_) => entry.hosts == Hosts::All && entry.has_port(target.port),
            });
        if !listed {
            return Err(Refused::NotListed);
        }
        if self.public_only && !is_public(address) { Err(Refused::Private) } else { Ok(()) }
    }

    /// Judges an address that is this machine's own, which [`judge_address`](Self::judge_address)
    /// has passed. A public one too is reached past the machine's firewall from here.
    ///
    /// # Errors
    /// When it may not be reached.
    pub fn judge_own(&self, target: &Target, own: IpAddr) -> Result<(), Refused> {
        match self.public_only && !self.lists_address(target, own) {
            true => Err(Refused::Private),
            false => Ok(()),
        }
    }

    /// Returns true if an address is listed itself.
    fn lists_address(&self, target: &Target, address: IpAddr) -> bool {
        self.entries.iter().any(|entry| has_address(entry, address, target.port))
    }
}

/// Returns true if an entry has a name, or every host.
fn has_name(entry: &HostPattern, name: &str, port: u16) -> bool {
    entry.hosts.has_name(name) && entry.has_port(port)
}

/// Returns true if an entry is of addresses, and has this one.
fn has_address(entry: &HostPattern, address: IpAddr, port: u16) -> bool {
    matches!(&entry.hosts, Hosts::Network(network) if network.contains(address))
        && entry.has_port(port)
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
