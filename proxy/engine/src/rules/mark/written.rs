//! Reads a `mark` rule, which is written as a `drop` rule is.

use super::Mark;
use crate::rules::drop::{RawDrop, read_choice};
use jostle_common::setting::SettingError;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use std::borrow::Cow;

/// The fields of `drop`.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct RawMark(RawDrop);

impl JsonSchema for RawMark {
    fn schema_name() -> Cow<'static, str> {
        "RawMark".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = RawDrop::json_schema(generator);
        let about = "Sets CE in the IP header of packets whose sender takes marks (ECT), and loses \
                     the others, by exactly one of the models of `drop`; what is lost there is \
                     marked here.";
        schema.insert("description".into(), about.into());
        schema
    }
}

pub(super) fn read(place: &str, RawMark(raw): RawMark) -> Result<Mark, SettingError> {
    Ok(Mark { chosen: read_choice(place, "mark", raw)? })
}
