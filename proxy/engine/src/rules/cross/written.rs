//! Reads and writes a `cross` rule.

use super::{ACCESS_DEFAULT, Cross, CrossTraffic, FLOWS_MAX, RETURN_DEFAULT, SIZE_DEFAULT};
use crate::route::CongestionControl;
use crate::rules::written::{Fields, exactly_one, text, time};
use jostle_common::setting::{SettingError, within};
use jostle_common::units::{BitRate, ByteSize, Span};
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;

/// The most packets per second that one rule sends: each takes a core a microsecond.
const PACKETS_PER_SECOND_MAX: u64 = 500_000;

/// The largest packet, an IP packet's bound.
const SIZE_MAX: u64 = 65_535;

/// The longest way back.
const RETURN_MAX: Duration = Duration::from_secs(3600);

/// The fastest line on which streams come: so many full packets are the most of one rule.
const ACCESS_MAX: u64 = PACKETS_PER_SECOND_MAX * 1500 * 8;

/// Sends traffic of others through what stands behind the rule: streams of a modelled TCP, or
/// packets at a constant rate. It is counted apart and never delivered.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawCross {
    /// How many streams, which always have more to send.
    #[schemars(range(min = 1, max = 64))]
    tcp: Option<u32>,
    /// The congestion control of the streams; cubic unless stated.
    model: Option<RawControl>,
    /// How long an acknowledgement of the streams takes back; 10ms unless stated.
    r#return: Option<Span>,
    /// The speed of the line on which the streams come; 1Gbit/s unless stated.
    access: Option<BitRate>,
    /// Packets at this rate, whatever becomes of them.
    rate: Option<BitRate>,
    /// The size of those packets, headers included; 1500B unless stated.
    size: Option<ByteSize>,
    /// When it begins, after the start of the rules' time; 0 unless stated.
    start: Option<Span>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum RawControl {
    Cubic,
    Reno,
}

pub(super) fn read(place: &str, raw: &RawCross) -> Result<Cross, SettingError> {
    let refuse =
        |field: &str, problem: String| Err(SettingError::new(within(place, field), problem));
    let of_streams = [
        ("model", raw.model.is_some()),
        ("return", raw.r#return.is_some()),
        ("access", raw.access.is_some()),
    ];
    let is_constant = exactly_one(
        place,
        "cross",
        [("tcp", raw.tcp.map(|_| false)), ("rate", raw.rate.map(|_| true))],
    )?;
    if is_constant && let Some((field, _)) = of_streams.iter().find(|(_, given)| *given) {
        return refuse(field, "it is for \"tcp\"; packets at a constant rate have none".into());
    }
    if !is_constant && raw.size.is_some() {
        let problem = "it is for \"rate\"; the segments of \"tcp\" have 1500 bytes. Leave it out";
        return refuse("size", problem.into());
    }
    let traffic = match (raw.tcp, raw.rate) {
        (_, Some(rate)) => {
            let size = raw.size.map_or_else(|| u64::from(SIZE_DEFAULT), ByteSize::bytes);
            if !(1..=SIZE_MAX).contains(&size) {
                return refuse("size", format!("no packet has {size} bytes; write 1B to 65535B"));
            }
            let packets = rate.bits_per_second() / (8 * size);
            if packets > PACKETS_PER_SECOND_MAX {
                let problem = format!(
                    "{rate} in packets of {size} bytes are {packets} a second; write a lower rate \
                     or larger packets, for {PACKETS_PER_SECOND_MAX} at most"
                );
                return refuse("rate", problem);
            }
            CrossTraffic::Constant { rate, size: size as u32 }
        }
        (flows, None) => {
            let flows = flows.unwrap_or(1);
            if !(1..=FLOWS_MAX).contains(&flows) {
                let problem = format!("{flows} streams are out of bounds; write 1 to {FLOWS_MAX}");
                return refuse("tcp", problem);
            }
            let access = raw
                .access
                .or(BitRate::new(ACCESS_DEFAULT))
                .filter(|access| access.bits_per_second() <= ACCESS_MAX);
            let Some(access) = access else {
                return refuse("access", "it is too fast to model; write at most 6Gbit/s".into());
            };
            let back = raw.r#return.map_or(RETURN_DEFAULT, |Span(time)| time);
            if back > RETURN_MAX {
                return refuse("return", "no way back is that long; write at most 1h".into());
            }
            let model = match raw.model {
                None | Some(RawControl::Cubic) => CongestionControl::Cubic,
                Some(RawControl::Reno) => CongestionControl::Reno,
            };
            CrossTraffic::Tcp { flows, model, back, access }
        }
    };
    let start = raw.start.map_or(Duration::ZERO, |Span(time)| time);
    Ok(Cross { traffic, start })
}

pub(super) fn write(cross: &Cross) -> Fields {
    let fields =
        match cross.traffic {
            CrossTraffic::Tcp { flows, model, back, access } => Fields::default()
                .with("tcp", flows)
                .unless("model", model, CongestionControl::Cubic, |_| "reno".into())
                .unless("return", back, RETURN_DEFAULT, time)
                .unless("access", access.bits_per_second(), ACCESS_DEFAULT, |_| text(access)),
            CrossTraffic::Constant { rate, size } => Fields::default()
                .with("rate", text(rate))
                .unless("size", size, SIZE_DEFAULT, |size| text(ByteSize::new(u64::from(size)))),
        };
    fields.unless("start", cross.start, Duration::ZERO, time)
}
