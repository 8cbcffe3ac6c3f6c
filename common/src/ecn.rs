//! Explicit congestion notification: the two bits of an IP header that a network marks instead of
//! dropping (RFC 3168).

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What the ECN field of an IP packet says: the last two bits of the type of service (IPv4) or
/// traffic class (IPv6), by their code points (RFC 3168, section 5; RFC 9331 for ECT(1)).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Ecn {
    /// The sender takes no marks: congestion has to drop.
    #[default]
    NotEct = 0b00,
    /// The sender takes marks, and asks for the low latency of L4S.
    Ect1 = 0b01,
    /// The sender takes marks, and answers each as it answers a loss.
    Ect0 = 0b10,
    /// The network met congestion.
    Ce = 0b11,
}

impl Ecn {
    /// All four, in the order of their code points.
    pub const ALL: [Self; 4] = [Self::NotEct, Self::Ect1, Self::Ect0, Self::Ce];

    /// Returns what a type of service or traffic class says; its other six bits (DSCP) are left
    /// out.
    pub const fn of_tos(tos: u8) -> Self {
        match tos & 0b11 {
            0b00 => Self::NotEct,
            0b01 => Self::Ect1,
            0b10 => Self::Ect0,
            _ => Self::Ce,
        }
    }

    /// Returns the two bits.
    pub const fn bits(self) -> u8 {
        self as u8
    }

    /// Returns true if the sender can be told of congestion by a mark: ECT(0), ECT(1), or CE, which
    /// was one of them.
    pub const fn takes_marks(self) -> bool {
        !matches!(self, Self::NotEct)
    }

    /// Returns the name in settings, events and counters: `not-ect`, `ect1`, `ect0` or `ce`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotEct => "not-ect",
            Self::Ect1 => "ect1",
            Self::Ect0 => "ect0",
            Self::Ce => "ce",
        }
    }
}

impl fmt::Display for Ecn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Ecn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|ecn| ecn.name() == text);
        found.ok_or_else(|| format!("there is no \"{text}\"; write not-ect, ect0, ect1 or ce"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_points_are_those_of_the_rfc() {
        let bits = [Ecn::NotEct, Ecn::Ect1, Ecn::Ect0, Ecn::Ce].map(Ecn::bits);
        assert_eq!(bits, [0b00, 0b01, 0b10, 0b11]);
        for tos in 0..=u8::MAX {
            assert_eq!(Ecn::of_tos(tos).bits(), tos & 3, "{tos:#010b}");
        }
    }

    #[test]
    fn each_reads_back_from_its_name() {
        for ecn in Ecn::ALL {
            assert_eq!(ecn.to_string().parse(), Ok(ecn));
            let json = serde_json::to_string(&ecn).unwrap();
            assert_eq!(json, format!("\"{ecn}\""));
            assert_eq!(serde_json::from_str::<Ecn>(&json).unwrap(), ecn);
        }
        assert!("ECT(0)".parse::<Ecn>().is_err());
    }
}
