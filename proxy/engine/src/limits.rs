//! Bounds and defaults that several parts of the engine share.

use std::time::Duration;

/// After which silence a UDP flow is forgotten unless told otherwise: the least that a NAT may keep
/// a binding (RFC 4787 REQ-5).
pub const IDLE_DEFAULT: Duration = Duration::from_secs(120);

/// The largest unit of a raw stream: lines are cut there, and blocks cannot be set larger.
pub const UNIT_BYTES_MAX: usize = 64 << 10;
