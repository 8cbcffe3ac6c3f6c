//! The promise of a `corrupt` rule: the share of packets hit, and the number of their bits.

use super::{Corrupt, Flips};
use crate::rules::promise::Traffic;
use jostle_common::words::fine_percent;
use serde_json::{Value, json};

/// The damage to packets of a size.
struct Damage {
    /// The share of packets hit.
    share: f64,
    /// The mean number of bits flipped in one that is hit.
    bits: f64,
}

fn damage(setting: &Corrupt, traffic: &Traffic) -> Damage {
    let range = setting.bit_range(u64::from(traffic.size));
    let bits = range.end.saturating_sub(range.start) as f64;
    match setting.flips {
        _ if bits == 0.0 => Damage { share: 0.0, bits: 0.0 },
        Flips::Bits { chance, bits: flipped } => {
            Damage { share: chance.as_f64(), bits: f64::from(flipped).min(bits) }
        }
        Flips::Bytes { chance, bytes } => {
            // Of the 255 patterns of flips in a byte each bit is in 128.
            let bits = f64::from(bytes).min(bits / 8.0) * 8.0 * 128.0 / 255.0;
            Damage { share: chance.as_f64(), bits }
        }
        Flips::Rate(rate) => {
            // 1 − (1 − rate)^bits, without loss of digits.
            let share = -libm::expm1(bits * libm::log1p(-rate.as_f64()));
            Damage { share, bits: if share > 0.0 { bits * rate.as_f64() / share } else { 0.0 } }
        }
    }
}

pub(super) fn numbers(setting: &Corrupt, traffic: &Traffic) -> Value {
    let Damage { share, bits } = damage(setting, traffic);
    json!({ "damaged": share, "bits": bits })
}

/// Says in a few words how often it flips bits.
pub(super) fn brief(setting: &Corrupt) -> String {
    match setting.flips {
        Flips::Bits { chance, .. } | Flips::Bytes { chance, .. } => fine_percent(chance.as_f64()),
        Flips::Rate(rate) => format!("{} of bits", fine_percent(rate.as_f64())),
    }
}

pub(super) fn words(setting: &Corrupt, traffic: &Traffic) -> String {
    let Damage { share, bits } = damage(setting, traffic);
    format!(
        "damages {} of packets of {} bytes, {} in each",
        fine_percent(share),
        traffic.size,
        if bits == 1.0 { "1 bit".to_owned() } else { format!("{bits:.3} bits on average") }
    )
}

pub(super) fn warning(setting: &Corrupt, traffic: &Traffic) -> String {
    let Damage { share, .. } = damage(setting, traffic);
    if share == 0.0 {
        return format!("it hits no byte of a packet of {} bytes", traffic.size);
    }
    format!(
        "on a modelled TCP route a damaged segment is lost, as its checksum says: there this is \
         {} of loss",
        fine_percent(share)
    )
}
