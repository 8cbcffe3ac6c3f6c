//! Log lines on stderr, which `RUST_LOG` turns up or down.

use crate::status::aside;
use env_logger::{Builder, Env, Logger};
use jostle_common::clock::Clock;
use log::{Log, Metadata, Record};
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
    let logger = builder.build();
    let level = logger.filter();
    if log::set_boxed_logger(Box::new(Aside(logger))).is_ok() {
        log::set_max_level(level);
    }
}

/// A logger whose lines are not mixed with the status line.
struct Aside(Logger);

impl Log for Aside {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if self.0.matches(record) {
            aside(|| self.0.log(record));
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}
