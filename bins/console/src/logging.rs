//! Log lines on stderr, which `RUST_LOG` turns up or down.

use env_logger::{Builder, Env};
use jostle_common::clock::Clock;
use std::io::Write as _;
use std::time::UNIX_EPOCH;

/// Starts the log; `filter` holds unless `RUST_LOG` is set.
pub fn start(filter: &str) {
    let mut builder = Builder::from_env(Env::default().default_filter_or(filter));
    // The logger's own time stamp needs a library of calendars.
    builder.format(|line, record| {
        let now = humantime::format_rfc3339_seconds(UNIX_EPOCH + Clock::wall());
        let (level, target) = (record.level(), record.target());
        let style = line.default_level_style(level);
        writeln!(line, "[{now} {style}{level:<5}{style:#} {target}] {}", record.args())
    });
    builder.init();
}
