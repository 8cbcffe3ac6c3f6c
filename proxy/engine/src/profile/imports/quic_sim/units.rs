//! Times and rates as ns-3 reads them.

use super::super::quantity;
use jostle_common::setting::SettingError;
use std::time::Duration;

/// A number alone is seconds.
const TIMES: &[(&[&str], f64)] = &[
    (&["y"], 365.0 * 86_400.0),
    (&["d"], 86_400.0),
    (&["h"], 3600.0),
    (&["min"], 60.0),
    (&["s"], 1.0),
    (&["ms"], 1e-3),
    (&["us"], 1e-6),
    (&["ns"], 1e-9),
    (&["ps"], 1e-12),
    (&["fs"], 1e-15),
];

/// A number alone is bits; a small b is a bit and a capital one a byte.
const RATES: &[(&[&str], f64)] = &[
    (&["", "bps", "b/s"], 1.0),
    (&["Bps", "B/s"], 8.0),
    (&["kbps", "kb/s", "Kbps", "Kb/s"], 1e3),
    (&["kBps", "kB/s", "KBps", "KB/s"], 8e3),
    (&["Kib/s"], 1024.0),
    (&["KiB/s"], 8.0 * 1024.0),
    (&["Mbps", "Mb/s"], 1e6),
    (&["MBps", "MB/s"], 8e6),
    (&["Mib/s"], 1_048_576.0),
    (&["MiB/s"], 8.0 * 1_048_576.0),
    (&["Gbps", "Gb/s"], 1e9),
    (&["GBps", "GB/s"], 8e9),
    (&["Gib/s"], 1_073_741_824.0),
    (&["GiB/s"], 8.0 * 1_073_741_824.0),
];

pub(super) fn time(place: &str, text: &str) -> Result<Duration, SettingError> {
    quantity::time(place, text, TIMES, 1.0, "15ms")
}

pub(super) fn rate(place: &str, text: &str) -> Result<u64, SettingError> {
    quantity::rate(place, text, RATES, "10Mbps")
}
