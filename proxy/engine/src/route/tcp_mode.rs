//! What loss means on TCP, as people write it: a model and its congestion control, or raw streams and
//! their units.

use super::{CongestionControl, TcpMode, Unit};
use crate::limits;
use jostle_common::setting::{SettingError, decode, within};
use jostle_common::units::ByteSize;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

const UNIT_BYTES_MAX: u64 = limits::UNIT_BYTES_MAX as u64;

/// What loss means on TCP.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is of use")]
pub(super) enum RawTcp {
    /// "model", "raw", or a congestion control.
    Named(RawTcpName),
    /// The model of a congestion control.
    Model(RawModel),
}

/// What loss means on TCP, by its name.
#[derive(JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(dead_code, reason = "only its schema is of use")]
pub(super) enum RawTcpName {
    Model,
    Raw,
    Cubic,
    Reno,
    CubicEcn,
    RenoEcn,
    Dctcp,
    Prague,
}

/// A modelled TCP.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawModel {
    /// Its congestion control.
    model: RawCongestionControl,
    /// Whether segments take marks, and the sender answers them as it answers losses; false unless
    /// stated. dctcp and prague always do, in their own way.
    ecn: Option<bool>,
}

/// A congestion control.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawCongestionControl {
    Cubic,
    Reno,
    Dctcp,
    Prague,
}

/// Reads what stands at `place`: `tcp` and the unit.
///
/// # Errors
/// What is wrong and where, with the remedy.
pub(super) fn tcp_mode(
    place: &str,
    tcp: Option<Value>,
    unit: Option<&str>,
) -> Result<TcpMode, SettingError> {
    const REMEDY: &str = "write \"model\", \"raw\", or { \"model\": \"cubic\" } (reno, dctcp, \
                          prague)";
    let place_tcp = within(place, "tcp");
    let mode = match tcp {
        None => TcpMode::default(),
        Some(Value::String(text)) => match text.as_str() {
            "model" => TcpMode::default(),
            name => {
                TcpMode::NAMED.into_iter().find(|mode| mode.name() == name).ok_or_else(|| {
                    let problem = format!("\"{text}\" is not a way to treat TCP; {REMEDY}");
                    SettingError::new(place_tcp, problem)
                })?
            }
        },
        Some(value @ Value::Object(_)) => {
            let raw: RawModel = decode(&place_tcp, value)?;
            TcpMode::Model(match (raw.model, raw.ecn) {
                (RawCongestionControl::Cubic, Some(true)) => CongestionControl::CubicEcn,
                (RawCongestionControl::Cubic, _) => CongestionControl::Cubic,
                (RawCongestionControl::Reno, Some(true)) => CongestionControl::RenoEcn,
                (RawCongestionControl::Reno, _) => CongestionControl::Reno,
                (_, Some(false)) => {
                    let problem = "without marks it would be Reno; leave ecn out, or write { \
                                   \"model\": \"reno\" }";
                    return Err(SettingError::new(within(&place_tcp, "ecn"), problem));
                }
                (RawCongestionControl::Dctcp, _) => CongestionControl::Dctcp,
                (RawCongestionControl::Prague, _) => CongestionControl::Prague,
            })
        }
        Some(other) => {
            return Err(SettingError::new(
                place_tcp,
                format!("{other} is not a way to treat TCP; {REMEDY}"),
            ));
        }
    };
    let Some(unit) = unit else { return Ok(mode) };
    let place = within(place, "unit");
    match mode {
        TcpMode::Raw(_) => {
            parse_unit(unit).map(TcpMode::Raw).map_err(|problem| SettingError::new(place, problem))
        }
        TcpMode::Model(_) => {
            Err(SettingError::new(place, "units are for raw streams; add \"tcp\": \"raw\""))
        }
    }
}

/// Reads the unit of a raw stream: `line`, `read` or a size.
///
/// # Errors
/// What is wrong, with the remedy.
pub fn parse_unit(text: &str) -> Result<Unit, String> {
    match text {
        "line" => Ok(Unit::Line),
        "read" => Ok(Unit::Read),
        _ => match text.parse::<ByteSize>().map(ByteSize::bytes) {
            Ok(bytes @ 1..=UNIT_BYTES_MAX) => Ok(Unit::Bytes(bytes)),
            Ok(_) => Err(format!("\"{text}\" is out of bounds; write 1B to 64KiB")),
            Err(_) => {
                Err(format!("\"{text}\" is not a unit; write line, read or a size such as 4KiB"))
            }
        },
    }
}
