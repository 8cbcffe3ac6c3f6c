//! Reads and writes a `close_after` rule.

use super::CloseAfter;
use crate::rules::written::{self, Fields};
use jostle_common::setting::SettingError;
use jostle_common::units::{ByteSize, Span};
use schemars::JsonSchema;
use serde::Deserialize;

/// Closes a TCP connection towards both sides, by bytes or by time.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawCloseAfter {
    /// After how many bytes of this direction, which are delivered.
    bytes: Option<ByteSize>,
    /// How long after it opened.
    time: Option<Span>,
}

pub(super) fn read(place: &str, raw: &RawCloseAfter) -> Result<CloseAfter, SettingError> {
    if raw.bytes.is_none() && raw.time.is_none() {
        let problem = "nothing says when it closes; write \"bytes\", \"time\" or both";
        return Err(SettingError::new(place, problem));
    }
    Ok(CloseAfter { bytes: raw.bytes.map(ByteSize::bytes), time: raw.time.map(|time| time.0) })
}

pub(super) fn write(close: &CloseAfter) -> Fields {
    let bytes = close.bytes.map(|bytes| written::text(ByteSize::new(bytes)));
    Fields::default().with_some("bytes", bytes).with_some("time", close.time.map(written::time))
}
