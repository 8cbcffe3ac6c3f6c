//! The written forms of quantities, for editors. Whatever the readers take these take; a missing
//! unit both refuse.

use super::{BitRate, ByteSize, Frequency, Probability, Span};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

macro_rules! text_with_unit {
    ($type:ty, $name:literal, $schema:expr) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

text_with_unit!(
    Probability,
    "Probability",
    json_schema!({
        "description": "A percentage in quotes (\"2%\"), or a fraction from 0 to 1.",
        "anyOf": [
            { "type": "string", "pattern": r"^\s*(0*(100(\.0+)?|\d{1,2}(\.\d+)?)\s*%|0+(\.\d+)?)\s*$" },
            { "type": "number", "minimum": 0, "maximum": 1 }
        ],
        "examples": ["2%", 0.02]
    })
);
text_with_unit!(
    Span,
    "Time",
    json_schema!({
        "description": "A time with its unit: \"50ms\", \"1.5s\", \"2m 30s\" (ns, us, ms, s, m, \
                        h).",
        "anyOf": [
            { "type": "string", "pattern": r"^\s*(0+(\.0+)?|\d+(\.\d+)?\s*(ns|us|µs|ms|s)|(\d+\s*(nsec|ns|usec|us|µs|msec|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d|weeks?|wks?|w|months?|M|years?|yrs?|y)\s*)+)\s*$" },
            { "const": 0 }
        ],
        "examples": ["50ms", "1.5s"]
    })
);
text_with_unit!(
    BitRate,
    "Rate",
    json_schema!({
        "description": "A speed with its unit: \"10Mbit/s\" (bit/s, kbit/s, Mbit/s, Gbit/s; B/s, \
                        kB/s, MB/s, GB/s, KiB/s, MiB/s).",
        "type": "string",
        "pattern": r"^\s*\d+(\.\d+)?\s*([kMG]?bit/s|[kMG]?B/s|[KM]iB/s)\s*$",
        "examples": ["10Mbit/s", "56kbit/s"]
    })
);
text_with_unit!(
    ByteSize,
    "Size",
    json_schema!({
        "description": "A size with its unit: \"64KiB\", \"1500B\" (B, kB, MB, GB, KiB, MiB, GiB).",
        "anyOf": [
            { "type": "string", "pattern": r"^\s*(0+(\.0+)?|\d+(\.\d+)?\s*([kKMG]?B|[KMG]iB))\s*$" },
            { "const": 0 }
        ],
        "examples": ["64KiB", "1500B"]
    })
);
text_with_unit!(
    Frequency,
    "Frequency",
    json_schema!({
        "description": "A frequency with its unit: \"0.125Hz\".",
        "anyOf": [
            { "type": "string", "pattern": r"^\s*(0+(\.0+)?|\d+(\.\d+)?\s*(Hz|/s))\s*$" },
            { "const": 0 }
        ],
        "examples": ["0.125Hz", "3Hz"]
    })
);
