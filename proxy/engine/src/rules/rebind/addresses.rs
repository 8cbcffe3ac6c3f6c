//! The addresses that a flow may leave from.

use jostle_common::chance::below;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The local addresses that fresh sockets take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RebindAddresses {
    /// The address stays, the port is another.
    #[default]
    Kept,
    /// One after the other, and the first again. At least one.
    InTurn(Vec<IpAddr>),
    /// One that is drawn of all that begin with the same bits.
    Within {
        /// An address of them.
        network: IpAddr,
        /// The number of bits that they begin with.
        bits: u8,
    },
}

impl RebindAddresses {
    /// Returns the address of a flow's `nth` fresh socket, from 1, by these random bits; `None`: it
    /// keeps the one it has.
    pub(crate) fn choose(&self, nth: u64, random: u64) -> Option<IpAddr> {
        match self {
            Self::Kept => None,
            Self::InTurn(all) => all.get(((nth - 1) % all.len() as u64) as usize).copied(),
            Self::Within { network, bits } => Some(within(*network, *bits, random)),
        }
    }

    /// Returns addresses that stand for all of them, to see whether the system has them.
    pub fn samples(&self) -> Vec<IpAddr> {
        match self {
            Self::Kept => Vec::new(),
            Self::InTurn(all) => all.clone(),
            Self::Within { network, bits } => {
                vec![within(*network, *bits, 0), within(*network, *bits, u64::MAX)]
            }
        }
    }
}

impl fmt::Display for RebindAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept => Ok(()),
            Self::InTurn(all) => {
                let all: Vec<String> = all.iter().map(IpAddr::to_string).collect();
                f.write_str(&all.join(", "))
            }
            Self::Within { network, bits } => write!(f, "{network}/{bits}"),
        }
    }
}

/// Returns an address that begins with the same bits as `network`: the first one for 0, the last one
/// for the largest random number. The two of IPv4 that are no host's are left out.
fn within(network: IpAddr, bits: u8, random: u64) -> IpAddr {
    match network {
        IpAddr::V4(network) => {
            let rest = 32 - u32::from(bits.min(32));
            let size = 1u64 << rest;
            let place = if rest < 2 { below(random, size) } else { 1 + below(random, size - 2) };
            let mask = (size - 1) as u32;
            Ipv4Addr::from_bits(network.to_bits() & !mask | place as u32).into()
        }
        IpAddr::V6(network) => {
            // The lower half is more than anybody tells apart.
            let rest = (128 - u32::from(bits.min(128))).min(64);
            let place = if rest == 64 { random } else { below(random, 1 << rest) };
            let mask = (1u128 << rest) - 1;
            Ipv6Addr::from_bits(network.to_bits() & !mask | u128::from(place)).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_in_turn_or_are_hosts_of_their_network() {
        let all: Vec<IpAddr> = ["127.0.0.2", "127.0.0.3"].map(|one| one.parse().unwrap()).into();
        let turn = RebindAddresses::InTurn(all.clone());
        let taken: Vec<IpAddr> = (1..=5).filter_map(|nth| turn.choose(nth, 7)).collect();
        assert_eq!(taken, [all[0], all[1], all[0], all[1], all[0]]);
        assert_eq!(RebindAddresses::Kept.choose(1, 7), None);
        for (network, bits, first, last) in [
            ("127.1.2.3", 8, "127.0.0.1", "127.255.255.254"),
            ("10.0.0.7", 30, "10.0.0.5", "10.0.0.6"),
            ("10.0.0.7", 31, "10.0.0.6", "10.0.0.7"),
            ("10.0.0.7", 32, "10.0.0.7", "10.0.0.7"),
            ("fd00::7", 126, "fd00::4", "fd00::7"),
            ("fd00::7", 16, "fd00::", "fd00::ffff:ffff:ffff:ffff"),
            ("::1", 128, "::1", "::1"),
        ] {
            let within = RebindAddresses::Within { network: network.parse().unwrap(), bits };
            let expected: Vec<IpAddr> = [first, last].map(|one| one.parse().unwrap()).into();
            assert_eq!(within.samples(), expected, "{network}/{bits}");
        }
        let all = RebindAddresses::Within { network: [0, 0, 0, 0].into(), bits: 0 };
        assert_eq!(all.samples(), [IpAddr::from([0, 0, 0, 1]), [255, 255, 255, 254].into()]);
    }
}
