//! Choices of hosts and ports, as settings write them: `*.example.org:443`, `10.0.0.0/8`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::str::FromStr;

/// The longest name that the domain name system has (RFC 1035, section 2.3.4).
const NAME_BYTES_MAX: usize = 253;

/// Hosts, and the ports of them that are meant.
///
/// ```
/// use jostle_common::hosts::HostPattern;
/// let api: HostPattern = "*.example.org:443".parse().unwrap();
/// assert!(api.hosts.has_name("api.example.org") && api.has_port(443) && !api.has_port(80));
/// let private: HostPattern = "10.0.0.0/8".parse().unwrap();
/// assert!(private.hosts.has_address("10.1.2.3".parse().unwrap()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    /// The hosts.
    pub hosts: Hosts,
    /// The ports, both ends included; any is 0 to 65535.
    pub ports: RangeInclusive<u16>,
}

/// A choice of hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hosts {
    /// Every host.
    All,
    /// The one of this name, in lower case and without a dot at its end.
    Name(String),
    /// All names below this one, and not itself.
    Below(String),
    /// The addresses of a network; of a single address it has all bits.
    Network(Network),
}

/// The addresses that have their first bits in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

/// Any port.
const PORTS: RangeInclusive<u16> = 0..=u16::MAX;

impl HostPattern {
    /// Returns true if a port is among those meant.
    pub fn has_port(&self, port: u16) -> bool {
        self.ports.contains(&port)
    }

    /// Returns true if any port is meant.
    pub fn has_any_port(&self) -> bool {
        self.ports == PORTS
    }
}

impl Hosts {
    /// Returns true if it has a name, which is in lower case and has no dot at its end.
    pub fn has_name(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Name(one) => one == name,
            Self::Below(parent) => is_below(name, parent),
            Self::Network(_) => false,
        }
    }

    /// Returns true if it has an address. Names have none here: nothing is looked up.
    pub fn has_address(&self, address: IpAddr) -> bool {
        match self {
            Self::All => true,
            Self::Name(_) | Self::Below(_) => false,
            Self::Network(network) => network.contains(address),
        }
    }
}

impl Network {
    /// Makes the network of an address, of which `bits` count; `None` if it has not so many. An
    /// IPv6 address that holds an IPv4 one is that.
    pub fn new(address: IpAddr, bits: Option<u32>) -> Option<Self> {
        let canonical = address.to_canonical();
        let all = if canonical.is_ipv4() { 32 } else { 128 };
        // Of `::ffff:10.0.0.0/104` the first 96 bits are those of the mapping.
        let mapping = if canonical.is_ipv4() && address.is_ipv6() { 96 } else { 0 };
        let bits = bits.map_or(Some(all), |bits| bits.checked_sub(mapping))?;
        if bits > all {
            return None;
        }
        let address = match canonical {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
                Ipv4Addr::from_bits(address.to_bits() & mask).into()
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
                Ipv6Addr::from_bits(address.to_bits() & mask).into()
            }
        };
        Some(Self { address, bits })
    }

    /// Returns true if an address is of the network.
    pub fn contains(self, address: IpAddr) -> bool {
        have_prefix(address.to_canonical(), self.address, self.bits)
    }

    const fn is_one_address(self) -> bool {
        self.bits == if self.address.is_ipv4() { 32 } else { 128 }
    }
}

/// Returns true if a name is below another one, and not that name itself; both are in lower case
/// and have no dot at their end.
pub fn is_below(name: &str, parent: &str) -> bool {
    name.strip_suffix(parent).is_some_and(|front| front.ends_with('.'))
}

/// Returns true if two addresses of one family have their first `bits` in common. An IPv6 address
/// that holds an IPv4 one is IPv6 here.
pub fn have_prefix(one: IpAddr, other: IpAddr, bits: u32) -> bool {
    match (one, other) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= bits,
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= bits,
        _ => false,
    }
}

/// Parts a host from what stands behind its colon, if anything does. An IPv6 address without
/// brackets is all host.
pub fn part_port(text: &str) -> (&str, Option<&str>) {
    let bracketed = text.starts_with('[');
    let is_bare_v6 = !bracketed && text.bytes().filter(|byte| *byte == b':').count() > 1;
    match text.rfind(':') {
        Some(colon) if !is_bare_v6 && !text[colon..].contains(']') => {
            (&text[..colon], Some(&text[colon + 1..]))
        }
        _ => (text, None),
    }
}

