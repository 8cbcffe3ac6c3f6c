//! What a relay keeps for each of many that stand still: the options, and the sum in the end.

use crate::measure::rounded;
use crate::processes::Processes;
use jostle_console::terminal;
use rustix::event::{Timespec, poll};
use serde_json::json;
use std::net::SocketAddr;
use std::time::Duration;

/// Those that have the relay make what it makes once.
const FIRST: usize = 16;

/// Whatever the relay does behind the last byte.
const SETTLE: Duration = Duration::from_millis(300);

/// How many stand still, and at which relay.
#[derive(Debug, clap::Args)]
pub(crate) struct StandingArgs {
    /// Where the relay listens
    #[arg(long, value_name = "ADDR")]
    pub(crate) to: SocketAddr,

    /// Where it leads: whatever comes is taken in here
    #[arg(long, value_name = "ADDR")]
    pub(crate) sink: SocketAddr,

    /// How many
    #[arg(long, value_name = "COUNT", default_value_t = 9000)]
    count: usize,

    /// Look at these processes, with all that they have started
    #[arg(long = "of", value_name = "PID", required = true)]
    of: Vec<u32>,
}

impl StandingArgs {
    /// Lets `open` open so many, and prints what the relay's memory has grown by for each `unit`
    /// once all of them stand still.
    ///
    /// # Errors
    /// When they cannot be opened, or the relay ends.
    pub(crate) fn tell<T>(
        &self,
        unit: &str,
        mut open: impl FnMut(usize) -> anyhow::Result<T>,
    ) -> anyhow::Result<()> {
        let processes = Processes::new(&self.of);
        let first = open(FIRST)?;
        let before = processes.memory_bytes()?;
        let all = open(self.count)?;
        poll(&mut [], Some(&Timespec::try_from(SETTLE)?))?;
        let after = processes.memory_bytes()?;
        drop((first, all));
        let fields = json!({
            format!("{unit}s"): self.count,
            "memory_before_bytes": before,
            "memory_after_bytes": after,
            format!("kib_per_{unit}"): rounded(
                (after as f64 - before as f64) / 1024.0 / self.count as f64),
        });
        terminal::line(&fields.to_string());
        Ok(())
    }
}
