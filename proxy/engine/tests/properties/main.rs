//! What holds for every profile, whatever its rules.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod arrivals;
mod changes;
mod draws;
mod kinds;
mod lists;
mod order;
mod others;
mod runs;
#[path = "../support/mod.rs"]
mod support;
mod time;

use proptest::prelude::ProptestConfig;

/// How every property is tried.
fn config() -> ProptestConfig {
    ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() }
}