impl FromStr for HostPattern {
    type Err = String;

    /// Reads `HOST`, `*.HOST`, `ADDRESS`, `ADDRESS/BITS` or `*`, each with or without `:PORT` or
    /// `:PORT-PORT`; in front of a port an IPv6 address stands in brackets.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.contains("//") {
            return Err(format!(
                "\"{text}\" is a URL; write the host alone, with :PORT if one is meant"
            ));
        }
        let (hosts, behind) = part_port(text);
        let ports = behind.map_or(Ok(PORTS), |digits| ports(text, digits))?;
        Ok(Self { hosts: read_hosts(text, hosts)?, ports })
    }
}

fn ports(text: &str, digits: &str) -> Result<RangeInclusive<u16>, String> {
    let refuse = || {
        format!(
            "\"{digits}\" in \"{text}\" is no port; write a number from 1 to 65535, or two with a \
             minus between: 5000-5999"
        )
    };
    let port = |digits: &str| number(digits).filter(|port| *port != 0).ok_or_else(refuse);
    let (first, last) = match digits.split_once('-') {
        Some((first, last)) => (port(first.trim())?, port(last.trim())?),
        None => (port(digits)?, port(digits)?),
    };
    if first > last {
        return Err(format!("no port is from {first} to {last}; write {last}-{first}"));
    }
    Ok(first..=last)
}

/// Reads a number of digits alone, without a sign.
fn number<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn read_hosts(text: &str, written: &str) -> Result<Hosts, String> {
    if written == "*" {
        return Ok(Hosts::All);
    }
    let (host, bits) = match written.split_once('/') {
        Some((host, bits)) => (host, Some(bits)),
        None => (written, None),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Some(address) = address(host) {
        let network = match bits {
            None => Network::new(address, None),
            Some(bits) => number(bits).and_then(|bits| Network::new(address, Some(bits))),
        };
        return network.map(Hosts::Network).ok_or_else(|| {
            let all = if address.is_ipv4() { 32 } else { 128 };
            format!("\"{text}\" is no network; behind the / stand 0 to {all} bits")
        });
    }
    let (name, below) = match host.strip_prefix("*.") {
        Some(parent) => (parent, true),
        None => (host, false),
    };
    if bits.is_some() {
        return Err(format!("\"{text}\" is no network: a / stands behind addresses alone"));
    }
    let name = read_name(name).ok_or_else(|| no_host(text, name))?;
    Ok(if below { Hosts::Below(name) } else { Hosts::Name(name) })
}

/// Reads an address; one with a dot behind it is still that address.
fn address(text: &str) -> Option<IpAddr> {
    let plain = text.strip_suffix('.').and_then(|text| text.parse::<Ipv4Addr>().ok());
    text.parse().ok().or_else(|| plain.map(IpAddr::V4))
}

/// Returns a name in lower case and without a dot at its end; `None` if it is none, or numbers that
/// only some systems take for an address.
fn read_name(text: &str) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_numbers = name.split('.').all(is_number);
    let has_empty_label = name.is_empty() || name.split('.').any(str::is_empty);
    let is_name = !has_empty_label
        && !is_numbers
        && name.len() <= NAME_BYTES_MAX
        && name.bytes().all(is_of_a_name);
    is_name.then(|| name.to_ascii_lowercase())
}

