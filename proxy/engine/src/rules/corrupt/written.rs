//! Reads and writes a `corrupt` rule.

use super::{BITS_DEFAULT, Corrupt, Flips};
use crate::rules::written::{Fields, exactly_one, share};
use jostle_common::setting::{Object, SettingError, within};
use jostle_common::units::Probability;
use schemars::JsonSchema;
use serde::Deserialize;

/// More flips per packet than this are better said as a bit error rate.
const BITS_MAX: u32 = 256;

/// Flips bits.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawCorrupt {
    /// Hit each packet with this probability.
    chance: Option<Probability>,
    /// How many distinct bits are flipped in a packet that is hit; 1 unless stated.
    #[schemars(range(min = 1, max = 256))]
    bits: Option<u32>,
    /// How many distinct bytes get another value in a packet that is hit, instead of bits.
    #[schemars(range(min = 1, max = 256))]
    bytes: Option<u32>,
    /// Flip each bit on its own, with this probability.
    bit_error_rate: Option<Probability>,
    /// The part of the payload that may be hit; all of it unless stated.
    r#where: Option<Object<RawRange>>,
}

/// A part of the payload.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawRange {
    /// The first byte of the payload that may be hit, from 0.
    offset: u64,
    /// How many bytes may be hit.
    #[schemars(range(min = 1))]
    length: u64,
}

pub(super) fn read(place: &str, raw: RawCorrupt) -> Result<Corrupt, SettingError> {
    let bits = raw.bits.unwrap_or(BITS_DEFAULT);
    if !(1..=BITS_MAX).contains(&bits) {
        return Err(SettingError::new(
            within(place, "bits"),
            format!("{bits} is out of bounds; write 1 to {BITS_MAX}"),
        ));
    }
    if raw.bits.is_some() && raw.bit_error_rate.is_some() {
        return Err(SettingError::new(
            within(place, "bits"),
            "a bit_error_rate draws how many; leave bits out",
        ));
    }
    if let Some(bytes) = raw.bytes {
        let problem = match (raw.bits.is_some(), raw.bit_error_rate.is_some()) {
            (_, true) => "a bit_error_rate draws how many bits; leave bytes out".to_owned(),
            (true, _) => "a packet that is hit has bits flipped or bytes replaced; leave one of \
                          both out"
                .to_owned(),
            _ if !(1..=BITS_MAX).contains(&bytes) => {
                format!("{bytes} is out of bounds; write 1 to {BITS_MAX}")
            }
            _ => String::new(),
        };
        if !problem.is_empty() {
            return Err(SettingError::new(within(place, "bytes"), problem));
        }
    }
    let of_chance = |chance| match raw.bytes {
        Some(bytes) => Flips::Bytes { chance, bytes },
        None => Flips::Bits { chance, bits },
    };
    let flips = exactly_one(
        place,
        "corrupt",
        [
            ("chance", raw.chance.map(of_chance)),
            ("bit_error_rate", raw.bit_error_rate.map(Flips::Rate)),
        ],
    )?;
    let range = match raw.r#where {
        None => None,
        Some(Object(RawRange { length: 0, .. })) => {
            return Err(SettingError::new(
                within(place, "where.length"),
                "0 bytes cannot be hit; write at least 1",
            ));
        }
        Some(Object(RawRange { offset, length })) => Some(offset..offset.saturating_add(length)),
    };
    Ok(Corrupt { flips, range })
}

pub(super) fn write(corrupt: &Corrupt) -> Fields {
    let fields = match corrupt.flips {
        Flips::Bits { chance, bits } => Fields::default().with("chance", share(chance)).unless(
            "bits",
            bits,
            BITS_DEFAULT,
            Into::into,
        ),
        Flips::Bytes { chance, bytes } => {
            Fields::default().with("chance", share(chance)).with("bytes", bytes)
        }
        Flips::Rate(rate) => Fields::default().with("bit_error_rate", share(rate)),
    };
    let range = corrupt.range.as_ref().map(|range| {
        // One that ends with the last number there is has saturated.
        let length = range.end.saturating_sub(range.start).max(1);
        Fields::default().with("offset", range.start).with("length", length)
    });
    fields.with_some("where", range)
}
