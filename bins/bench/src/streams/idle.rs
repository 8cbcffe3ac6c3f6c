//! What connections cost that stand still: `jostle-load idle`.

use super::pairs::Sink;
use crate::measure::rounded;
use crate::processes::Processes;
use jostle_console::terminal;
use rustix::event::{Timespec, poll};
use serde_json::json;
use std::net::SocketAddr;
use std::time::Duration;

/// The relay's memory per connection that has had a byte each way and stands still
#[derive(Debug, clap::Args)]
pub(crate) struct IdleArgs {
    /// Where the relay listens
    #[arg(long, value_name = "ADDR")]
    to: SocketAddr,

    /// Where it leads: connections are accepted here
    #[arg(long, value_name = "ADDR")]
    sink: SocketAddr,

    /// How many connections
    #[arg(long, value_name = "COUNT", default_value_t = 9000)]
    count: usize,

    /// Look at these processes, with all that they have started
    #[arg(long = "of", value_name = "PID", required = true)]
    of: Vec<u32>,
}

impl IdleArgs {
    /// Runs it and prints the result.
    ///
    /// # Errors
    /// When a connection cannot be had, or the relay ends.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        /// Whatever the relay does behind the last byte.
        const SETTLE: Duration = Duration::from_millis(300);
        let processes = Processes::new(&self.of);
        let sink = Sink::new(self.sink)?;
        // The first have the relay make what it makes once.
        let first = sink.pairs(self.to, 16)?;
        let before = processes.memory_bytes()?;
        let pairs = sink.pairs(self.to, self.count)?;
        poll(&mut [], Some(&Timespec::try_from(SETTLE)?))?;
        let after = processes.memory_bytes()?;
        drop((first, pairs));
        let fields = json!({
            "connections": self.count,
            "memory_before_bytes": before,
            "memory_after_bytes": after,
            "kib_per_connection": rounded(
                (after as f64 - before as f64) / 1024.0 / self.count as f64),
        });
        terminal::line(&fields.to_string());
        Ok(())
    }
}