/// Returns true for a number, in any notation that systems read in addresses.
fn is_number(label: &str) -> bool {
    match label.strip_prefix("0x").or_else(|| label.strip_prefix("0X")) {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

fn no_host(text: &str, name: &str) -> String {
    if !name.is_ascii() {
        return format!(
            "\"{text}\" has letters that names on the wire have not; write them as xn--… (RFC \
             5891)"
        );
    }
    if name.contains('*') {
        return format!("\"{text}\": a * stands alone, or in front of a name: *.example.org");
    }
    format!(
        "\"{text}\" is no host; write example.org, *.example.org, 10.0.0.0/8, [2001:db8::]/32 or \
         *, with :PORT behind it if only one is meant"
    )
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (*self.ports.start(), *self.ports.end());
        match &self.hosts {
            // In front of a port it needs brackets.
            Hosts::Network(network) if network.address.is_ipv6() && !self.has_any_port() => {
                write!(f, "[{}]", network.address)?;
                if !network.is_one_address() {
                    write!(f, "/{}", network.bits)?;
                }
            }
            hosts => hosts.fmt(f)?,
        }
        match (first, last) {
            _ if self.has_any_port() => Ok(()),
            (first, last) if first == last => write!(f, ":{first}"),
            (first, last) => write!(f, ":{first}-{last}"),
        }
    }
}

impl fmt::Display for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Name(name) => f.write_str(name),
            Self::Below(parent) => write!(f, "*.{parent}"),
            Self::Network(network) if network.is_one_address() => network.address.fmt(f),
            Self::Network(network) => write!(f, "{}/{}", network.address, network.bits),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_read_and_printed() {
        for (text, printed) in [
            ("Example.ORG.", "example.org"),
            ("*.Example.org:443", "*.example.org:443"),
            ("127.0.0.2", "127.0.0.2"),
            ("127.0.0.2:5000-5999", "127.0.0.2:5000-5999"),
            ("10.1.2.3/8:80", "10.0.0.0/8:80"),
            ("::1", "::1"),
            ("[::1]", "::1"),
            ("[::1]:80", "[::1]:80"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("[2001:db8::]/32:80-81", "[2001:db8::]/32:80-81"),
            ("[2001:db8::]/32", "2001:db8::/32"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("::ffff:10.0.0.1/104", "10.0.0.0/8"),
            ("*", "*"),
            ("*:53", "*:53"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            (" localhost ", "localhost"),
            ("_sip._udp.example.org:5060", "_sip._udp.example.org:5060"),
        ] {
            let read: HostPattern = text.parse().unwrap();
            assert_eq!(read.to_string(), printed, "{text}");
            assert_eq!(printed.parse(), Ok(read), "{text}");
        }
    }

    #[test]
    fn mistakes_are_told_with_the_remedy() {
        for (text, part) in [
            ("", "is no host; write example.org"),
            ("a..b", "is no host"),
            ("a b", "is no host"),
            ("300.1.1.1", "is no host"),
            ("127.1", "is no host"),
            ("0x7f.1", "is no host"),
            ("*.10.0.0.1", "is no host"),
            ("10.0.0.0/+8", "behind the / stand 0 to 32 bits"),
            ("10.0.0.0/", "behind the / stand 0 to 32 bits"),
            ("*.", "is no host"),
            ("a.*.b", "a * stands alone, or in front of a name"),
            ("*a", "a * stands alone"),
            ("b\u{fc}cher.example", "write them as xn--"),
            ("https://example.org/", "is a URL; write the host alone"),
            ("10.0.0.0/33", "behind the / stand 0 to 32 bits"),
            ("10.0.0.0/x", "behind the / stand 0 to 32 bits"),
            ("2001:db8::/129", "behind the / stand 0 to 128 bits"),
            ("example.org/8", "a / stands behind addresses alone"),
            ("a:0", "is no port; write a number from 1 to 65535"),
            ("a:65536", "is no port"),
            ("a:", "is no port"),
            ("a:+1", "is no port"),
            ("a:1-x", "is no port"),
            ("a:9-3", "no port is from 9 to 3; write 3-9"),
        ] {
            let error = text.parse::<HostPattern>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn hosts_have_names_or_addresses() {
        let hosts = |text: &str| text.parse::<HostPattern>().unwrap().hosts;
        let below = hosts("*.example.org");
        assert!(below.has_name("a.example.org") && below.has_name("a.b.example.org"));
        assert!(!below.has_name("example.org") && !below.has_name("badexample.org"));
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        for (pattern, has, has_not) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::1"),
            ("127.0.0.2", "127.0.0.2", "127.0.0.3"),
            ("2001:db8::/32", "2001:db8:1::", "2001:db9::"),
            ("128.0.0.0/1", "255.0.0.1", "127.255.255.255"),
        ] {
            let hosts = hosts(pattern);
            assert!(hosts.has_address(address(has)), "{pattern} {has}");
            assert!(!hosts.has_address(address(has_not)), "{pattern} {has_not}");
            assert!(!hosts.has_name("example.org"));
        }
        assert!(hosts("0.0.0.0/0").has_address(address("1.2.3.4")));
        assert!(!hosts("0.0.0.0/0").has_address(address("::1")));
        assert!(hosts("*").has_address(address("::1")) && hosts("*").has_name("a"));
        assert!(!hosts("localhost").has_address(address("127.0.0.1")));
    }
}
