//! Reads and writes a `batch` rule.

use super::{Batch, BatchThen, BatchTrigger};
use crate::rules::written::{Fields, share, text, time};
use jostle_common::setting::{SettingError, within};
use jostle_common::units::{ByteSize, Probability, Span};
use schemars::JsonSchema;
use serde::Deserialize;

/// Gathers packets and lets them go together.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawBatch {
    /// The longest that a packet is held.
    window: Span,
    /// A packet opens a window with this probability; it lasts its whole time (clumsy's throttle).
    chance: Option<Probability>,
    /// A window closes when it holds so many packets (netem's slots).
    #[schemars(range(min = 1))]
    packets: Option<u64>,
    /// A window closes when it holds so many bytes.
    bytes: Option<ByteSize>,
    /// What becomes of the packets in it; they are released unless stated.
    #[serde(default)]
    then: RawThen,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum RawThen {
    #[default]
    Release,
    Drop,
}

pub(super) fn read(place: &str, raw: &RawBatch) -> Result<Batch, SettingError> {
    let refuse = |field: &str, problem: &str| Err(SettingError::new(within(place, field), problem));
    if raw.window.0.is_zero() {
        return refuse("window", "nothing gathers in no time; write \"30ms\", say");
    }
    let trigger = match (raw.chance, raw.packets, raw.bytes) {
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) => {
            return refuse(
                "chance",
                "a window that opens by chance lasts its whole time; leave out packets and bytes",
            );
        }
        (Some(chance), None, None) => BatchTrigger::Chance(chance),
        (None, Some(0), _) => {
            return refuse("packets", "a slot of 0 packets never fills; write at least 1");
        }
        (None, packets, bytes) => BatchTrigger::Slot { packets, bytes },
    };
    let then = match raw.then {
        RawThen::Release => BatchThen::Release,
        RawThen::Drop => BatchThen::Drop,
    };
    Ok(Batch { window: raw.window.0, trigger, then })
}

pub(super) fn write(batch: &Batch) -> Fields {
    let fields = Fields::default().with("window", time(batch.window));
    let fields = match batch.trigger {
        BatchTrigger::Chance(chance) => fields.with("chance", share(chance)),
        BatchTrigger::Slot { packets, bytes } => {
            fields.with_some("packets", packets).with_some("bytes", bytes.map(text))
        }
    };
    fields.with_some("then", (batch.then == BatchThen::Drop).then_some("drop"))
}
